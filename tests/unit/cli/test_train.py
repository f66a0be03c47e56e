"""nucdl tune."""

import json

from commands import nucdl


def test_a_tuned_model_is_used_with_all_choices_of_a_segmentation(tmp_path):
    assert nucdl("simulate", "--output", tmp_path / "data", "--fields", 3, "--size", "120x140").exit_code == 0
    (tmp_path / "data" / "labels").rename(tmp_path / "data" / "masks")
    for path in (tmp_path / "data" / "masks").iterdir():
        path.rename(path.with_name(path.name.replace("_labels", "")))
    options = ("--output", tmp_path / "mine", "--generations", 1, "--population", 5)
    result = nucdl("tune", "--data", tmp_path / "data", *options)
    assert result.exit_code == 0, result.output
    assert "DSB score on 1 images that took no part" in result.output
    choices = ("--model", tmp_path / "mine", "--refine", "on", "--views", "flips", "--contour-offset", "0.5")
    result = nucdl("segment", tmp_path / "data" / "images", "--output", tmp_path / "found", *choices)
    assert result.exit_code == 0, result.output
    run = json.loads((tmp_path / "found" / "run.json").read_text())
    assert run["model"]["name"] == "mine"
    assert [run["config"][key] for key in ("refine", "views", "contour_offset")] == [True, "flips", 0.5]
