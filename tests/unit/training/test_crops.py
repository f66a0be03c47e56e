import numpy as np
import pytest
import torch
from drawings import disks

from nucdl_core.training.augment import augment_intensity
from nucdl_core.training.config import TrainConfig
from nucdl_core.training.crops import CropDataset, collate, cut, draw_diameter, plan_crop, simulated_source, take_crop
from nucdl_core.training.sources import is_validation, kind_weights, prepare


def source(radius=8, shape=(96, 128), name="disks"):
    labels = disks(shape, [(20, 20), (20, 60), (60, 30), (60, 90)], radius)
    return prepare(name, (20 + 200 * (labels > 0)).astype(np.uint8), labels)


def dataset(share=0.5):
    return CropDataset([source()], TrainConfig(name="tiny", crop_size=64, simulated_share=share), range(100))


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
    assert torch.equal(CropDataset([source()], config, range(40, 100))[0]["image"], dataset()[40]["image"])


@pytest.mark.parametrize("diameter", [8.0, 16.0, 40.0])
def test_nuclei_get_the_wanted_size_and_the_size_map_says_so(diameter):
    crop = take_crop(source(), diameter, TrainConfig("tiny", crop_size=160), np.random.default_rng(4))
    sized = crop["sized"][0] > 0
    assert sized.any()
    stated = 32 * 2 ** crop["targets"][3][sized]
    assert float(stated.median()) == pytest.approx(diameter, rel=0.05)


@pytest.mark.parametrize("name", ["simulated", "simulated_empty"])
def test_the_name_of_an_image_changes_nothing(name):
    plan = plan_crop(source(name=name), 45.0, 64, np.random.default_rng(0))
    assert plan.scale == pytest.approx(45 / source().diameter)
    config = TrainConfig("tiny", crop_size=64)
    for seed in range(4):
        crops = [take_crop(source(name=each), 24.0, config, np.random.default_rng(seed)) for each in (name, "disks")]
        assert torch.equal(crops[0]["image"], crops[1]["image"])


@pytest.mark.parametrize("seed", range(4))
def test_a_simulated_field_is_neither_scaled_nor_blurred_again(seed):
    rng = np.random.default_rng(seed)
    field = simulated_source(rng, 24.0, 64)
    plan = plan_crop(field, 24.0, 64, rng)
    assert field.simulated
    assert (plan.scale, plan.elastic) == (1.0, 0.0)


def test_the_size_of_a_nucleus_cut_by_the_image_border_is_not_taught():
    labels = np.zeros((40, 40), np.int32)
    labels[:9, 10:20], labels[20:29, 10:20] = 1, 2
    assert (
        prepare("cut", labels.astype(np.uint8), labels).sizes[1]
        == 0
        < prepare("cut", labels.astype(np.uint8), labels).sizes[2]
    )


def test_the_image_and_its_targets_are_moved_together():
    config = TrainConfig(name="tiny", crop_size=96, canonical_diameter=16.0)
    for seed in range(8):
        crop = take_crop(source(), 16.0, config, np.random.default_rng(seed))
        inside = crop["targets"][0] > 0
        if inside.any() and not inside.all():
            assert crop["image"][0][inside].mean() > crop["image"][0][~inside].mean()


@pytest.mark.parametrize("seed", range(6))
def test_a_crop_stays_inside_a_larger_image(seed):
    config = TrainConfig(name="tiny", crop_size=64)
    layers = cut(source(shape=(160, 200)), 16.0, config.crop_size, np.random.default_rng(seed))
    assert layers.inside.mean() > 0.99  # a deformation may reach a pixel beyond


@pytest.mark.parametrize("seed", range(6))
def test_a_crop_larger_than_the_image_holds_all_of_it(seed):
    layers = cut(source(shape=(100, 100)), 16.0, 192, np.random.default_rng(seed))
    assert layers.inside.sum() == pytest.approx(100 * 100, rel=0.25)  # stretched by a few percent
    assert not layers.inside.all()


def test_the_mirrored_surroundings_of_an_image_do_not_count():
    config = TrainConfig(name="tiny", crop_size=192, simulated_share=0.0, superposed_share=0.0)
    crop = take_crop(source(shape=(100, 100)), 16.0, config, np.random.default_rng(0))
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


def test_rare_kinds_of_images_are_drawn_more_often():
    weights = kind_weights([source()] * 4 + [source(shape=(100, 100))])
    assert weights[4] == pytest.approx(2 * weights[0])


def test_each_kind_of_image_can_count_the_same():
    weights = kind_weights([source()] * 4 + [source(shape=(100, 100))], evenness=1.0)
    assert weights[:4].sum() == pytest.approx(weights[4])


def test_the_split_depends_on_the_name_alone():
    names = [f"image{number}" for number in range(1000)]
    chosen = [name for name in names if is_validation(name, 8)]
    assert 90 < len(chosen) < 160
    assert chosen == [name for name in names if is_validation(name, 8)]


@pytest.mark.parametrize("seed", range(10))
def test_changed_intensities_stay_bounded(seed):
    rng = np.random.default_rng(seed)
    labels = disks((48, 48), [(20, 20)], 9)
    changed = augment_intensity((labels > 0).astype(np.float32), labels, rng)
    assert changed.dtype == np.float32
    assert np.isfinite(changed).all()
    assert np.abs(changed).max() < 50


def test_a_batch_is_stacked_crops():
    batch = collate([dataset()[0], dataset()[1]])
    assert batch["image"].shape == (2, 1, 64, 64)
