"""What published networks learn from a crop, and how far they are from it, as their authors say."""

from __future__ import annotations

from typing import Dict

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor, nn
from torch.nn import functional

from nucdl_core.arrays import Floats, Labels
from nucdl_core.model.networks.meanings import BOUNDARY_WEIGHT
from nucdl_core.model.networks.windows import THREE_CLASSES
from nucdl_core.training.config import TrainConfig
from nucdl_core.training.lessons import Batch, Lesson, in_fast_format
from nucdl_core.training.superpose import Layers
from nucdl_core.training.targets import boundary_map, gap_map

CLASS_WEIGHTS = (1.0, 1.0, BOUNDARY_WEIGHT)
# Background between touching nuclei weighs so much more than other pixels (Kromp et al., after Ronneberger et al.).
BETWEEN = 10.0
# A line of one pixel, blurred with a sigma of one pixel, is so bright in its middle; targets are brought back to 1.
BLUR = 1.0
BLURRED_LINE = 0.3989


def said_in(network: nn.Module, batch: Batch) -> Tensor:
    """Let a network in training look at a batch of crops; float32 tensor (B, C, H, W)."""
    with in_fast_format(batch["image"].device.type):
        said = network(batch["image"])
    return torch.as_tensor(said).float()


def three_class_crop(image: Floats, layers: Layers, config: TrainConfig) -> Dict[str, Tensor]:
    """Return image (1, S, S), classes (S, S), int64: 0 background, 1 interior, 2 boundary; and inside (1, S, S)."""
    labels = torch.from_numpy(layers.labels.astype(np.float32))
    nucleus = (labels > 0).long()
    return {**_shown(image, layers), "classes": nucleus + nucleus * boundary_map(labels)}


def three_class_losses(network: nn.Module, batch: Batch) -> Dict[str, Tensor]:
    """Cross entropy of the three classes; of several networks that tell them, the mean."""
    weights = torch.tensor(CLASS_WEIGHTS, device=batch["image"].device)
    inside = batch["inside"][:, 0]
    said = said_in(network, batch)
    members = said.chunk(said.shape[1] // THREE_CLASSES, dim=1)
    each = [functional.cross_entropy(member, batch["classes"], weights, reduction="none") for member in members]
    return {"total": torch.stack([(loss * inside).mean() for loss in each]).mean()}


def shrunk_crop(image: Floats, layers: Layers, config: TrainConfig) -> Dict[str, Tensor]:
    """Return image, truth and weight (1, S, S): nuclei without their outermost pixel, which part all that touch."""
    labels = torch.from_numpy(layers.labels.astype(np.float32))
    shrunk = (labels > 0) & ~boundary_map(labels)
    between = gap_map(labels) & ~shrunk
    shown = _shown(image, layers)
    return {**shown, "truth": shrunk[None].float(), "weight": (1 + BETWEEN * between[None].float()) * shown["inside"]}


def shrunk_losses(network: nn.Module, batch: Batch) -> Dict[str, Tensor]:
    """Weighted binary cross entropy."""
    said = said_in(network, batch)
    return {"total": functional.binary_cross_entropy_with_logits(said, batch["truth"], batch["weight"])}


def border_crop(image: Floats, layers: Layers, config: TrainConfig) -> Dict[str, Tensor]:
    """Return image, inside (1, S, S) and targets (2, S, S): distance to the rim, and the blurred border of nuclei."""
    targets = np.stack([layers.distance, blurred_border(layers.labels)])
    return {**_shown(image, layers), "targets": torch.from_numpy(targets)}


def blurred_border(labels: Labels) -> Floats:
    """Draw the outermost pixels of each nucleus, blurred; float32 array (H, W), about 1 on a straight border."""
    numbers = torch.from_numpy(labels.astype(np.float32))
    border = (boundary_map(numbers) & (numbers > 0)).numpy()
    return np.clip(ndimage.gaussian_filter(border.astype(np.float32), BLUR) / BLURRED_LINE, 0, 1)


def border_losses(network: nn.Module, batch: Batch) -> Dict[str, Tensor]:
    """Squared error of both maps, each by the network that tells it."""
    errors = (said_in(network, batch).sigmoid() - batch["targets"]).square() * batch["inside"]
    distance, border = errors.mean(dim=(0, 2, 3)).unbind()
    return {"total": distance + border, "distance": distance, "border": border}


def position_crop(image: Floats, layers: Layers, config: TrainConfig) -> Dict[str, Tensor]:
    """Return image, inside, truth (1, S, S) and positions (2, S, S): where in its nucleus a pixel lies."""
    truth = torch.from_numpy(layers.labels > 0)[None].float()
    return {**_shown(image, layers), "truth": truth, "positions": torch.from_numpy(relative_positions(layers.labels))}


def relative_positions(labels: Labels) -> Floats:
    """Tell where in the bounding box of its nucleus each pixel lies.

    Parameters
    ----------
    labels : int32 array (H, W)

    Returns
    -------
    float32 array (2, H, W)
        Down and to the right, -1 at one side of the box and 1 at the other, 0 in its middle and in the background.
    """
    found = np.zeros((2, *labels.shape), np.float32)
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        own = labels[box] == number
        for axis, side in enumerate(own.shape):
            along = (2 * np.arange(side) + 1) / side - 1
            values = np.broadcast_to(along[:, None] if axis == 0 else along, own.shape)
            found[axis][box][own] = values[own]
    return found


def position_losses(network: nn.Module, batch: Batch) -> Dict[str, Tensor]:
    """Cross entropy of nuclei, and the error of the position in them."""
    said, inside = said_in(network, batch), batch["inside"]
    foreground = functional.binary_cross_entropy_with_logits(said[:, :1], batch["truth"], inside)
    known = inside * batch["truth"]
    errors = functional.smooth_l1_loss(said[:, 1:], batch["positions"], reduction="none", beta=0.1) * known
    position = errors.sum() / known.sum().clamp(min=1)
    return {"total": foreground + position, "foreground": foreground, "position": position}


def mask_crop(image: Floats, layers: Layers, config: TrainConfig) -> Dict[str, Tensor]:
    """Return image, inside and truth (1, S, S)."""
    return {**_shown(image, layers), "truth": torch.from_numpy(layers.labels > 0)[None].float()}


def mask_losses(network: nn.Module, batch: Batch) -> Dict[str, Tensor]:
    """1 - IoU of probability and truth, over the whole batch (Wang and Song)."""
    probability, truth = said_in(network, batch).sigmoid() * batch["inside"], batch["truth"] * batch["inside"]
    shared = (probability * truth).sum()
    return {"total": 1 - (shared + 1) / (probability.sum() + truth.sum() - shared + 1)}


def _shown(image: Floats, layers: Layers) -> Dict[str, Tensor]:
    """Return what all these networks get: the image, and where it shows what is annotated."""
    return {"image": torch.from_numpy(image)[None], "inside": torch.from_numpy(layers.inside)[None].float()}


THREE_CLASS_LESSON = Lesson(three_class_crop, three_class_losses)
SHRUNK_LESSON = Lesson(shrunk_crop, shrunk_losses)
BORDER_LESSON = Lesson(border_crop, border_losses)
POSITION_LESSON = Lesson(position_crop, position_losses)
MASK_LESSON = Lesson(mask_crop, mask_losses)
