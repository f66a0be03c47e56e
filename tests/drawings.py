"""Label images and images that tests draw, small enough to be checked by eye."""

import numpy as np
from scipy import ndimage

from nucdl_core.steps.instances import Maps
from nucdl_core.training.targets import boundary_map, normalized_distance


def disks(shape, centres, radius):
    """Label image of disks of one radius."""
    rows, cols = np.indices(shape)
    labels = np.zeros(shape, np.int32)
    for number, (row, col) in enumerate(centres, start=1):
        labels[(rows - row) ** 2 + (cols - col) ** 2 <= radius**2] = number
    return labels


def field(radius=12, dtype=np.uint16, peak=3000, shape=(160, 240)):
    """Blurred disks with a little noise, and their truth."""
    step = 3 * radius
    centres = [(r, c) for r in range(step, shape[0] - radius, step) for c in range(step, shape[1] - radius, step)]
    truth = disks(shape, centres, radius)
    noise = np.random.default_rng(0).normal(0, 0.02, shape)
    image = 0.1 + ndimage.gaussian_filter((truth > 0).astype(float), 1) * 0.8 + noise
    return (np.clip(image, 0, 1) * peak).astype(dtype), truth


def ideal_maps(labels):
    """What a perfect network would say."""
    import torch

    return Maps(
        foreground=(labels > 0).astype(np.float32),
        boundary=boundary_map(torch.from_numpy(labels.astype(np.float32))).numpy().astype(np.float32),
        distance=normalized_distance(labels),
        size=np.zeros(labels.shape, np.float32),
    )


def drawn(*rows):
    """Label image drawn with digits; a dot is background."""
    return np.array([[0 if sign == "." else int(sign) for sign in row] for row in rows], np.int32)


def strip(*runs):
    """Return a (1, W) label image from (number, length) pairs."""
    return np.concatenate([np.full(length, number, np.int32) for number, length in runs])[None]


def random_labels(rng, shape=(40, 50), count=12):
    """Return overlapping discs: the later covers the earlier, some vanish."""
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    labels = np.zeros(shape, np.int32)
    for number in range(1, count + 1):
        row, col, radius = rng.uniform(0, shape[0]), rng.uniform(0, shape[1]), rng.uniform(2, 9)
        labels[(rows - row) ** 2 + (cols - col) ** 2 < radius**2] = number
    return labels


def brute_force_iou(truth, prediction):
    """Return the IoU matrix of all nuclei that exist, one comparison of masks at a time."""
    rows = [number for number in np.unique(truth) if number]
    cols = [number for number in np.unique(prediction) if number]
    matrix = np.zeros((len(rows), len(cols)))
    for i, row in enumerate(rows):
        for j, col in enumerate(cols):
            a, b = truth == row, prediction == col
            matrix[i, j] = (a & b).sum() / (a | b).sum()
    return matrix


def annotated_disks(radius=8, shape=(96, 128), name="disks", group=""):
    """Four disks as an annotated image for training."""
    from nucdl_core.training.sources import prepare

    labels = disks(shape, [(20, 20), (20, 60), (60, 30), (60, 90)], radius)
    return prepare(name, (20 + 200 * (labels > 0)).astype(np.uint8), labels, group=group)
