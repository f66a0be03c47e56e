"""The training loss of the U-Net's four maps."""

from __future__ import annotations

from typing import Dict

import torch
from torch import Tensor
from torch.nn import functional

GAP_WEIGHT = 4.0
BOUNDARY_SHARE = 0.5
DISTANCE_SHARE = 4.0
SIZE_SHARE = 0.2


def unet_loss(maps: Tensor, batch: Dict[str, Tensor]) -> Dict[str, Tensor]:
    """Compare the maps with their targets.

    Foreground and boundary: binary cross entropy, pixels in narrow gaps between nuclei count five times (the
    weight is the same for both answers, so that the foreground does not swell). Distance: squared error of
    the sigmoid. Size: absolute error of the logarithm, on nuclei of known size only. Pixels beyond the border of
    the annotated image do not count.

    Parameters
    ----------
    maps : float tensor (B, 4, H, W)
    batch : dict
        As `crops.collate` makes it.

    Returns
    -------
    dict of scalar tensors
        Each term and their weighted sum ``total``.
    """
    targets, sized = batch["targets"], batch["sized"][:, 0]
    weight = (1 + GAP_WEIGHT * batch["gap"][:, 0]) * batch["inside"][:, 0]
    foreground = functional.binary_cross_entropy_with_logits(maps[:, 0], targets[:, 0], weight)
    boundary = functional.binary_cross_entropy_with_logits(maps[:, 1], targets[:, 1], weight)
    distance = (weight * (torch.sigmoid(maps[:, 2]) - targets[:, 2]).square()).mean()
    size = (sized * (maps[:, 3] - targets[:, 3]).abs()).sum() / sized.sum().clamp(min=1)
    total = foreground + BOUNDARY_SHARE * boundary + DISTANCE_SHARE * distance + SIZE_SHARE * size
    return {"total": total, "foreground": foreground, "boundary": boundary, "distance": distance, "size": size}
