"""Pictures of single images with outlines."""

from __future__ import annotations

import numpy as np
import pytest
from drawings import disks
from method_folders import make_folders, report_config

from nucdl_core.errors import ImageError
from nucdl_core.files.writing import write_labels, write_png
from nucdl_core.reports.gallery import SIDE, gallery_picture
from nucdl_core.reports.page import write_method_report
from nucdl_core.scores.object_errors import COLOURS, ErrorClass


@pytest.fixture
def folders(tmp_path):
    return make_folders(tmp_path)


def test_an_image_of_another_shape_is_refused_by_name(folders):
    write_png(folders / "images" / "d.png", np.zeros((60, 79), np.uint8))
    with pytest.raises(ImageError, match=r"d.png against .*truth/d.tif: \(60, 79\) and \(60, 80\) differ"):
        write_method_report(report_config(folders))


def test_a_small_picture_is_enlarged_and_shows_errors_in_their_colours(folders):
    files = folders / "truth" / "b.tif", folders / "bad" / "b_labels.tif"
    picture = gallery_picture(folders / "images" / "b.png", files)
    assert picture.shape == (60 * 6, 80 * 6, 3)
    shown = {tuple(colour) for colour in picture.reshape(-1, 3)}
    assert COLOURS[ErrorClass.MATCHED] in shown
    assert COLOURS[ErrorClass.MISSED] in shown
    assert COLOURS[ErrorClass.EXTRA] not in shown


def test_of_a_large_image_the_middle_is_shown(folders):
    shape = (SIDE + 100, SIDE + 200)
    truth = disks(shape, [(shape[0] / 2, shape[1] / 2), (5, 5)], 4)
    write_labels(folders / "truth.tif", truth)
    write_png(folders / "image.png", (truth > 0).astype(np.uint8))
    picture = gallery_picture(folders / "image.png", (folders / "truth.tif", None))
    assert picture.shape == (SIDE, SIDE, 3)
    rows, cols = np.nonzero((picture == COLOURS[ErrorClass.MISSED]).all(axis=2))
    assert abs(rows.mean() - SIDE / 2) < 1
    assert abs(cols.mean() - SIDE / 2) < 1
