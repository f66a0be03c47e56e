"""Running a bundle's network: load once per process, feed images of any size, get maps."""

from __future__ import annotations

import abc
import copy
import functools
import math
from pathlib import Path
from typing import Any, Callable, ClassVar, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple, TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from nucdl_core.arrays import AnyArray, Floats
from nucdl_core.errors import BundleError
from nucdl_core.model.bundle import (
    RANGES,
    TEST,
    WEIGHTS,
    Bundle,
    BundleDescription,
    read_bundle,
    read_tensors,
    require_family,
)
from nucdl_core.model.device import fast_dtype
from nucdl_core.model.networks.int8 import Int8UNet
from nucdl_core.model.networks.unet import UNet
from nucdl_core.model.registry import build_network
from nucdl_core.steps.instances import Maps, Prediction
from nucdl_core.steps.views import VIEW_SETS, View, apply_view, undo_view

FAMILY = "unet"
KEYS = ("foreground", "boundary", "distance", "size")
# Views are run together only up to this number of pixels: more would cost memory and gain no time.
BATCH_PIXELS = 2_000_000

T = TypeVar("T")
AnyRunner = TypeVar("AnyRunner", bound="Runner")


class Runner(abc.ABC):
    """What the predictors of all families have in common.

    Parameters
    ----------
    stride : int
        Of the network in its pixels: what it takes must be a multiple of it.
    description, device, dtype
        See `Predictor`.
    """

    # Sides of tiles in network pixels: the next one is tried where memory does not suffice for the one before.
    tile_sides: ClassVar[Tuple[int, ...]]
    # Images of up to this number of network pixels are taken whole where memory suffices, since tiles overlap.
    whole_pixels: ClassVar[int]
    # Network pixels around a tile that are read as well.
    halo: ClassVar[int]
    network: Any
    # What calls `compute` in the place of `run`, see `together`.
    gate: Optional[Gate] = None

    def __init__(self, stride: int, description: BundleDescription, device: str, dtype: torch.dtype) -> None:
        self.stride, self.description = stride, description
        self.device, self.dtype = device, dtype

    def block(self, scale: float) -> int:
        """Image pixels that become one stride of the network at about the given scale."""
        return max(1, round(self.stride / scale))

    def through(self: AnyRunner, gate: Gate) -> AnyRunner:
        """Return a runner of the same network that asks a gate to run it."""
        other = copy.copy(self)
        other.gate = gate
        return other

    def run(self, images: Sequence[Floats]) -> Any:
        """Run the network on float32 arrays (H, W) of one shape, through the gate if there is one."""
        return self.compute(images) if self.gate is None else self.gate(self, images)

    @abc.abstractmethod
    def compute(self, images: Sequence[Floats]) -> Any:
        """Run the network on float32 arrays (H, W) of one shape; return one result for each."""


Gate = Callable[[Runner, Sequence[Floats]], Any]


class Predictor(Runner):
    """A U-Net on a device, ready to predict.

    Parameters
    ----------
    network : nn.Module
        In float32, with its weights; it becomes the predictor's own.
    description : BundleDescription
        Of the model it belongs to.
    device : str
        "cpu" or "cuda".
    dtype : torch.dtype
        The number format of the convolutions: float32, bfloat16, or qint8 (8-bit integers, see `models.int8`).
    ranges : dict of float32 arrays (C,), optional
        How large each feature becomes; needed for integers.
    """

    tile_sides = (1536, 768, 384)
    whole_pixels = 3000**2
    # Wider than the default network sees (190 px), so that a tile gives what the whole image would give.
    halo = 224

    def __init__(
        self,
        network: nn.Module,
        description: BundleDescription,
        device: str,
        dtype: torch.dtype,
        ranges: Optional[Mapping[str, Floats]] = None,
    ) -> None:
        super().__init__(int(network.stride), description, device, dtype)  # type: ignore[arg-type]
        fold_batch_norm(network.eval())
        self.network: nn.Module
        if ranges is not None and dtype == torch.qint8:
            self.network = Int8UNet(cast(UNet, network), ranges)
        else:
            self.network = network.to(device, dtype).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def companion(self) -> Predictor:
        """The model that estimates sizes and corrects outlines: this one."""
        return self

    def maps(self, image: Floats) -> Maps:
        """Predict the maps of an image whose nuclei have about the canonical diameter.

        Parameters
        ----------
        image : float32 array (H, W)
            Normalized.

        Returns
        -------
        Maps
            Arrays (H, W).
        """
        height, width = image.shape
        padded = pad_to_multiples(image, self.stride)
        return Maps(*self.run([padded])[0][:, :height, :width])

    def maps_at(self, image: Floats, scale: float) -> Maps:
        """Predict the maps of an image at another scale; arrays (H * scale, W * scale), see `view_maps`."""
        exact = self.stride / self.block(scale)
        rows, cols = (math.ceil(side * exact) for side in image.shape)
        return _cropped(self.view_maps(image, scale, VIEW_SETS["none"])[0], rows, cols)

    def view_maps(self, image: Floats, scale: float, views: Sequence[View]) -> List[Maps]:
        """Predict the maps of several views of an image at another scale.

        The image is padded to whole blocks of `block` pixels, each of which becomes one stride of the network. So a
        part of an image that begins at a multiple of `block` gives the maps that the whole image gives there.

        Parameters
        ----------
        image : float32 array (H, W)
            Normalized.
        scale : float
            Network pixels per image pixel.
        views : sequence of View

        Returns
        -------
        list of Maps
            One per view, turned back; arrays (h, w) that begin at the image's first pixel and reach up to one
            block beyond its last one, at ``stride / block`` network pixels per image pixel.
        """
        block = self.block(scale)
        padded = pad_to_multiples(image, block)
        rows, cols = (side // block * self.stride for side in padded.shape)
        maps: List[AnyArray] = run_views(resize(padded, (rows, cols)), views, self.run)
        return [Maps(*undo_view(one, view)) for one, view in zip(maps, views)]

    def predict(self, image: Floats, diameter: float, views: Sequence[View]) -> Prediction:
        """Predict an image whose typical nucleus diameter is known.

        Parameters
        ----------
        image : float32 array (H, W)
            Normalized.
        diameter : float
            In pixels.
        views : sequence of View

        Returns
        -------
        Prediction
        """
        height, width = image.shape
        scale = self.description.canonical_diameter / diameter
        block = self.block(scale)
        maps = self.view_maps(image, scale, views)
        mean = mean_maps(maps)
        padded = (height + -height % block, width + -width % block)
        probability = resize(mean.foreground, padded)[:height, :width]
        exact = self.stride / block
        rows, cols = math.ceil(height * exact), math.ceil(width * exact)
        return Prediction([_cropped(view, rows, cols) for view in maps], _cropped(mean, rows, cols), probability, exact)

    def compute(self, images: Sequence[Floats]) -> AnyArray:
        """Return the maps of images (N, H, W) as a float32 array (N, 4, H, W)."""
        with torch.inference_mode():
            taken = torch.float32 if self.dtype == torch.qint8 else self.dtype
            batch = torch.from_numpy(np.stack(images))[:, None].to(self.device, taken)
            maps = self.network(batch.contiguous(memory_format=torch.channels_last)).float()
            maps[:, :3].sigmoid_()
            array: AnyArray = maps.cpu().numpy()
        return array


def run_views(image: Floats, views: Sequence[View], run: Callable[[List[Floats]], Iterable[T]]) -> List[T]:
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
    together = max(1, BATCH_PIXELS // image.size)
    found: Dict[View, T] = {}
    for transpose in (False, True):
        group = [view for view in views if view.transpose == transpose]
        for first in range(0, len(group), together):
            batch = group[first : first + together]
            found.update(zip(batch, run([apply_view(image, view) for view in batch])))
    return [found[view] for view in views]


def make_predictor(bundle: Bundle, device: str, dtype: torch.dtype) -> Predictor:
    """Load a bundle's network onto a device.

    Raises
    ------
    BundleError
        If the weights are damaged or do not fit the architecture that the description names, or if that is no U-Net.
    """
    require_family(bundle.description, FAMILY)
    network = build_network(bundle.description.architecture, bundle.description.arguments)
    load_weights(network, read_tensors(bundle.folder / WEIGHTS), bundle.folder / WEIGHTS)
    ranges = read_tensors(bundle.folder / RANGES) if dtype == torch.qint8 else None
    try:
        return Predictor(network, bundle.description, device, dtype, ranges)
    except (KeyError, RuntimeError) as error:
        raise BundleError(
            f"{bundle.folder / RANGES} does not fit the weights ({error}); install the model again"
        ) from error


def dtype_for(description: BundleDescription, device: str) -> torch.dtype:
    """Return the number format that a model's network is computed in on a device; see `device.fast_dtype`."""
    return fast_dtype(device, integers=RANGES in description.files)


def load_predictor(folder: Path, device: str) -> Predictor:
    """Return the predictor of a bundle: verified and loaded once per process, device and content.

    Raises
    ------
    BundleError
        If the bundle is missing, damaged, altered or not understood, or holds another kind of network than a U-Net.
    """
    return _predictor(folder.resolve(), stamp_of(folder), device)


def check_predictor(predictor: Predictor, folder: Path) -> float:
    """Run the bundle's own test and return the largest difference to the expected maps.

    Raises
    ------
    BundleError
        If the difference is above the bundle's tolerance.
    """
    test = read_tensors(folder / TEST)
    if not {"input", "maps"} <= set(test):
        raise BundleError(f"{folder / TEST} lacks the tensors 'input' and 'maps'; install the model again")
    maps = predictor.maps(np.asarray(test["input"], np.float32))
    found = np.stack([maps.foreground, maps.boundary, maps.distance])
    difference = float(np.abs(found - test["maps"][:3].astype(np.float32)).max())
    if not difference <= predictor.description.tolerance:
        raise BundleError(
            f"{folder}: the model's output differs from its expected test output by {difference:.3f}, more than "
            f"{predictor.description.tolerance}; install the model again, or report this with your processor's name"
        )
    return difference


def load_weights(network: nn.Module, tensors: Dict[str, AnyArray], path: Path) -> None:
    """Put a bundle's weights, kept in half precision, into a float32 network.

    Raises
    ------
    BundleError
        If names or shapes do not fit.
    """
    state = {
        name: torch.from_numpy(tensor.astype(np.float32) if tensor.dtype.kind == "f" else tensor)
        for name, tensor in tensors.items()
    }
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        details = " ".join(str(error).split())
        raise BundleError(f"{path} does not fit the architecture that its description names: {details}") from error


def fold_batch_norm(network: nn.Module) -> None:
    """Merge every batch norm into the convolution before it; same output, one pass over memory less."""
    for module in network.modules():
        names = list(module._modules)
        for name, following in zip(names, names[1:]):
            convolution, norm = module._modules[name], module._modules[following]
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                module._modules[name] = fuse_conv_bn_eval(convolution, norm)
                module._modules[following] = nn.Identity()


def mean_maps(maps: Sequence[Maps]) -> Maps:
    """Average the maps of several views; see Moshkov et al. (Sci. Rep. 2020)."""
    if len(maps) == 1:
        return maps[0]
    return Maps(*(np.mean([getattr(view, key) for view in maps], axis=0) for key in KEYS))


def _cropped(maps: Maps, rows: int, cols: int) -> Maps:
    return Maps(*(getattr(maps, key)[:rows, :cols] for key in KEYS))


def pad_to_multiples(image: Floats, step: int) -> Floats:
    """Mirror an image at its lower and right border until its sides are multiples of `step`."""
    height, width = image.shape
    if height % step == width % step == 0:
        return image
    return np.pad(image, ((0, -height % step), (0, -width % step)), mode="symmetric")


def resize(image: Floats, shape: Tuple[int, int]) -> Floats:
    """Resize a map or an image, bilinearly and without aliasing.

    Parameters
    ----------
    image : float32 array (H, W)
    shape : (int, int)
        New height and width.

    Returns
    -------
    float32 array `shape`
        `image` itself where it has that shape already.
    """
    if image.shape == tuple(shape):
        return image
    tensor: Tensor = functional.interpolate(
        torch.from_numpy(np.ascontiguousarray(image))[None, None],
        size=tuple(shape),
        mode="bilinear",
        align_corners=False,
        antialias=True,
    )
    resized: Floats = tensor[0, 0].numpy()
    return resized


@functools.lru_cache(maxsize=8)
def _predictor(folder: Path, stamp: Tuple[Tuple[str, int, int], ...], device: str) -> Predictor:
    bundle = read_bundle(folder)
    return make_predictor(bundle, device, dtype_for(bundle.description, device))


def stamp_of(folder: Path) -> Tuple[Tuple[str, int, int], ...]:
    """Names, sizes and times of a bundle's files: a changed bundle is read, and verified, again."""
    if not folder.is_dir():
        raise BundleError(f"{folder} is not a model folder; choose a bundled model or give the path of a model folder")
    entries = ((path.name, path.stat()) for path in sorted(folder.iterdir()))
    return tuple((name, status.st_size, status.st_mtime_ns) for name, status in entries)
