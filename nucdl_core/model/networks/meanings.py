"""What the words of published networks mean as maps: each takes what a network said, (B, C, H, W), see `maps`."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

# So many times the boundary weighs as much as the other classes in training (Caicedo et al.).
BOUNDARY_WEIGHT = 10.0
# So far reach the labels beyond those that were shrunk for training: see `training.published.shrunk_crop`.
SHRUNK_BY = 1
# So steeply the foreground rises with the normalized distance: at the rim of a nucleus of 28 pixels it is 0.14.
RIM_GAIN = 4.0


def three_classes(said: Tensor) -> Tensor:
    """Read logits of background, interior and boundary, which exclude each other (Caicedo et al., Cytometry A 2019)."""
    background, interior, boundary = said.softmax(dim=1).chunk(3, dim=1)
    # What weighs more in training is said where it is less probable: for the outlines of nuclei that is taken back.
    nucleus = interior + boundary / BOUNDARY_WEIGHT
    return _as_maps(nucleus / (nucleus + background), boundary=boundary)


def shrunk_nuclei(said: Tensor) -> Tensor:
    """Read a logit of nuclei that were taught one pixel smaller, so that none touch (Kromp et al.).

    The shrunk nuclei are the islands that part touching ones; grown by what they were shrunk by, the foreground.
    """
    probability = said.sigmoid()
    side = 2 * SHRUNK_BY + 1
    grown = functional.max_pool2d(probability, side, stride=1, padding=SHRUNK_BY)
    return _as_maps(grown, distance=probability)


def distance_and_border(said: Tensor) -> Tensor:
    """Read logits of the normalized distance to the rim and of the blurred border (Zaki et al., Cytometry A 2020)."""
    distance, border = said.sigmoid().chunk(2, dim=1)
    return _as_maps((RIM_GAIN * distance).tanh(), boundary=border, distance=distance)


def positions(said: Tensor) -> Tensor:
    """Read a logit of nuclei, and where in its nucleus a pixel lies: down and to the right, each in [-1, 1].

    What is near the middle is far from the rim (an entry of the 2018 Data Science Bowl, see Hollandi et al. 2020).
    """
    foreground = said[:, :1].sigmoid()
    far = said[:, 1:].norm(dim=1, keepdim=True)
    return _as_maps(foreground, distance=(1 - far).clamp(0, 1) * foreground)


def mask(said: Tensor) -> Tensor:
    """Read a logit of nuclei and nothing else (Wang and Song)."""
    return _as_maps(said.sigmoid())


def _as_maps(foreground: Tensor, **others: Tensor) -> Tensor:
    nothing = torch.zeros_like(foreground)
    names = ("boundary", "distance", "size")
    return torch.cat([foreground, *(others.get(name, nothing) for name in names)], dim=1)
