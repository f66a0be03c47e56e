"""What a study compares, and which trainings follow from it."""

import dataclasses
import json

import pytest

from nucdl_core.config import from_mapping
from nucdl_core.errors import ConfigError
from nucdl_core.study.design import STUDY_PRESETS, StudyCell, StudyDesign, read_design
from nucdl_core.study.results import FACTORS
from nucdl_core.training.augment import CLASSES

VALUES = {
    "name": "tiny",
    "networks": {
        "unet": {"architecture": "unet", "arguments": {"widths": [4, 8]}},
        "cnn": {"architecture": "cnn", "steps": 50},
    },
    "settings": {"steps": 100, "batch": 2},
    "base": {"network": "unet", "images": 4},
    "grids": {"networks": {"network": ["unet", "cnn"]}},
    "replicates": 2,
}


def design(**changes):
    return from_mapping(StudyDesign, {**VALUES, **changes})


def cells(values, kinds=("a", "b", "c"), **changes):
    return design(grids={"it": values}, **changes).cells(kinds)["it"]


def test_a_grid_is_each_value_with_each_other_and_each_replicate():
    found = cells({"network": ["unet", "cnn"], "images": [2, 8]})
    assert [(cell.network, cell.images, cell.replicate) for cell in found] == [
        (network, images, replicate) for network in ("unet", "cnn") for images in (2, 8) for replicate in (0, 1)
    ]


def test_what_does_not_vary_is_as_the_base_says():
    assert {(cell.network, cell.images) for cell in cells({"cycles": [0.5, 1.0]})} == {("unet", 4)}


def test_each_kind_teaches_alone_or_one_more_at_a_time():
    assert [cell.kinds for cell in cells({"kinds": ["each"]}, replicates=1)] == [("a",), ("b",), ("c",)]
    assert [cell.kinds for cell in cells({"kinds": ["cumulative"]}, replicates=1)] == [
        ("a",),
        ("a", "b"),
        ("a", "b", "c"),
    ]
    assert [cell.kinds for cell in cells({"kinds": ["all", "b", ["a", "c"]]}, replicates=1)] == [(), ("b",), ("a", "c")]


def test_each_class_of_augmentation_is_left_out_in_turn():
    found = [cell.augmentation for cell in cells({"augmentation": ["all", "each", "none"]}, replicates=1)]
    assert found == ["all", *(f"-{name}" for name in CLASSES if name != "simulated"), "none"]


def test_a_training_is_called_after_what_is_not_as_usual():
    assert StudyCell("unet").name == "unet-r0"
    assert StudyCell("unet", kinds=("a", "b"), images=4, replicate=1).name == "unet-kinds_a+b-images_4-r1"


def test_names_stay_apart_where_letters_are_replaced_cut_or_taken_for_the_same():
    kinds = ["a b", "a_b", "A_b", "long " * 99, "long " * 98]
    names = [StudyCell("unet", kinds=(kind,)).name for kind in kinds]
    assert len({name.lower() for name in names}) == len(names)
    assert max(map(len, names)) < 140
    assert not StudyCell("-net").name.startswith("-")


def test_each_step_belongs_to_a_look_and_the_last_one_is_looked_at():
    config = design(looks=3).config(StudyCell("unet"))
    assert (config.steps, config.validate_every) == (99, 33)


def test_the_same_training_of_two_grids_has_one_name():
    both = design(grids={"one": {"network": ["unet", "cnn"]}, "two": {"images": [2, 4]}}).cells(["a"])
    assert {cell.name for cell in both["one"]} & {cell.name for cell in both["two"]} == {
        "unet-images_4-r0",
        "unet-images_4-r1",
    }


def test_settings_come_from_the_study_then_from_the_network_then_from_the_cell():
    made = design()
    assert made.config(StudyCell("unet")).steps == 100
    config = made.config(
        StudyCell(
            "cnn",
            cycles=0.5,
            augmentation="-blur",
            rescaled=False,
            regions=7,
            simulated=0.1,
            artificial=0.2,
            replicate=3,
        )
    )
    assert (config.architecture, config.steps, config.batch, config.seed) == ("cnn", 24, 2, 4)
    assert (config.augmentation, config.rescaled, config.regions) == ("-blur", False, 7)
    assert (config.simulated_share, config.synthetic_share) == (0.1, 0.2)


def test_a_training_begins_with_chance_or_a_model_or_pretrained_weights():
    weights = {"file": "weights.pth", "sha256": "0" * 64}
    made = design(
        networks={"unet": {"architecture": "unet_resnet34", "pretrained": weights}}, grids={"it": {"images": [1]}}
    )
    assert made.config(StudyCell("unet")).pretrained is None
    assert made.config(StudyCell("unet", start="pretrained")).pretrained.file == "weights.pth"
    assert made.config(StudyCell("unet", start="nuclei_unet")).initial == "nuclei_unet"


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({"networks": {}}, "there is no network"),
        ({"grids": {}}, "there is no grid"),
        ({"grids": {"it": {"colour": ["red"]}}}, "it: colour cannot vary"),
        ({"grids": {"it": {"images": []}}}, "it: there is no value of images"),
        ({"grids": {"it": {"network": ["vit"]}}}, "it: there is no network vit in networks"),
        ({"base": {"network": "vit"}}, "base: there is no network vit in networks"),
        ({"networks": {"unet": {"architecture": "unet", "seed": 3}}}, "unet: seed is decided by the study"),
        ({"networks": {"unet": {}}}, "unet: which network it is, is missing"),
        ({"networks": {"unet": {"architecture": "unet", "stepz": 3}}}, "unknown setting stepz"),
        ({"replicates": 0}, "replicates is 0"),
        ({"settings": {"regions": 7}}, "settings: regions is decided by the study"),
    ],
)
def test_a_study_that_makes_no_sense_is_refused(changes, reason):
    with pytest.raises(ConfigError, match=reason):
        design(**changes)


@pytest.mark.parametrize(
    "values, reason",
    [
        ({"images": [-1]}, "grid it: .*images is -1"),
        ({"cycles": [0]}, "grid it: .*cycles is 0"),
        ({"simulated": [2]}, "grid it: .*simulated is 2"),
        ({"artificial": [2]}, "grid it: .*artificial is 2"),
        ({"rescaled": ["yes"]}, "grid it: .*rescaled"),
    ],
)
def test_values_that_make_no_sense_are_refused_with_their_grid(values, reason):
    with pytest.raises(ConfigError, match=reason):
        cells(values)


@pytest.mark.parametrize("preset", sorted(path.stem for path in STUDY_PRESETS.glob("*.json")))
def test_a_preset_can_be_read_and_its_trainings_have_settings(preset):
    made = read_design(preset)
    for grid in made.cells(["a", "b", "c"]).values():
        assert all(made.config(cell).steps >= 1 for cell in grid)


def test_a_study_is_read_from_a_file(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(VALUES))
    assert read_design(str(path)) == design()


def test_a_word_in_the_place_of_a_list_is_refused(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({**VALUES, "grids": {"it": {"augmentation": "none"}}}))
    with pytest.raises(ConfigError, match="grid it: augmentation is 'none'; a list of values is needed"):
        read_design(str(path))


def test_simulated_crops_that_the_augmentation_leaves_out_are_refused():
    with pytest.raises(ConfigError, match="which leaves simulated crops out"):
        cells({"simulated": [0.5], "augmentation": ["none"]})


def test_a_study_that_is_not_there_is_told_with_the_presets():
    with pytest.raises(ConfigError, match="there is no study 'none'; give one of .*smoke"):
        read_design("none")


def test_a_training_is_told_by_what_a_grid_may_vary_and_its_replicate():
    assert [each.name for each in dataclasses.fields(StudyCell)] == [*FACTORS, "replicate"]
