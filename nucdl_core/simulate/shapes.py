"""Shapes of simulated nuclei: their outlines, and their rendering into small windows.

A *body* is one connected nucleus with one label. Its outline is a radius over the angle, an ellipse with notches and a
low-frequency Fourier deformation, in coordinates that may be bent (kidney shapes). All lengths are pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Iterator, Optional, Tuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from nucdl_core.arrays import AnyArray, Doubles, Labels, Mask

Slices = Tuple[slice, slice]

ANGLES = 128
"""Number of angles at which an outline is tabulated."""
ORDERS = np.arange(2, 8)
"""Orders of the Fourier deformation: order 1 would only shift the outline."""
NOTCHES = 2
"""Number of notches that an outline may have."""
_BLOCK = 4096
"""Outlines tabulated at once."""
CHUNK_PIXELS = 12_000
"""Pixels rendered at once, so that intermediate arrays stay in the cache."""


@dataclass(frozen=True)
class Bodies:
    """Nuclei to be drawn, as arrays over the nuclei: `(N,)` unless stated.

    Attributes
    ----------
    row, col : float64
        Centre, in pixels; the centre of the first pixel is at 0.
    length, width : float64
        Long and short semi-axis of the ellipse.
    angle : float64
        Direction of the long axis in radians, from the column axis towards the row axis.
    bend : float64
        Curvature of the long axis: 0 is straight, 0.5 a strong kidney.
    deformation : float64 (N, 2 * len(ORDERS))
        Relative cosine and sine amplitudes of the radius.
    notch_depth, notch_angle, notch_width : float64 (N, NOTCHES)
        Relative depth, direction against the long axis and angular width in radians of notches.
    brightness : float64
        Mean light of the nucleus.
    softness : float64
        Standard deviation of the soft edge.
    dome : float64
        By how much the middle is brighter than the rim (thick nuclei); negative for a bright rim.
    texture, spots : float64
        Strength of the chromatin texture, and of nucleoli and bright spots.
    """

    row: Doubles
    col: Doubles
    length: Doubles
    width: Doubles
    angle: Doubles
    bend: Doubles
    deformation: Doubles
    notch_depth: Doubles
    notch_angle: Doubles
    notch_width: Doubles
    brightness: Doubles
    softness: Doubles
    dome: Doubles
    texture: Doubles
    spots: Doubles

    def __len__(self) -> int:
        return len(self.row)

    def take(self, index: AnyArray) -> Bodies:
        """Return the bodies that `index` (integers or flags) selects, in its order."""
        return Bodies(*(getattr(self, field.name)[index] for field in fields(self)))


def join(first: Bodies, second: Bodies) -> Bodies:
    """Return the bodies of both, those of `first` in front."""
    names = [field.name for field in fields(Bodies)]
    return Bodies(*(np.concatenate([getattr(first, name), getattr(second, name)]) for name in names))


def ellipse_reach(length: Doubles, width: Doubles, angle: Doubles, direction: Doubles) -> Doubles:
    """Return how far ellipses reach from their centres towards `direction` when a neighbour lies there.

    The mean of the polar radius (centre to outline) and the support function (centre to tangent): with the first,
    tilted neighbours would overlap, with the second they would hardly touch.

    Parameters
    ----------
    length, width : float64 array (N,)
        Semi-axes in pixels.
    angle, direction : float64 array (N,)
        Direction of the long axis and of the neighbour, in radians.

    Returns
    -------
    float64 array (N,)
        Pixels.
    """
    cosine, sine = np.cos(direction - angle), np.sin(direction - angle)
    polar = 1 / np.sqrt((cosine / length) ** 2 + (sine / width) ** 2)
    support = np.sqrt((cosine * length) ** 2 + (sine * width) ** 2)
    return np.asarray(0.5 * (polar + support))


def outline_radius(bodies: Bodies) -> Doubles:
    """Tabulate the outlines of `bodies` in their own, unbent coordinates.

    Returns
    -------
    float64 array (N, ANGLES + 1)
        Radius in pixels at angles from -pi to pi against the long axis. The area that the outline encloses is that
        of the ellipse.
    """
    theta = np.arange(ANGLES) * (2 * np.pi / ANGLES) - np.pi
    ellipse = 1 / np.hypot(np.cos(theta) / bodies.length[:, None], np.sin(theta) / bodies.width[:, None])
    waves = np.concatenate([np.cos(ORDERS[:, None] * theta), np.sin(ORDERS[:, None] * theta)])
    factor = 1 + bodies.deformation @ waves
    for notch in range(NOTCHES):
        away = (theta - bodies.notch_angle[:, notch, None] + np.pi) % (2 * np.pi) - np.pi
        factor -= bodies.notch_depth[:, notch, None] * np.exp(-((away / bodies.notch_width[:, notch, None]) ** 2))
    radius = ellipse * np.clip(factor, 0.3, 1.7)
    area = 0.5 * (radius**2).mean(axis=1) * 2 * np.pi
    radius *= np.sqrt(np.pi * bodies.length * bodies.width / area)[:, None]
    return np.concatenate([radius, radius[:, :1]], axis=1)


def half_windows(bodies: Bodies) -> NDArray[np.int64]:
    """Return per body the half width in pixels of a square window that holds it with its soft edge."""
    farthest = np.empty(len(bodies))
    for start in range(0, len(bodies), _BLOCK):
        block = bodies.take(np.arange(start, min(start + _BLOCK, len(bodies))))
        farthest[start : start + _BLOCK] = outline_radius(block).max(axis=1)
    bend = np.abs(bodies.bend) * bodies.length
    tips = np.hypot(farthest, bend * np.clip((farthest / bodies.length) ** 2 - 0.35, 0, 2))
    reach = np.maximum(tips, farthest + 0.35 * bend) + 3 * bodies.softness
    return np.asarray(np.ceil(reach), np.int64) + 1


@dataclass(frozen=True)
class BodyWindow:
    """One rendered body: its first row and column in the image, and `(h, w)` arrays.

    Attributes
    ----------
    top, left : int
        Position of the window in the image; may lie outside.
    cover : float64 (h, w)
        Share of each pixel's light that the body contributes: 1 inside, 0.5 on the outline, 0 outside.
    light : float64 (h, w)
        The body's light, not yet multiplied with `cover`.
    inside : bool (h, w)
        Pixels whose centre lies within the outline.
    """

    top: int
    left: int
    cover: Doubles
    light: Doubles
    inside: Mask

    def within(self, shape: Tuple[int, ...]) -> Optional[Tuple[Slices, Slices]]:
        """Return where the window lies in an image of `shape` and which part of it does; None if none does."""
        height, width = self.cover.shape
        top, left = max(self.top, 0), max(self.left, 0)
        bottom, right = min(self.top + height, shape[0]), min(self.left + width, shape[1])
        if top >= bottom or left >= right:
            return None
        part = slice(top - self.top, bottom - self.top), slice(left - self.left, right - self.left)
        return (slice(top, bottom), slice(left, right)), part

    def lay(self, light: Doubles, labels: Labels, number: int, hidden: float) -> None:
        """Draw the body above what `light` and `labels` `(H, W)` hold already; both are changed.

        Parameters
        ----------
        light : float64 array (H, W)
        labels : int32 array (H, W)
        number : int
            The body's.
        hidden : float
            Share of the light below that the body hides.
        """
        place = self.within(labels.shape)
        if place is None:
            return
        here, part = place
        below = light[here]
        below *= 1 - hidden * self.cover[part]
        below += self.cover[part] * self.light[part]
        np.copyto(labels[here], number, where=self.inside[part])


def render_bodies(bodies: Bodies, texture: Doubles, spots: Doubles, rng: np.random.Generator) -> Iterator[BodyWindow]:
    """Render bodies one after the other, several of similar size at a time.

    Parameters
    ----------
    bodies : Bodies
        Sort them by size, so that the windows rendered together waste little.
    texture, spots : float64 array (T, T)
        Periodic patterns of which each body gets its own piece.
    rng : numpy.random.Generator
        Chooses the pieces.

    Yields
    ------
    BodyWindow
        One for each body, in order.
    """
    half = half_windows(bodies)
    start = 0
    while start < len(bodies):
        side = 2 * int(half[start : start + 64].max()) + 1
        stop = min(len(bodies), start + max(1, min(64, CHUNK_PIXELS // side**2)))
        yield from _render_chunk(bodies.take(np.arange(start, stop)), (side - 1) // 2, (texture, spots), rng)
        start = stop


def _render_chunk(
    bodies: Bodies, half: int, patterns: Tuple[Doubles, Doubles], rng: np.random.Generator
) -> Iterator[BodyWindow]:
    """Render bodies in windows of `2 * half + 1` pixels."""
    offsets = np.arange(-half, half + 1, dtype=np.float64)
    row, col = np.rint(bodies.row), np.rint(bodies.col)
    fraction, distance = _outline_distance(
        bodies, offsets[:, None] - (bodies.row - row)[:, None, None], offsets - (bodies.col - col)[:, None, None]
    )
    cover = ndtr(-distance / bodies.softness[:, None, None])
    inside = distance < 0
    light = light_of(bodies, np.minimum(fraction, 1.0), patterns, rng)
    top, left = row.astype(np.int64) - half, col.astype(np.int64) - half
    for body in range(len(bodies)):
        yield BodyWindow(int(top[body]), int(left[body]), cover[body], light[body], inside[body])


def _outline_distance(bodies: Bodies, row: Doubles, col: Doubles) -> Tuple[Doubles, Doubles]:
    """Return each pixel's radius as a share of the outline's, and its distance to the outline (negative inside)."""
    cosine, sine = np.cos(bodies.angle)[:, None, None], np.sin(bodies.angle)[:, None, None]
    along, across = col * cosine + row * sine, row * cosine - col * sine
    if bodies.bend.any():
        length = bodies.length[:, None, None]
        bent = np.clip(along / length, -1.5, 1.5) ** 2 - 0.35
        across = across - bodies.bend[:, None, None] * length * bent
    table = outline_radius(bodies)
    position = (np.arctan2(across, along) + np.pi) * (ANGLES / (2 * np.pi))
    index = np.minimum(position.astype(np.int64), ANGLES - 1)
    share = position - index
    index += (np.arange(len(bodies)) * (ANGLES + 1))[:, None, None]
    flat = table.ravel()
    radius = flat[index] * (1 - share) + flat[index + 1] * share
    fraction = np.hypot(along, across) / radius
    slope_row, slope_col = np.gradient(fraction, axis=(1, 2))
    # first-order distance: exact enough within a few pixels of the outline, where it is used
    slope = np.maximum(np.hypot(slope_row, slope_col), 0.2 / bodies.length[:, None, None])
    return fraction, (fraction - 1) / slope


def light_of(bodies: Bodies, fraction: Doubles, patterns: Tuple[Doubles, Doubles], rng: np.random.Generator) -> Doubles:
    """Return the light of bodies with texture, spots and dome.

    Parameters
    ----------
    bodies : Bodies
    fraction : float64 array (N, S, S)
        0 in the middle of each body, 1 on its outline and outside.
    patterns : two float64 arrays (T, T)
        Texture and spots, see `render_bodies`.
    rng : numpy.random.Generator
        Chooses the pieces.

    Returns
    -------
    float64 array (N, S, S)
    """
    texture, spots = patterns
    count, side = fraction.shape[:2]
    size = len(texture)
    start = rng.integers(0, size, (count, 2))
    rows, cols = np.moveaxis((start[:, :, None] + np.arange(side)) % size, 1, 0)
    index = rows[:, :, None] * size + cols[:, None, :]
    inner = 1 - fraction**2
    factor = 1 + bodies.texture[:, None, None] * texture.ravel()[index]
    factor += (bodies.spots[:, None, None] * (1.3 * inner)) * spots.ravel()[index]
    factor += bodies.dome[:, None, None] * (inner - 0.5)
    return np.asarray(bodies.brightness[:, None, None] * np.maximum(factor, 0.15))
