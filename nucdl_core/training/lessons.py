"""What networks of each kind learn from a crop, and how far they are from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict

import numpy as np
import torch
from torch import Tensor, nn

from nucdl_core.arrays import Floats
from nucdl_core.errors import BundleError
from nucdl_core.labels import relabel
from nucdl_core.model.bundle import WEIGHTS, find_bundle, read_tensors
from nucdl_core.model.device import fast_dtype
from nucdl_core.model.registry import family_of, load_part
from nucdl_core.training.config import TrainConfig
from nucdl_core.training.crops import Finish, unet_crop
from nucdl_core.training.loss import unet_loss
from nucdl_core.training.superpose import Layers

Batch = Dict[str, Tensor]


@dataclass(frozen=True)
class Lesson:
    """How a network is taught.

    Attributes
    ----------
    finish : callable
        Makes a crop of an image and its nuclei.
    losses : callable
        Takes a network in training and a batch of crops; returns the terms of the loss and their sum "total".
    """

    finish: Finish
    losses: Callable[[nn.Module, Batch], Dict[str, Tensor]]


def lesson_of(architecture: str) -> Lesson:
    """Return how a registered network is taught."""
    lesson: Lesson = load_part(family_of(architecture).lesson)
    return lesson


def in_fast_format(device: str) -> torch.autocast:
    """Let a block compute in bfloat16 where the hardware does so itself, otherwise in float32.

    On a processor without instructions for it bfloat16 is emulated: a step then takes thirty times as long.
    """
    return torch.autocast(device, torch.bfloat16, enabled=fast_dtype(device) == torch.bfloat16)


def map_losses(network: nn.Module, batch: Batch) -> Dict[str, Tensor]:
    """Compare the maps of a network with their targets; see `loss.unet_loss`."""
    with in_fast_format(batch["image"].device.type):
        maps = network(batch["image"])
    return unet_loss(maps.float(), batch)


def instance_crop(image: Floats, layers: Layers, config: TrainConfig) -> Dict[str, Tensor]:
    """Return image (1, S, S), float32, and labels (S, S), int32, 1..N without gaps.

    It is dark beyond the border of the annotated image, as a convolution sees it: what the mirror image shows there
    could be no nucleus of the truth.
    """
    labels = relabel(np.where(layers.inside, layers.labels, 0))
    dark = np.where(layers.inside, image, np.float32(0))
    return {"image": torch.from_numpy(dark)[None], "labels": torch.from_numpy(labels)}


def instance_losses(network: nn.Module, batch: Batch) -> Dict[str, Tensor]:
    """Compare the nuclei that a Mask R-CNN proposes with the true ones; torchvision's five terms count equally."""
    targets = [instance_targets(labels) for labels in batch["labels"]]
    with in_fast_format(batch["image"].device.type):
        _, terms = network(batch["image"], targets)
    total = torch.stack(list(terms.values())).sum()
    return {"total": total, **{name.replace("loss_", ""): term for name, term in terms.items()}}


def instance_targets(labels: Tensor) -> Dict[str, Tensor]:
    """Turn a label image into what `NucleusMaskRCNN` is taught by.

    Parameters
    ----------
    labels : int tensor (H, W)
        1..N without gaps; N may be 0.

    Returns
    -------
    dict
        "boxes" float32 (N, 4): left, top, right, bottom edges; "labels" int64 (N,), all 1; "masks" uint8 (N, H, W).
    """
    numbers = torch.arange(1, int(labels.max()) + 1, device=labels.device)
    masks = labels[None] == numbers[:, None, None]
    edges = []
    for axis in (1, 2):
        # Along columns first: torchvision's order.
        covered = masks.any(dim=axis).int()
        edges += [covered.argmax(dim=1), covered.shape[1] - covered.flip(1).argmax(dim=1)]
    left, right, top, bottom = edges
    boxes = torch.stack([left, top, right, bottom], dim=1).float()
    return {"boxes": boxes, "labels": torch.ones_like(numbers), "masks": masks.to(torch.uint8)}


MAP_LESSON = Lesson(unet_crop, map_losses)
INSTANCE_LESSON = Lesson(instance_crop, instance_losses)


def start_from(network: nn.Module, model: str) -> None:
    """Give a network the weights of a finished model, as far as the two have parts of the same name.

    Raises
    ------
    BundleError
        If there is no such model, or no part is shared, or a shared one has another shape.
    """
    own = network.state_dict()
    path: Path = find_bundle(model) / WEIGHTS
    shared = {name: array for name, array in read_tensors(path).items() if name in own}
    if not shared:
        raise BundleError(f"{path} shares no part with the network to be trained; start from another model, or none")
    for name, array in shared.items():
        if tuple(own[name].shape) != array.shape:
            raise BundleError(
                f"{path}: {name} has the shape {array.shape}, the network to be trained {tuple(own[name].shape)}; give "
                "both the same widths, or start from another model"
            )
        own[name].copy_(torch.from_numpy(np.asarray(array)))
