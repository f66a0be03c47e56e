"""IdentifyNucleiDL's settings: saved and loaded, shown and hidden, checked."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

SHOWN_AT_FIRST = [
    "Select the input image",
    "Name the nuclei to be identified",
    "Select the model",
    "What is this model made for?",
    "Are nuclei brighter or darker than the background?",
    "Estimate the nucleus diameter automatically?",
    "Search again where nuclei differ strongly in size?",
    "Discard nuclei outside a diameter range?",
    "Discard nuclei below a confidence of",
    "Keep micronuclei?",
    "Join lobes into nuclei of at most (pixels)",
    "Discard nuclei touching the border of the image?",
    "Use the model's calibrated threshold?",
    "Keep the probability image?",
    "Move outlines outwards by (pixels)",
    "Speed or accuracy?",
    "Compute on",
]


@pytest.fixture
def zoo(tmp_path, monkeypatch):
    """A zoo in which the default model is a folder with nothing but its description."""
    from nucdl_core.config import DEFAULT_MODEL
    from nucdl_core.model import bundle

    folder = tmp_path / "zoo" / DEFAULT_MODEL
    folder.mkdir(parents=True)
    shutil.copy(bundle.ZOO / DEFAULT_MODEL / bundle.DESCRIPTION, folder)
    monkeypatch.setattr(bundle, "ZOO", folder.parent)
    return folder.parent


@pytest.fixture
def refused(module, zoo, pipeline_of):
    """Return a function that gives the setting and the message that validation objects to."""
    from cellprofiler_core.setting import ValidationError

    def validate():
        with pytest.raises(ValidationError) as caught:
            module.validate_module(pipeline_of(module))
        return caught.value.get_setting(), caught.value.message

    return validate


def is_shown(module, name):
    """Tell whether a setting is shown; CellProfiler takes settings for equal that have the same value."""
    return any(setting is getattr(module, name) for setting in module.visible_settings())


def test_a_new_module_needs_no_setting_but_the_image(module, zoo, pipeline_of):
    module.validate_module(pipeline_of(module))
    assert module.y_name.value == "Nuclei"
    assert [setting.text for setting in module.visible_settings()] == SHOWN_AT_FIRST


@pytest.mark.parametrize(
    ("switch", "value", "shown"),
    [
        ("model", "Folder", "model_folder"),
        ("automatic_diameter", False, "diameter"),
        ("exclude_size", True, "size_range"),
        ("automatic_threshold", False, "threshold"),
        ("wants_probability", True, "probability_name"),
        ("preset", "Custom", "views"),
        ("preset", "Custom", "wants_refinement"),
    ],
)
def test_a_setting_is_shown_when_it_counts(module, switch, value, shown):
    assert not is_shown(module, shown)
    getattr(module, switch).value = value
    assert is_shown(module, shown)


def test_saved_settings_come_back(module, saved):
    module.y_name.value = "Kerne"
    module.model.value = "Folder"
    module.model_folder.value = "Elsewhere...|/models/a folder"
    module.automatic_diameter.value = False
    module.diameter.value = 17.25
    module.exclude_size.value = True
    module.size_range.value = (3, 77)
    module.exclude_border.value = False
    module.automatic_threshold.value = False
    module.threshold.value = 0.375
    module.wants_probability.value = True
    module.probability_name.value = "Chance"
    module.device.value = "GPU"
    module.contour_offset.value = -0.75
    module.views.value = "Four (mirrored)"
    module.wants_refinement.value = True
    module.preset.value = "Custom"
    module.polarity.value = "Darker"
    module.minimum_confidence.value = 0.25
    loaded = saved(module)
    values = [setting.value_text for setting in module.settings()]
    assert [setting.value_text for setting in loaded.settings()] == values
    assert len(set(values)) > 8
    assert loaded.config() == module.config()


def test_the_order_of_the_settings_in_a_pipeline_file_stays(module):
    assert [setting.text for setting in module.settings()] == [
        "Select the input image",
        "Name the nuclei to be identified",
        "Select the model",
        "Model folder",
        "Estimate the nucleus diameter automatically?",
        "Typical diameter of nuclei in pixels",
        "Discard nuclei outside a diameter range?",
        "Diameter range of nuclei in pixels (Min,Max)",
        "Discard nuclei touching the border of the image?",
        "Use the model's calibrated threshold?",
        "Probability threshold",
        "Keep the probability image?",
        "Name the probability image",
        "Compute on",
        "Move outlines outwards by (pixels)",
        "Number of views",
        "Correct the outlines at a finer scale?",
        "Speed or accuracy?",
        "Search again where nuclei differ strongly in size?",
        "Are nuclei brighter or darker than the background?",
        "Discard nuclei below a confidence of",
        "Keep micronuclei?",
        "Join lobes into nuclei of at most (pixels)",
    ]
    assert module.variable_revision_number == 6


ADDED = {
    1: ("Move outlines outwards by (pixels):0.0", "Number of views:One", "Correct the outlines at a finer scale?:No"),
    2: (),
}
SEVERAL_SCALES = "Search again where nuclei differ strongly in size?:Yes"
POLARITY = "Are nuclei brighter or darker than the background?:Automatic"
CONFIDENCE = "Discard nuclei below a confidence of:0.0"
SIXTH = ("Keep micronuclei?:Large ones", "Join lobes into nuclei of at most (pixels):0.0")


@pytest.mark.parametrize("revision", [1, 2])
def test_a_pipeline_of_an_earlier_revision_gets_the_new_settings_as_nothing_changes(
    module, saved, zoo, pipeline_of, revision
):
    def as_in_that_revision(text):
        for line in (*ADDED[revision], "Speed or accuracy?:Fast", SEVERAL_SCALES, POLARITY, CONFIDENCE, *SIXTH):
            assert line in text
            text = text.replace(f"    {line}\n", "")
        return text.replace("variable_revision_number:6|", f"variable_revision_number:{revision}|")

    module.diameter.value = 17.25
    loaded = saved(module, as_in_that_revision)
    loaded.validate_module(pipeline_of(loaded))
    assert loaded.config() == {**module.config(), "refine": False, "polarity": "bright"}
    assert loaded.preset.value == "Custom"
    old = [setting.value_text for setting in module.settings()][:-6]
    assert [setting.value_text for setting in loaded.settings()][:-6] == old


def test_the_views_of_a_pipeline_of_the_second_revision_still_count(module, saved):
    module.views.value = "Eight (mirrored and turned)"
    module.wants_refinement.value = True

    def as_in_the_second_revision(text):
        for line in ("Speed or accuracy?:Fast", SEVERAL_SCALES, POLARITY, CONFIDENCE, *SIXTH):
            text = text.replace(f"    {line}\n", "")
        return text.replace("variable_revision_number:6|", "variable_revision_number:2|")

    config = saved(module, as_in_the_second_revision).config()
    assert (config["views"], config["refine"]) == ("all", True)


def test_a_pipeline_of_the_third_revision_searches_at_other_scales_as_before(module, saved):
    def as_in_the_third_revision(text):
        for line in (SEVERAL_SCALES, POLARITY, CONFIDENCE, *SIXTH):
            text = text.replace(f"    {line}\n", "")
        return text.replace("revision_number:6|", "revision_number:3|")

    loaded = saved(module, as_in_the_third_revision)
    assert loaded.config() == {**module.config(), "polarity": "bright"}
    assert loaded.config()["several_scales"]


def test_a_pipeline_of_the_fourth_revision_takes_nuclei_for_bright_as_before(module, saved):
    def as_in_the_fourth_revision(text):
        for line in (POLARITY, CONFIDENCE, *SIXTH):
            text = text.replace(f"    {line}\n", "")
        return text.replace("revision_number:6|", "revision_number:4|")

    assert module.config()["polarity"] == "auto"
    assert saved(module, as_in_the_fourth_revision).config()["polarity"] == "bright"


def test_a_pipeline_of_the_fifth_revision_keeps_micronuclei_and_joins_no_lobes_as_before(module, saved):
    def as_in_the_fifth_revision(text):
        for line in SIXTH:
            assert line in text
            text = text.replace(f"    {line}\n", "")
        return text.replace("revision_number:6|", "revision_number:5|")

    assert saved(module, as_in_the_fifth_revision).config() == module.config()
    assert tuple(module.config()[key] for key in ("micronuclei", "lobed_diameter")) == ("large", 0)


@pytest.mark.parametrize(("chosen", "word"), [("Large ones", "large"), ("All", "all"), ("None", "none")])
def test_which_micronuclei_are_kept_and_which_lobes_joined_is_told_to_the_engine(module, chosen, word):
    module.micronuclei.value = chosen
    module.lobed_diameter.value = 21.5
    assert tuple(module.config()[key] for key in ("micronuclei", "lobed_diameter")) == (word, 21.5)


def test_an_impossible_diameter_of_lobed_nuclei_is_refused_at_its_setting(module, refused):
    module.lobed_diameter.value = 1
    setting, message = refused()
    assert setting is module.lobed_diameter
    assert "from 2 to 1000" in message


def test_the_search_at_other_scales_is_offered_where_the_diameter_is_estimated(module):
    assert is_shown(module, "several_scales")
    module.several_scales.value = False
    assert not module.config()["several_scales"]
    module.automatic_diameter.value = False
    assert not is_shown(module, "several_scales")


@pytest.mark.parametrize(("preset", "views"), [("Fast", "none"), ("Balanced", "flips"), ("Best", "all")])
def test_a_preset_decides_and_what_is_hidden_then_does_not_count(module, preset, views):
    module.views.value = "Four (mirrored)"
    module.wants_refinement.value = True
    module.preset.value = preset
    assert module.config()["views"] == views
    assert "refine" not in module.config()


def test_the_presets_are_those_of_the_engine(module):
    from nucdl_core.config import PRESETS

    assert [choice.lower() for choice in module.preset.choices] == [*PRESETS, "custom"]


@pytest.mark.parametrize("diameter", [0, -3, 2000])
def test_an_impossible_diameter_is_refused_at_its_setting(module, refused, diameter):
    module.automatic_diameter.value = False
    module.diameter.value = diameter
    setting, message = refused()
    assert setting is module.diameter
    assert "1 to 1000" in message


@pytest.mark.parametrize("threshold", [0, 1, 1.5])
def test_an_impossible_threshold_is_refused_at_its_setting(module, refused, threshold):
    module.automatic_threshold.value = False
    module.threshold.value = threshold
    assert refused()[0] is module.threshold


def test_an_empty_diameter_range_is_refused_at_its_setting(module, refused):
    module.exclude_size.value = True
    module.size_range.value = (20, 20)
    assert refused()[0] is module.size_range


def test_impossible_values_of_hidden_settings_do_not_matter(module, zoo, pipeline_of):
    module.diameter.value = -1
    module.threshold.value = 7
    module.validate_module(pipeline_of(module))


def test_a_run_with_a_number_that_is_none_is_refused_before_the_first_image(module, make_workspace, zoo):
    from cellprofiler_core.setting import ValidationError

    module.automatic_diameter.value = False
    module.diameter.value_text = "thirty"
    with pytest.raises(ValidationError, match="decimal"):
        module.prepare_run(make_workspace(module, np.zeros((8, 8))))
