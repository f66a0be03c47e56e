"""From a rough line around a nucleus to its contour: by the model's probability, or by the image's own intensities.

The contour assist of AnnotatorJ (Hollandi et al., Mol. Biol. Cell 2020): where a person has drawn roughly, the
network's foreground is cut at a threshold. The network has seen the image once, so that an answer takes milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Dict, Optional

import numpy as np
from scipy import ndimage

from nucdl_core.arrays import AnyArray, Floats, Labels, Mask
from nucdl_core.errors import AnnotationError
from nucdl_core.exchange.objects import PlacedMask, trimmed
from nucdl_core.steps.tiling import Window

BY_MODEL, BY_INTENSITY, AS_DRAWN = "model", "intensity", "drawn"
ASSISTS = (BY_MODEL, BY_INTENSITY, AS_DRAWN)
"""Where a contour can come from: the network, region growing, or the line itself."""

# A contour may lie so far outside of what was drawn: this share of its diameter, and at least so many pixels.
_REACH, _LEAST_REACH = 0.2, 3
# Below this share of common pixels, a contour has nothing to do with what was drawn.
_LEAST_OVERLAP = 0.15
# Inside and outside of a nucleus differ by at least so many times the scatter of the surroundings.
_LEAST_CONTRAST = 1.5
_SMOOTHING = 1.0


@dataclass(frozen=True, eq=False)
class Guide:
    """What contours of an image are drawn after.

    Attributes
    ----------
    image : array (H, W), any real dtype
    probability : float32 array (H, W) or None
        Probability of each pixel to lie in a nucleus; None where there is no model.
    nuclei : int32 array (H, W) or None
        The nuclei that the model finds; they part neighbours that touch.
    threshold : float
        Probability above which a pixel belongs to a nucleus.
    """

    image: AnyArray
    probability: Optional[Floats] = None
    nuclei: Optional[Labels] = None
    threshold: float = 0.5

    def __post_init__(self) -> None:
        for name in ("probability", "nuclei"):
            array = getattr(self, name)
            if array is not None and array.shape != self.image.shape:
                raise AnnotationError(
                    f"the {name} map is {array.shape}, the image {self.image.shape}; compute it from this image"
                )


@dataclass(frozen=True, eq=False)
class Suggestion:
    """A contour that is suggested.

    Attributes
    ----------
    placed : PlacedMask
        Its pixels; one piece without holes. None at all where everything that was drawn belongs to other nuclei.
    source : str
        One of `ASSISTS`: where it comes from.
    """

    placed: PlacedMask
    source: str


@dataclass(frozen=True, eq=False)
class _Scene:
    """The surroundings of what was drawn."""

    guide: Guide
    window: Window
    drawn: Mask
    allowed: Mask


def suggest(drawn: PlacedMask, guide: Guide, taken: Labels, assist: str = BY_MODEL) -> Suggestion:
    """Suggest the contour of the nucleus that a person has drawn roughly.

    Parameters
    ----------
    drawn : PlacedMask
        The pixels inside the rough line or box.
    guide : Guide
    taken : int32 array (H, W)
        Above 0 where other nuclei are, which the contour leaves alone.
    assist : str
        The first of `ASSISTS` to try. Where the model sees no nucleus the intensities are tried, and where these do not
        differ it is what was drawn.

    Returns
    -------
    Suggestion

    Raises
    ------
    AnnotationError
        If nothing was drawn, or `assist` is unknown.
    """
    if assist not in ASSISTS:
        raise AnnotationError(f"contours come from one of {', '.join(ASSISTS)}, not from {assist!r}")
    if not drawn.mask.any():
        raise AnnotationError("the line encloses no pixel; draw it around a nucleus")
    scene = _scene(drawn, guide, taken)
    for source in ASSISTS[ASSISTS.index(assist) :]:
        mask = _SOURCES[source](scene)
        if mask is not None:
            return Suggestion(trimmed(mask, scene.window[0].start, scene.window[1].start), source)
    return Suggestion(trimmed(np.zeros((0, 0), bool)), AS_DRAWN)


def _scene(drawn: PlacedMask, guide: Guide, taken: Labels) -> _Scene:
    """Cut out what was drawn with a margin, so that the size of the image does not matter."""
    mask, row, col = drawn
    reach = max(_LEAST_REACH, round(_REACH * float(np.sqrt(mask.sum() * 4 / np.pi))))
    height, width = taken.shape
    # Twice the reach: outside of what a contour may cover there must be background to compare with.
    margin = 2 * reach
    top, left = max(row - margin, 0), max(col - margin, 0)
    window = (
        slice(top, min(row + mask.shape[0] + margin, height)),
        slice(left, min(col + mask.shape[1] + margin, width)),
    )
    placed = np.zeros(taken[window].shape, bool)
    placed[row - top : row - top + mask.shape[0], col - left : col - left + mask.shape[1]] = mask
    near = ndimage.distance_transform_edt(~placed) <= reach
    return _Scene(guide, window, placed, near & (taken[window] == 0))


def _by_model(scene: _Scene) -> Optional[Mask]:
    """Cut the network's foreground; None where it has none here."""
    if scene.guide.probability is None:
        return None
    likely = (scene.guide.probability[scene.window] > scene.guide.threshold) & scene.allowed
    if scene.guide.nuclei is not None:
        likely &= ~_of_neighbours(scene.guide.nuclei[scene.window], scene.drawn)
    return _best_piece(likely, scene)


def _of_neighbours(nuclei: Labels, drawn: Mask) -> Mask:
    """Mark the model's nuclei that lie mostly outside of what was drawn, if another one lies mostly inside of it."""
    numbers, place = np.unique(nuclei, return_inverse=True)
    place = place.reshape(nuclei.shape)
    share = np.bincount(place[drawn], minlength=numbers.size) / np.bincount(place.ravel())
    mostly_outside = (share < 0.5) & (numbers > 0)
    if not np.any((share >= 0.5) & (numbers > 0)):
        return np.zeros(nuclei.shape, bool)
    return np.asarray(mostly_outside[place], bool)


def _by_intensity(scene: _Scene) -> Optional[Mask]:
    """Grow from the middle of what was drawn, up to half-way between inside and outside; None without a contrast."""
    pixels = ndimage.gaussian_filter(scene.guide.image[scene.window].astype(np.float64), _SMOOTHING)
    depth = ndimage.distance_transform_edt(np.pad(scene.drawn, 1))[1:-1, 1:-1]
    core = scene.drawn & scene.allowed & (depth > depth.max() / 2)
    outside = ~scene.drawn & scene.allowed
    if not core.any() or not outside.any():
        return None
    # A box has corners, so what was drawn is not all nucleus: its middle stands for it.
    inner, outer = float(np.median(pixels[core])), float(np.median(pixels[outside]))
    scatter = 1.4826 * float(np.median(np.abs(pixels[outside] - outer)))
    if abs(inner - outer) <= _LEAST_CONTRAST * scatter or inner == outer:
        return None
    half = (inner + outer) / 2
    similar = (pixels > half if inner > outer else pixels < half) & scene.allowed
    return _best_piece(ndimage.binary_propagation(core & similar, mask=similar), scene)


def _as_drawn(scene: _Scene) -> Optional[Mask]:
    return _whole(scene.drawn & scene.allowed)


_SOURCES: Dict[str, Callable[[_Scene], Optional[Mask]]] = {
    BY_MODEL: _by_model,
    BY_INTENSITY: _by_intensity,
    AS_DRAWN: _as_drawn,
}


def _best_piece(mask: Mask, scene: _Scene) -> Optional[Mask]:
    """Return the piece of a mask that overlaps best with what was drawn, filled; None where none fits."""
    pieces, count = ndimage.label(mask)
    if not count:
        return None
    common = np.bincount(pieces[scene.drawn], minlength=count + 1)[1:]
    either = np.bincount(pieces.ravel(), minlength=count + 1)[1:] + scene.drawn.sum() - common
    best = int(np.argmax(common / either))
    if common[best] / either[best] < _LEAST_OVERLAP:
        return None
    return np.asarray(ndimage.binary_fill_holes(pieces == best + 1) & scene.allowed, bool)


def _whole(mask: Mask) -> Optional[Mask]:
    """Return the largest piece of a mask, None where it has no pixel."""
    pieces, count = ndimage.label(mask)
    if not count:
        return None
    sizes = np.bincount(pieces.ravel())[1:]
    return np.asarray(pieces == 1 + int(np.argmax(sizes)), bool)
