"""How often good images are doubted, and how often spoilt ones are recognized: a table of docs/accuracy.md.

    .venv/bin/python benchmarks/doubt.py --data ../shared/data --output benchmark_output/doubt

Good images are those of the annotated collections that are there; some of them are spoilt in each of the ways below.
Writes what was measured of every image.
"""

from __future__ import annotations

import dataclasses
import time
import zlib
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

import click
import numpy as np
import pandas as pd
from machine import describe_machine
from scipy import ndimage
from skimage import draw, transform

from nucdl_core.arrays import AnyArray, Labels
from nucdl_core.config import DEFAULT_MODEL
from nucdl_core.files.folders import image_files
from nucdl_core.files.reading import read_image, read_labels
from nucdl_core.files.writing import make_folder, write_table
from nucdl_core.labels import equivalent_diameters, relabel
from nucdl_core.model.bundle import find_bundle, read_description
from nucdl_core.model.doubt import (
    ARTEFACT,
    DOUBTFUL,
    EMPTY_FIELD,
    OTHER_MODALITY,
    OTHER_SIZE,
    OUT_OF_FOCUS,
    OVEREXPOSED,
    SPECKS_ONLY,
    doubt_of_traces,
    traces_of,
)
from nucdl_core.model.fitness import MadeFor
from nucdl_core.segment import segment_unfiltered
from nucdl_core.simulate.field import FieldConfig
from nucdl_core.simulate.image import simulate_field

Spoil = Callable[[AnyArray, Labels, np.random.Generator], AnyArray]
COLLECTIONS = ("dsb2018/train", "mnfinder", "mouse_intestine", "dsb2018/test")
SIDE = 256


def diameter_in(labels: Labels) -> float:
    return float(np.median(equivalent_diameters(labels)))


def like(image: AnyArray, values: AnyArray) -> AnyArray:
    """Round and clip to the numbers of an image's type."""
    if image.dtype.kind == "f":
        return values.astype(image.dtype)
    return np.clip(np.rint(values), 0, np.iinfo(image.dtype).max).astype(image.dtype)


def defocused(image: AnyArray, labels: Labels, rng: np.random.Generator) -> AnyArray:
    """Blur by a quarter of a nucleus; the noise of the camera stays."""
    values = image.astype(np.float64)
    noise = values - ndimage.gaussian_filter(values, 1)
    blurred = ndimage.gaussian_filter(values, 0.25 * diameter_in(labels))
    return like(image, blurred + float(np.median(np.abs(noise))) * 1.48 * rng.standard_normal(image.shape))


def saturated(image: AnyArray, labels: Labels, rng: np.random.Generator) -> AnyArray:
    """Expose so long that a good third of the nuclei is white."""
    top = np.iinfo(image.dtype).max if image.dtype.kind == "u" else 1.0
    return like(image, np.minimum(image * (top / max(1, np.percentile(image[labels > 0], 60))), top))


def inverted(image: AnyArray, labels: Labels, rng: np.random.Generator) -> AnyArray:
    return np.asarray(image.max() - image)


def noise_alone(image: AnyArray, labels: Labels, rng: np.random.Generator) -> AnyArray:
    """The background of the image without what is in it."""
    ground = image[labels == 0].astype(np.float64)
    spread = max(1.0, float(np.percentile(ground, 50) - np.percentile(ground, 16)))
    return like(image, np.median(ground) + 4 * spread + spread * rng.standard_normal(image.shape))


def with_crystal(image: AnyArray, labels: Labels, rng: np.random.Generator) -> AnyArray:
    """A polygon over 0.3 to 1 % of the field, 6 to 12 times as bright as nuclei are."""
    size = np.sqrt(rng.uniform(0.003, 0.01) * image.size / 2)
    angles = np.sort(rng.uniform(0, 2 * np.pi, 6))
    corners = rng.uniform(size, np.array(image.shape) - size) + size * np.stack([np.sin(angles), np.cos(angles)], 1)
    mask = draw.polygon2mask(image.shape, corners).astype(np.float64)
    low, high = np.percentile(image, (1, 99.8))
    values = image + ndimage.gaussian_filter(mask, 1.5) * rng.uniform(6, 12) * (high - low)
    return np.asarray(values / max(1.0, values.max() / 65535), np.float64).astype(np.uint16)


def with_specks(image: AnyArray, labels: Labels, rng: np.random.Generator) -> AnyArray:
    """A dirty field without a nucleus, through a camera with hot pixels."""
    return simulate_field(FieldConfig((SIDE, SIDE), count=0, debris=4.0, hot_pixels=0.001, bits=16), rng).image


def empty(image: AnyArray, labels: Labels, rng: np.random.Generator) -> AnyArray:
    return simulate_field(FieldConfig((SIDE, SIDE), count=0, debris=0.0, hot_pixels=0.0, bits=16), rng).image


def resized(image: AnyArray, diameter: float, now: float) -> AnyArray:
    factor = diameter / now
    side = int(min(*image.shape, 1200 / factor if factor > 1 else np.inf))
    part = image[:side, :side]
    shape = tuple(max(32, round(length * factor)) for length in part.shape)
    return like(image, transform.resize(part.astype(np.float64), shape, order=1, anti_aliasing=factor < 1))


def too_small(image: AnyArray, labels: Labels, rng: np.random.Generator) -> AnyArray:
    return resized(image, 3.0, diameter_in(labels))


def too_large(image: AnyArray, labels: Labels, rng: np.random.Generator) -> AnyArray:
    return resized(image, 260.0, diameter_in(labels))


SPOILT: Dict[str, Tuple[str, Spoil]] = {
    "blurred by a quarter of a nucleus": (OUT_OF_FOCUS, defocused),
    "a third of the nuclei white": (OVEREXPOSED, saturated),
    "inverted": (OTHER_MODALITY, inverted),
    "its background alone, as noise": (EMPTY_FIELD, noise_alone),
    "simulated, empty": (EMPTY_FIELD, empty),
    "a crystal": (ARTEFACT, with_crystal),
    "simulated, dirt and hot pixels": (SPECKS_ONLY, with_specks),
    "reduced to nuclei of 3 px": (OTHER_SIZE, too_small),
    "enlarged to nuclei of 260 px": (OTHER_SIZE, too_large),
}
"""Ways to spoil an image, each with the reason that is to be given."""


def annotated(data: Path) -> Iterator[Tuple[str, str, Path, Path]]:
    """List collection, modality, image and mask of every annotated image."""
    for collection in COLLECTIONS:
        folder = data / collection
        if not folder.is_dir():
            continue
        images, masks = ({path.stem: path for path in image_files([folder / kind])} for kind in ("images", "masks"))
        for row in pd.read_csv(folder / "index.csv").itertuples():
            yield collection, row.modality, images[row.id], masks[row.id]


def judged(image: AnyArray, made_for: Optional[MadeFor]) -> Dict[str, Any]:
    """Segment an image as `nucdl segment` does, and say how far it is doubted, by what, and how long that takes."""
    found = segment_unfiltered(image)
    begun = time.process_time()
    traces = traces_of(image, found.labels, found.diameter)
    doubt = doubt_of_traces(traces, made_for)
    seconds = time.process_time() - begun
    return {**dataclasses.asdict(traces), "doubt": doubt.value, "reason": doubt.reason, "ms": 1000 * seconds}


def of_good_images(table: pd.DataFrame) -> str:
    """Format a table with a row for each collection and modality."""
    lines = ["| images as they are | number | doubted | reasons |", "|---|---|---|---|"]
    for (collection, modality), part in table.groupby(["collection", "modality"]):
        doubted = part[part["doubt"] >= DOUBTFUL]
        reasons = ", ".join(f"{reason} {count}" for reason, count in doubted["reason"].value_counts().items())
        lines.append(f"| {collection}, {modality} | {len(part)} | {len(doubted)} | {reasons} |")
    return "\n".join(lines)


def of_spoilt_images(table: pd.DataFrame) -> str:
    """Format a table with a row for each way to spoil an image."""
    lines = ["| spoilt | number | doubted | for the right reason | other reasons |", "|---|---|---|---|---|"]
    for name, (right, _) in SPOILT.items():
        part = table[table["spoilt"] == name]
        doubted = part[part["doubt"] >= DOUBTFUL]
        counts = doubted["reason"].value_counts()
        others = ", ".join(f"{reason} {count}" for reason, count in counts.items() if reason != right)
        lines.append(f"| {name} | {len(part)} | {len(doubted)} | {counts.get(right, 0)} ({right}) | {others} |")
    return "\n".join(lines)


@click.command()
@click.option("--data", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--every", default=16, show_default=True, help="Spoil every so-many-th image.")
@click.option("--good-every", default=2, show_default=True, help="Look at every so-many-th image as it is.")
@click.option("--output", type=click.Path(path_type=Path), required=True)
def main(data: Path, every: int, good_every: int, output: Path) -> None:
    make_folder(output)
    made_for = read_description(find_bundle(DEFAULT_MODEL)).made_for
    rows: List[Dict[str, Any]] = []
    for number, (collection, modality, path, mask) in enumerate(annotated(data)):
        image, labels = read_image(path), relabel(read_labels(mask))
        known = {"collection": collection, "modality": modality, "image": path.stem}
        if number % good_every == 0:
            rows.append({**known, "spoilt": "", **judged(image, made_for)})
        if number % every == 0 and modality == "fluorescence":
            for name, (_, spoil) in SPOILT.items():
                rng = np.random.default_rng(zlib.crc32(f"{path.stem}{name}".encode()))
                rows.append({**known, "spoilt": name, **judged(spoil(image, labels, rng), made_for)})
    table = pd.DataFrame(rows)
    write_table(output / "images.csv", table)
    good = table[table["spoilt"] == ""]
    click.echo(f"{describe_machine()}\n\n{of_good_images(good)}\n\n{of_spoilt_images(table)}\n")
    click.echo(f"processor time per image: median {good['ms'].median():.1f} ms, largest {good['ms'].max():.1f} ms")


if __name__ == "__main__":
    main()
