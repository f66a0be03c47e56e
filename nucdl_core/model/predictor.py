"""The one interface of all models: a network on a device, fed with images, that says which nuclei there are."""

from __future__ import annotations

import abc
import contextlib
import copy
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    ClassVar,
    ContextManager,
    Dict,
    Iterable,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    TypeVar,
)

import numpy as np
import torch
from torch import nn

from nucdl_core.arrays import Floats
from nucdl_core.errors import BundleError
from nucdl_core.model.bundle import TEST, Bundle, BundleDescription, read_tensors
from nucdl_core.model.weights import fold_batch_norm
from nucdl_core.results import Found
from nucdl_core.steps.contours import origins, refine_objects
from nucdl_core.steps.instances import Decision
from nucdl_core.steps.tiling import Tile, tiles
from nucdl_core.steps.views import View, apply_view

if TYPE_CHECKING:
    from nucdl_core.model.map_predictor import MapPredictor

# Height and width of a tile with its halo, in pixels of the image, that are not exceeded without need: where nuclei are
# large, the network sees the image much reduced, and what is a small tile to it takes gigabytes.
LARGEST_TILE = 5000
# Outlines are corrected at the scale at which a typical nucleus is so many pixels across.
FINE_DIAMETER = 48.0
# Views are run together only up to this number of pixels: more would cost memory and gain no time.
BATCH_PIXELS = 2_000_000

_T = TypeVar("_T")
AnyPredictor = TypeVar("AnyPredictor", bound="Predictor")
Tensors = Dict[str, Floats]


class Predictor(abc.ABC):
    """A model on a device, ready to predict; each family of models has its own kind.

    What a caller does is the same for all of them: ``predict`` an image in some views, ``find`` the nuclei in what was
    predicted, and ask the ``size_model`` for the size of nuclei and for corrected outlines.

    Parameters
    ----------
    network : nn.Module
        In float32, with its weights; it becomes the predictor's own. ``network.stride`` divides the sides of what it
        takes.
    description : BundleDescription
        Of the model it belongs to.
    device : str
        "cpu" or "cuda".
    dtype : torch.dtype
        The number format of the convolutions: float32, bfloat16, or qint8 for 8-bit integers.
    """

    # Sides of tiles in network pixels: the next one is tried where memory does not suffice for the one before.
    tile_sides: ClassVar[Tuple[int, ...]]
    # Images of up to this number of network pixels are taken whole where memory suffices, since tiles overlap.
    whole_pixels: ClassVar[int]
    # Network pixels around a tile that are read as well.
    halo: ClassVar[int]
    # What calls `compute` in the place of `run`, see `batching`.
    gate: Optional[Gate] = None

    def __init__(self, network: nn.Module, description: BundleDescription, device: str, dtype: torch.dtype) -> None:
        fold_batch_norm(network.eval())
        self.network: Any = network
        self.stride = int(network.stride)  # type: ignore[arg-type]
        self.description = description
        self.device, self.dtype = device, dtype

    @classmethod
    def from_bundle(cls, network: nn.Module, bundle: Bundle, device: str, dtype: torch.dtype) -> Predictor:
        """Make the predictor of a bundle whose weights the network has; see the class.

        Raises
        ------
        BundleError
            If something else of the bundle does not fit.
        """
        return cls(network, bundle.description, device, dtype)

    @property
    @abc.abstractmethod
    def size_model(self) -> MapPredictor:
        """The model that estimates sizes and corrects outlines: this one, or one that it relies on."""

    @abc.abstractmethod
    def predict(self, image: Floats, diameter: float, views: Sequence[View]) -> Any:
        """Let the network say what it sees in an image whose typical nucleus diameter is known.

        Parameters
        ----------
        image : float32 array (H, W)
            Normalized.
        diameter : float
            In pixels.
        views : sequence of View

        Returns
        -------
        any
            What `find` takes.
        """

    @abc.abstractmethod
    def find(self, prediction: Any, decision: Decision) -> Found:
        """Decide which nuclei there are in what `predict` has returned.

        Parameters
        ----------
        prediction : any
        decision : Decision

        Returns
        -------
        Found
            On the image's own pixels.
        """

    @abc.abstractmethod
    def respond(self, image: Floats) -> Tensors:
        """Return what the network says about an image by itself, for the bundle's test.

        Parameters
        ----------
        image : float32 array (H, W)
            Normalized.

        Returns
        -------
        dict of float32 arrays
            By name, in [0, 1], and without jumps: a small error of the network makes a small difference.
        """

    @abc.abstractmethod
    def compute(self, images: Sequence[Floats]) -> Any:
        """Run the network on float32 arrays (H, W) of one shape; return one result for each."""

    def self_test(self, folder: Path) -> float:
        """Run the test of a bundle and return the largest difference to what is expected.

        Raises
        ------
        BundleError
            If the difference is above the bundle's tolerance, or the bundle has no test.
        """
        test = read_tensors(folder / TEST)
        if "input" not in test:
            raise BundleError(f"{folder / TEST} lacks the tensor 'input'; install the model again")
        found, difference = self.respond(np.asarray(test["input"], np.float32)), 0.0
        for name, values in found.items():
            if name not in test:
                raise BundleError(f"{folder / TEST} lacks the tensor {name!r}; install the model again")
            # Older bundles also hold maps that are not compared, at the end.
            expected = test[name][: len(values)].astype(np.float32)
            # Unlike max() this tells a NaN.
            difference = float(np.maximum(difference, np.abs(values - expected).max(initial=0)))
        if not difference <= self.description.tolerance:
            raise BundleError(
                f"{folder}: the model's output differs from its expected test output by {difference:.3f}, more than "
                f"{self.description.tolerance}; install the model again, or report this with your processor's name"
            )
        return difference

    def recording(self) -> ContextManager[Mapping[str, Tensors]]:
        """Record, until the end of the block, what a bundle needs to know about the network while it runs.

        Yields
        ------
        mapping of str to dict of arrays
            Further files of the bundle by name, complete at the end of the block.
        """
        return contextlib.nullcontext({})

    def decision(self, threshold: Optional[float] = None) -> Decision:
        """Return the model's calibrated decision, with a person's probability threshold instead of its own if given."""
        calibrated = self.description.decision
        return calibrated if threshold is None else Decision(**{**vars(calibrated), "foreground": threshold})

    def correct_outlines(
        self, found: Found, image: Floats, diameter: float, views: Sequence[View], decision: Decision
    ) -> Found:
        """Let a second look at a finer scale, by the size model, decide where the outlines of nuclei run.

        Parameters
        ----------
        found : Found
            In this image, with this diameter, these views and this decision.
        image, diameter, views
            See `predict`.
        decision : Decision
            Its threshold also decides outlines where this model is its own size model.

        Returns
        -------
        Found
            Merged and dropped as well where the size model was tuned so, see `contours.refine_objects`.
        """
        finer = self.size_model
        scale = finer.description.canonical_diameter / FINE_DIAMETER
        probability = finer.predict(image, diameter * scale, views).probability
        threshold = (decision if finer is self else finer.description.decision).foreground
        labels = refine_objects(found.labels, probability, finer.refinement(threshold))
        return found.redrawn(labels, origins(found.labels, labels))

    def block(self, scale: float) -> int:
        """Image pixels that become one stride of the network at about the given scale."""
        return max(1, round(self.stride / scale))

    def block_at(self, diameter: float) -> int:
        """Image pixels that become one stride of the network where a typical nucleus has this diameter in pixels."""
        return self.block(self.scale_at(diameter))

    def scale_at(self, diameter: float) -> float:
        """Network pixels per image pixel where a typical nucleus has this diameter in pixels."""
        return self.description.canonical_diameter / diameter if self.description.rescaled else 1.0

    def plan_tiles(self, shape: Tuple[int, int], diameter: float, side: int) -> List[Tile]:
        """Cut an image into tiles.

        Tiles overlap, so that an image that is not much larger than one is taken whole, unless memory has been too
        short for that.

        Parameters
        ----------
        shape : (int, int)
            Height and width of the image in pixels.
        diameter : float
            Of a typical nucleus in pixels.
        side : int
            Of a tile in network pixels, one of `tile_sides` or any other.

        Returns
        -------
        list of Tile
        """
        block = self.block_at(diameter)
        core, halo = (round(length / self.stride) * block for length in (side, self.halo))
        pixels = shape[0] * shape[1] * (self.stride / block) ** 2
        whole = side == self.tile_sides[0] and pixels <= self.whole_pixels and max(shape) <= LARGEST_TILE
        core = max(shape) if whole else min(core, max(halo, LARGEST_TILE - 2 * halo))
        return list(tiles(shape, core, halo, block))

    def through(self: AnyPredictor, gate: Gate) -> AnyPredictor:
        """Return a predictor of the same network that asks a gate to run it."""
        other = copy.copy(self)
        other.gate = gate
        return other

    def run(self, images: Sequence[Floats]) -> Any:
        """Run the network on float32 arrays (H, W) of one shape, through the gate if there is one."""
        return self.compute(images) if self.gate is None else self.gate(self, images)


Gate = Callable[[Predictor, Sequence[Floats]], Any]


def run_views(image: Floats, views: Sequence[View], run: Callable[[List[Floats]], Iterable[_T]]) -> List[_T]:
    """Run a network on several views of an image, as many at a time as memory allows.

    Parameters
    ----------
    image : float32 array (H, W)
    views : sequence of View
    run : callable
        Takes a list of arrays of one shape and returns as many results.

    Returns
    -------
    list
        One result per view, as it lies there.
    """
    at_once = max(1, BATCH_PIXELS // image.size)
    found: Dict[View, _T] = {}
    for transpose in (False, True):
        group = [view for view in views if view.transpose == transpose]
        for first in range(0, len(group), at_once):
            batch = group[first : first + at_once]
            found.update(zip(batch, run([apply_view(image, view) for view in batch])))
    return [found[view] for view in views]
