import json

import numpy as np
import pandas as pd
import pytest
import tifffile
from conftest import edit_description
from drawings import field

from nucdl_core.batch.extra_outputs import ExtraOutputs
from nucdl_core.batch.segment_files import IMAGE_COLUMNS, OBJECT_COLUMNS, object_table, segment_files
from nucdl_core.config import SegmentConfig
from nucdl_core.errors import BundleError, ImageError
from nucdl_core.files.reading import read_labels
from nucdl_core.results import Segmentation


@pytest.fixture
def images(tmp_path):
    """One good, one truncated and one black image."""
    folder = tmp_path / "images"
    folder.mkdir()
    tifffile.imwrite(folder / "good.tif", field()[0])
    content = (folder / "good.tif").read_bytes()
    (folder / "cut.tif").write_bytes(content[: len(content) // 2])
    tifffile.imwrite(folder / "black.tif", np.zeros((64, 64), np.uint8))
    return [folder / name for name in ("black.tif", "cut.tif", "good.tif")]


def test_a_broken_image_is_recorded_and_the_others_are_done(images, tmp_path):
    black, cut, good = segment_files(images, tmp_path / "out", SegmentConfig())
    assert (black.nuclei, black.diameter, black.error) == (0, None, None)
    assert "cut.tif" in cut.error and cut.nuclei is None
    assert good.nuclei > 5 and good.error is None
    assert not (tmp_path / "out" / "cut_labels.tif").exists()
    assert read_labels(tmp_path / "out" / "good_labels.tif").max() == good.nuclei
    assert read_labels(tmp_path / "out" / "black_labels.tif").max() == 0


def test_the_table_has_one_row_per_nucleus(images, tmp_path):
    records = segment_files(images, tmp_path, SegmentConfig())
    table = pd.read_csv(tmp_path / "objects.csv")
    assert list(table.columns) == list(OBJECT_COLUMNS)
    assert len(table) == records[2].nuclei
    assert set(table["ImageNumber"]) == {3}
    assert set(table["FileName"]) == {"good.tif"}
    assert table["NucDL_Confidence"].between(0, 1).all()


def test_the_record_of_the_run_names_model_settings_and_failures(images, tmp_path):
    segment_files(images, tmp_path, SegmentConfig(diameter=20))
    run = json.loads((tmp_path / "run.json").read_text())
    assert run["config"]["diameter"] == 20
    assert len(run["model"]["sha256"]) == 64
    assert (run["images"], run["failed"]) == (3, 1)
    assert run["versions"]["torch"]
    assert "cut.tif" in run["results"][1]["error"]


def test_only_black_images_give_a_table_with_columns_and_no_rows(images, tmp_path):
    segment_files(images[:1], tmp_path, SegmentConfig())
    table = pd.read_csv(tmp_path / "objects.csv")
    assert list(table.columns) == list(OBJECT_COLUMNS)
    assert len(table) == 0


def test_two_images_of_one_stem_are_refused_before_any_work(tmp_path):
    with pytest.raises(ImageError, match=r"would both be written to a_labels.tif"):
        segment_files([tmp_path / "x" / "a.tif", tmp_path / "y" / "a.png"], tmp_path / "out", SegmentConfig())
    assert not (tmp_path / "out").exists()


def test_an_unknown_model_is_refused_before_any_work(images, tmp_path):
    with pytest.raises(BundleError):
        segment_files(images, tmp_path / "out", SegmentConfig(model="unknown"))
    assert not (tmp_path / "out").exists()


def test_positions_are_those_of_the_pixels():
    labels = np.zeros((9, 9), np.int32)
    labels[2:5, 4:7] = 1
    found = Segmentation(labels, np.array([0.75], np.float32), np.zeros((9, 9), np.float32), 3.0)
    row = object_table(found, 7, "a.tif").iloc[0]
    assert (row["Location_Center_X"], row["Location_Center_Y"], row["AreaShape_Area"]) == (5, 3, 9)
    assert (row["ImageNumber"], row["ObjectNumber"], row["NucDL_Confidence"]) == (7, 1, 0.75)


NARROW = {"diameter_range": [60, 90], "bits": [32], "modality": "fluorescence"}


def test_the_record_warns_of_images_unlike_those_that_the_model_was_made_for(images, tmp_path, tiny_bundle):
    bright = field()[0]
    tifffile.imwrite(images[1], (bright.max() - bright).astype(np.uint16))
    config = SegmentConfig(model=str(tiny_bundle), diameter=20, device="cpu")
    edit_description(tiny_bundle, made_for=NARROW)
    black, dark, good = segment_files(images, tmp_path / "out", config)
    # What an untrained model finds may be doubted besides.
    unlike = [[line for line in record.warnings if "made for" in line] for record in (black, dark, good)]
    assert [len(lines) for lines in unlike] == [2, 3, 2]
    run = json.loads((tmp_path / "out" / "run.json").read_text())
    assert run["warned"] == 3
    size, bits, modality = run["results"][1]["warnings"][:3]
    assert "20 px across, but the model was made for 60 to 90 px" in size
    assert "16 bits" in bits and "darker than its background" in modality


def test_a_model_that_does_not_say_what_it_was_made_for_warns_of_doubtful_images_only(images, tmp_path, tiny_bundle):
    segment_files(images[:1], tmp_path / "out", SegmentConfig(model=str(tiny_bundle), diameter=20, device="cpu"))
    (black,) = json.loads((tmp_path / "out" / "run.json").read_text())["results"]
    assert len(black["warnings"]) == 1 and "there is no nucleus" in black["warnings"][0]
    assert black["doubt"] == {"value": 1.0, "reason": "empty"}


def test_the_table_of_images_says_how_many_nuclei_there_are_and_how_far_they_are_doubted(images, tmp_path):
    records = segment_files(images, tmp_path / "out", SegmentConfig())
    table = pd.read_csv(tmp_path / "out" / "images.csv", keep_default_na=False)
    assert list(table.columns) == list(IMAGE_COLUMNS)
    # The second image is damaged.
    assert list(table["ImageNumber"]) == [1, 3] and list(table["FileName"]) == ["black.tif", "good.tif"]
    assert list(table["Count_Nuclei"]) == [0, records[2].nuclei]
    assert list(table["NucDL_DoubtReason"]) == ["empty", ""]


def test_micronuclei_are_marked_in_the_table_of_nuclei():
    labels = np.zeros((60, 60), np.int32)
    labels[10:30, 10:30], labels[40:44, 40:44], labels[0:3, 50:53] = 1, 2, 3
    table = object_table(Segmentation(labels, np.ones(3, np.float32), None, 22.0), 1, "a.tif")
    # The last one is cut off by the border: it may be the end of a nucleus.
    assert list(table["NucDL_Micronucleus"]) == [0, 1, 0]


def test_nuclei_have_classes_by_masks_beside_what_is_measured(tmp_path):
    image, _ = field()
    tifffile.imwrite(tmp_path / "good.tif", image)
    mask = np.zeros(image.shape, np.uint8)
    mask[:, : image.shape[1] // 2] = 3
    (tmp_path / "masks").mkdir()
    tifffile.imwrite(tmp_path / "masks" / "good.tif", mask)
    outputs = ExtraOutputs(classes=str(tmp_path / "masks"), measure=True, keep="area > 20")
    segment_files([tmp_path / "good.tif"], tmp_path / "out", SegmentConfig(), outputs=outputs)
    table = pd.read_csv(tmp_path / "out" / "objects.csv")
    assert list(table.columns[: len(OBJECT_COLUMNS) + 1]) == [*OBJECT_COLUMNS, "NucDL_Class"]
    left = table["Location_Center_X"] < image.shape[1] / 2
    assert set(table.loc[left, "NucDL_Class"]) == {3}
    assert set(table.loc[~left, "NucDL_Class"]) == {0}
