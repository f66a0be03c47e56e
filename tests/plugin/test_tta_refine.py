"""TTARefine: settings, objects, relations, measurements, figure."""

from __future__ import annotations

import io
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


def test_cellprofiler_finds_the_module_under_its_class_name(cellprofiler, refiner):
    assert refiner.module_name == "TTARefine"
    assert refiner.category == cellprofiler.modules["ExpandOrShrinkObjects"].category == "Object Processing"
    assert not refiner.volumetric()


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
def test_what_is_written_is_what_was_declared(refiner, run, nuclei_grid, count):
    workspace = run(nuclei_grid(count))
    declared = {(column[0], column[1]) for column in refiner.get_measurement_columns(workspace.pipeline)}
    measurements = workspace.measurements
    automatic = {"ImageNumber", "Group_Number", "Group_Index", "Group_Length"}
    written = {
        (name, feature)
        for name in measurements.get_object_names()
        if name != "Experiment"
        for feature in measurements.get_feature_names(name)
        if feature not in automatic
    }
    assert written == declared


def test_every_declared_column_can_be_chosen_in_the_window(refiner):
    for object_name, feature, _ in refiner.get_measurement_columns(None):
        category, name = feature.split("_", 1)
        assert category in refiner.get_categories(None, object_name)
        assert name in refiner.get_measurements(None, object_name, category)


def test_other_objects_get_no_measurements(refiner):
    assert refiner.get_categories(None, "Cells") == []
    assert refiner.get_measurements(None, "Cells", "NucDL") == []


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
    assert config.views == "flips"
    assert not config.edits


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


def test_the_figure_shows_old_and_new_outlines(refiner, run, nuclei_grid):
    panels = []

    class Figure:
        def __getattr__(self, name):
            return lambda *arguments, **keywords: panels.append((name, arguments[:2], keywords.get("cplabels")))

    refiner.show_window = True
    refiner.display(run(nuclei_grid(5)), Figure())
    assert [panel[:2] for panel in panels[1:]] == [
        ("subplot_imshow_grayscale", (0, 0)),
        ("subplot_imshow_labels", (1, 0)),
        ("subplot_imshow_grayscale", (0, 1)),
        ("subplot_table", (1, 1)),
    ]
    assert [outline["name"] for outline in panels[3][2]] == ["RefinedNuclei", "Nuclei"]


@pytest.mark.parametrize("count", [0, 1, 4])
def test_the_real_engine_brings_wide_outlines_closer_to_bright_disks(refiner, prepare, count):
    image, truth = blurred_disks([(40, 40), (40, 150), (110, 60), (115, 150)][:count])
    wide = ndimage.grey_dilation(truth, size=(5, 5))
    workspace = prepare(wide, image)
    assert refiner.prepare_run(workspace)
    refiner.run(workspace)
    found = workspace.object_set.get_objects("RefinedNuclei")
    assert found.count == count
    assert ((found.segmented > 0) != (truth > 0)).sum() <= ((wide > 0) != (truth > 0)).sum()
    agreement = workspace.measurements.get_current_measurement("RefinedNuclei", "NucDL_Agreement")
    assert (np.asarray(agreement) > 0.8).all()


def test_saved_settings_come_back(refiner):
    from cellprofiler_core.pipeline import Pipeline

    refiner.y_name.value = "Kerne"
    refiner.model.value = "Folder"
    refiner.model_folder.value = "Elsewhere...|/models/a folder"
    refiner.views.value = "One"
    refiner.contour_offset.value = 1.25
    for switch in (refiner.wants_split, refiner.wants_merge, refiner.wants_remove, refiner.wants_add):
        switch.value = True
    refiner.device.value = "GPU"
    pipeline, text = Pipeline(), io.StringIO()
    pipeline.add_module(refiner)
    pipeline.dump(text, save_image_plane_details=False)
    loaded = Pipeline()
    loaded.loadtxt(io.StringIO(text.getvalue()))
    again = loaded.modules()[0]
    assert [setting.value_text for setting in again.settings()] == [value.value_text for value in refiner.settings()]
    assert again.config() == refiner.config()


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
    ]
    assert refiner.variable_revision_number == 1


def test_the_model_folder_is_shown_when_it_counts(refiner):
    assert "Model folder" not in [setting.text for setting in refiner.visible_settings()]
    refiner.model.value = "Folder"
    assert refiner.visible_settings() == refiner.settings()


def test_every_setting_explains_itself_and_the_help_page_has_no_broken_markup(refiner):
    assert all(len(setting.doc) > 40 for setting in refiner.settings())
    page = refiner.get_help()
    assert "Moshkov" in page and "Hollandi" in page
    assert "system-message" not in page


@pytest.mark.parametrize(
    "name, value, reason",
    [
        ("contour_offset", 50, "give pixels from -20 to 20"),
        ("device", "Abacus", "Abacus"),
        ("views", "Three", "Three"),
        ("model", "nuclei_of_the_future", "nuclei_of_the_future"),
    ],
)
def test_an_impossible_value_is_refused_at_its_setting(refiner, name, value, reason):
    from cellprofiler_core.setting import ValidationError

    getattr(refiner, name).value = value
    with pytest.raises(ValidationError, match=reason) as caught:
        refiner.validate_module(None)
    assert caught.value.get_setting() is getattr(refiner, name)


def test_a_model_of_another_family_is_refused_at_its_setting(refiner, tiny_bundle):
    from cellprofiler_core.setting import ValidationError

    refiner.model.value = "Folder"
    refiner.model_folder.value = f"Elsewhere...|{tiny_bundle}"
    refiner.validate_module(None)
    edit_description(tiny_bundle, family="maskrcnn")
    with pytest.raises(ValidationError, match="family maskrcnn, but one of the family unet is needed") as caught:
        refiner.validate_module(None)
    assert caught.value.get_setting() is refiner.model_folder


def test_settings_that_cannot_be_understood_are_refused_in_words(refiner):
    from cellprofiler_core.setting import ValidationError

    values = [setting.value_text for setting in refiner.settings()]
    refiner.upgrade_settings(values[:-1], 1, "TTARefine")
    with pytest.raises(ValidationError, match="11 settings of this module instead of 12"):
        refiner.validate_module(None)
    refiner.upgrade_settings(values, 2, "TTARefine")
    with pytest.raises(ValidationError, match="newer NucDL"):
        refiner.validate_module(None)
    assert refiner.upgrade_settings(values, 1, "TTARefine") == (values, 1)
    refiner.validate_module(None)


def test_the_module_says_when_the_engine_is_missing(refiner, monkeypatch):
    import _nucdl_cellprofiler
    from cellprofiler_core.setting import ValidationError

    monkeypatch.setattr(_nucdl_cellprofiler, "engine_problem", lambda: "NucDL's engine does not work")
    with pytest.raises(ValidationError, match="engine does not work"):
        refiner.validate_module(None)


def test_a_run_with_a_number_that_is_none_is_refused_before_the_first_image(refiner, prepare, nuclei_grid):
    from cellprofiler_core.setting import ValidationError

    refiner.contour_offset.value_text = "wide"
    with pytest.raises(ValidationError, match="decimal"):
        refiner.prepare_run(prepare(nuclei_grid(1)))


def test_the_model_folder_is_altered_for_a_batch(refiner):
    refiner.model.value = "Folder"
    refiner.model_folder.value = "Elsewhere...|/here/model"
    assert refiner.prepare_to_create_batch(None, lambda path, **_: path.replace("/here", "/cluster"))
    assert refiner.model_name() == "/cluster/model"
