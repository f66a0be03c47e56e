import numpy as np
import pytest
import torch
from drawings import annotated_disks

from nucdl_core.training.config import TrainConfig
from nucdl_core.training.crops import CropDataset, collate, cut, draw_diameter, plan_crop, simulated_source, take_crop


def dataset(share=0.5):
    return CropDataset([annotated_disks()], TrainConfig(name="tiny", crop_size=64, simulated_share=share), range(100))


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_crop_has_the_promised_shapes_and_finite_values(share):
    crops = dataset(share)
    for number in range(12):
        crop = crops[number]
        shapes = {key: tuple(value.shape) for key, value in crop.items()}
        weights = dict.fromkeys(("gap", "sized", "inside"), (1, 64, 64))
        assert shapes == {"image": (1, 64, 64), "targets": (4, 64, 64), **weights}
        assert all(torch.isfinite(value).all() and value.dtype == torch.float32 for value in crop.values())


def test_the_same_number_gives_the_same_crop():
    first, again, other = dataset()[5], dataset()[5], dataset()[6]
    assert torch.equal(first["image"], again["image"])
    assert not torch.equal(first["image"], other["image"])


def test_a_resumed_dataset_goes_on_where_it_stopped():
    config = dataset().config
    assert torch.equal(CropDataset([annotated_disks()], config, range(40, 100))[0]["image"], dataset()[40]["image"])


@pytest.mark.parametrize("diameter", [8.0, 16.0, 40.0])
def test_nuclei_get_the_wanted_size_and_the_size_map_says_so(diameter):
    crop = take_crop(annotated_disks(), diameter, TrainConfig("tiny", crop_size=160), np.random.default_rng(4))
    sized = crop["sized"][0] > 0
    assert sized.any()
    stated = 32 * 2 ** crop["targets"][3][sized]
    assert float(stated.median()) == pytest.approx(diameter, rel=0.05)


@pytest.mark.parametrize("name", ["simulated", "simulated_empty"])
def test_the_name_of_an_image_changes_nothing(name):
    plan = plan_crop(annotated_disks(name=name), 45.0, 64, np.random.default_rng(0))
    assert plan.scale == pytest.approx(45 / annotated_disks().diameter)
    config = TrainConfig("tiny", crop_size=64)
    for seed in range(4):
        crops = [
            take_crop(annotated_disks(name=each), 24.0, config, np.random.default_rng(seed)) for each in (name, "disks")
        ]
        assert torch.equal(crops[0]["image"], crops[1]["image"])


@pytest.mark.parametrize("seed", range(4))
def test_a_simulated_field_is_neither_scaled_nor_blurred_again(seed):
    rng = np.random.default_rng(seed)
    field = simulated_source(rng, 24.0, 64)
    plan = plan_crop(field, 24.0, 64, rng)
    assert field.simulated
    assert (plan.scale, plan.elastic) == (1.0, 0.0)


def test_the_image_and_its_targets_are_moved_together():
    config = TrainConfig(name="tiny", crop_size=96, canonical_diameter=16.0)
    for seed in range(8):
        crop = take_crop(annotated_disks(), 16.0, config, np.random.default_rng(seed))
        inside = crop["targets"][0] > 0
        assert inside.any() and not inside.all()
        assert crop["image"][0][inside].mean() > crop["image"][0][~inside].mean()


@pytest.mark.parametrize("seed", range(6))
def test_a_crop_stays_inside_a_larger_image(seed):
    config = TrainConfig(name="tiny", crop_size=64)
    layers = cut(annotated_disks(shape=(160, 200)), 16.0, config.crop_size, np.random.default_rng(seed))
    assert layers.inside.mean() > 0.99  # a deformation may reach a pixel beyond


@pytest.mark.parametrize("seed", range(6))
def test_a_crop_larger_than_the_image_holds_all_of_it(seed):
    layers = cut(annotated_disks(shape=(100, 100)), 16.0, 192, np.random.default_rng(seed))
    assert layers.inside.sum() == pytest.approx(100 * 100, rel=0.25)  # stretched by a few percent
    assert not layers.inside.all()


def test_the_mirrored_surroundings_of_an_image_do_not_count():
    config = TrainConfig(name="tiny", crop_size=192, simulated_share=0.0, superposed_share=0.0)
    crop = take_crop(annotated_disks(shape=(100, 100)), 16.0, config, np.random.default_rng(0))
    outside = crop["inside"] == 0
    assert outside.any()
    assert not (crop["sized"] > 0)[outside].any()


def test_crop_sizes_follow_the_configuration():
    rng = np.random.default_rng(0)
    near = TrainConfig(name="t", any_scale_share=0.0, scale_jitter=0.0, canonical_diameter=20.0)
    far = TrainConfig(name="t", any_scale_share=1.0, diameter_range=(6, 150))
    assert draw_diameter(rng, near) == pytest.approx(20)
    drawn = [draw_diameter(rng, far) for _ in range(500)]
    assert 6 <= min(drawn) < 8 and 120 < max(drawn) <= 150


def test_a_batch_is_stacked_crops():
    batch = collate([dataset()[0], dataset()[1]])
    assert batch["image"].shape == (2, 1, 64, 64)


def test_a_limited_number_of_regions_comes_again():
    config = TrainConfig("tiny", crop_size=64, simulated_share=0.0, regions=3)
    crops = CropDataset([annotated_disks()], config, range(100))
    assert torch.equal(crops[1]["image"], crops[4]["image"])
    assert not torch.equal(crops[1]["image"], crops[2]["image"])


def test_crops_that_are_not_rescaled_show_nuclei_as_large_as_they_are():
    source, sizes = annotated_disks(), []
    for rescaled in (True, False):
        config = TrainConfig(
            "tiny", canonical_diameter=3 * source.diameter, crop_size=64, augmentation="none", rescaled=rescaled
        )
        crop = CropDataset([source], config, range(10))[0]
        sized = crop["sized"][0] > 0
        sizes.append(float((2 ** crop["targets"][3][sized] * config.canonical_diameter).median()))
    assert sizes[0] == pytest.approx(3 * source.diameter, rel=0.2)
    assert sizes[1] == pytest.approx(source.diameter, rel=0.2)
