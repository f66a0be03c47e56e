"""Running a Mask R-CNN together with the U-Net that it relies on; and loading a model of any family."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Dict, List, Sequence, Tuple, Union

import numpy as np
import torch
from torch import Tensor, nn

from nucdl_core.arrays import Floats
from nucdl_core.errors import BundleError
from nucdl_core.model.bundle import (
    TEST,
    WEIGHTS,
    Bundle,
    BundleDescription,
    find_bundle,
    read_bundle,
    read_description,
    read_tensors,
    require_family,
)
from nucdl_core.model.device import fast_dtype
from nucdl_core.model.networks.maskrcnn import Examination
from nucdl_core.model.predictor import (
    Gate,
    Predictor,
    Runner,
    check_predictor,
    fold_batch_norm,
    load_predictor,
    load_weights,
    pad_to_multiples,
    resize,
    run_views,
    stamp_of,
)
from nucdl_core.model.registry import build_network
from nucdl_core.steps.detections import Detections, InstancePrediction
from nucdl_core.steps.views import View

FAMILY = "maskrcnn"
TESTED = ("objectness", "scores", "masks")


class InstancePredictor(Runner):
    """A Mask R-CNN on a device, ready to predict.

    Parameters
    ----------
    network : nn.Module
        A `NucleusMaskRCNN` in float32, with its weights; it becomes the predictor's own.
    description : BundleDescription
        Of the model it belongs to.
    companion : Predictor
        The U-Net that estimates sizes and corrects outlines.
    device : str
        "cpu" or "cuda".
    dtype : torch.dtype
        The number format of the convolutions, bfloat16 or float32; boxes are always computed in float32.
    """

    # Every nucleus of a tile is held as a mask of its own, so that tiles are smaller than a U-Net's. The halo need
    # only show nuclei whole: up to four times the canonical diameter.
    tile_sides = (768, 384, 192)
    whole_pixels = 768**2
    halo = 128

    def __init__(
        self,
        network: nn.Module,
        description: BundleDescription,
        companion: Predictor,
        device: str,
        dtype: torch.dtype,
    ) -> None:
        super().__init__(int(network.stride), description, device, dtype)  # type: ignore[arg-type]
        self.companion = companion
        fold_batch_norm(network.eval())
        self.network = network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def predict(self, image: Floats, diameter: float, views: Sequence[View]) -> InstancePrediction:
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
        InstancePrediction
        """
        height, width = image.shape
        block = self.block(self.description.canonical_diameter / diameter)
        padded = pad_to_multiples(image, block)
        rows, cols = (side // block * self.stride for side in padded.shape)
        found = run_views(resize(padded, (rows, cols)), views, self.run)
        shown = (padded.shape[0], padded.shape[1])
        return InstancePrediction(views, found, shown, (height, width), self.stride / block)

    def examine(self, image: Floats) -> Dict[str, Floats]:
        """Return what the parts of the network say about an image, for its self-test.

        Parameters
        ----------
        image : float32 array (H, W)
            Normalized.

        Returns
        -------
        dict of float32 arrays
            In [0, 1], by the names of `TESTED`: of the anchors, and of the boxes that part the image like a chessboard
            of fields of one stride. Unlike the list of nuclei these do not jump where a number lies near a threshold.
        """
        image = pad_to_multiples(image, self.stride)
        rows, cols = (np.arange(0, side, self.stride, dtype=np.float32) for side in image.shape)
        corners = np.stack(np.meshgrid(cols, rows), axis=-1).reshape(-1, 2)
        boxes = torch.from_numpy(np.concatenate([corners, corners + self.stride], axis=1))
        with torch.inference_mode(), self._in_its_number_format():
            result: Examination = self.network.examine(self._batch([image]), boxes.to(self.device))
        parts = (result.objectness.sigmoid(), result.scores, result.masks)
        return {name: part.cpu().numpy() for name, part in zip(TESTED, parts)}

    def _in_its_number_format(self) -> torch.autocast:
        return torch.autocast(self.device, torch.bfloat16, enabled=self.dtype == torch.bfloat16)

    def _batch(self, images: Sequence[Floats]) -> Tensor:
        batch = torch.from_numpy(np.stack(images))[:, None].to(self.device)
        return batch.contiguous(memory_format=torch.channels_last)

    def through(self, gate: Gate) -> InstancePredictor:
        """Return a runner of the same networks, the companion's included, that asks a gate to run them."""
        other = super().through(gate)
        other.companion = self.companion.through(gate)
        return other

    def compute(self, images: Sequence[Floats]) -> List[Detections]:
        """Return the nuclei of each image; see `predict.Runner`."""
        with torch.inference_mode(), self._in_its_number_format():
            found, _ = self.network(self._batch(images))
        return [
            Detections(
                boxes=one["boxes"].cpu().numpy()[:, [1, 0, 3, 2]],
                scores=one["scores"].cpu().numpy(),
                masks=one["masks"][:, 0].cpu().numpy(),
            )
            for one in found
        ]


AnyPredictor = Union[Predictor, InstancePredictor]


def load_model(folder: Path, device: str) -> AnyPredictor:
    """Return the predictor of a bundle of any family: verified and loaded once per process, device and content.

    Raises
    ------
    BundleError
        If the bundle, or one that it relies on, is missing, damaged, altered or not understood, or if torchvision is
        needed and missing.
    """
    stamp = stamp_of(folder)
    if _family(folder.resolve(), stamp) == FAMILY:
        return _instance_predictor(folder.resolve(), stamp, device)
    return load_predictor(folder, device)


def make_instance_predictor(bundle: Bundle, device: str, dtype: torch.dtype) -> InstancePredictor:
    """Load a bundle's network, and its companion, onto a device.

    Raises
    ------
    BundleError
        See `load_model`.
    """
    require_family(bundle.description, FAMILY)
    network = build_network(bundle.description.architecture, bundle.description.arguments)
    load_weights(network, read_tensors(bundle.folder / WEIGHTS), bundle.folder / WEIGHTS)
    return InstancePredictor(network, bundle.description, load_companion(bundle.description, device), device, dtype)


def load_companion(description: BundleDescription, device: str) -> Predictor:
    """Load the U-Net that a model relies on.

    Raises
    ------
    BundleError
        If it names none, or if the one of that name is not the one that it was calibrated with.
    """
    companion = description.companion
    if companion is None:
        raise BundleError(
            f"the model {description.name} names no U-Net that estimates the size of nuclei; install it again"
        )
    folder = find_bundle(companion.name)
    found = read_bundle(folder).sha256
    if found != companion.sha256:
        raise BundleError(
            f"the model {description.name} was made with another version of the model {companion.name} (sha256 "
            f"{companion.sha256[:12]}...) than the one that is installed ({found[:12]}...); install the two that "
            "belong together, or run 'nucdl train' again with its output folder, which calibrates it anew"
        )
    return load_predictor(folder, device)


def check_model(predictor: AnyPredictor, folder: Path) -> float:
    """Run a bundle's own test and return the largest difference to what is expected; see `predict.check_predictor`.

    Raises
    ------
    BundleError
        If the difference is above the bundle's tolerance.
    """
    if isinstance(predictor, Predictor):
        return check_predictor(predictor, folder)
    test = read_tensors(folder / TEST)
    if not {"input", *TESTED} <= set(test):
        names = ", ".join(("input", *TESTED))
        raise BundleError(f"{folder / TEST} lacks one of the tensors {names}; install the model again")
    found = predictor.examine(np.asarray(test["input"], np.float32))
    difference = max(float(np.abs(part - test[name]).max()) for name, part in found.items())
    if not difference <= predictor.description.tolerance:
        raise BundleError(
            f"{folder}: the model's output differs from its expected test output by {difference:.3f}, more than "
            f"{predictor.description.tolerance}; install the model again, or report this with your processor's name"
        )
    return difference


@functools.lru_cache(maxsize=8)
def _family(folder: Path, stamp: Tuple[Tuple[str, int, int], ...]) -> str:
    return read_description(folder).family


@functools.lru_cache(maxsize=4)
def _instance_predictor(folder: Path, stamp: Tuple[Tuple[str, int, int], ...], device: str) -> InstancePredictor:
    return make_instance_predictor(read_bundle(folder), device, fast_dtype(device))
