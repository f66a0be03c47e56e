"""Images that cannot be used, and errors that name their files."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile


def test_an_error_about_the_image_names_its_file(module, make_workspace, monkeypatch):
    from nucdl_core import segment
    from nucdl_core.errors import ImageError

    def refuse(*_):
        raise ImageError("the image holds NaN")

    monkeypatch.setattr(segment, "segment_unfiltered", refuse)
    workspace = make_workspace(module, np.zeros((8, 8)), path_name="/somewhere", file_name="field_7.tif")
    with pytest.raises(ImageError, match=r"/somewhere/field_7\.tif.*NaN"):
        module.run(workspace)


def test_an_image_from_a_cut_off_tiff_file_is_refused(module, make_workspace, engine_finds, nuclei_grid, tmp_path):
    from nucdl_core.errors import ImageError

    labels = nuclei_grid(9)
    path = tmp_path / "field_7.tif"
    tifffile.imwrite(path, labels.astype(np.uint16))
    engine_finds(labels)
    where = {"path_name": str(tmp_path), "file_name": path.name}
    module.run(make_workspace(module, labels / 10.0, **where))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ImageError, match=r"field_7\.tif: the file is cut off"):
        module.run(make_workspace(module, labels / 10.0, **where))


@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (30, 1)])
def test_an_image_one_pixel_wide_is_refused_since_cellprofiler_cannot_keep_its_objects(
    module, make_workspace, engine_finds, shape
):
    from nucdl_core.errors import ImageError

    engine_finds(np.zeros(shape, np.int32))
    with pytest.raises(ImageError, match=f"{shape[0]} x {shape[1]} pixels"):
        module.run(make_workspace(module, np.full(shape, 0.5, np.float32)))


def test_an_error_about_an_image_without_a_file_says_only_what_is_wrong(module, make_workspace, monkeypatch):
    from nucdl_core import segment
    from nucdl_core.errors import ImageError

    def refuse(*_):
        raise ImageError("the image holds NaN")

    monkeypatch.setattr(segment, "segment_unfiltered", refuse)
    with pytest.raises(ImageError, match="^the image holds NaN$"):
        module.run(make_workspace(module, np.zeros((8, 8))))


def test_errors_of_other_kinds_pass_unchanged(module, make_workspace, monkeypatch):
    from nucdl_core import segment
    from nucdl_core.errors import DeviceError

    def refuse(*_):
        raise DeviceError("no GPU")

    monkeypatch.setattr(segment, "segment_unfiltered", refuse)
    with pytest.raises(DeviceError, match="^no GPU$"):
        module.run(make_workspace(module, np.zeros((8, 8)), path_name="/somewhere", file_name="field_7.tif"))
