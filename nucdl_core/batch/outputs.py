"""What is written of an image beside its label image: pictures, maps, files for other programs, more measurements."""

from __future__ import annotations

from pathlib import Path
from typing import Any, List, Sequence, Tuple

import numpy as np
import pandas as pd

from nucdl_core.arrays import AnyArray
from nucdl_core.batch.extra_outputs import BOXES, ExtraOutputs
from nucdl_core.batch.keep_rules import kept_by
from nucdl_core.batch.measurements import DEFAULT_CHANNEL, measure_nuclei, measurement_columns
from nucdl_core.exchange.geojson import GeoJsonWriter
from nucdl_core.exchange.objects import objects_of
from nucdl_core.exchange.rasters import MaskWriter, StackWriter
from nucdl_core.exchange.rois import RoiSetWriter
from nucdl_core.exchange.tables import BoxWriter
from nucdl_core.files.writing import write_grey, write_png
from nucdl_core.reports.overlay import overlay
from nucdl_core.results import Segmentation

OVERLAY_SUFFIX, PROBABILITY_SUFFIX = "_overlay.png", "_probability.tif"


def extra_columns(outputs: ExtraOutputs, channel: str = DEFAULT_CHANNEL) -> Sequence[str]:
    """Return the columns that the table of nuclei has besides."""
    return measurement_columns(channel) if outputs.measure else ()


def finish_nuclei(
    found: Segmentation, table: pd.DataFrame, image: AnyArray, outputs: ExtraOutputs, channel: str = DEFAULT_CHANNEL
) -> Tuple[Segmentation, pd.DataFrame]:
    """Keep the nuclei that are wanted, and measure them.

    Parameters
    ----------
    found : Segmentation
    table : pandas.DataFrame
        One row per nucleus, with the column "ObjectNumber".
    image : array (H, W)
    outputs : ExtraOutputs
    channel : str
        What the image is called.

    Returns
    -------
    Segmentation, pandas.DataFrame
        Numbered anew where some were left out.
    """
    if not outputs.measure and not outputs.keep:
        return found, table
    measured = measure_nuclei(found.labels, image, channel)
    wide = pd.concat([table.reset_index(drop=True), measured], axis=1)
    if outputs.keep:
        kept = kept_by(outputs.keep, wide)
        found, wide = found.keep(kept), wide[kept].reset_index(drop=True)
        wide["ObjectNumber"] = np.arange(1, len(wide) + 1)
    return found, wide if outputs.measure else wide[list(table.columns)]


class OutputWriter:
    """Writes what is wanted of each image into a folder.

    Parameters
    ----------
    folder : Path
        That is there.
    outputs : ExtraOutputs
    """

    def __init__(self, folder: Path, outputs: ExtraOutputs) -> None:
        self._folder, self._outputs = folder, outputs
        makers = {"masks": self._masks, "stack": StackWriter, BOXES: BoxWriter, "geojson": GeoJsonWriter}
        self._writers: List[Any] = [makers[kind](folder) for kind in outputs.objects_as]
        if outputs.rois:
            self._writers.append(RoiSetWriter(folder))

    @staticmethod
    def _masks(folder: Path) -> MaskWriter:
        return MaskWriter(folder, {})

    def add(self, name: str, image: AnyArray, found: Segmentation) -> None:
        """Write the files of one image.

        Parameters
        ----------
        name : str
            Begins the names of the files.
        image : array (H, W)
        found : Segmentation
            With its probability, where that is wanted.

        Raises
        ------
        ImageError
            If one of the forms cannot hold the nuclei.
        NucDLError
            If a file cannot be written.
        """
        if self._outputs.overlay:
            write_png(self._folder / f"{name}{OVERLAY_SUFFIX}", overlay(image, found.labels))
        if self._outputs.probability and found.probability is not None:
            grey = np.rint(np.clip(found.probability, 0, 1) * 65535).astype(np.uint16)
            write_grey(self._folder / f"{name}{PROBABILITY_SUFFIX}", grey)
        if self._writers:
            objects = objects_of(name, found.labels)
            for writer in self._writers:
                writer.add(objects)

    def finish(self) -> None:
        """Write the files of all images.

        Raises
        ------
        NucDLError
            If one cannot be written.
        """
        for writer in self._writers:
            writer.finish()
