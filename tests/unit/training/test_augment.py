"""Changes of intensity."""

import numpy as np
import pytest
from drawings import annotated_disks, disks

from nucdl_core.errors import ConfigError
from nucdl_core.training.augment import CHANGES, CLASSES, augment_intensity, classes_of
from nucdl_core.training.config import TrainConfig
from nucdl_core.training.crops import CropDataset, plan_crop

LABELS = disks((48, 48), [(20, 20)], 9)
CROP = (LABELS > 0).astype(np.float32)


@pytest.mark.parametrize("seed", range(10))
def test_changed_intensities_stay_bounded(seed):
    changed = augment_intensity(CROP, LABELS, np.random.default_rng(seed))
    assert changed.dtype == np.float32
    assert np.isfinite(changed).all()
    assert np.abs(changed).max() < 50


@pytest.mark.parametrize("change", [change for _, _, change in CHANGES], ids=lambda change: change.__name__)
def test_every_change_changes_a_crop_and_leaves_what_it_was_given(change):
    crop = np.random.default_rng(1).random((48, 48), np.float32) * 0.3 + CROP
    before = crop.copy()
    changed = change(crop, LABELS, np.random.default_rng(3))
    assert changed.shape == crop.shape and changed.dtype == np.float32
    assert not np.array_equal(changed, before)
    assert np.array_equal(crop, before)


def test_without_classes_a_crop_stays_as_it_is():
    for seed in range(20):
        assert np.array_equal(augment_intensity(CROP, LABELS, np.random.default_rng(seed), ()), CROP)


@pytest.mark.parametrize("name", sorted({name for name, _, _ in CHANGES}))
def test_each_class_alone_changes_some_crops(name):
    rng = np.random.default_rng(0)
    crops = [augment_intensity(CROP + 0.1, LABELS, rng, {name}) for _ in range(80)]
    assert any(not np.array_equal(crop, CROP + np.float32(0.1)) for crop in crops)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("all", set(CLASSES)),
        ("none", set()),
        ("turns, scale", {"turns", "scale"}),
        ("-blur,-noise", set(CLASSES) - {"blur", "noise"}),
    ],
)
def test_a_text_names_classes_of_augmentation(text, expected):
    assert classes_of(text) == expected


@pytest.mark.parametrize("text", ["", "rotation", "blur,-noise", "all,blur", "-"])
def test_a_text_that_names_no_classes_is_refused_with_the_classes(text):
    with pytest.raises(ConfigError, match="give all, none, or classes of simulated, scale"):
        classes_of(text)
    with pytest.raises(ConfigError, match="augmentation is"):
        TrainConfig("tiny", augmentation=text)


def test_without_augmentation_a_crop_is_a_piece_of_the_image():
    config = TrainConfig("tiny", crop_size=32, augmentation="none", canonical_diameter=16.0, simulated_share=1.0)
    source = annotated_disks()
    image = source.pyramid[0][0, 0].numpy()
    levels = np.unique(image)
    for number in range(6):
        crop = CropDataset([source], config, range(10))[number]["image"][0].numpy()
        assert levels.min() - 1e-3 <= crop.min() and crop.max() <= levels.max() + 1e-3
    plan = plan_crop(source, 16.0, 32, np.random.default_rng(2), ())
    assert np.allclose(plan.matrix * plan.scale, np.eye(2))
    assert plan.elastic == 0
