"""Parting, joining, removing and adding objects where other nuclei, found independently, say so.

The nuclei are those that the majority of the views of an image holds (`views.vote`). Each function takes the objects
and the voted nuclei and decides about all objects at once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nucdl_core.arrays import Labels
from nucdl_core.labels import areas
from nucdl_core.overlap import overlap
from nucdl_core.steps.contours import RefineConfig, nearest_of_same_number, outline_pixels

# One of two lies in the other when more than this share of it does.
INSIDE = 0.5
# Up to this share an overlap does not count.
CONTACT = 0.1


def edit_objects(objects: Labels, voted: Labels, config: RefineConfig) -> Labels:
    """Split, merge, remove and add objects, in this order, as far as the configuration allows it.

    Parameters
    ----------
    objects, voted : int32 arrays (H, W)
        Without gaps or with small ones.
    config : RefineConfig

    Returns
    -------
    int32 array (H, W)
        Numbers may have gaps.
    """
    if config.split:
        objects = split_objects(objects, voted)
    if config.merge:
        objects = merge_objects(objects, voted)
    if config.remove:
        objects = remove_objects(objects, voted)
    if config.add:
        objects = add_objects(objects, voted)
    return objects


def split_objects(objects: Labels, voted: Labels) -> Labels:
    """Part each object that holds more than half of two or more voted nuclei.

    Parameters
    ----------
    objects, voted : int32 arrays (H, W)

    Returns
    -------
    int32 array (H, W)
        Each pixel of such an object belongs to the nearest of the voted nuclei that it holds. The parts have new
        numbers above the old ones.
    """
    pairs = overlap(objects, voted)
    held = pairs.intersection > INSIDE * pairs.second_areas[pairs.second - 1]
    holder = np.zeros(len(pairs.second_areas) + 1, np.int32)
    holder[pairs.second[held]] = pairs.first[held]
    count = len(pairs.first_areas)
    parted = np.bincount(holder, minlength=count + 1) > 1
    parted[0] = False
    crowded = parted[objects]
    seeds = np.where(crowded & (holder[voted] == objects), voted, 0)
    unclaimed = np.nonzero(crowded & (seeds == 0))
    rows, cols, part = outline_pixels(seeds)
    result = np.where(seeds > 0, count + seeds, objects).astype(np.int32)
    if len(unclaimed[0]):
        owners = objects[unclaimed].astype(np.int64)
        _, nearest = nearest_of_same_number((rows, cols, holder[part].astype(np.int64)), (*unclaimed, owners))
        result[unclaimed] = count + part[nearest]
    return result


def merge_objects(objects: Labels, voted: Labels) -> Labels:
    """Join objects that lie, each with more than half of its area, in the same voted nucleus.

    Parameters
    ----------
    objects, voted : int32 arrays (H, W)

    Returns
    -------
    int32 array (H, W)
        What was joined has the lowest of the numbers, and fills the background inside of the voted nucleus, so that
        no gap parts it.
    """
    pairs = overlap(objects, voted)
    inside = pairs.intersection > INSIDE * pairs.first_areas[pairs.first - 1]
    inmates = np.bincount(pairs.second[inside], minlength=len(pairs.second_areas) + 1)
    joined = inside & (inmates[pairs.second] > 1)
    lowest = np.zeros(inmates.size, np.int32)
    # Pairs are sorted by the object, and of several values for one place the last one stays.
    lowest[pairs.second[joined][::-1]] = pairs.first[joined][::-1]
    number = np.arange(len(pairs.first_areas) + 1, dtype=np.int32)
    number[pairs.first[joined]] = lowest[pairs.second[joined]]
    return np.where(objects > 0, number[objects], lowest[voted]).astype(np.int32, copy=False)


def remove_objects(objects: Labels, voted: Labels) -> Labels:
    """Remove each object that shares at most a tenth of its area with any one voted nucleus.

    Parameters
    ----------
    objects, voted : int32 arrays (H, W)

    Returns
    -------
    int32 array (H, W)
        The others keep their numbers.
    """
    pairs = overlap(objects, voted)
    confirmed = pairs.intersection > CONTACT * pairs.first_areas[pairs.first - 1]
    number = np.zeros(len(pairs.first_areas) + 1, np.int32)
    number[pairs.first[confirmed]] = pairs.first[confirmed]
    kept: Labels = number[objects]
    return kept


def add_objects(objects: Labels, voted: Labels) -> Labels:
    """Add each voted nucleus of which less than a tenth is covered by objects.

    Parameters
    ----------
    objects, voted : int32 arrays (H, W)

    Returns
    -------
    int32 array (H, W)
        No pixel of an object changes; added nuclei have new numbers above the old ones.
    """
    sizes: NDArray[np.int64] = areas(voted)
    covered = np.bincount(voted[objects > 0], minlength=sizes.size + 1)[1:]
    number = np.zeros(sizes.size + 1, np.int32)
    missing = np.flatnonzero((covered < CONTACT * sizes) & (sizes > 0))
    number[missing + 1] = int(objects.max(initial=0)) + 1 + np.arange(missing.size)
    return np.where(objects > 0, objects, number[voted]).astype(np.int32, copy=False)
