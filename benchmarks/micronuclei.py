"""What each choice about micronuclei finds: tables of docs/accuracy.md.

    .venv/bin/python benchmarks/micronuclei.py --data ../shared/data

Images with annotated micronuclei (mnfinder), validation images of the collection that the model was trained on, in
which micronuclei and debris are rarely annotated, and tissue.
"""

from __future__ import annotations

from pathlib import Path
from typing import Dict, Iterator, List, Optional, Tuple

import click
import numpy as np
import pandas as pd
from machine import describe_machine

from nucdl_core.arrays import AnyArray, Labels
from nucdl_core.config import MICRONUCLEI, SegmentConfig
from nucdl_core.files.folders import image_files
from nucdl_core.files.reading import read_image, read_labels
from nucdl_core.labels import relabel
from nucdl_core.overlap import overlap
from nucdl_core.scores.matching import image_scores
from nucdl_core.segment import segment
from nucdl_core.training.split import is_validation

# As in training/nuclei_unet.json.
VALIDATION_PARTS = 8
# IoU above which a micronucleus, and a nucleus, counts as found: an outline that is one pixel off means 0.5 at 6 px.
FOUND = (0.3, 0.5)
EVERY_TISSUE = 4

Annotated = Tuple[str, AnyArray, Labels, Optional[int]]


def annotated(data: Path) -> Iterator[Annotated]:
    """List collection, image, truth and number of the first micronucleus, where these are annotated."""
    for collection in ("mnfinder", "dsb2018/train", "mouse_intestine"):
        folder = data / collection
        images, masks = ({path.stem: path for path in image_files([folder / kind])} for kind in ("images", "masks"))
        table = pd.read_csv(folder / "index.csv").query("modality == 'fluorescence'")
        for number, row in enumerate(table.itertuples()):
            is_left_out = collection == "mouse_intestine" and number % EVERY_TISSUE
            if is_left_out or (collection == "dsb2018/train" and not is_validation(row.id, VALIDATION_PARTS)):
                continue
            first = getattr(row, "first_micronucleus_label", None)
            yield collection, read_image(images[row.id]), relabel(read_labels(masks[row.id])), first


def measured(image: AnyArray, truth: Labels, first: Optional[int], choice: str) -> Dict[str, float]:
    """Score a choice on an image."""
    found = segment(image, SegmentConfig(micronuclei=choice))
    pairs, count = overlap(truth, found.labels), int(truth.max(initial=0))
    best = np.zeros(count + 1)
    np.maximum.at(best, pairs.first, pairs.iou)
    last = count if first is None else int(first) - 1
    scores = image_scores(truth, found.labels)
    return {
        "nuclei": last,
        "nuclei_found": np.count_nonzero(best[1 : last + 1] > FOUND[1]),
        "micronuclei": count - last,
        "micronuclei_found": np.count_nonzero(best[last + 1 :] > FOUND[0]),
        "objects": found.count,
        "flagged": np.count_nonzero(found.micronuclei),
        "mean_f1": scores["mean_f1"],
        "f1_0.50": scores["f1_0.50"],
    }


@click.command()
@click.option("--data", type=click.Path(exists=True, path_type=Path), required=True)
def main(data: Path) -> None:
    rows: List[Dict[str, object]] = []
    for collection, image, truth, first in annotated(data):
        for choice in MICRONUCLEI:
            rows.append({"images": collection, "choice": choice, **measured(image, truth, first, choice)})
    table = pd.DataFrame(rows)
    click.echo(f"{describe_machine()}\n")
    sums, means = (
        ["nuclei", "nuclei_found", "micronuclei", "micronuclei_found", "objects", "flagged"],
        ["mean_f1", "f1_0.50"],
    )
    header = ["images", "number", "choice", *sums, *means]
    click.echo(f"| {' | '.join(header)} |\n{'|---' * len(header)}|")
    for (collection, choice), part in table.groupby(["images", "choice"], sort=False):
        cells = [*(f"{part[name].sum():.0f}" for name in sums), *(f"{part[name].mean():.3f}" for name in means)]
        click.echo(f"| {collection} | {len(part)} | {choice} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
