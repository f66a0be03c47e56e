"""AnnotateNuclei: what is shown in its window and taken from it, what is saved, what it does without a window."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

LABELS = np.zeros((30, 40), np.int32)
LABELS[3:12, 3:12], LABELS[15:25, 15:30] = 1, 2
NUMBERS = np.where(LABELS > 0, 9000, 500).astype(np.uint16)
PIXELS = (NUMBERS / 65535).astype(np.float32)


@pytest.fixture
def module(cellprofiler, tmp_path):
    """A fresh AnnotateNuclei, first in its pipeline, that saves into a folder of its own."""
    made = cellprofiler.modules["AnnotateNuclei"]()
    made.x_name.value, made.y_name.value = "DNA", "Nuclei"
    made.folder.value = f"Elsewhere...|{tmp_path / 'annotations'}"
    made.classes.value = "interphase, mitotic"
    made.wants_model.value = False
    made.module_num = 1
    return made


@pytest.fixture
def prepare(module, make_workspace):
    """Return a function that makes a workspace with an image from a file."""
    from cellprofiler_core.object import Objects

    def make(file="a.tif", pixels=PIXELS, **objects):
        workspace = make_workspace(module, pixels, file_name=file, path_name="/images", scale=65535)
        for name, labels in objects.items():
            given = Objects()
            given.segmented = labels
            workspace.object_set.add_objects(given, name)
        return workspace

    return make


@pytest.fixture
def in_window(module, monkeypatch):
    """Return a function that lets a person, of whom only the answer is known, sit at the window of a run."""

    def sit(workspace, answer):
        asked = []

        def interaction(asking, data, number):
            asked.append(data)
            return answer(data) if callable(answer) else answer

        workspace.interaction_handler = interaction
        return asked

    return sit


def sent(state="finished", classes=None, stop=False):
    """What the window sends back, after it has saved it: all nuclei, with classes."""
    given = {2: "mitotic"} if classes is None else classes
    return {
        "labels": LABELS,
        "class_numbers": list(given),
        "class_names": list(given.values()),
        "state": state,
        "stop": stop,
    }


def save(module, name="a", state="finished", classes=None):
    from nucdl_core.annotate.folder import AnnotationFolder
    from nucdl_core.annotate.session import Annotated

    folder = AnnotationFolder(module.folder.get_absolute_path(), module.class_names())
    folder.save(name, NUMBERS, Annotated(LABELS, classes or {2: "mitotic"}), state)


def of_nuclei(workspace, feature):
    return workspace.measurements.get_current_measurement("Nuclei", feature).tolist()


def finished(workspace):
    return workspace.measurements.get_current_image_measurement("NucDL_Finished_Nuclei")


def test_what_was_drawn_becomes_objects_with_all_label_sets_and_measurements(module, prepare, in_window, written_by):
    workspace = prepare()
    in_window(workspace, sent())
    module.run(workspace)
    objects = workspace.object_set.get_objects("Nuclei")
    for labels in (objects.segmented, objects.unedited_segmented, objects.small_removed_segmented):
        assert np.array_equal(labels, LABELS)
    assert of_nuclei(workspace, "NucDL_Class") == [0, 2]
    assert of_nuclei(workspace, "Number_Object_Number") == [1, 2]
    assert of_nuclei(workspace, "Location_Center_X") == [7, 22]
    assert finished(workspace) == 1
    assert workspace.measurements.get_current_image_measurement("Count_Nuclei") == 2
    columns = module.get_measurement_columns(workspace.pipeline)
    assert written_by(workspace) == {(name, feature) for name, feature, _ in columns}


def test_the_window_gets_the_numbers_of_the_file_and_nothing_but_what_can_travel(module, prepare, in_window):
    from cellprofiler_core.utilities.zmq import json_decode, json_encode

    workspace = prepare()
    asked = in_window(workspace, sent())
    module.run(workspace)
    (data,) = asked
    assert data["image"].dtype == np.uint16
    assert np.array_equal(data["image"], NUMBERS)
    assert (data["name"], data["state"], data["labels"].max()) == ("a", "", 0)
    text, buffers = json_encode({"arg_0": data})
    again = json_decode(text, buffers)["arg_0"]
    assert again.keys() == data.keys()
    assert np.array_equal(again["image"], NUMBERS)


def test_the_answer_of_the_window_travels_as_it_is(prepare, in_window, module):
    from cellprofiler_core.utilities.zmq import json_decode, json_encode

    workspace = prepare()
    in_window(workspace, json_decode(*json_encode(sent())))
    module.run(workspace)
    assert of_nuclei(workspace, "NucDL_Class") == [0, 2]


def test_objects_of_another_module_are_shown_first_numbered_without_gaps(module, prepare, in_window):
    module.wants_start.value, module.start_name.value = True, "Deep"
    workspace = prepare(Deep=np.where(LABELS == 2, 7, 0))
    asked = in_window(workspace, sent())
    module.run(workspace)
    assert np.array_equal(asked[0]["labels"], LABELS == 2)


def test_what_was_saved_is_shown_instead_of_objects(module, prepare, in_window):
    save(module, state="draft")
    module.wants_start.value, module.start_name.value = True, "Deep"
    workspace = prepare(Deep=np.where(LABELS == 2, 7, 0))
    asked = in_window(workspace, sent())
    module.run(workspace)
    assert np.array_equal(asked[0]["labels"], LABELS)
    assert (asked[0]["state"], asked[0]["class_numbers"], asked[0]["class_names"]) == ("draft", [2], ["mitotic"])


def test_a_run_passes_over_finished_images_unless_they_are_wanted(module, prepare, in_window):
    save(module)
    workspace = prepare()
    asked = in_window(workspace, sent())
    module.run(workspace)
    assert asked == []
    assert (of_nuclei(workspace, "NucDL_Class"), finished(workspace)) == ([0, 2], 1)
    module.shows_finished.value = True
    workspace = prepare()
    asked = in_window(workspace, sent())
    module.run(workspace)
    assert len(asked) == 1


def test_in_test_mode_finished_images_are_opened(module, prepare, in_window):
    save(module)
    workspace = prepare()
    workspace.pipeline.test_mode = True
    asked = in_window(workspace, sent())
    module.run(workspace)
    assert asked[0]["state"] == "finished"


def test_a_draft_is_handed_on_and_told_apart(module, prepare, in_window):
    workspace = prepare()
    in_window(workspace, sent(state="draft"))
    module.run(workspace)
    assert finished(workspace) == 0


def test_a_person_who_closes_the_window_stops_the_run_and_the_image_keeps_its_nuclei(module, prepare, in_window):
    workspace = prepare()
    stopped = []
    workspace.cancel_handler = lambda: stopped.append(True)
    in_window(workspace, sent(stop=True, state=""))
    module.run(workspace)
    assert stopped == [True]
    assert workspace.object_set.get_objects("Nuclei").count == 2
    assert finished(workspace) == 0


def test_a_window_that_failed_is_an_error_that_points_to_the_log(module, prepare, in_window):
    from nucdl_core.errors import NucDLError

    workspace = prepare()
    in_window(workspace, "")
    with pytest.raises(NucDLError, match="has failed; CellProfiler's log tells why"):
        module.run(workspace)


@pytest.mark.parametrize("shows_finished", [False, True])
def test_without_windows_saved_nuclei_are_handed_on(module, prepare, shows_finished):
    module.shows_finished.value = shows_finished
    save(module)
    workspace = prepare()
    module.run(workspace)
    assert np.array_equal(workspace.object_set.get_objects("Nuclei").segmented, LABELS)
    assert (of_nuclei(workspace, "NucDL_Class"), finished(workspace)) == ([0, 2], 1)


@pytest.mark.parametrize(("state", "words"), [(None, "has no annotation"), ("draft", "has only a draft")])
def test_without_windows_an_image_that_is_not_finished_is_refused_in_one_line(module, prepare, state, words):
    from nucdl_core.errors import AnnotationError

    if state:
        save(module, state=state)
    with pytest.raises(AnnotationError) as caught:
        module.run(prepare())
    message = str(caught.value)
    assert message.startswith(f"the image a {words} in ")
    assert message.endswith("finish it in CellProfiler's window, or leave it out")
    assert "\n" not in message


def test_another_image_of_the_same_name_is_never_taken_for_the_saved_one(module, prepare):
    from nucdl_core.errors import AnnotationError

    save(module)
    with pytest.raises(AnnotationError, match="another image than the one that is called a now"):
        module.run(prepare(pixels=PIXELS[::-1].copy()))


def test_files_are_named_after_the_image_its_metadata_or_its_number(module, prepare, in_window):
    workspace = prepare()
    workspace.measurements.add_image_measurement("Metadata_Well", "B03")
    asked = in_window(workspace, sent())
    module.file_name.value = r"plate1_\g<Well>"
    module.run(workspace)
    module.file_name.value = ""
    nameless = prepare(file=None)
    asked_of_nameless = in_window(nameless, sent())
    module.run(nameless)
    assert asked[0]["name"] == "plate1_B03"
    assert asked_of_nameless[0]["name"] == "image00001"


def test_with_a_model_the_window_gets_its_probability_nuclei_and_threshold(module, prepare, in_window, engine_finds):
    module.wants_model.value = True
    module.contour_offset.value = 1.5
    calls = engine_finds(LABELS)
    workspace = prepare()
    asked = in_window(workspace, sent())
    module.run(workspace)
    assert len(calls) == 1
    assert not calls[0].config.discard_border
    assert np.array_equal(asked[0]["probability"], LABELS > 0)
    assert np.array_equal(asked[0]["nuclei"], LABELS)
    assert asked[0]["threshold"] == 0.5


def test_without_windows_and_for_finished_images_the_model_is_not_run(module, prepare, engine_finds):
    module.wants_model.value = True
    calls = engine_finds(LABELS)
    save(module)
    module.run(prepare())
    assert calls == []


def test_the_figure_shows_outlines_and_the_number_of_each_class(module, prepare, in_window):
    from cellprofiler_core.utilities.zmq import json_encode

    module.show_window = True
    workspace = prepare()
    in_window(workspace, sent())
    module.run(workspace)
    assert workspace.display_data.statistics == [
        ["# of nuclei", "2"],
        ["Finished", "yes"],
        ["# of interphase", "0"],
        ["# of mitotic", "1"],
        ["# without a class", "1"],
    ]
    assert json.loads(json_encode(workspace.display_data.__dict__)[0])


def test_the_figure_is_drawn(module, prepare, in_window, drawn):
    module.show_window = True
    module.classes.value = ""
    workspace = prepare()
    answer = {"labels": LABELS, "class_numbers": [], "class_names": [], "state": "draft", "stop": False}
    in_window(workspace, answer)
    module.run(workspace)
    module.display(workspace, drawn)
    assert drawn.table == {"# of nuclei": "2", "Finished": "no"}
    assert drawn.titles[1:] == ["Nuclei", "Nuclei outlines"]


@pytest.mark.parametrize(
    ("classes", "reason"),
    [
        ("a, b, a", "the class a is listed twice"),
        (", ".join("abcdefghij"), "10 classes came, 9 digits"),
        ("round, \U0001f600", "ROIs cannot keep the name"),
    ],
)
def test_impossible_lists_of_classes_are_refused_at_their_setting(module, pipeline_of, classes, reason):
    from cellprofiler_core.setting import ValidationError

    module.classes.value = classes
    with pytest.raises(ValidationError, match=reason) as caught:
        module.validate_module(pipeline_of(module))
    assert caught.value.get_setting() is module.classes


def test_without_a_model_its_settings_are_hidden_and_not_looked_at_but_the_offset_is(module, pipeline_of):
    from cellprofiler_core.setting import ValidationError

    module.model.value = "nuclei_of_the_future"
    module.validate_module(pipeline_of(module))
    shown = [setting.key() for setting in module.visible_settings()]
    assert not {setting.key() for setting in (module.model, module.model_folder, module.device)} & set(shown)
    module.contour_offset.value = 50
    with pytest.raises(ValidationError, match="from -20 to 20") as caught:
        module.validate_module(pipeline_of(module))
    assert caught.value.get_setting() is module.contour_offset


def test_spaces_around_and_within_the_names_of_classes_do_not_count(module):
    module.classes.value = " interphase ,, late   mitotic,"
    assert module.class_names() == ["interphase", "late mitotic"]


def test_two_modules_do_not_save_in_the_same_files(module, cellprofiler, pipeline_of):
    from cellprofiler_core.setting import ValidationError

    later = cellprofiler.modules["AnnotateNuclei"]()
    later.x_name.value, later.wants_model.value, later.folder.value = "DNA", False, module.folder.value
    pipeline = pipeline_of(module, later)
    module.validate_module(pipeline)
    with pytest.raises(ValidationError, match="module #1 saves its annotations in the same files") as caught:
        later.validate_module(pipeline)
    assert caught.value.get_setting() is later.folder
    later.file_name.value = "other"
    later.validate_module(pipeline)


def test_an_unknown_model_is_refused_at_its_setting(module, pipeline_of):
    from cellprofiler_core.setting import ValidationError

    module.wants_model.value = True
    module.model.value = "nuclei_of_the_future"
    with pytest.raises(ValidationError) as caught:
        module.validate_module(pipeline_of(module))
    assert caught.value.get_setting() is module.model


def test_both_folders_are_altered_for_a_batch(module):
    module.folder.value = "Elsewhere...|/here/annotations"
    module.model.value, module.model_folder.value = "Folder", "Elsewhere...|/here/model"
    assert module.prepare_to_create_batch(None, lambda path, **_: path.replace("/here", "/cluster"))
    assert module.folder.get_absolute_path() == "/cluster/annotations"
    assert module.model_name() == "/cluster/model"


def test_a_damaged_model_is_looked_for_only_where_windows_open(module, pipeline_of, make_workspace, monkeypatch):
    import annotate_nuclei

    from nucdl_core.worker.service import EngineService

    module.wants_model.value = True
    checked = []
    monkeypatch.setattr(EngineService, "check_model_and_device", lambda *asked: checked.append(asked))
    workspace = make_workspace(module, PIXELS)
    assert module.prepare_run(workspace)
    assert checked == []
    monkeypatch.setattr(annotate_nuclei, "get_headless", lambda: False)
    assert module.prepare_run(workspace)
    assert len(checked) == 1


def test_wxpython_is_not_loaded_with_the_module(cellprofiler):
    import subprocess
    import sys

    code = (
        "import sys; from cellprofiler_core.preferences import set_headless; set_headless(); "
        f"sys.path.insert(0, {str(Path(__file__).parents[2] / 'plugins')!r}); import annotate_nuclei; "
        "annotate_nuclei.AnnotateNuclei(); print(sorted({'wx', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]"]


def test_lists_of_what_was_saved_are_in_the_folder(module):
    save(module)
    assert pd.read_csv(Path(module.folder.get_absolute_path(), "annotations.csv"))["class"].tolist()[1] == "mitotic"


def test_its_window_is_refused_where_the_engine_is_in_another_python(module, pipeline_of, monkeypatch):
    import _nucdl_engine
    import annotate_nuclei
    from cellprofiler_core.setting import ValidationError

    monkeypatch.setattr(_nucdl_engine, "engine_is_here", lambda: False)
    module.validate_module(pipeline_of(module))
    monkeypatch.setattr(annotate_nuclei, "get_headless", lambda: False)
    with pytest.raises(ValidationError, match="in one environment") as refused:
        module.validate_module(pipeline_of(module))
    assert refused.value.get_setting() is module.model
