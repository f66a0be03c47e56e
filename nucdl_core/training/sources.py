"""Annotated images, prepared once for fast cropping."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Sequence, Tuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from nucdl_core.arrays import AnyArray, Floats, Labels
from nucdl_core.labels import equivalent_diameters, relabel, touches_border
from nucdl_core.regions import median_of_nuclei
from nucdl_core.steps.normalize import normalize
from nucdl_core.training.targets import normalized_distance


@dataclass(frozen=True)
class AnnotatedImage:
    """One image with its nuclei, ready to be cropped at any scale.

    Attributes
    ----------
    name : str
        Stem of the file, or what a simulated field is called; it decides nothing but the split.
    pyramid : tuple of float32 tensors (1, 1, H / 2**k, W / 2**k)
        The normalized image and its 2 x 2 averages, so that a crop at a small scale has no aliasing.
    foreground, labels, distance : float32 tensors (1, 1, H, W)
        1 in nuclei, 0 elsewhere; nucleus numbers, spread one pixel into the background; and
        `targets.normalized_distance`. In crops that are enlarged, the smoothly enlarged foreground takes its numbers
        from the spread labels, which avoids the staircase outlines of enlarged labels.
    sizes : float32 tensor (N + 1,)
        Equivalent diameter of each nucleus in pixels; 0 for background and for nuclei that the image border
        cuts, whose size is not known.
    diameter : float
        Median equivalent diameter of its nuclei, micronuclei left out.
    modality, group : str
        As ``index.csv`` names them; empty where there is none. A group is a plate, a cell type or an experiment.
    simulated : bool
        Whether it was simulated at the size, with the noise and the blur that a crop is to have.
    dtype : str
        Number type of its file.
    inverted : bool
        Whether its nuclei are dark in the file; here they are always bright.
    synthetic : bool
        Whether it was made to look like annotated images, with their sizes, noise and blur.
    collection : str
        The folder that it came from, where several were given.
    share : float
        How often crops are cut from that folder, in relation to the others.
    """

    name: str
    pyramid: Tuple[Tensor, ...]
    foreground: Tensor
    labels: Tensor
    distance: Tensor
    sizes: Tensor
    diameter: float
    modality: str = ""
    simulated: bool = False
    group: str = ""
    dtype: str = ""
    inverted: bool = False
    synthetic: bool = False
    collection: str = ""
    share: float = 1.0


def prepare(name: str, image: AnyArray, labels: AnyArray, modality: str = "", **origin: Any) -> AnnotatedImage:
    """Prepare one annotated image; see `AnnotatedImage`, as for what `origin` may say: group, simulated, synthetic."""
    numbered = relabel(labels)
    diameters = equivalent_diameters(numbered)
    sizes = np.zeros(len(diameters) + 1, np.float32)
    sizes[1:] = np.where(touches_border(numbered), 0, diameters)
    levels = [_as_tensor(normalize(image))]
    while min(levels[-1].shape[-2:]) >= 32:
        levels.append(functional.avg_pool2d(levels[-1], 2))
    return AnnotatedImage(
        name=name,
        pyramid=tuple(levels),
        foreground=_as_tensor((numbered > 0).astype(np.float32)),
        labels=_as_tensor(_spread(numbered).astype(np.float32)),
        distance=_as_tensor(normalized_distance(numbered)),
        sizes=torch.from_numpy(sizes),
        diameter=median_of_nuclei(diameters),
        modality=modality,
        dtype=str(image.dtype),
        **origin,
    )


def image_of(source: AnnotatedImage) -> Floats:
    """Return the normalized image, float32 (H, W)."""
    return source.pyramid[0][0, 0].numpy()


def truth_of(source: AnnotatedImage) -> Labels:
    """Return the annotated nuclei, int32 (H, W), 1..N without gaps."""
    return (source.labels * source.foreground)[0, 0].numpy().astype(np.int32)


def is_dark_on_bright(image: AnyArray, labels: Labels) -> bool:
    """Tell whether the nuclei are darker than the background, as in stained tissue under transmitted light."""
    inside = labels > 0
    return bool(inside.any() and not inside.all() and image[inside].mean() < image[~inside].mean())


def kind_of(source: AnnotatedImage) -> str:
    """Name the kind of image that a source is, by which a model is judged.

    A folder whose images are parted into groups is one kind, its laboratory's. Otherwise a kind is a modality and a
    shape: images of one experiment share their shape, so a shape stands for a laboratory.
    """
    if source.group:
        return source.collection or source.group
    height, width = source.labels.shape[-2:]
    return " ".join(part for part in (source.collection, source.modality, f"{height} x {width}") if part)


def kind_weights(sources: Sequence[AnnotatedImage], evenness: float = 0.5) -> NDArray[np.float64]:
    """Let rare kinds of images count more: weight (number of images of the same kind) ** -evenness.

    A kind is a group, where ``index.csv`` names groups, and these count the same; otherwise see `kind_of`. Each folder
    that images came from counts by its share, however many there are of it.

    Parameters
    ----------
    sources : sequence of AnnotatedImage
    evenness : float
        0: each image counts the same; 1: each kind counts the same. Groups always do.

    Returns
    -------
    float64 array (N,)
        One weight per source.
    """
    folders = np.array([source.collection for source in sources])
    weights = np.zeros(len(sources), np.float64)
    for folder in np.unique(folders):
        chosen = np.flatnonzero(folders == folder)
        weights[chosen] = _weights_within([sources[index] for index in chosen], evenness)
        if folder:
            weights[chosen] *= sources[chosen[0]].share / weights[chosen].sum()
    return weights


def _weights_within(sources: Sequence[AnnotatedImage], evenness: float) -> NDArray[np.float64]:
    grouped = any(source.group for source in sources)
    kinds = [source.group if grouped else kind_of(source) for source in sources]
    counts = Counter(kinds)
    return np.array([counts[kind] ** -(1.0 if grouped else evenness) for kind in kinds], np.float64)


def _spread(labels: Labels) -> Labels:
    neighbour = ndimage.grey_dilation(labels, size=(3, 3))
    return np.where(labels > 0, labels, neighbour).astype(np.int32)


def _as_tensor(array: Floats) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))[None, None]
