"""The classic way to find nuclei, with CellProfiler's own modules: what a new model is compared with."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Dict

import pandas as pd

from nucdl_core.arrays import Labels
from nucdl_core.cellprofiler.headless import HeadlessRun, check_tables, run_cellprofiler
from nucdl_core.cellprofiler.supplied import supplied_folder
from nucdl_core.files.folders import image_files, image_stem, label_images
from nucdl_core.files.reading import read_labels
from nucdl_core.files.writing import write_table

CLASSIC_NAME = "classic pipeline"
CLASSIC_PIPELINE = "classic_advanced.cppipe"


def classic_nuclei(images: Path) -> Dict[str, Labels]:
    """Run ``classic_advanced.cppipe``, which suits nuclei of any size, on the images of a folder.

    Parameters
    ----------
    images : Path
        Folder of images that CellProfiler reads.

    Returns
    -------
    dict of str to int32 array (H, W)
        Label image by the name of the image.

    Raises
    ------
    HeadlessError
        If CellProfiler, Java or the pipeline is missing, or the run fails.
    """
    pipeline = supplied_folder("pipelines") / CLASSIC_PIPELINE
    files = image_files([images])
    with tempfile.TemporaryDirectory(prefix="nucdl_classic_") as name:
        folder, listed = Path(name, "out"), Path(name, "load_data.csv")
        folder.mkdir()
        rows = {"Image_FileName_DNA": [file.name for file in files], "Image_PathName_DNA": str(images.resolve())}
        write_table(listed, pd.DataFrame(rows))
        run_cellprofiler(HeadlessRun(pipeline, listed, folder, supplied_folder("plugins")))
        check_tables(folder, len(files), ["Nuclei"])
        found = label_images(folder / "labels")
        return {image_stem(file): read_labels(found[image_stem(file)]) for file in files}
