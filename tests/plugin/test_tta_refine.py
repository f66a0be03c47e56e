"""TTARefine: settings, objects, relations, measurements, figure."""

from __future__ import annotations

import json

import numpy as np
import pytest
from conftest import edit_description
from scipy import ndimage

FEATURES = ["Agreement", "ContourShift", "ProbabilityMean"]


@pytest.fixture
def refiner(cellprofiler):
    """A fresh TTARefine, first in its pipeline."""
    made = cellprofiler.modules["TTARefine"]()
    made.image_name.value = "DNA"
    made.x_name.value = "Nuclei"
    made.module_num = 1
    return made


@pytest.fixture
def engine_refines(monkeypatch):
    """Return a function that makes the engine give labels and their parents, and the list of its calls."""
    from nucdl_core import refine
    from nucdl_core.refine import Refined

    def set_result(labels, parents=None):
        calls = []
        count = int(labels.max(initial=0))
        vector = np.linspace(0.5, 1, count, dtype=np.float32)
        parents = np.arange(1, count + 1) if parents is None else np.array(parents)
        shift = np.where(parents > 0, vector, np.nan).astype(np.float32)
        probability = (labels > 0).astype(np.float32)

        def give(image, objects, config, mask, progress):
            calls.append((image, objects, config, mask, progress))
            return Refined(labels, parents.astype(np.int32), vector, shift, vector, probability)

        monkeypatch.setattr(refine, "refine", give)
        return calls

    return set_result


@pytest.fixture
def prepare(refiner, make_workspace):
    """Return a function that makes a workspace with an image and objects called Nuclei in it."""
    from cellprofiler_core.object import Objects

    def make(labels, pixels=None, **image_arguments):
        pixels = np.full(labels.shape, 0.25, np.float32) if pixels is None else pixels
        workspace = make_workspace(refiner, pixels, **image_arguments)
        objects = Objects()
        objects.segmented = labels
        workspace.object_set.add_objects(objects, "Nuclei")
        return workspace

    return make


@pytest.fixture
def run(refiner, prepare, engine_refines):
    """Return a function that runs the module on objects, with the refined labels that the engine is made to give."""

    def run_module(given, refined=None, parents=None):
        engine_refines(given if refined is None else refined, parents)
        workspace = prepare(given)
        refiner.run(workspace)
        return workspace

    return run_module


def blurred_disks(centres, radius=14, shape=(160, 200)):
    rows, cols = np.indices(shape)
    labels = np.zeros(shape, np.int32)
    for number, (row, col) in enumerate(centres, start=1):
        labels[(rows - row) ** 2 + (cols - col) ** 2 <= radius**2] = number
    noise = np.random.default_rng(1).normal(0, 0.005, shape)
    return (0.05 + ndimage.gaussian_filter(0.45 * (labels > 0), 1.5) + noise).astype(np.float32), labels


def test_the_module_is_listed_with_those_that_process_objects(cellprofiler, refiner):
    assert refiner.category == cellprofiler.modules["ExpandOrShrinkObjects"].category == "Object Processing"


@pytest.mark.parametrize("count", [0, 1, 200, 40_000])
def test_refined_nuclei_become_objects_with_one_value_each(run, nuclei_grid, count):
    labels = nuclei_grid(count)
    workspace = run(labels)
    objects, measurements = workspace.object_set.get_objects("RefinedNuclei"), workspace.measurements
    np.testing.assert_array_equal(objects.segmented, labels)
    assert measurements.get_current_image_measurement("Count_RefinedNuclei") == count
    for name in ("Location_Center_X", "Location_Center_Y", *(f"NucDL_{feature}" for feature in FEATURES)):
        assert len(measurements.get_current_measurement("RefinedNuclei", name)) == count
    np.testing.assert_array_equal(
        measurements.get_current_measurement("RefinedNuclei", "Parent_Nuclei"), np.arange(1, count + 1)
    )
    np.testing.assert_array_equal(
        measurements.get_current_measurement("Nuclei", "Children_RefinedNuclei_Count"), np.ones(count)
    )


def test_parents_and_children_tell_what_was_split_removed_and_added(run, nuclei_grid):
    workspace = run(nuclei_grid(3), nuclei_grid(4), [1, 1, 3, 0])
    measurements = workspace.measurements
    np.testing.assert_array_equal(measurements.get_current_measurement("RefinedNuclei", "Parent_Nuclei"), [1, 1, 3, 0])
    np.testing.assert_array_equal(
        measurements.get_current_measurement("Nuclei", "Children_RefinedNuclei_Count"), [2, 0, 1]
    )
    shift = measurements.get_current_measurement("RefinedNuclei", "NucDL_ContourShift")
    np.testing.assert_array_equal(np.isnan(shift), [False, False, False, True])


def test_the_input_objects_stay_and_the_refined_ones_know_their_image(run, nuclei_grid):
    workspace = run(nuclei_grid(3), nuclei_grid(4), [1, 2, 3, 0])
    assert workspace.object_set.get_objects("Nuclei").count == 3
    image = workspace.image_set.get_image("DNA")
    assert workspace.object_set.get_objects("RefinedNuclei").parent_image is image


@pytest.mark.parametrize("count", [0, 200])
def test_what_is_written_is_what_was_declared(refiner, run, written_by, nuclei_grid, count):
    workspace = run(nuclei_grid(count))
    assert written_by(workspace) == {column[:2] for column in refiner.get_measurement_columns(workspace.pipeline)}


def test_settings_objects_and_mask_reach_the_engine(refiner, prepare, engine_refines, nuclei_grid):
    labels = nuclei_grid(4)
    mask = labels < 3
    refiner.views.value = "Eight (mirrored and turned)"
    refiner.contour_offset.value = -1.5
    refiner.wants_split.value = refiner.wants_add.value = True
    refiner.device.value = "CPU"
    calls = engine_refines(labels)
    refiner.run(prepare(labels, mask=mask))
    image, objects, config, valid, _ = calls[0]
    assert image.dtype == np.float32
    np.testing.assert_array_equal(objects, labels)
    np.testing.assert_array_equal(valid, mask)
    assert (config.views, config.contour_offset, config.device) == ("all", -1.5, "cpu")
    assert (config.split, config.merge, config.remove, config.add) == (True, False, False, True)


def test_how_far_a_large_image_is_reaches_cellprofiler(refiner, prepare, engine_refines, nuclei_grid, monkeypatch):
    import _nucdl_progress

    reports = []
    monkeypatch.setattr(_nucdl_progress, "report_progress", lambda *report: reports.append(report))
    calls = engine_refines(nuclei_grid(2))
    refiner.run(prepare(nuclei_grid(2)))
    calls[0][-1](1, 2)
    assert reports == [("NucDL", 0, "Refining nuclei"), ("NucDL", 0.5, "Refining nuclei")]


def test_nothing_but_outlines_changes_unless_a_person_says_so(refiner):
    config = refiner.config()
    assert config["views"] == "flips"
    assert not any(config[switch] for switch in ("split", "merge", "remove", "add"))


def test_overlapping_objects_are_refused(refiner, prepare, nuclei_grid):
    from nucdl_core.errors import ImageError

    workspace = prepare(nuclei_grid(1))
    overlapping = np.array([[3, 3, 1], [3, 4, 1], [3, 4, 2], [3, 5, 2]])
    workspace.object_set.get_objects("Nuclei").set_ijv(overlapping, (10, 10))
    with pytest.raises(ImageError, match="the objects overlap"):
        refiner.run(workspace)


def test_an_error_names_the_file_and_both_shapes(refiner, prepare, nuclei_grid):
    from nucdl_core.errors import ImageError

    workspace = prepare(nuclei_grid(4), np.zeros((9, 30), np.float32), path_name="/somewhere", file_name="f_7.tif")
    with pytest.raises(ImageError, match=r"/somewhere/f_7\.tif.*\(9, 30\).*\(17, 17\)"):
        refiner.run(workspace)


def test_what_was_discarded_beside_the_input_objects_stays_discarded(refiner, prepare, engine_refines, nuclei_grid):
    everything = nuclei_grid(4)
    given = np.where(everything <= 2, everything, 0)
    refined = np.where(everything == 3, 0, given)
    engine_refines(refined)
    workspace = prepare(given)
    objects = workspace.object_set.get_objects("Nuclei")
    objects.unedited_segmented = everything
    objects.small_removed_segmented = np.where(everything == 4, 0, everything)
    refiner.run(workspace)
    found = workspace.object_set.get_objects("RefinedNuclei")
    np.testing.assert_array_equal(found.segmented, refined)
    np.testing.assert_array_equal(found.unedited_segmented, everything)
    np.testing.assert_array_equal(found.small_removed_segmented, np.where(everything == 4, 0, everything))


def test_a_discarded_nucleus_that_is_added_again_is_no_longer_discarded(refiner, prepare, engine_refines, nuclei_grid):
    everything = nuclei_grid(2)
    engine_refines(everything, [1, 0])
    workspace = prepare(np.where(everything == 1, 1, 0))
    workspace.object_set.get_objects("Nuclei").unedited_segmented = everything
    refiner.run(workspace)
    found = workspace.object_set.get_objects("RefinedNuclei")
    for labels in (found.segmented, found.unedited_segmented, found.small_removed_segmented):
        np.testing.assert_array_equal(labels, everything)


@pytest.mark.parametrize("count", [0, 5])
def test_what_the_figure_shows_can_travel_between_processes(refiner, run, nuclei_grid, count):
    refiner.show_window = True
    shown = run(nuclei_grid(count)).display_data.__dict__
    assert {name for name, value in shown.items() if isinstance(value, np.ndarray)} == {"image", "given", "labels"}
    assert json.loads(json.dumps(shown["statistics"])) == shown["statistics"]
    assert shown["statistics"][:2] == [["# of input objects", str(count)], ["# of refined objects", str(count)]]
    assert "nan" not in str(shown["statistics"])


def test_the_table_counts_what_has_changed(refiner, run, nuclei_grid):
    refiner.show_window = True
    table = dict(run(nuclei_grid(3), nuclei_grid(4), [1, 1, 3, 0]).display_data.statistics)
    changes = ("# of objects split", "# of objects merged or removed", "# of nuclei added")
    assert [table[name] for name in changes] == ["1", "1", "1"]


def test_the_figure_warns_of_an_image_unlike_those_that_the_model_was_made_for(
    refiner, run, nuclei_grid, drawn, tiny_bundle
):
    edit_description(tiny_bundle, made_for={"diameter_range": [100, 120]})
    refiner.model.value = "Folder"
    refiner.model_folder.value = f"Elsewhere...|{tiny_bundle}"
    refiner.show_window = True
    refiner.display(run(nuclei_grid(5), nuclei_grid(5), [1, 2, 3, 4, 5]), drawn)
    assert "a typical nucleus of this image is 5.64 px across" in " ".join(drawn.figure.title.split())


def test_the_figure_shows_old_and_new_outlines(refiner, run, nuclei_grid, drawn):
    refiner.show_window = True
    given = nuclei_grid(5)
    refiner.display(run(given, np.where(given <= 4, given, 0), [1, 2, 3, 5]), drawn)
    assert drawn.titles == ["Input image, cycle #1", "RefinedNuclei", "Old and new outlines"]
    assert [(name, shown.max()) for name, shown in drawn.outlines] == [("RefinedNuclei", 4), ("Nuclei", 5)]
    assert drawn.table["# of objects merged or removed"] == "1"


@pytest.mark.parametrize("count", [0, 1, 4])
def test_the_real_engine_brings_wide_outlines_closer_to_bright_disks(refiner, prepare, count):
    image, truth = blurred_disks([(40, 40), (40, 150), (110, 60), (115, 150)][:count])
    wide = ndimage.grey_dilation(truth, size=(5, 5))
    workspace = prepare(wide, image)
    assert refiner.prepare_run(workspace)
    refiner.run(workspace)
    found = workspace.object_set.get_objects("RefinedNuclei")
    assert found.count == count
    wrong_before, wrong_after = (((labels > 0) != (truth > 0)).sum() for labels in (wide, found.segmented))
    assert wrong_after <= 0.5 * wrong_before
    agreement = workspace.measurements.get_current_measurement("RefinedNuclei", "NucDL_Agreement")
    assert (np.asarray(agreement) > 0.8).all()


def test_saved_settings_come_back(refiner, saved):
    refiner.y_name.value = "Kerne"
    refiner.model.value = "Folder"
    refiner.model_folder.value = "Elsewhere...|/models/a folder"
    refiner.views.value = "One"
    refiner.contour_offset.value = 1.25
    for switch in (refiner.wants_split, refiner.wants_merge, refiner.wants_remove, refiner.wants_add):
        switch.value = True
    refiner.device.value = "GPU"
    again = saved(refiner)
    assert [setting.value_text for setting in again.settings()] == [value.value_text for value in refiner.settings()]
    assert again.config() == refiner.config()
    assert (again.config()["views"], again.config()["contour_offset"], again.config()["add"]) == ("none", 1.25, True)


def test_the_order_of_the_settings_in_a_pipeline_file_stays(refiner):
    assert [setting.text for setting in refiner.settings()] == [
        "Select the input image",
        "Select the input objects",
        "Name the refined objects",
        "Select the model",
        "Model folder",
        "Number of views",
        "Move outlines outwards by (pixels)",
        "Split objects that hold several nuclei?",
        "Merge objects that are parts of one nucleus?",
        "Remove objects where there is no nucleus?",
        "Add nuclei where there is no object?",
        "Compute on",
        "Are nuclei brighter or darker than the background?",
    ]
    assert refiner.variable_revision_number == 2


def test_a_pipeline_of_the_first_revision_takes_nuclei_for_bright_as_before(refiner, saved):
    def as_in_the_first_revision(text):
        line = "    Are nuclei brighter or darker than the background?:Automatic\n"
        assert line in text
        return text.replace(line, "").replace("revision_number:2|", "revision_number:1|")

    assert refiner.config()["polarity"] == "auto"
    assert saved(refiner, as_in_the_first_revision).config()["polarity"] == "bright"


def test_the_model_folder_is_shown_when_it_counts(refiner):
    assert "Model folder" not in [setting.text for setting in refiner.visible_settings()]
    refiner.model.value = "Folder"
    shown = [setting for setting in refiner.visible_settings() if setting is not refiner.card_button]
    assert [id(setting) for setting in shown] == [id(setting) for setting in refiner.settings()]


def test_a_model_of_another_family_is_refused_at_its_setting(refiner, pipeline_of, tiny_bundle):
    from cellprofiler_core.setting import ValidationError

    refiner.model.value = "Folder"
    refiner.model_folder.value = f"Elsewhere...|{tiny_bundle}"
    refiner.validate_module(pipeline_of(refiner))
    edit_description(tiny_bundle, family="maskrcnn")
    with pytest.raises(ValidationError, match="family maskrcnn, but one of the family unet is needed") as caught:
        refiner.validate_module(pipeline_of(refiner))
    assert caught.value.get_setting() is refiner.model_folder
