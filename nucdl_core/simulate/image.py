"""Simulated fluorescence fields of nuclei with ground truth.

In the spirit of simcep (Lehmussola et al., IEEE TMI 2007), as used for synthetic training images by Hollandi: shapes
with random low-frequency deformation, clusters, texture, uneven illumination, defocus, debris and camera noise. Where
nuclei overlap the label of the upper one wins and a share of the lower one's light is added (Kromp et al.,
artificial images).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterable

import numpy as np
from scipy import ndimage

from nucdl_core.arrays import AnyArray, Labels
from nucdl_core.labels import areas, equivalent_diameters, largest_component, relabel
from nucdl_core.simulate.field import FieldConfig
from nucdl_core.simulate.optics import debris, expose, illumination, patterns, surroundings
from nucdl_core.simulate.population import draw_bodies
from nucdl_core.simulate.shapes import Bodies, BodyWindow, half_windows, render_bodies

SMALLEST_AREA = 5
"""Pixels; of nuclei that the border or an upper nucleus cuts to fewer, the label is left out."""


@dataclass(frozen=True)
class SimulatedField:
    """An image with its truth.

    Attributes
    ----------
    image : uint8 or uint16 array (H, W)
        Grey levels.
    labels : int32 array (H, W)
        0 is background, nuclei are 1..N without gaps, each in one piece.
    diameter : float
        Median equivalent diameter of the labelled nuclei in pixels, NaN without nuclei.
    """

    image: AnyArray
    labels: Labels
    diameter: float


def simulate_field(config: FieldConfig, rng: np.random.Generator) -> SimulatedField:
    """Simulate one field.

    Parameters
    ----------
    config : FieldConfig
        Settings.
    rng : numpy.random.Generator
        Source of all chance: the same state and settings give the same field.

    Returns
    -------
    SimulatedField
    """
    bodies = draw_bodies(config, rng)
    side = 2 * int(half_windows(bodies).max(initial=0)) + 1
    texture, spots = patterns(config, side, rng)
    return picture_of(bodies, render_bodies(bodies, texture, spots, rng), config, rng)


def picture_of(
    bodies: Bodies, windows: Iterable[BodyWindow], config: FieldConfig, rng: np.random.Generator
) -> SimulatedField:
    """Draw nuclei one above the other, with all other light, and take the picture.

    Parameters
    ----------
    bodies : Bodies
        The nuclei, for the light around them.
    windows : iterable of BodyWindow
        The nuclei themselves, in the same order.
    config : FieldConfig
    rng : numpy.random.Generator

    Returns
    -------
    SimulatedField
    """
    light = np.zeros(config.size)
    labels = np.zeros(config.size, np.int32)
    for number, window in enumerate(windows, start=1):
        window.lay(light, labels, number, 1 - config.overlap_light)
    light += surroundings(config, bodies, rng)
    light += debris(config, rng)
    sigma = float(np.hypot(config.blur, config.defocus))
    if sigma > 0:
        light = ndimage.gaussian_filter(light, sigma, mode="nearest", truncate=3)
    light *= illumination(config, rng)
    image = expose(light, config, rng)
    labels = tidy(labels)
    diameters = equivalent_diameters(labels)
    return SimulatedField(image, labels, float(np.median(diameters)) if len(diameters) else float("nan"))


def tidy(labels: Labels) -> Labels:
    """Keep of each nucleus its largest piece if it has `SMALLEST_AREA` pixels, and number those left 1..N.

    Parameters
    ----------
    labels : int32 array (H, W)
        Any numbers from 0.

    Returns
    -------
    int32 array (H, W)
        Nuclei in order of their old numbers. Pixels of the pieces left out are background.
    """
    whole = relabel(largest_component(labels))
    enough = np.append(False, areas(whole) >= SMALLEST_AREA)
    return relabel(np.where(enough[whole], whole, np.int32(0)))
