"""Names with letters that mean something to shells, web addresses and lists go through CellProfiler unharmed."""

from __future__ import annotations

import csv
import shutil

import pandas as pd

from nucdl_core.screen.core.image_list import cut_into_chunks, scan_list, write_chunks
from nucdl_core.screen.core.plan import ScreenFolder, read_rows

NAMES = ["a b.tif", "c#1.tif", "d%20e.tif", "f+g.tif", "h?i=1&j.tif", "k;l.tif", "m[1].tif", "n'o.tif", "ü,ö.tif"]


def test_odd_names_give_the_same_nuclei_and_come_back_unchanged(run_pipeline, plate, tmp_path):
    source = sorted((plate / "images").glob("*.tif"))[0]
    images = tmp_path / "my #1 plate, 50% [über]"
    images.mkdir()
    for name in NAMES:
        shutil.copy(source, images / name)
    with (tmp_path / "list.csv").open("w", encoding="utf-8", newline="") as stream:
        rows = [[name, images.name, number] for number, name in enumerate(NAMES)]
        csv.writer(stream).writerows([["Image_FileName_DNA", "Image_PathName_DNA", "Metadata_Site"], *rows])
    found = scan_list(tmp_path / "list.csv")
    folder = ScreenFolder(tmp_path / "screen")
    folder.chunks.mkdir(parents=True)
    order, (chunk,) = cut_into_chunks(found.groups, False, len(NAMES))
    write_chunks(found, order, [chunk], folder)
    assert [row["Image_FileName_DNA"] for row in read_rows(folder.chunk_csv(chunk))] == NAMES
    table = pd.read_csv(run_pipeline("classic_basic", folder.chunk_csv(chunk)) / "Image.csv")
    assert list(table["FileName_DNA"]) == NAMES
    assert set(table["PathName_DNA"]) == {str(images)}
    assert table["Count_Nuclei"].nunique() == 1 and table["Count_Nuclei"][0] > 0
