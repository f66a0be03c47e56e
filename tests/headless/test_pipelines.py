"""The example pipelines in the real cellprofiler command."""

from __future__ import annotations

import functools
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from nucdl_core.cellprofiler.headless import LOG_NAME, HeadlessError, check_tables
from nucdl_core.config import DEFAULT_MODEL, SegmentConfig
from nucdl_core.files.reading import read_image, read_labels
from nucdl_core.model.bundle import ZOO
from nucdl_core.reports.folders import evaluate_folders
from nucdl_core.scores.compare import compare
from nucdl_core.segment import segment

REPOSITORY = Path(__file__).resolve().parents[2]
PIPELINES = {
    "classic_basic": {"Nuclei": ""},
    "classic_advanced": {"Nuclei": ""},
    "deep": {"Nuclei": ""},
    "compare": {"NucleiClassic": "_classic", "Nuclei": "_deep"},
    "refine_classic": {"Nuclei": ""},
    "cell_painting_start": {"Nuclei": ""},
}


@pytest.mark.parametrize("name", PIPELINES)
def test_a_pipeline_leaves_tables_label_images_and_pictures_that_agree(finished, plate, name):
    output = finished(name)
    images = check_tables(output, 2, list(PIPELINES[name]))
    assert images["Metadata_Well"].notna().all()
    for objects, ending in PIPELINES[name].items():
        nuclei = pd.read_csv(output / f"{objects}.csv")
        assert {"ObjectNumber", "AreaShape_Area", "Intensity_MeanIntensity_DNA", "Location_Center_X"} <= set(nuclei)
        _, summary = evaluate_folders(plate / "labels", output / f"labels{ending}")
        assert summary["n_prediction"] == images[f"Count_{objects}"].sum() > 0
        for row in images.itertuples():
            stem = Path(row.FileName_DNA).stem
            labels = read_labels(output / f"labels{ending}" / f"{stem}_labels.tiff")
            areas = nuclei.loc[nuclei["ImageNumber"] == row.ImageNumber, "AreaShape_Area"]
            np.testing.assert_array_equal(np.bincount(labels.ravel())[1:], areas)
            with Image.open(output / f"overlays{ending}" / f"{stem}_overlay.png") as overlay:
                assert (overlay.mode, overlay.size[::-1]) == ("RGB", labels.shape)


def test_the_advanced_pipeline_keeps_the_candidates_that_are_compact(finished):
    candidates = pd.read_csv(finished("classic_advanced") / "Candidates.csv")
    compact = (candidates["AreaShape_Solidity"] >= 0.87) & (candidates["AreaShape_Extent"] >= 0.55)
    assert 0 < compact.sum() < len(candidates)
    np.testing.assert_array_equal(candidates["Children_Nuclei_Count"], compact)


def test_both_sides_of_the_comparison_are_compared_in_its_tables(finished):
    output = finished("compare")
    check_comparison(output, "NucleiClassic", [output / "labels_classic", output / "labels_deep"])


def check_comparison(output, name, folders):
    """Compare what CompareNuclei wrote about the deep nuclei with what the engine says about the label images."""
    images, nuclei = pd.read_csv(output / "Image.csv"), pd.read_csv(output / "Nuclei.csv")
    for row in images.to_dict("records"):
        stem = Path(row["FileName_DNA"]).stem
        labels = [read_labels(next(folder.glob(f"{stem}_labels.tif*"))) for folder in folders]
        expected = compare(*labels)
        measured = {feature: row[f"NucDLCompare_{feature}_{name}_Nuclei"] for feature in ("MeanF1", "F1_70", "Merges")}
        assert measured == pytest.approx(
            {
                "MeanF1": expected.scores["mean_f1"],
                "F1_70": expected.scores["f1_0.70"],
                "Merges": expected.scores["merges"],
            }
        )
        of_image = nuclei[nuclei["ImageNumber"] == row["ImageNumber"]]
        np.testing.assert_array_equal(of_image[f"NucDLCompare_Partner_{name}"], expected.prediction.partner)
        np.testing.assert_array_equal(of_image[f"NucDLCompare_ErrorClass_{name}"], expected.prediction.error)
        np.testing.assert_allclose(of_image[f"NucDLCompare_IoU_{name}"], expected.prediction.iou)
    assert images[f"NucDLCompare_MeanF1_{name}_Nuclei"].min() > 0.3


def test_a_truth_may_be_objects_or_a_label_image(run_pipeline, changed_pipeline, plate, tmp_path):
    rows = pd.read_csv(plate / "load_data.csv")
    for kind, name in (("", "TruthImage"), ("Objects", "Truth")):
        rows[f"Image_{kind}FileName_{name}"] = [f"{Path(file).stem}_labels.tif" for file in rows["Image_FileName_DNA"]]
        rows[f"Image_{kind}PathName_{name}"] = str(plate / "labels")
    rows.to_csv(tmp_path / "list.csv", index=False)
    text = (REPOSITORY / "pipelines" / "compare.cppipe").read_text(encoding="utf-8")
    blocks = {block.split(":")[0]: block for block in text.split("\n\n")}
    settings = [("Agreement of A and B", "Test against truth"), ("objects A:NucleiClassic", "objects A:Truth")]
    of_objects = functools.reduce(lambda block, change: block.replace(*change), settings, blocks["CompareNuclei"])
    settings = [("loaded as:Objects", "loaded as:Label image"), ("label image A:None", "label image A:TruthImage")]
    of_image = functools.reduce(lambda block, change: block.replace(*change), settings, of_objects)
    # The second comparison takes the place of a module that is not needed here.
    replaced = blocks["MeasureObjectIntensity"]
    of_image = of_image.replace(module_number(of_image), module_number(replaced))
    pipeline = changed_pipeline("compare", (blocks["CompareNuclei"], of_objects), (replaced, of_image))
    output = run_pipeline(pipeline, tmp_path / "list.csv")
    for name in ("Truth", "TruthImage"):
        check_comparison(output, name, [plate / "labels", output / "labels_deep"])
    missed = pd.read_csv(output / "Truth.csv")["NucDLCompare_Missed_Nuclei"]
    images = pd.read_csv(output / "Image.csv")
    assert missed.sum() == images["NucDLCompare_Missed_Truth_Nuclei"].sum()
    assert (images["NucDLCompare_Recall_Truth_Nuclei"] == images["NucDLCompare_Recall_TruthImage_Nuclei"]).all()


def module_number(block):
    return re.search(r"module_num:\d+\|", block).group()


def test_refined_nuclei_are_the_classic_ones_with_other_outlines(finished):
    output = finished("refine_classic")
    classic, refined = pd.read_csv(output / "NucleiClassic.csv"), pd.read_csv(output / "Nuclei.csv")
    np.testing.assert_array_equal(refined["Parent_NucleiClassic"], classic["ObjectNumber"])
    assert {"NucDL_Agreement", "NucDL_ContourShift", "NucDL_ProbabilityMean"} <= set(refined)
    assert not np.array_equal(refined["AreaShape_Area"], classic["AreaShape_Area"])


def test_nuclei_cells_and_cytoplasm_join_as_profiling_tools_expect(finished):
    output = finished("cell_painting_start")
    nuclei, cells, cytoplasm = (pd.read_csv(output / f"{name}.csv") for name in ("Nuclei", "Cells", "Cytoplasm"))
    keys = ["ImageNumber", "Number_Object_Number"]
    for table, parent in ((nuclei, "Parent_Nuclei"), (cells, "Parent_Cells")):
        joined = cytoplasm.merge(table, left_on=["ImageNumber", parent], right_on=keys, validate="one_to_one")
        assert len(joined) == len(cytoplasm) == len(table) > 10
    assert {"Metadata_Plate", "Metadata_Well", "Metadata_Site", "FileName_DNA", "FileName_AGP"} <= set(
        pd.read_csv(output / "Image.csv")
    )
    assert (cells["AreaShape_Area"] > 1.2 * nuclei["AreaShape_Area"]).all()
    for kind in ("AreaShape_", "Intensity_", "RadialDistribution_", "Texture_", "Correlation_"):
        assert all(any(column.startswith(kind) for column in table) for table in (nuclei, cells, cytoplasm)), kind
    assert any(column.startswith("Neighbors_") for column in cells)


def test_cellprofiler_gives_the_nuclei_that_the_engine_gives_without_it(finished, plate):
    output = finished("deep")
    images = pd.read_csv(output / "Image.csv")
    confidence = pd.read_csv(output / "Nuclei.csv")["NucDL_Confidence"]
    scores = []
    for row in images.itertuples():
        alone = segment(read_image(plate / "images" / row.FileName_DNA), SegmentConfig())
        labels = read_labels(output / "labels" / f"{Path(row.FileName_DNA).stem}_labels.tiff")
        assert (labels != alone.labels).mean() < 0.001
        assert row.NucDL_Diameter == pytest.approx(alone.diameter, rel=0.01)
        scores.append(alone.scores)
    np.testing.assert_allclose(confidence, np.concatenate(scores), atol=0.02)


def test_the_module_writes_its_time(finished):
    images = pd.read_csv(finished("deep") / "Image.csv")
    assert (images["ExecutionTime_02IdentifyNucleiDL"] > 0).all()
    assert (images["ModuleError_02IdentifyNucleiDL"] == 0).all()


def test_a_missing_plugin_does_not_pass_for_a_success(run_pipeline, tmp_path):
    (tmp_path / "no_plugins").mkdir()
    with pytest.raises(HeadlessError, match="was not written"):
        check_tables(run_pipeline("deep", plugins=tmp_path / "no_plugins"), 2, ["Nuclei"])


def test_a_cut_off_image_stops_the_deep_pipeline_with_its_name(run_pipeline, plate, tmp_path):
    rows = pd.read_csv(plate / "load_data.csv")
    source = plate / "images" / rows["Image_FileName_DNA"][0]
    (tmp_path / "cut.tif").write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    rows.loc[0, ["Image_FileName_DNA", "Image_PathName_DNA"]] = ["cut.tif", str(tmp_path)]
    rows.to_csv(tmp_path / "list.csv", index=False)
    with pytest.raises(HeadlessError, match=r"ImageError: .*cut\.tif: .*cut off"):
        run_pipeline("deep", tmp_path / "list.csv")


def test_a_model_folder_is_used_and_an_altered_one_refused(run_pipeline, changed_pipeline, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(ZOO / DEFAULT_MODEL, folder)
    pipeline = changed_pipeline(
        "deep",
        (f"Select the model:{DEFAULT_MODEL}", "Select the model:Folder"),
        ("Model folder:Elsewhere...|", f"Model folder:Elsewhere...|{folder}"),
    )
    check_tables(run_pipeline(pipeline), 2, ["Nuclei"])
    weights = folder / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(HeadlessError, match=r"BundleError: .*weights\.safetensors was altered"):
        run_pipeline(pipeline)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (f"Select the model:{DEFAULT_MODEL}", "Select the model:nuclei_of_the_future", "nuclei_of_the_future"),
        ("variable_revision_number:6|show_window:True", "variable_revision_number:9|show_window:True", "newer NucDL"),
        ("    Compute on:Automatic\n", "", "22 settings"),
    ],
)
def test_settings_that_cannot_work_stop_the_run_before_the_first_image(
    run_pipeline, changed_pipeline, tmp_path, old, new, reason
):
    with pytest.raises(HeadlessError, match=reason):
        run_pipeline(changed_pipeline("deep", (old, new)))
    assert "Image # 1" not in (tmp_path / "output" / LOG_NAME).read_text(encoding="utf-8")
