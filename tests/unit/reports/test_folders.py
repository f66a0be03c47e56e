"""Folders of segmentations against folders of truth."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from nucdl_core.errors import ImageError, NucDLError
from nucdl_core.files.writing import write_labels
from nucdl_core.reports import folders as evaluate
from nucdl_core.scores.matching import AVERAGED, COUNTED

LABELS = np.kron(np.array([[0, 1], [2, 0]]), np.ones((5, 5))).astype(np.int32)


@pytest.fixture
def folders(tmp_path):
    made = tmp_path / "truth", tmp_path / "prediction"
    for folder in made:
        folder.mkdir()
    return made


def fill(folder, *names, labels=LABELS):
    for name in names:
        write_labels(folder / name, labels)


def test_images_are_paired_by_stem(folders):
    truth, prediction = folders
    fill(truth, "b.tif", "a.tiff")
    fill(prediction, "a_labels.tif", labels=np.zeros_like(LABELS))
    fill(prediction, "b_labels.tif")
    table, summary = evaluate.evaluate_folders(truth, str(prediction))
    assert table["image"].tolist() == ["a", "b"]
    assert table["mean_f1"].tolist() == [0.0, 1.0]
    assert sorted(table.columns) == sorted(("image", *AVERAGED, *COUNTED))
    assert summary["mean_f1"] == 0.5
    assert summary["images"] == 2
    assert summary["missed_share_0.70"] == 0.5


def test_a_png_can_be_truth(folders):
    truth, prediction = folders
    Image.fromarray(LABELS.astype(np.uint8)).save(truth / "a.PNG")
    fill(prediction, "a.tif")
    assert evaluate.evaluate_folders(truth, prediction)[1]["mean_f1"] == 1.0


def test_other_files_beside_label_images_do_not_count(folders):
    truth, prediction = folders
    fill(truth, "a_labels.tif")
    fill(prediction, "a_labels.tif")
    (prediction / "a_overlay.png").touch()
    (truth / "a.tif").touch()
    (prediction / "objects.csv").touch()
    assert evaluate.evaluate_folders(truth, prediction)[1]["images"] == 1


def test_a_missing_partner_is_named(folders):
    truth, prediction = folders
    fill(truth, "a.tif", "b.tif", "c.tif")
    fill(prediction, "a_labels.tif")
    with pytest.raises(ImageError, match=r"b.tif and 1 more: no b_labels.tif, b.tif, .tiff or .png in .*prediction"):
        evaluate.evaluate_folders(truth, prediction)
    with pytest.raises(ImageError, match=r"b.tif and 1 more: no b_labels.tif"):
        evaluate.evaluate_folders(prediction, truth)


def test_two_files_of_one_image_are_refused(folders):
    truth, prediction = folders
    fill(truth, "a.tif", "a.tiff")
    fill(prediction, "a.tif")
    with pytest.raises(ImageError, match=r"a.tiff: a.tif beside it is the same image"):
        evaluate.evaluate_folders(truth, prediction)


def test_different_shapes_are_refused_by_name(folders):
    truth, prediction = folders
    fill(truth, "a.tif")
    fill(prediction, "a.tif", labels=LABELS[:-1])
    with pytest.raises(ImageError, match=r"prediction/a.tif against .*truth/a.tif: .*differ in shape"):
        evaluate.evaluate_folders(truth, prediction)


def test_a_damaged_label_image_is_refused_by_name(folders):
    truth, prediction = folders
    fill(truth, "a.tif")
    (prediction / "a.tif").write_bytes((truth / "a.tif").read_bytes()[:-20])
    with pytest.raises(ImageError, match=r"prediction/a.tif: .*damaged or cut off"):
        evaluate.evaluate_folders(truth, prediction)


def test_an_empty_folder_and_a_missing_one_are_refused(folders, tmp_path):
    truth, prediction = folders
    fill(truth, "a.tif")
    with pytest.raises(ImageError, match="prediction: the folder has no label images"):
        evaluate.evaluate_folders(truth, prediction)
    with pytest.raises(ImageError, match="gone: the folder cannot be read"):
        evaluate.evaluate_folders(truth, tmp_path / "gone")


def test_the_result_is_written_and_read_again(folders, tmp_path):
    for folder in folders:
        fill(folder, "a.tif")
    table, summary = evaluate.evaluate_folders(*folders)
    evaluate.write_evaluation(tmp_path / "new" / "result", table, summary)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "new" / "result" / "evaluation.csv"), table)
    assert json.loads((tmp_path / "new" / "result" / "summary.json").read_text()) == summary


def test_a_result_that_cannot_be_written_is_an_error(folders, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NucDLError, match="file"):
        evaluate.write_evaluation(tmp_path / "file", pd.DataFrame({"image": ["a"]}), {})


def test_the_summary_is_a_short_aligned_table(folders):
    for folder in folders:
        fill(folder, "a.tif")
    text = evaluate.summary_text(evaluate.evaluate_folders(*folders)[1])
    lines = text.splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[2].split() == ["mean", "F1", "(IoU", "0.50", "to", "0.95)", "1.000"]
    assert "0 (0.0%)" in text
