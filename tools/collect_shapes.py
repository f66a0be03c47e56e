"""Makes the data base of nucleus shapes from the training images of the 2018 Data Science Bowl (BBBC038, CC0 1.0).

.venv/bin/python tools/collect_shapes.py --data ../shared/data/dsb2018/train
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from safetensors.numpy import save

from nucdl_core.files.writing import write_bytes
from nucdl_core.synthesis.nucleus_shapes import SHAPES_FILE, collect_shapes, packed, shapes_from
from nucdl_core.training.reading import annotated_files
from nucdl_core.training.split import is_validation

SHAPES = 1000
# As the models' training leaves them out.
VALIDATION_PARTS = 8


@click.command()
@click.option("--data", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--output", type=click.Path(path_type=Path), default=SHAPES_FILE)
def main(data: Path, output: Path) -> None:
    """Take equally many shapes of each kind of image, as far as there are, but none of images that judge."""
    by_kind = {}
    for file in annotated_files(data / "images", data / "masks"):
        if file.row.get("modality") == "fluorescence" and not is_validation(file.path.stem, VALIDATION_PARTS):
            by_kind.setdefault(file.labels.shape, []).extend(collect_shapes(file.labels))
    rng = np.random.default_rng(0)
    chosen = []
    for number, masks in enumerate(sorted(by_kind.values(), key=len)):
        share = (SHAPES - len(chosen)) // (len(by_kind) - number)
        chosen += [masks[index] for index in rng.permutation(len(masks))[:share]]
    write_bytes(output, save({"shapes": packed(shapes_from(chosen))}))


if __name__ == "__main__":
    main()
