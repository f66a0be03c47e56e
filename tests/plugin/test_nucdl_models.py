"""The list of models to choose from, the card of the chosen one, and where it does not fit the image."""

from __future__ import annotations

import os
import shutil
import time
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import edit_description

WITH_MODEL = {
    "IdentifyNucleiDL": {"x_name": "DNA"},
    "TTARefine": {"image_name": "DNA", "x_name": "Nuclei"},
}
NARROW = {"diameter_range": [100, 120], "bits": [16], "modality": "fluorescence"}


@pytest.fixture
def models(tiny_bundle, monkeypatch):
    """A folder of own models that the environment names, with one model in it."""
    folder = tiny_bundle.parent / "models"
    shutil.copytree(tiny_bundle, folder / "mine")
    (folder / "mine" / "README.md").write_text("# My model\n\nFor *one* laboratory & <its> `images`.\n")
    monkeypatch.setenv("NUCDL_MODELS", str(folder))
    return folder


@pytest.fixture(params=WITH_MODEL)
def each(request, cellprofiler):
    """A fresh module of each kind that runs a model, with its inputs selected."""
    made = cellprofiler.modules[request.param]()
    for attribute, value in WITH_MODEL[request.param].items():
        getattr(made, attribute).value = value
    return made


@pytest.fixture
def refused(pipeline_of):
    """Return a function that gives the setting and the message that validation objects to."""
    from cellprofiler_core.setting import ValidationError

    def validate(module):
        pipeline = pipeline_of(module)
        module.model.test_valid(pipeline)
        with pytest.raises(ValidationError) as caught:
            module.validate_module(pipeline)
        return caught.value.get_setting(), caught.value.message

    return validate


def test_bundled_models_own_models_and_a_folder_are_offered(each, models):
    assert each.model.get_choices() == ["nuclei_unet", "nuclei_maskrcnn", "mine", "Folder"]
    assert each.model.choices == each.model.get_choices()
    assert each.model.value == "nuclei_unet"


def test_a_newly_trained_model_is_offered_without_a_restart(each, models):
    shutil.copytree(models / "mine", models / "new")
    assert "new" in each.model.get_choices()
    shutil.rmtree(models / "new")
    assert "new" not in each.model.get_choices()


@pytest.mark.parametrize("problem", ["damaged", "called Folder", "hidden", "missing folder"])
def test_what_cannot_be_chosen_is_not_offered_and_hides_nothing_else(each, models, monkeypatch, problem):
    other = shutil.copytree(
        models / "mine", models / {"called Folder": "Folder", "hidden": "nuclei_unet"}.get(problem, "o")
    )
    if problem == "damaged":
        (other / "bundle.json").write_text("{")
    if problem == "missing folder":
        shutil.rmtree(other)
        monkeypatch.setenv("NUCDL_MODELS", f"/gone{os.pathsep}{models}")
    assert each.model.get_choices() == ["nuclei_unet", "nuclei_maskrcnn", "mine", "Folder"]


def test_an_own_model_is_valid_by_its_name_and_stays_so_in_a_saved_pipeline(each, models, saved, pipeline_of):
    each.model.value = "mine"
    loaded = saved(each)
    assert loaded.model.value == "mine"
    loaded.validate_module(pipeline_of(loaded))
    assert loaded.config()["model"] == "mine"


def test_a_pipeline_finds_its_model_where_the_environment_of_another_computer_says(
    each, models, saved, pipeline_of, tmp_path, monkeypatch
):
    each.model.value = "mine"
    models.rename(tmp_path / "moved")
    monkeypatch.setenv("NUCDL_MODELS", str(tmp_path / "moved"))
    loaded = saved(each)
    loaded.validate_module(pipeline_of(loaded))


def test_a_model_that_is_not_on_this_computer_is_refused_at_its_setting_in_words(each, models, refused):
    each.model.value = "theirs"
    setting, message = refused(each)
    assert setting is each.model
    for part in ("'theirs'", "found: mine", str(models), "NUCDL_MODELS", "nucdl models add"):
        assert part in message


def test_a_damaged_model_is_refused_at_its_setting(each, models, refused):
    each.model.value = "mine"
    (models / "mine" / "bundle.json").write_text("{")
    setting, message = refused(each)
    assert setting is each.model
    assert "is not a model description that can be used" in message


def test_a_batch_keeps_the_name_of_an_own_model(each, models):
    each.model.value = "mine"
    assert each.prepare_to_create_batch(None, lambda path, **_: f"/cluster{path}")
    assert each.model_name() == "mine"


def test_a_check_with_many_own_models_takes_milliseconds(each, models, pipeline_of):
    for number in range(50):
        shutil.copytree(models / "mine", models / f"model_{number}")
    each.model.value = "model_7"
    pipeline = pipeline_of(each)
    each.model.get_choices()
    start = time.perf_counter()
    for _ in range(10):
        each.model.get_choices()
        each.validate_module(pipeline)
    assert (time.perf_counter() - start) / 10 < 0.05


def test_the_help_ends_with_the_card_of_the_chosen_model(each, models):
    assert "<h2>nuclei_unet</h2>" in each.get_help().partition("The chosen model")[2]
    each.model.value = "mine"
    card = each.get_help().partition("The chosen model")[2]
    assert "<h2>My model</h2>" in card and str(models / "mine") in card
    assert "<i>one</i> laboratory &amp; &lt;its&gt; <code>images</code>" in card
    assert "It does not say what images it was made for." in card
    edit_description(models / "mine", made_for={**NARROW, "modality": "<odd>"})
    assert "Made for &lt;odd&gt; images of 16 bits with typical nuclei of 100 to 120 px." in each.get_help()


def test_the_card_of_a_model_in_a_folder_is_shown(each, models):
    each.model.value = "Folder"
    each.model_folder.value = f"Elsewhere...|{models / 'mine'}"
    assert "<h2>My model</h2>" in each.get_help()


def test_the_help_says_in_words_why_there_is_no_card(each, models, monkeypatch):
    import _nucdl_engine

    each.model.value = "mine"
    (models / "mine" / "README.md").unlink()
    assert "the model has no card that can be shown" in each.get_help()
    each.model.value = "theirs"
    assert "is neither a bundled model" in each.get_help()
    monkeypatch.setattr(_nucdl_engine, "engine_problem", lambda: "the engine <is> missing")
    assert "the engine &lt;is&gt; missing" in each.get_help()


def test_the_button_of_the_card_stands_below_the_model_and_is_no_part_of_a_pipeline(each):
    shown = [setting.text for setting in each.visible_settings()]
    assert shown[shown.index("Select the model") + 1] == "What is this model made for?"
    each.model.value = "Folder"
    shown = [setting.text for setting in each.visible_settings()]
    assert shown[shown.index("Model folder") + 1] == "What is this model made for?"
    assert each.card_button.key() not in [setting.key() for setting in each.settings()]


def test_the_button_shows_the_card_of_the_model_that_is_chosen_now(each, models, monkeypatch):
    import sys

    pages = []
    dialog = SimpleNamespace(FromDIP=lambda size: size, SetSize=lambda size: None, CentreOnParent=lambda: None)
    dialog.Show = lambda: pages.append("shown")
    window = SimpleNamespace(GetTopWindow=lambda: None)
    wx = SimpleNamespace(GetApp=lambda: window, Size=lambda *size: size)
    made = SimpleNamespace(HTMLDialog=lambda parent, title, page: pages.append(page) or dialog)
    monkeypatch.setitem(sys.modules, "wx", wx)
    monkeypatch.setitem(sys.modules, "cellprofiler.gui.htmldialog", made)
    each.model.value = "mine"
    each.card_button.on_event_fired()
    assert "<h2>My model</h2>" in pages[0] and pages[1:] == ["shown"]


@pytest.mark.parametrize(
    ("scale", "bits"), [(None, None), (1.0, None), (255, 8), (4095, 16), (65535.0, 16), (2.0**32, 32), (2.0**40, None)]
)
def test_bits_are_told_by_the_greatest_value_that_the_file_could_hold(cellprofiler, scale, bits):
    from _nucdl_models import bits_of_scale

    assert bits_of_scale(scale) == bits


@pytest.fixture
def figure_of(models, module, make_workspace, engine_finds, nuclei_grid, drawn):
    """Return a function that draws the figure of IdentifyNucleiDL with the model, and gives its warnings."""

    def draw(made_for, show_window=True, **image):
        edit_description(models / "mine", made_for=made_for)
        module.model.value = "mine"
        module.show_window = show_window
        labels = nuclei_grid(9)
        engine_finds(labels)
        # Brighter to the right, so that hardly a pixel has the highest value, as in images that are well exposed.
        light = np.linspace(0.5, 1, labels.shape[1], dtype=np.float32)
        workspace = make_workspace(module, (labels > 0) * light, **image)
        module.run(workspace)
        if show_window:
            module.display(workspace, drawn)
        return workspace, drawn.figure.title

    return draw


def test_the_figure_warns_where_the_image_differs_from_those_that_the_model_was_made_for(figure_of):
    _, title = figure_of(NARROW, scale=255)
    text = " ".join(title.split())
    assert "Warning: a typical nucleus of this image is 12.5 px across" in text
    assert "made for 100 to 120 px" in text and "this image has 8 bits" in text
    assert max(map(len, title.splitlines())) <= 110


@pytest.mark.parametrize(
    "made_for",
    [None, {"diameter_range": [10, 20], "bits": [8], "modality": "fluorescence"}, {"diameter_range": [10, 20]}],
)
def test_the_figure_of_an_image_that_fits_has_no_warning(figure_of, made_for):
    assert figure_of(made_for, scale=255)[1] is None


def test_headless_nothing_is_warned_of(figure_of, monkeypatch):
    import identify_nuclei_dl

    monkeypatch.setattr(identify_nuclei_dl, "warnings_about", None)
    workspace, _ = figure_of(NARROW, show_window=False)
    assert not hasattr(workspace.display_data, "warnings")
