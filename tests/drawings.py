"""Label images and images that tests draw, small enough to be checked by eye."""

import dataclasses

import numpy as np
from scipy import ndimage

from nucdl_core.simulate.field import FieldConfig
from nucdl_core.simulate.image import picture_of
from nucdl_core.simulate.optics import patterns
from nucdl_core.simulate.population import ELLIPSE, draw_bodies, dress
from nucdl_core.simulate.shapes import half_windows, join, render_bodies
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


def micronuclei_beside(nuclei, micronuclei, seed=0):
    """Image and truth of nuclei of 34 px in a field of 520 x 696 px, and of micronuclei of 5 to 9 px beside them."""
    rng = np.random.default_rng(seed)
    nothing_else = {"micronucleus_share": 0.0, "mitotic_share": 0.0, "debris": 0.0, "patchiness": 0.0}
    config = FieldConfig(diameter=34.0, count=nuclei, bits=16, cluster_probability=0.1, **nothing_else)
    large = draw_bodies(config, rng)
    places = []
    while len(places) < micronuclei:
        beside, angle, diameter = rng.integers(len(large)), rng.uniform(-np.pi, np.pi), rng.uniform(5, 9)
        away = large.length[beside] + diameter * rng.uniform(0.7, 1.6)
        row, col = large.row[beside] + away * np.sin(angle), large.col[beside] + away * np.cos(angle)
        inside = 8 < row < config.size[0] - 8 and 8 < col < config.size[1] - 8
        free = (np.hypot(large.row - row, large.col - col) > large.length + diameter / 2 + 1.5).all()
        if inside and free and all(np.hypot(row - r, col - c) > (diameter + d) / 2 + 2 for r, c, d in places):
            places.append((row, col, diameter))
    rows, cols, diameters = np.array(places).T
    ellipse = (rows, cols, diameters * 0.515, diameters * 0.485, rng.uniform(-3, 3, micronuclei))
    small = dress(config, np.full(micronuclei, ELLIPSE), ellipse, rng)
    brightness = rng.uniform(0.6, 1.2, micronuclei)
    bodies = join(large, dataclasses.replace(small, brightness=brightness, spots=np.zeros(micronuclei)))
    bodies = bodies.take(np.argsort(-half_windows(bodies), kind="stable"))
    texture = patterns(config, 2 * int(half_windows(bodies).max()) + 1, rng)
    field = picture_of(bodies, render_bodies(bodies, *texture, rng), config, rng)
    return field.image, field.labels


def lobed_field(lobes, rows=4, spacing=75, seed=0):
    """Image and truth of nuclei of several lobes of 13 px, which hang together by strands of half their brightness."""
    rng, side = np.random.default_rng(seed), spacing * rows + 20
    light, truth = np.zeros((side, side)), np.zeros((side, side), np.int32)
    pixel = np.stack(np.indices(light.shape), axis=-1)
    for number, place in enumerate(np.ndindex(rows, rows), start=1):
        turns = rng.uniform(0, 2 * np.pi) + 1.4 * np.arange(lobes)
        arc = 13.2 * np.stack([np.sin(turns), np.cos(turns)], axis=1)
        centres = arc - arc.mean(axis=0) + 10 + spacing * (np.array(place) + 0.5) + rng.uniform(-4, 4, 2)
        for first, second in zip(centres, centres[1:]):
            for share in np.linspace(0, 1, 30):
                strand = np.hypot(*np.moveaxis(pixel - first - share * (second - first), -1, 0)) <= 1.6
                light[strand], truth[strand] = np.maximum(light[strand], 0.55), number
        for centre in centres:
            lobe = np.hypot(*np.moveaxis(pixel - centre, -1, 0)) <= 6.5 * rng.uniform(0.9, 1.1)
            light[lobe], truth[lobe] = rng.uniform(0.85, 1.1), number
    electrons = rng.poisson(200 * (ndimage.gaussian_filter(light, 1.0) + 0.05)) + rng.normal(0, 3, light.shape)
    return np.clip(electrons * 20 + 500, 0, 65535).astype(np.uint16), truth


def crystal(image, share=0.005, brighter=8):
    """Return an image (uint16) with a bright square over a share of the field, in its corner."""
    side = int(np.sqrt(share * image.size))
    square = np.zeros(image.shape)
    square[10 : 10 + side, 10 : 10 + side] = 1
    low, high = np.percentile(image, (1, 99.8))
    values = image + ndimage.gaussian_filter(square, 1.5) * brighter * (high - low)
    return (values / max(1.0, values.max() / 65535)).astype(np.uint16)
