"""Writes the fingerprints of the images that taught the bundled models.

.venv/bin/python tools/fingerprint_images.py --data ../shared/data/dsb2018/train
"""

from __future__ import annotations

from pathlib import Path

import click

from nucdl_core.files.writing import write_bytes
from nucdl_core.model.bundle import find_bundle, list_bundles, read_bundle
from nucdl_core.training.fingerprints import BUNDLED_FILE, fingerprints_of
from nucdl_core.training.reading import read_annotated_images
from nucdl_core.training.split import is_validation


@click.command()
@click.option("--data", type=click.Path(exists=True, path_type=Path), required=True)
def main(data: Path) -> None:
    """Take the images that the trainings did not leave to judge; they must be as many as each model names."""
    sources = read_annotated_images(data)
    for name in list_bundles():
        training = read_bundle(find_bundle(name)).description.training
        parts = training["config"]["validation_parts"]
        taught = [source for source in sources if not is_validation(source.name, parts)]
        if len(taught) != training["images"]:
            raise click.ClickException(f"{name} learnt from {training['images']} images, but {len(taught)} came")
        write_bytes(BUNDLED_FILE, "".join(f"{each}\n" for each in fingerprints_of(taught)).encode("ascii"))


if __name__ == "__main__":
    main()
