"""The automatic diameter beside the true one: on annotated images, on rescaled ones, and on simulated fields.

    .venv/bin/python benchmarks/size.py --data ../shared/data/dsb2018/test --rescaled ../shared/data/dsb2018/train \
        --output benchmark_output/size

Both folders are as `accuracy.py` describes them. The images of `--data` are measured as they are. Of `--rescaled`,
the folder that the model was trained on, only the validation images are measured, each at several scales.
Prints tables for the documentation, and writes the figures of every image and a picture of those by scale.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Dict, Iterable, Iterator, List, Optional, Tuple, Union

import click
import numpy as np
import pandas as pd
from machine import describe_machine
from matplotlib.figure import Figure
from skimage import transform

from nucdl_core.arrays import AnyArray, Labels
from nucdl_core.config import SegmentConfig
from nucdl_core.files.folders import image_files
from nucdl_core.files.reading import read_image, read_labels
from nucdl_core.files.writing import make_folder, write_table
from nucdl_core.labels import centroids, equivalent_diameters, relabel, resize_nearest, touches_border
from nucdl_core.scores.matching import image_scores
from nucdl_core.segment import segment
from nucdl_core.simulate.field import random_config
from nucdl_core.simulate.image import SimulatedField, simulate_field
from nucdl_core.training.split import is_validation

TOLERANCE = 0.25
# True median diameters that are measured, in pixels, and the octaves that the table parts them into.
DIAMETERS = (6.0, 150.0)
OCTAVES = (6, 12, 24, 48, 96, 150)
SCALES = (0.25, 0.5, 1.0, 2.0, 4.0)
# Images that would become longer are cut before they are enlarged.
LONGEST_SIDE = 2500
# As in training/nuclei_unet.json.
VALIDATION_PARTS = 8

FIELD = (520, 696)
# Training draws its fields from other seeds.
SEED = 20260
CROWDS = ("2 to 8 nuclei", "10 to 30 % of the area")
# Standard deviation of the logarithm of the diameter.
SPREADS = {"similar sizes": 0.15, "mixed sizes": 0.5}
GREYS = ("8 bits", "16 bits, small range")
# Of 65,535 grey levels, those of a nucleus in an image that uses a small part of its range.
SMALL_RANGE = (100, 1000)

Annotated = Tuple[str, AnyArray, Labels]
Row = Dict[str, Union[str, int, float]]


def names_of(data: Path, modality: str) -> List[str]:
    """Name the images of a modality."""
    index = pd.read_csv(data / "index.csv")
    return sorted(index.loc[index["modality"] == modality, "id"])


def read(data: Path, names: Iterable[str]) -> Iterator[Annotated]:
    """Read images and their nuclei, one after the other."""
    images, masks = ({path.stem: path for path in image_files([data / kind])} for kind in ("images", "masks"))
    for name in names:
        yield name, read_image(images[name]), relabel(read_labels(masks[name]))


def median_diameter(labels: Labels) -> float:
    """Median equivalent diameter in pixels of nuclei numbered without gaps; NaN where there are none."""
    diameters = equivalent_diameters(labels)
    return float(np.median(diameters)) if len(diameters) else float("nan")


def is_measured(labels: Labels) -> bool:
    return DIAMETERS[0] <= median_diameter(labels) <= DIAMETERS[1]


def cut(image: AnyArray, labels: Labels, side: int) -> Tuple[AnyArray, Labels]:
    """Cut an image to at most `side` pixels each way, around the nucleus that is most in the middle of the others."""
    centres = centroids(labels)
    centre = centres[np.argmin(np.hypot(*(centres - np.median(centres, axis=0)).T))]
    starts = [int(np.clip(middle - side / 2, 0, max(0, length - side))) for middle, length in zip(centre, image.shape)]
    part = tuple(slice(start, start + side) for start in starts)
    return image[part], labels[part]


def rescale(image: AnyArray, labels: Labels, scale: float) -> Tuple[AnyArray, Labels]:
    """Reduce or enlarge an image, which keeps its type, and its nuclei."""
    if scale == 1:
        return image, labels
    if max(image.shape) * scale > LONGEST_SIDE:
        image, labels = cut(image, labels, int(LONGEST_SIDE / scale))
    shape = (max(1, round(image.shape[0] * scale)), max(1, round(image.shape[1] * scale)))
    pixels = transform.resize(image, shape, order=3, anti_aliasing=scale < 1, preserve_range=True)
    if image.dtype.kind == "u":
        pixels = np.rint(pixels)
    return pixels.astype(image.dtype), relabel(resize_nearest(labels, shape))


def simulate(number: int, fields: int) -> Tuple[Row, SimulatedField]:
    """Simulate one of several fields whose diameters are spread evenly on the logarithmic scale.

    Shapes, optics and noise are drawn as for training; how many nuclei there are, whether their sizes differ and
    how their grey values are stored take turns.
    """
    rng = np.random.default_rng([SEED, number])
    low, high = np.log(DIAMETERS)
    diameter = float(np.exp(low + (high - low) * (number + rng.random()) / fields))
    crowd, sizes, grey = CROWDS[number % 2], list(SPREADS)[number // 2 % 2], GREYS[number // 4 % 2]
    small_range = float(np.exp(rng.uniform(*np.log(SMALL_RANGE)))) / 65535
    config = dataclasses.replace(
        random_config(rng, FIELD, (diameter, diameter)),
        count=int(rng.integers(2, 9)) if crowd == CROWDS[0] else None,
        coverage=float(rng.uniform(0.1, 0.3)),
        diameter_spread=SPREADS[sizes],
        bits=8 if grey == GREYS[0] else 16,
        peak=float(rng.uniform(0.2, 0.7)) if grey == GREYS[0] else small_range,
    )
    return {"crowd": crowd, "sizes": sizes, "grey": grey}, simulate_field(config, rng)


def measure(image: AnyArray, labels: Labels) -> Row:
    """Segment with the automatic and with the true diameter, and compare with the truth."""
    true = median_diameter(labels)
    automatic, given = segment(image), segment(image, SegmentConfig(diameter=true))
    ratio = automatic.diameter / true
    cut_off = np.append(False, touches_border(labels))
    return {
        "height": image.shape[0],
        "width": image.shape[1],
        "nuclei": int(labels.max()),
        "true_diameter": true,
        "true_diameter_off_border": median_diameter(relabel(np.where(cut_off[labels], 0, labels))),
        "automatic_diameter": automatic.diameter,
        "log2_error": float(np.log2(ratio)),
        "within": int(abs(ratio - 1) < TOLERANCE),
        "f1_automatic": image_scores(labels, automatic.labels)["mean_f1"],
        "f1_true_size": image_scores(labels, given.labels)["mean_f1"],
    }


def as_they_are(images: Iterable[Annotated]) -> Iterator[Row]:
    for name, image, labels in images:
        if is_measured(labels):
            yield {"image": name, **measure(image, labels)}


def at_all_scales(images: Iterable[Annotated]) -> Iterator[Row]:
    for name, image, labels in images:
        for scale in SCALES:
            pixels, nuclei = rescale(image, labels, scale)
            if is_measured(nuclei):
                yield {"image": name, "scale": scale, **measure(pixels, nuclei)}


def simulated(fields: int) -> Iterator[Row]:
    for number in range(fields):
        kind, field = simulate(number, fields)
        if is_measured(field.labels):
            yield {"image": f"field {number}", **kind, **measure(field.image, field.labels)}


def summarize(table: pd.DataFrame) -> Dict[str, float]:
    """Summarize some images; where no nucleus was found the error counts as infinite."""
    return {
        "images": len(table),
        "within": table["within"].mean(),
        "error": table["log2_error"].abs().fillna(np.inf).median(),
        "f1_automatic": table["f1_automatic"].mean(),
        "f1_true_size": table["f1_true_size"].mean(),
    }


def by(column: str, table: pd.DataFrame) -> pd.DataFrame:
    """Summarize a table by the values of a column, in the order in which they appear."""
    groups = table.groupby(column, sort=False)
    return pd.DataFrame.from_dict({name: summarize(group) for name, group in groups}, orient="index")


def by_octave(table: pd.DataFrame) -> pd.DataFrame:
    """Summarize a table by the octave of the true diameter."""
    names = [f"{low} to {high} px" for low, high in zip(OCTAVES, OCTAVES[1:])]
    octaves = pd.cut(table["true_diameter"], OCTAVES, labels=names, include_lowest=True)
    return by("octave", table.assign(octave=octaves.astype(str)).sort_values("true_diameter"))


def markdown(title: str, lines: pd.DataFrame) -> str:
    """Format summaries as a Markdown table."""
    heads = (
        title,
        "images",
        f"within {TOLERANCE:.0%}",
        "median abs. log2 error",
        "mean F1",
        "mean F1, true size given",
    )
    rows = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for line in lines.itertuples():
        scores = f"{line.error:.3f} | {line.f1_automatic:.3f} | {line.f1_true_size:.3f}"
        rows.append(f"| {line.Index} | {line.images} | {line.within:.1%} | {scores} |")
    return "\n".join(rows) + "\n"


def draw(scales: pd.DataFrame, path: Path) -> None:
    """Draw against the scale: the share of good diameters, and mean F1 with the automatic and with the true one."""
    figure = Figure(figsize=(9, 3.8))
    share, scores = figure.subplots(1, 2)
    positions = np.log2(scales.index.to_numpy(float))
    # Told apart also with the usual colour blindnesses (Okabe and Ito): blue and orange.
    share.plot(positions, 100 * scales["within"], "o-", color="#0072B2")
    share.set(title=f"Diameter within {TOLERANCE:.0%} of the true median", ylabel="share of images, %", ylim=(0, 103))
    scores.plot(positions, scales["f1_true_size"], "s--", color="#E69F00", label="true size given")
    scores.plot(positions, scales["f1_automatic"], "o-", color="#0072B2", label="automatic size")
    scores.set(title="Agreement with the annotation", ylabel="mean F1", ylim=(0, 1))
    scores.legend(loc="lower right")
    for axes in (share, scores):
        axes.set_xticks(positions)
        axes.set_xticklabels([f"{scale:g}\n({images})" for scale, images in scales["images"].items()])
        axes.set_xlabel("scale (number of images)")
        axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def report(tables: Dict[str, pd.DataFrame], output: Path) -> None:
    """Print the tables, and write the figures of every image and the picture."""
    everything = pd.concat(tables, names=["set"]).reset_index("set")
    write_table(output / "size.csv", everything)
    click.echo(markdown("images", by("set", everything)))
    scales = by("scale", tables["rescaled"].sort_values("scale"))
    draw(scales, output / "size.png")
    click.echo(markdown("scale", scales))
    fields = tables["simulated"]
    click.echo(markdown("simulated, true diameter", by_octave(fields)))
    kinds = pd.concat([by(column, fields) for column in ("crowd", "sizes", "grey")])
    click.echo(markdown("simulated", kinds))


@click.command()
@click.option("--data", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--rescaled", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--modality", default="fluorescence", show_default=True)
@click.option("--fields", type=click.IntRange(1), default=160, show_default=True, help="How many to simulate.")
@click.option("--limit", type=click.IntRange(1), help="At most so many images of each folder and fields, for a try.")
@click.option("--output", type=click.Path(path_type=Path), required=True, help="A folder.")
def main(data: Path, rescaled: Path, modality: str, fields: int, limit: Optional[int], output: Path) -> None:
    make_folder(output)
    click.echo(f"{' '.join(sys.argv)}\n{describe_machine()}\n")
    names = names_of(data, modality)[:limit]
    validation = [name for name in names_of(rescaled, modality) if is_validation(name, VALIDATION_PARTS)][:limit]
    rows = {
        "as they are": as_they_are(read(data, names)),
        "rescaled": at_all_scales(read(rescaled, validation)),
        "simulated": simulated(fields if limit is None else min(fields, limit)),
    }
    report({name: pd.DataFrame(images) for name, images in rows.items()}, output)


if __name__ == "__main__":
    main()
