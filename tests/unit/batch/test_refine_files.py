import json

import numpy as np
import pandas as pd
import pytest
import tifffile
from conftest import edit_description
from drawings import field

from nucdl_core.batch import refine_files as refine_module
from nucdl_core.batch.refine_files import REFINED_COLUMNS, refine_files, refined_table
from nucdl_core.errors import BundleError, ConfigError, ImageError
from nucdl_core.files.folders import pair_images_with_labels
from nucdl_core.files.reading import read_labels
from nucdl_core.files.writing import write_labels
from nucdl_core.refine import Refined
from nucdl_core.steps.contours import RefineConfig

QUICK = RefineConfig(views="none", device="cpu")


@pytest.fixture
def folders(tmp_path):
    """Images and objects: a good pair, one of two shapes, an image and a label image alone."""
    images, labels = tmp_path / "images", tmp_path / "labels"
    images.mkdir()
    labels.mkdir()
    image, truth = field()
    for name in ("good", "odd", "alone"):
        tifffile.imwrite(images / f"{name}.tif", image)
    write_labels(labels / "good_labels.tif", truth * 10)
    write_labels(labels / "odd_labels.tif", truth[:, :-1])
    write_labels(labels / "stray_labels.tif", truth)
    return images, labels


def test_a_file_that_cannot_be_used_is_recorded_and_the_others_are_done(folders, tmp_path):
    alone, good, odd, stray = refine_files(*folders, tmp_path / "out", QUICK)
    assert "there are no objects of this name" in alone.error and "alone.tif" in alone.error
    assert "there is no image of this name" in stray.error and "stray_labels.tif" in stray.error
    assert "odd.tif" in odd.error and "(160, 240)" in odd.error and "(160, 239)" in odd.error
    assert good.error is None and good.nuclei == read_labels(tmp_path / "out" / "good_labels.tif").max() == 24
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"good_labels.tif", "objects.csv", "run.json"}
    table = pd.read_csv(tmp_path / "out" / "objects.csv")
    assert list(table.columns) == list(REFINED_COLUMNS)
    assert set(table["ImageNumber"]) == {2} and set(table["FileName"]) == {"good.tif"}
    assert list(table["Parent_Number"]) == [10 * number for number in table["ObjectNumber"]]
    run = json.loads((tmp_path / "out" / "run.json").read_text())
    assert (run["images"], run["failed"], len(run["model"]["sha256"])) == (4, 3, 64)
    assert run["config"]["views"] == "none"
    assert 0 < run["config"]["refinement"]["threshold"] < 1


def test_each_image_gets_what_tells_how_far_it_is(folders, tmp_path, monkeypatch):
    given, whole = [], refine_module.refine

    def noting(*arguments, progress):
        given.append(progress)
        return whole(*arguments)

    monkeypatch.setattr(refine_module, "refine", noting)
    refine_files(*folders, tmp_path / "out", QUICK, tile_progress=print)
    # Of four pairs two lack a file.
    assert given == [print, print]


def test_no_usable_file_gives_a_table_with_columns_and_no_rows(folders, tmp_path):
    (folders[1] / "good_labels.tif").unlink()
    refine_files(*folders, tmp_path / "out", QUICK)
    table = pd.read_csv(tmp_path / "out" / "objects.csv")
    assert list(table.columns) == list(REFINED_COLUMNS)
    assert len(table) == 0


def test_the_objects_that_are_refined_are_not_overwritten(folders):
    with pytest.raises(ConfigError, match="holds the objects to be refined"):
        refine_files(*folders, folders[1], QUICK)


def test_an_unknown_model_is_refused_before_any_work(folders, tmp_path):
    with pytest.raises(BundleError):
        refine_files(*folders, tmp_path / "out", RefineConfig(model="unknown"))
    assert not (tmp_path / "out").exists()


def test_pairs_are_sorted_by_name_and_suffixes_do_not_matter(folders):
    images, labels = folders
    (images / "alone.tif").rename(images / "stray.png")
    names = [tuple(path and path.name for path in pair) for pair in pair_images_with_labels(images, labels)]
    assert names == [("good.tif", "good_labels.tif"), ("odd.tif", "odd_labels.tif"), ("stray.png", "stray_labels.tif")]


def test_images_and_objects_may_lie_in_one_folder(folders):
    images, labels = folders
    (labels / "good_labels.tif").rename(images / "good_labels.tif")
    pairs = dict(pair_images_with_labels(images, images))
    assert pairs[images / "good.tif"] == images / "good_labels.tif"
    assert pairs[images / "odd.tif"] is None


def test_two_images_of_one_name_are_refused(folders):
    images, labels = folders
    (images / "odd.tif").rename(images / "good.png")
    with pytest.raises(ImageError, match="would both be written to good_labels.tif"):
        pair_images_with_labels(images, labels)


def test_a_row_tells_where_a_nucleus_is_and_what_became_of_it():
    labels = np.zeros((9, 9), np.int32)
    labels[2:5, 4:7] = 1
    values = (np.array([value], np.float32) for value in (0.75, np.nan, 0.5))
    refined = Refined(labels, np.array([0], np.int32), *values, np.zeros((9, 9), np.float32))
    row = refined_table(refined, 7, "a.tif").iloc[0]
    assert (row["Location_Center_X"], row["Location_Center_Y"], row["AreaShape_Area"]) == (5, 3, 9)
    assert (row["ImageNumber"], row["ObjectNumber"], row["Parent_Number"]) == (7, 1, 0)
    assert (row["NucDL_Agreement"], row["NucDL_ProbabilityMean"]) == (0.75, 0.5)
    assert np.isnan(row["NucDL_ContourShift"])


def test_the_record_warns_of_images_unlike_those_that_the_model_was_made_for(folders, tmp_path, tiny_bundle):
    edit_description(tiny_bundle, made_for={"diameter_range": [100, 200], "bits": [32]})
    config = RefineConfig(model=str(tiny_bundle), views="none", device="cpu")
    good = next(record for record in refine_files(*folders, tmp_path / "out", config) if record.error is None)
    size, bits = json.loads((tmp_path / "out" / "run.json").read_text())["results"][1]["warnings"]
    assert (size, bits) == good.warnings
    assert "px across, but the model was made for 100 to 200 px" in size and "32 bits" in bits
