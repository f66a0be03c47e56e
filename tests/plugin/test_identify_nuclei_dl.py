"""IdentifyNucleiDL on one image: objects, measurements, masks, figure."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import ndimage

COUNTS = [0, 1, 200, 40_000]


@pytest.fixture
def run(module, make_workspace, engine_finds):
    """Return a function that runs the module on labels that the engine is made to find."""

    def run_module(labels, **image_arguments):
        calls = engine_finds(labels)
        workspace = make_workspace(module, np.full(labels.shape, 0.25, np.float32), **image_arguments)
        module.run(workspace)
        return workspace, calls

    return run_module


@pytest.mark.parametrize("count", COUNTS)
def test_all_nuclei_become_objects_numbered_from_1_without_gaps(run, nuclei_grid, count):
    labels = nuclei_grid(count)
    workspace, _ = run(labels)
    objects = workspace.object_set.get_objects("Nuclei")
    assert objects.count == count
    np.testing.assert_array_equal(objects.segmented, labels)
    assert workspace.measurements.get_current_image_measurement("Count_Nuclei") == count


@pytest.mark.parametrize("count", COUNTS)
def test_every_measurement_has_one_value_per_nucleus(run, nuclei_grid, count):
    workspace, _ = run(nuclei_grid(count))
    measurements = workspace.measurements
    for name in ("Location_Center_X", "Location_Center_Y", "Location_Center_Z", "NucDL_Confidence"):
        assert len(measurements.get_current_measurement("Nuclei", name)) == count
    numbers = measurements.get_current_measurement("Nuclei", "Number_Object_Number")
    np.testing.assert_array_equal(numbers, np.arange(1, count + 1))


@pytest.mark.parametrize("preset", ["Fast", "Balanced"])
@pytest.mark.parametrize("count", [0, 200])
def test_what_is_written_is_what_was_declared(module, run, written_by, nuclei_grid, preset, count):
    module.preset.value = preset
    workspace, _ = run(nuclei_grid(count))
    declared = {(column[0], column[1]) for column in module.get_measurement_columns(workspace.pipeline)}
    assert written_by(workspace) == declared
    assert (("Nuclei", "NucDL_Agreement") in declared) == (preset == "Balanced")


def test_the_agreement_is_that_of_the_kept_nuclei(module, run, nuclei_grid):
    module.preset.value = "Best"
    labels = nuclei_grid(4)
    labels[0, :10] = 1
    workspace, _ = run(labels)
    agreement = workspace.measurements.get_current_measurement("Nuclei", "NucDL_Agreement")
    np.testing.assert_allclose(agreement, np.linspace(0.25, 0.5, 4)[1:], atol=1e-6)


def test_a_second_module_in_the_pipeline_names_its_diameter_after_its_objects(module, pipeline_of):
    second = type(module)()
    second.y_name.value = "Others"
    pipeline = pipeline_of(module, second)
    diameters = [
        [column[1] for column in one.get_measurement_columns(pipeline) if "Diameter" in column[1]]
        for one in (module, second)
    ]
    assert diameters == [["NucDL_Diameter"], ["NucDL_Diameter_Others"]]
    assert second.get_measurement_objects(pipeline, "Image", "NucDL", "Diameter") == ["Others"]
    assert second.get_measurement_objects(pipeline, "Others", "NucDL", "Confidence") == []


def test_confidences_are_those_of_the_kept_nuclei(module, run, nuclei_grid):
    labels = nuclei_grid(4)
    labels[0, :10] = 1
    workspace, _ = run(labels)
    confidences = workspace.measurements.get_current_measurement("Nuclei", "NucDL_Confidence")
    np.testing.assert_allclose(confidences, np.linspace(0.5, 1, 4)[1:], atol=1e-6)


def test_the_typical_diameter_is_written_per_image(run, nuclei_grid):
    workspace, _ = run(nuclei_grid(3))
    assert workspace.measurements.get_current_image_measurement("NucDL_Diameter") == 12.5


def test_the_diameter_of_an_image_without_nuclei_is_not_a_number(run, nuclei_grid):
    workspace, _ = run(nuclei_grid(0))
    assert np.isnan(workspace.measurements.get_current_image_measurement("NucDL_Diameter"))


def test_micronuclei_are_marked_and_left_out_on_request(module, run, nuclei_grid):
    labels = nuclei_grid(5)
    middle = np.argwhere(labels == 4).mean(axis=0).astype(int)
    labels[labels == 4] = 0
    labels[middle[0] : middle[0] + 2, middle[1] : middle[1] + 3] = 4
    workspace, _ = run(labels)
    marked = workspace.measurements.get_current_measurement("Nuclei", "NucDL_Micronucleus")
    np.testing.assert_array_equal(marked, [0, 0, 0, 1, 0])
    module.micronuclei.value = "None"
    workspace, _ = run(labels)
    assert workspace.object_set.get_objects("Nuclei").count == 4


def test_an_image_that_cannot_be_trusted_is_doubted_with_the_reason_in_table_figure_and_log(
    module, run, nuclei_grid, caplog
):
    module.show_window = True
    workspace, _ = run(nuclei_grid(0))
    told = workspace.measurements.get_current_image_measurement
    assert (told("NucDL_Doubt"), told("NucDL_DoubtReason")) == (1.0, "empty")
    assert any("there is no nucleus" in line for line in workspace.display_data.warnings)
    assert "there is no nucleus" in caplog.text


def test_a_field_of_bright_nuclei_is_not_doubted(module, engine_finds, make_workspace, nuclei_grid):
    labels = nuclei_grid(20, side=9)
    image = ndimage.gaussian_filter(np.where(labels > 0, 0.5, 0.1), 0.5)
    engine_finds(labels)
    workspace = make_workspace(module, (image + np.random.default_rng(0).normal(0, 0.01, image.shape)).astype("f4"))
    module.run(workspace)
    told = workspace.measurements.get_current_image_measurement
    assert told("NucDL_Doubt") < 0.5 and told("NucDL_DoubtReason") == ""


def test_locations_are_the_centres_of_mass(run, nuclei_grid):
    labels = nuclei_grid(5)
    workspace, _ = run(labels)
    centres = np.array(ndimage.center_of_mass(labels > 0, labels, np.arange(1, 6)))
    measurements = workspace.measurements
    np.testing.assert_allclose(measurements.get_current_measurement("Nuclei", "Location_Center_Y"), centres[:, 0])
    np.testing.assert_allclose(measurements.get_current_measurement("Nuclei", "Location_Center_X"), centres[:, 1])


def test_the_three_label_sets_are_those_of_identify_primary_objects(module, run, nuclei_grid):
    labels = nuclei_grid(9, side=9)
    labels[:2, :30] = 1
    labels[labels == 5] = 0
    labels[16:18, 16:18] = 5
    module.exclude_size.value = True
    module.size_range.value = (5, 100)
    workspace, _ = run(labels)
    objects = workspace.object_set.get_objects("Nuclei")
    np.testing.assert_array_equal(objects.unedited_segmented, labels)
    np.testing.assert_array_equal(objects.small_removed_segmented, np.where(np.isin(labels, (1, 5)), 0, labels))
    assert objects.count == 7
    np.testing.assert_array_equal(objects.segmented > 0, objects.small_removed_segmented > 0)


def test_the_objects_know_their_image(run, nuclei_grid):
    workspace, _ = run(nuclei_grid(1))
    assert workspace.object_set.get_objects("Nuclei").parent_image is workspace.image_set.get_image("DNA")


def test_the_engine_gets_float32_pixels_and_no_mask_from_an_unmasked_image(run, nuclei_grid):
    _, calls = run(nuclei_grid(1))
    assert calls[0].image.dtype == np.float32
    assert calls[0].mask is None


def test_no_nucleus_lies_outside_the_mask(run, nuclei_grid):
    labels = nuclei_grid(16)
    mask = np.zeros(labels.shape, bool)
    mask[: labels.shape[0] // 2] = True
    workspace, calls = run(labels, mask=mask)
    np.testing.assert_array_equal(calls[0].mask, mask)
    segmented = workspace.object_set.get_objects("Nuclei").segmented
    assert segmented.max() > 0
    assert not segmented[~mask].any()


def test_a_nucleus_cut_by_the_mask_is_discarded_with_those_at_the_border(module, run, nuclei_grid):
    labels = nuclei_grid(4)
    mask = np.ones(labels.shape, bool)
    mask[:, :4] = False
    workspace, _ = run(labels, mask=mask)
    assert workspace.object_set.get_objects("Nuclei").count == 2
    module.exclude_border.value = False
    workspace, _ = run(labels, mask=mask)
    assert workspace.object_set.get_objects("Nuclei").count == 4


def test_a_binary_image_is_taken_as_a_grey_one(module, make_workspace, engine_finds, nuclei_grid):
    labels = nuclei_grid(3)
    calls = engine_finds(labels)
    workspace = make_workspace(module, labels > 0)
    module.run(workspace)
    assert calls[0].image.dtype == np.float32


def test_a_colour_image_is_refused(module, make_workspace, engine_finds, nuclei_grid):
    engine_finds(nuclei_grid(1))
    colours = np.random.default_rng(1).random((20, 20, 3))
    with pytest.raises(ValueError, match="grayscale"):
        module.run(make_workspace(module, colours))


def test_the_probability_image_is_kept_when_asked_for(module, run, nuclei_grid):
    labels = nuclei_grid(3)
    module.wants_probability.value = True
    module.probability_name.value = "Chance"
    workspace, _ = run(labels)
    np.testing.assert_array_equal(workspace.image_set.get_image("Chance").pixel_data, (labels > 0).astype(np.float32))


def test_the_probability_image_has_the_mask_of_its_image(module, run, nuclei_grid):
    labels = nuclei_grid(3)
    mask = labels < 2
    module.wants_probability.value = True
    workspace, _ = run(labels, mask=mask)
    np.testing.assert_array_equal(workspace.image_set.get_image("NucleusProbability").mask, mask)


def test_no_probability_image_is_made_otherwise(run, nuclei_grid):
    workspace, _ = run(nuclei_grid(3))
    assert workspace.image_set.names == ["DNA"]


def test_the_settings_reach_the_engine(module, run, nuclei_grid):
    module.automatic_diameter.value = False
    module.diameter.value = 22.5
    module.automatic_threshold.value = False
    module.threshold.value = 0.3
    module.exclude_size.value = True
    module.size_range.value = (2, 80)
    module.device.value = "CPU"
    _, calls = run(nuclei_grid(1))
    config = calls[0].config
    assert (config.diameter, config.probability_threshold, config.device) == (22.5, 0.3, "cpu")
    assert (config.minimum_diameter, config.maximum_diameter, config.discard_border) == (2, 80, True)


def test_hidden_settings_do_not_reach_the_engine(module, run, nuclei_grid):
    module.diameter.value = 22.5
    module.threshold.value = 0.3
    module.size_range.value = (2, 3)
    _, calls = run(nuclei_grid(1))
    config = calls[0].config
    assert config.diameter is None
    assert config.probability_threshold is None
    assert config.maximum_diameter == float("inf")


@pytest.mark.parametrize("count", [0, 5])
def test_what_the_figure_shows_can_travel_between_processes(module, run, nuclei_grid, count):
    module.show_window = True
    workspace, _ = run(nuclei_grid(count))
    shown = workspace.display_data.__dict__
    assert {name: value.shape for name, value in shown.items() if isinstance(value, np.ndarray)}.keys() == {
        "image",
        "labels",
        "inside_excluded",
        "border_excluded",
    }
    assert json.loads(json.dumps(shown["statistics"])) == shown["statistics"]
    assert shown["statistics"][0] == ["# of accepted nuclei", str(count)]
    assert "nan" not in str(shown["statistics"])


def test_the_figure_outlines_what_was_kept_and_what_was_discarded(module, run, nuclei_grid, drawn):
    labels = nuclei_grid(5)
    labels[0, :10] = 1
    module.show_window = True
    module.exclude_size.value = True
    module.size_range.value = (5, 100)
    labels[labels == 4] = 0
    labels[10, 10] = 4
    workspace, _ = run(labels)
    module.display(workspace, drawn)
    assert drawn.titles == ["Input image, cycle #1", "Nuclei", "Nuclei outlines"]
    assert [name for name, _ in drawn.outlines] == [
        "Nuclei",
        "Nuclei filtered out by size or confidence",
        "Nuclei touching border",
    ]
    kept, of_wrong_size, at_border = (shown for _, shown in drawn.outlines)
    np.testing.assert_array_equal(kept > 0, np.isin(labels, (2, 3, 5)))
    np.testing.assert_array_equal(of_wrong_size > 0, labels == 4)
    np.testing.assert_array_equal(at_border > 0, labels == 1)
    assert drawn.table["# of accepted nuclei"] == "3"
    assert drawn.table["# discarded for their size"] == drawn.table["# discarded at the border"] == "1"


@pytest.fixture
def real_model():
    from nucdl_core.config import DEFAULT_MODEL
    from nucdl_core.model.bundle import list_bundles

    if DEFAULT_MODEL not in list_bundles():
        pytest.skip(f"the model {DEFAULT_MODEL} is not bundled")


def blurred_disks(centres, radius=14, shape=(160, 200)):
    rows, cols = np.indices(shape)
    image = np.full(shape, 0.05)
    for row, col in centres:
        image[(rows - row) ** 2 + (cols - col) ** 2 <= radius**2] = 0.5
    return ndimage.gaussian_filter(image, 1.5) + np.random.default_rng(1).normal(0, 0.005, shape)


@pytest.mark.parametrize("centres", [[], [(80, 100)], [(40, 40), (40, 150), (110, 60), (115, 150)]])
def test_the_real_engine_finds_bright_disks(module, make_workspace, real_model, centres):
    workspace = make_workspace(module, blurred_disks(centres).astype(np.float32))
    assert module.prepare_run(workspace)
    module.run(workspace)
    objects = workspace.object_set.get_objects("Nuclei")
    assert objects.count == len(centres)
    assert len({objects.segmented[centre] for centre in centres} - {0}) == len(centres)


def test_an_all_black_image_has_no_nuclei_and_is_no_error(module, make_workspace, real_model):
    workspace = make_workspace(module, np.zeros((100, 120), np.float32))
    module.run(workspace)
    assert workspace.object_set.get_objects("Nuclei").count == 0


def test_an_image_of_two_by_two_pixels_is_no_error(module, make_workspace, real_model):
    workspace = make_workspace(module, np.full((2, 2), 0.5, np.float32))
    module.run(workspace)
    assert workspace.object_set.get_objects("Nuclei").count <= 1


def test_pixels_that_are_not_a_number_are_refused(module, make_workspace, real_model):
    from nucdl_core.errors import ImageError

    pixels = np.zeros((50, 50), np.float32)
    pixels[3, 4] = np.nan
    with pytest.raises(ImageError, match="NaN"):
        module.run(make_workspace(module, pixels))


def test_the_model_is_loaded_once_for_all_images(module, make_workspace, tiny_bundle, monkeypatch):
    from nucdl_core.model import loading
    from nucdl_core.model.bundle import read_bundle

    loaded = []
    monkeypatch.setattr(loading, "read_bundle", lambda folder: loaded.append(folder) or read_bundle(folder))
    module.model.value = "Folder"
    module.model_folder.value = f"Elsewhere...|{tiny_bundle}"
    for _ in range(3):
        module.run(make_workspace(module, blurred_disks([(80, 100)]).astype(np.float32)))
    assert loaded == [tiny_bundle]


@pytest.mark.parametrize(
    "family, arguments",
    [
        ("unet_three_class", {"widths": [4, 8]}),
        ("fpn2", {"depth": 18, "channels": 8}),
        ("deepcell", {"members": 2, "channels": 4, "dense": 8}),
    ],
)
def test_a_published_network_is_used_like_any_model(module, make_workspace, tmp_path, family, arguments):
    from conftest import make_tiny_bundle

    from nucdl_core.training.config import TrainConfig

    bundle = make_tiny_bundle(tmp_path / family, TrainConfig(f"tiny_{family}", family, arguments))
    module.model.value = "Folder"
    module.model_folder.value = f"Elsewhere...|{bundle}"
    workspace = make_workspace(module, blurred_disks([(80, 100)]).astype(np.float32))
    module.run(workspace)
    assert workspace.object_set.get_objects(module.y_name.value).segmented.shape == (160, 200)
