"""The command that converts annotations between the formats of other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Sequence, Tuple

import click

from nucdl_core.cli.words import EXISTING, EXISTING_FOLDER, FOLDER, exit_with_failures, height_and_width

if TYPE_CHECKING:
    from nucdl_core.exchange.conversion import ConvertedImage

# The keys of the table of formats, which loads slowly; a test compares them.
FORMAT_NAMES = ("labels", "rois", "masks", "coco", "geojson", "boxes", "stack", "binary", "outlines")
_SHOWN_IMAGES = 3


@click.command(name="convert")
@click.argument("inputs", nargs=-1, required=True, type=EXISTING, metavar="INPUT...")
@click.option("--output", type=FOLDER, required=True, help="Folder for the converted files.")
@click.option("--to", "target", type=click.Choice(FORMAT_NAMES), required=True, help="Format to write.")
@click.option("--from", "source", type=click.Choice(FORMAT_NAMES), default=None, help="Format to read.  [recognized]")
@click.option("--images", type=EXISTING_FOLDER, default=None, help="Folder of the images, which tell their sizes.")
@click.option("--size", default=None, metavar="HxW", help="Height x width in pixels, where there are no images.")
@click.option("--fill-boxes", is_flag=True, help="Let boxes become rectangular nuclei.")
@click.option("--cut-touching", is_flag=True, help="To binary: part touching nuclei by a gap of one pixel.")
def convert_command(
    inputs: Tuple[Path, ...], output: Path, images: Optional[Path], size: Optional[str], **settings: Any
) -> None:
    """Convert annotations between label images and the formats of other programs.

    Files and folders are read as label images (labels), ImageJ ROI sets (rois), one mask a nucleus (masks), COCO JSON
    (coco), QuPath GeoJSON (geojson), boxes and outlines (CSV), stacks of label images (stack) or binary images
    (binary), and written as any other of these. ROI sets and most GeoJSON do not tell how large their image is:
    --images or --size does.

    Whatever a format cannot keep is told. A file that cannot be used does not stop the others; it is listed at the end
    and the exit code is 3.
    """
    from tqdm import tqdm

    from nucdl_core.exchange.conversion import ConvertConfig, convert, summary_of
    from nucdl_core.exchange.sources import ImageSizes

    sizes = ImageSizes.of(images, None if size is None else height_and_width(size))
    config = ConvertConfig(sizes=sizes, **settings)
    records = convert(inputs, output, config, lambda files: tqdm(files, unit="file", disable=None))
    tell_notes(records)
    click.echo(f"{summary_of(records, config.target)} in {output}")
    missing = sorted(set(sizes.files) - {record.image for record in records})
    if missing:
        click.echo(
            f"note: {len(missing)} images have no annotations, among them {', '.join(missing[:_SHOWN_IMAGES])}",
            err=True,
        )
    exit_with_failures([record.error for record in records if record.error is not None])


def tell_notes(records: Sequence[ConvertedImage]) -> None:
    """Write what a person must know to the standard error, each sentence once with the images that it is about."""
    images: Dict[str, List[str]] = {}
    for record in records:
        for sentence in record.notes:
            images.setdefault(sentence, []).append(record.image)
    for sentence, names in images.items():
        others = f" and {len(names) - _SHOWN_IMAGES} more images" if len(names) > _SHOWN_IMAGES else ""
        click.echo(f"note: {', '.join(names[:_SHOWN_IMAGES])}{others}: {sentence}", err=True)
