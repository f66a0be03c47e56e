"""CompareNuclei: settings, columns, measurements, label images, figure."""

from __future__ import annotations

import json

import numpy as np
import pytest

FLAGS = ["Matched", "Merged", "Split"]
OBJECT_FEATURES = ["ErrorClass", "IoU", "Partner", *FLAGS]
MATCHED, MISSED, EXTRA, MERGED, SPLIT = range(1, 6)


def field(**regions):
    """Make a (12, 60) label image: each nucleus is 8 rows high and spans the given columns."""
    labels = np.zeros((12, 60), np.int32)
    for number, (first, last) in enumerate(regions.values(), start=1):
        labels[2:10, first:last] = number
    return labels


# One matched, one missed, two merged, one split, and one extra nucleus.
CLASSIC = field(good=(0, 10), lost=(12, 20), left=(22, 27), right=(27, 32), whole=(34, 44))
DEEP = field(good=(0, 9), both=(22, 32), piece=(34, 39), other=(39, 44), extra=(50, 58))
LOADED = CLASSIC.astype(np.float32) / np.float32(65535)  # as CellProfiler loads it from a 16-bit file
CLASSES = ([MATCHED, MISSED, MERGED, MERGED, SPLIT], [MATCHED, MERGED, SPLIT, SPLIT, EXTRA])


@pytest.fixture
def module(cellprofiler):
    """A fresh CompareNuclei, first in its pipeline."""
    made = cellprofiler.modules["CompareNuclei"]()
    made.first_name.value = "Classic"
    made.second_name.value = "Deep"
    made.module_num = 1
    return made


@pytest.fixture
def against_label_image(module):
    """The module, set to a truth that was loaded as an image."""
    module.mode.value = "Test against truth"
    module.kind_of_truth.value = "Label image"
    module.truth_image_name.value = "DNA"
    return module


@pytest.fixture
def prepare(module, make_workspace):
    """Return a function that makes a workspace with an image called DNA and sets of objects."""
    from cellprofiler_core.object import Objects

    def make(image=None, image_arguments=None, **sets):
        shape = next(iter(sets.values())).shape
        pixels = np.full(shape, 0.25, np.float32) if image is None else image
        workspace = make_workspace(module, pixels, **(image_arguments or {}))
        for name, labels in sets.items():
            objects = Objects()
            objects.segmented = labels
            objects.parent_image = workspace.image_set.get_image("DNA") if image is None else None
            workspace.object_set.add_objects(objects, name)
        return workspace

    return make


@pytest.fixture
def run(module, prepare):
    """Return a function that runs the module on two sets of objects."""

    def run_module(first=CLASSIC, second=DEEP):
        workspace = prepare(Classic=first, Deep=second)
        module.run(workspace)
        return workspace

    return run_module


def of_objects(workspace, name, feature):
    other = {"Classic": "Deep", "Deep": "Classic"}[name]
    return workspace.measurements.get_current_measurement(name, f"NucDLCompare_{feature}_{other}").tolist()


def of_image(workspace, feature, pair="Classic_Deep"):
    return workspace.measurements.get_current_image_measurement(f"NucDLCompare_{feature}_{pair}")


def test_the_module_is_listed_with_those_that_measure(cellprofiler, module):
    assert module.category == cellprofiler.modules["MeasureObjectOverlap"].category == "Measurement"


def test_each_object_gets_its_partner_its_iou_and_its_class(run):
    workspace = run()
    assert of_objects(workspace, "Classic", "ErrorClass") == CLASSES[0]
    assert of_objects(workspace, "Deep", "ErrorClass") == CLASSES[1]
    assert of_objects(workspace, "Classic", "Partner") == [1, 0, 2, 2, 3]
    assert of_objects(workspace, "Deep", "Partner") == [1, 3, 5, 5, 0]
    assert of_objects(workspace, "Classic", "IoU") == pytest.approx([0.9, 0, 0.5, 0.5, 0.5])


def test_the_flags_add_up_to_the_counts_of_the_image(run):
    workspace = run()
    counts = {name: of_image(workspace, name) for name in ("Matched", "Missed", "Extra", "Merges", "Splits")}
    assert counts == {"Matched": 1, "Missed": 4, "Extra": 4, "Merges": 1, "Splits": 1}
    assert sum(of_objects(workspace, "Classic", "Missed")) == counts["Missed"]
    assert sum(of_objects(workspace, "Deep", "Extra")) == counts["Extra"]
    assert sum(of_objects(workspace, "Deep", "Merged")) == counts["Merges"]
    assert sum(of_objects(workspace, "Classic", "Split")) == counts["Splits"]
    for name in ("Classic", "Deep"):
        assert sum(of_objects(workspace, name, "Matched")) == counts["Matched"]


def test_the_image_gets_the_scores_of_the_engine(run):
    from nucdl_core.scores.matching import THRESHOLDS, image_scores

    workspace, expected = run(), image_scores(CLASSIC, DEEP)
    assert (of_image(workspace, "CountA"), of_image(workspace, "CountB")) == (5, 5)
    assert of_image(workspace, "MeanF1") == expected["mean_f1"] > 0
    assert of_image(workspace, "DSBScore") == expected["dsb_score"]
    for threshold in THRESHOLDS:
        assert of_image(workspace, f"F1_{threshold * 100:.0f}") == expected[f"f1_{threshold:.2f}"]


def test_precision_and_recall_are_measured_where_there_is_a_truth(module, run):
    features = module.get_measurements(None, "Image", "NucDLCompare")
    assert not {"Precision", "Recall"} & set(features)
    module.mode.value = "Test against truth"
    workspace = run(CLASSIC, np.where(DEEP <= 2, DEEP, 0))
    assert of_image(workspace, "Precision") == pytest.approx(1 / 2)
    assert of_image(workspace, "Recall") == pytest.approx(1 / 5)


def test_the_threshold_decides_what_matches(module, run):
    module.threshold.value = 0.9
    assert of_image(run(), "Matched") == 0
    module.threshold.value = 0.85
    assert of_image(run(), "Matched") == 1


@pytest.mark.parametrize("counts", [(0, 0), (0, 3), (3, 0), (3000, 3000)])
def test_any_number_of_objects_on_either_side_works(module, prepare, nuclei_grid, counts):
    most = nuclei_grid(max(counts))
    sides = [np.where(most <= count, most, 0) for count in counts]
    workspace = prepare(Classic=sides[0], Deep=sides[1])
    module.show_window = True
    module.run(workspace)
    for name, count in zip(("Classic", "Deep"), counts):
        assert all(len(of_objects(workspace, name, feature)) == count for feature in OBJECT_FEATURES)
    assert of_image(workspace, "MeanF1") == (counts[0] == counts[1])


@pytest.mark.parametrize("mode", ["Agreement of A and B", "Test against truth"])
def test_what_is_written_is_what_was_declared(module, run, written_by, mode):
    module.mode.value = mode
    assert written_by(run()) == declared_by(module)


def test_a_truth_as_an_image_gets_no_columns_of_objects(against_label_image, prepare, written_by):
    workspace = prepare(LOADED, {"scale": 65535}, Deep=DEEP)
    against_label_image.run(workspace)
    assert written_by(workspace) == declared_by(against_label_image)
    assert {name for name, _ in declared_by(against_label_image)} == {"Image", "Deep"}
    assert of_image(workspace, "Matched", "DNA_Deep") == 1
    classes = workspace.measurements.get_current_measurement("Deep", "NucDLCompare_ErrorClass_DNA")
    assert classes.tolist() == CLASSES[1]


def declared_by(module):
    return {column[:2] for column in module.get_measurement_columns(None)}


@pytest.mark.parametrize("mode", ["Agreement of A and B", "Test against truth"])
def test_every_column_can_be_chosen_in_later_modules(cellprofiler, module, mode):
    from cellprofiler_core.pipeline import Pipeline
    from cellprofiler_core.setting import Measurement

    module.mode.value = mode
    pipeline, later = Pipeline(), cellprofiler.modules["FilterObjects"]()
    later.module_num = 2
    for added in (module, later):
        pipeline.add_module(added)
    for object_name, column, _ in module.get_measurement_columns(pipeline):
        choice = Measurement("Measurement", lambda name=object_name: name, column)
        later.measurements[0].measurement = choice
        choice.test_valid(pipeline)
        parts = choice.get_category(pipeline), choice.get_feature_name(pipeline), choice.get_object_name(pipeline)
        assert "_".join(parts) == column
    assert len(module.get_measurement_columns(pipeline)) == (35 if mode.startswith("Test") else 33)


def test_filterobjects_takes_a_flag(cellprofiler, run):
    workspace = run()
    filtering = cellprofiler.modules["FilterObjects"]()
    filtering.x_name.value, filtering.y_name.value = "Deep", "Doubtful"
    filtering.measurements[0].measurement.value = "NucDLCompare_Matched_Classic"
    filtering.measurements[0].wants_minimum.value = False
    filtering.measurements[0].max_limit.value = 0
    filtering.run(workspace)
    assert workspace.object_set.get_objects("Doubtful").count == 4


@pytest.mark.parametrize(
    "pixels, scale, reason",
    [
        (LOADED, 4095, "do not give whole numbers"),
        (CLASSIC / np.float32(7), None, "do not give whole numbers"),
        (np.full((4, 4), np.nan, np.float32), 255, "do not give whole numbers"),
        (LOADED + np.float32(32768 / 65535), 65535, "no pixel is background"),
        (CLASSIC > 0, None, "binary mask"),
        (np.repeat(LOADED[:, :, None], 3, axis=2), 65535, "color image"),
        (np.random.default_rng(1).integers(0, 90, (12, 60)).astype(np.float32) / 65535, 65535, "an image of intens"),
        (-CLASSIC.astype(np.float32), 1, "labels start at 0"),
    ],
)
def test_an_image_that_is_no_label_image_is_refused_with_its_file(against_label_image, prepare, pixels, scale, reason):
    from nucdl_core.errors import ImageError

    where = {"scale": scale, "path_name": "/somewhere", "file_name": "truth_7.tif"}
    with pytest.raises(ImageError, match=rf"/somewhere/truth_7\.tif: .*{reason}"):
        against_label_image.run(prepare(pixels, where, Deep=DEEP))


def test_different_sizes_are_refused_with_both_names(run):
    from nucdl_core.errors import ImageError

    with pytest.raises(ImageError, match=r"Classic has 12 x 60 and Deep has 12 x 58 pixels"):
        run(CLASSIC, DEEP[:, 2:])


def test_overlapping_objects_are_refused_by_name(module, prepare):
    from nucdl_core.errors import ImageError

    workspace = prepare(Classic=CLASSIC, Deep=DEEP)
    overlapping = np.array([[3, 3, 1], [3, 4, 1], [3, 4, 2], [3, 5, 2]])
    workspace.object_set.get_objects("Deep").set_ijv(overlapping, (12, 60))
    with pytest.raises(ImageError, match="the objects Deep overlap"):
        module.run(workspace)


def test_gaps_in_the_numbers_of_loaded_objects_keep_the_rows_in_place(run):
    gaps = np.array([0, 2, 4, 5, 7, 9], np.int32)[CLASSIC]
    workspace = run(gaps)
    assert workspace.object_set.get_objects("Classic").count == 9
    assert of_objects(workspace, "Classic", "ErrorClass") == [0, MATCHED, 0, MISSED, MERGED, 0, MERGED, 0, SPLIT]
    assert of_objects(workspace, "Deep", "Partner") == [2, 5, 9, 9, 0]
    assert of_image(workspace, "CountA") == 5
    assert sum(of_objects(workspace, "Classic", "Missed")) == 4


def test_what_the_figure_shows_can_travel_between_processes(module, run):
    module.show_window = True
    shown = run().display_data.__dict__
    pictures = {name: value for name, value in shown.items() if isinstance(value, np.ndarray)}
    assert set(pictures) == {"outlines", "first", "second"}
    assert {(picture.shape, picture.dtype.name) for picture in pictures.values()} == {((12, 60, 3), "uint8")}
    table = dict(shown["statistics"])
    assert json.loads(json.dumps(shown["statistics"])) == shown["statistics"]
    assert (table["# of Classic (A)"], table["# of merges in B"], table["F1 at IoU 0.7"]) == ("5", "1", "0.200")


def test_every_class_is_seen_in_its_colour(module, run):
    from nucdl_core.scores.object_errors import COLOURS, ErrorClass

    module.show_window = True
    shown = run().display_data
    for picture, classes, columns in (
        (shown.first, CLASSES[0], (4, 16, 24, 29, 38)),
        (shown.second, CLASSES[1], (4, 26, 36, 41, 54)),
    ):
        for kind, column in zip(classes, columns):
            assert picture[5, column].tolist() == list(COLOURS[ErrorClass(kind)])


def test_nothing_is_drawn_without_a_window(run):
    assert "outlines" not in run().display_data.__dict__


@pytest.mark.parametrize(("first", "second", "shown"), [(0.25, 0.75, 0.75), (0.25, None, 0.25), (None, None, 0)])
def test_the_outlines_are_drawn_on_the_image_of_the_second_set_if_it_has_one(cellprofiler, first, second, shown):
    from _nucdl_compare import Side, background
    from cellprofiler_core.image import Image

    images = [None if value is None else Image(np.full(CLASSIC.shape, value)) for value in (first, second)]
    sides = [Side(name, labels, image) for name, labels, image in zip("AB", (CLASSIC, DEEP), images)]
    assert np.unique(background(*sides)).tolist() == [shown]


def test_a_background_of_another_size_is_left_out(module, prepare):
    module.show_window = True
    workspace = prepare(np.ones((5, 5), np.float32), Classic=CLASSIC, Deep=DEEP)
    workspace.object_set.get_objects("Deep").parent_image = workspace.image_set.get_image("DNA")
    module.run(workspace)
    assert not workspace.display_data.outlines[0].any()


def test_the_figure_shows_three_pictures_a_legend_and_a_table(module, run):
    panels, legends = [], []

    class Axes:
        def legend(self, handles, **_):
            legends.extend(handle.get_label() for handle in handles)

    class Figure:
        def set_subplots(self, layout):
            panels.append(layout)

        def subplot_imshow_color(self, x, y, image, title, sharexy=None):
            panels.append((x, y, title))
            assert image.dtype == np.float32  # CellProfiler shows numbers above 1 in white
            assert 0 < image.max() <= 1
            return Axes()

        def subplot_table(self, x, y, values, row_labels):
            panels.append((x, y, len(values) == len(row_labels)))

    module.show_window = True
    module.display(run(), Figure())
    assert panels == [
        (2, 2),
        (0, 0, "Outlines, cycle #1"),
        (1, 0, "Classic (A)"),
        (0, 1, "Deep (B)"),
        (1, 1, True),
    ]
    assert legends == ["matched", "missed", "extra", "merged", "split"]


def test_saved_settings_come_back(against_label_image, saved):
    against_label_image.threshold.value = 0.55
    assert [setting.value_text for setting in saved(against_label_image).settings()] == [
        "Test against truth",
        "Label image",
        "Classic",
        "DNA",
        "Deep",
        "0.55",
    ]


def test_the_order_of_the_settings_in_a_pipeline_file_stays(module):
    assert [setting.text for setting in module.settings()] == [
        "Select what to measure",
        "Select what the truth was loaded as",
        "Select the objects A",
        "Select the label image A",
        "Select the objects B",
        "Overlap above which two nuclei match",
    ]
    assert module.variable_revision_number == 1


def test_only_the_settings_that_count_are_shown(module):
    def shown():
        return [setting.text for setting in module.visible_settings()]

    assert "Select what the truth was loaded as" not in shown()
    module.kind_of_truth.value = "Label image"
    assert "Select the objects A" in shown()
    module.mode.value = "Test against truth"
    assert "Select the objects A" not in shown()
    assert {"Select the label image A", "Select what the truth was loaded as"} <= set(shown())


@pytest.mark.parametrize(
    "name, value, reason",
    [
        ("second_name", "Classic", "cannot be compared with itself"),
        ("threshold", 0.45, "from 0.5 up to"),
        ("threshold", 1.0, "from 0.5 up to"),
        ("second_name", "NucleiOfThePatientsBeforeTreatment", "shorter names"),
    ],
)
def test_an_impossible_value_is_refused_at_its_setting(module, pipeline_of, name, value, reason):
    from cellprofiler_core.setting import ValidationError

    getattr(module, name).value = value
    with pytest.raises(ValidationError, match=reason) as caught:
        module.validate_module(pipeline_of(module))
    assert caught.value.get_setting() is getattr(module, name)


def test_the_same_name_for_the_label_image_and_the_objects_is_no_comparison_with_itself(
    against_label_image, pipeline_of
):
    against_label_image.truth_image_name.value = "Deep"
    against_label_image.validate_module(pipeline_of(against_label_image))


def test_the_same_pair_twice_in_a_pipeline_is_refused(cellprofiler, module, pipeline_of):
    from cellprofiler_core.setting import ValidationError

    again = cellprofiler.modules["CompareNuclei"]()
    again.first_name.value, again.second_name.value = "Deep", "Classic"
    pipeline = pipeline_of(module, again)
    module.validate_module(pipeline)
    with pytest.raises(ValidationError, match="module #1 already compares Deep and Classic") as caught:
        again.validate_module(pipeline)
    assert caught.value.get_setting() is again.second_name
    again.first_name.value = "Truth"
    again.validate_module(pipeline)
    columns = [column[:2] for added in (module, again) for column in added.get_measurement_columns(pipeline)]
    assert len(set(columns)) == len(columns)


def test_no_column_is_longer_than_a_database_allows(module, pipeline_of):
    from cellprofiler_core.setting import ValidationError

    pipeline = pipeline_of(module)
    module.first_name.value, module.second_name.value = "NucleiClassicTuned2", "NucleiDeepTuned"
    module.mode.value = "Test against truth"
    module.validate_module(pipeline)
    assert max(len(f"{name}_{column}") for name, column in declared_by(module)) == 64
    module.first_name.value += "b"
    with pytest.raises(ValidationError, match="65 characters"):
        module.validate_module(pipeline)


@pytest.mark.parametrize("name, value", [("threshold", "high"), ("mode", "Guess")])
def test_a_value_that_is_none_is_refused_before_the_first_image(module, prepare, name, value):
    from cellprofiler_core.setting import ValidationError

    getattr(module, name).value_text = value
    with pytest.raises(ValidationError) as caught:
        module.prepare_run(prepare(Classic=CLASSIC, Deep=DEEP))
    assert caught.value.get_setting() is getattr(module, name)


def test_a_run_that_can_succeed_may_start(module, prepare):
    assert module.prepare_run(prepare(Classic=CLASSIC, Deep=DEEP))
