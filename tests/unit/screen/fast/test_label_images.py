"""Label images of the fast path."""

from pathlib import Path

import numpy as np
import pytest

from nucdl_core.errors import NucDLError
from nucdl_core.files.reading import read_labels
from nucdl_core.screen.fast.label_images import label_name, write_label_image

LABELS = np.array([[0, 1, 1], [2, 2, 0]], np.int32)


def test_images_of_one_name_get_different_label_images():
    names = {label_name(number, Path(folder, "a.tif"), "tiff") for number, folder in ((1, "x"), (2, "y"))}
    assert names == {"000001_a_labels.tif", "000002_a_labels.tif"}
    assert label_name(3, Path("a.b.png"), "zarr") == "000003_a.b.zarr"


def test_a_long_name_is_cut_where_a_letter_ends():
    name = label_name(1, Path("ä" * 120 + ".tif"), "tiff")
    assert name == f"000001_{'ä' * 75}_labels.tif"


def test_a_tiff_holds_the_labels(tmp_path):
    write_label_image(tmp_path / "a_labels.tif", LABELS)
    assert (read_labels(tmp_path / "a_labels.tif") == LABELS).all()


@pytest.mark.parametrize(("highest", "kind"), [(2, "<u2"), (70_000, "<u4")])
def test_an_ome_zarr_holds_the_labels_and_says_so(tmp_path, highest, kind):
    zarr = pytest.importorskip("zarr")
    labels = np.where(LABELS == 2, highest, LABELS).astype(np.int32)
    write_label_image(tmp_path / "a.zarr", labels)
    container = zarr.open_group(str(tmp_path / "a.zarr"), mode="r")["labels"]
    assert container.attrs["labels"] == ["nuclei"]
    nuclei = container["nuclei"]
    assert nuclei["0"].dtype == kind
    assert (nuclei["0"][:] == labels).all()
    (scales,) = nuclei.attrs["multiscales"]
    assert [axis["name"] for axis in scales["axes"]] == ["y", "x"]
    assert (scales["version"], scales["datasets"][0]["path"]) == ("0.4", "0")
    assert nuclei.attrs["image-label"]["version"] == "0.4"
    assert (tmp_path / "a.zarr" / "labels" / "nuclei" / "0" / "0" / "0").is_file()


def test_an_ome_zarr_that_cannot_be_written_is_an_error(tmp_path):
    pytest.importorskip("zarr")
    (tmp_path / "file").touch()
    with pytest.raises(NucDLError, match="cannot be written"):
        write_label_image(tmp_path / "file" / "a.zarr", LABELS)
