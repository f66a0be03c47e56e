from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import ndimage
from skimage.measure import regionprops

from nucdl_core.errors import ConfigError
from nucdl_core.simulate.field import FIELD_RANGES, FieldConfig, random_config
from nucdl_core.simulate.image import SMALLEST_AREA, simulate_field, tidy

# light without anything that hides the outlines
CLEAN = FieldConfig(
    size=(128, 160),
    count=6,
    diameter=24,
    patchiness=0,
    cluster_probability=0,
    kidney_share=0,
    lobed_share=0,
    mitotic_share=0,
    micronucleus_share=0,
    texture=0,
    nucleoli=0,
    bright_spots=0,
    dome=0,
    brightness_spread=0,
    defocus_spread=0,
    illumination=0,
    background=0,
    haze=0,
    cytoplasm=0,
    debris=0,
    photons=1e6,
    read_noise=0,
    offset=0,
    peak=0.25,
    hot_pixels=0,
    bits=16,
)


def make(seed=0, **changes):
    return simulate_field(dataclasses.replace(CLEAN, **changes), np.random.default_rng(seed))


def relative_light(field):
    return field.image / (65535 * CLEAN.peak)


def numbers(labels):
    return np.unique(labels[labels > 0])


def test_the_same_seed_gives_the_same_field():
    first, second = (
        simulate_field(FieldConfig(size=(90, 70), coverage=0.4), np.random.default_rng(3)) for _ in range(2)
    )
    assert np.array_equal(first.image, second.image)
    assert np.array_equal(first.labels, second.labels)
    assert first.diameter == second.diameter


def test_another_seed_gives_another_field():
    assert not np.array_equal(make(seed=1).labels, make(seed=2).labels)


def test_a_field_stays_what_it_was_when_this_test_was_written():
    # so that seeds in papers and bug reports keep their meaning, on every supported version of numpy
    field = simulate_field(FieldConfig(size=(96, 128), diameter=18), np.random.default_rng(20))
    assert (int(field.labels.max()), int((field.labels > 0).sum()), int(field.image.sum())) == (6, 1019, 216992)


@pytest.mark.parametrize("bits, dtype", [(8, np.uint8), (12, np.uint16), (16, np.uint16)])
def test_the_image_fills_the_bits_and_no_more(bits, dtype):
    field = make(bits=bits, peak=1.0, brightness_spread=0.5)
    assert field.image.dtype == dtype
    assert field.image.max() == 2**bits - 1


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (2, 3), (5, 5), (33, 200)])
@pytest.mark.parametrize("count", [None, 0, 3])
def test_any_image_size_is_possible(size, count):
    field = simulate_field(FieldConfig(size=size, count=count, coverage=0.5), np.random.default_rng(1))
    assert field.image.shape == field.labels.shape == size


def test_labels_are_int32_without_gaps_and_in_one_piece():
    config = FieldConfig(size=(200, 200), coverage=0.6, overlap=0.5, cluster_probability=0.9, diameter=20)
    labels = simulate_field(config, np.random.default_rng(0)).labels
    assert labels.dtype == np.int32
    assert np.array_equal(numbers(labels), np.arange(1, labels.max() + 1))
    pieces = [ndimage.label(labels == number, np.ones((3, 3)))[1] for number in numbers(labels)]
    assert pieces == [1] * len(pieces)
    assert np.bincount(labels.ravel())[1:].min() >= SMALLEST_AREA


def test_as_many_nuclei_are_placed_as_asked_for():
    assert make(count=7).labels.max() == 7


def test_an_empty_field_has_no_labels_and_no_diameter():
    field = make(count=0)
    assert not field.labels.any()
    assert np.isnan(field.diameter)


def test_the_coverage_is_met_on_average():
    config = dataclasses.replace(CLEAN, size=(300, 300), count=None, coverage=0.2, diameter=14, patchiness=0.0)
    covered = [(simulate_field(config, np.random.default_rng(s)).labels > 0).mean() for s in range(5)]
    assert np.mean(covered) == pytest.approx(0.2, abs=0.03)


def test_the_median_diameter_is_met():
    field = make(count=60, size=(400, 400), diameter=20, diameter_spread=0.2)
    assert field.diameter == pytest.approx(20, rel=0.08)


def test_sizes_spread_as_asked_for():
    areas = np.bincount(make(count=80, size=(500, 500), diameter=20, diameter_spread=0.25, seed=4).labels.ravel())[1:]
    assert np.std(0.5 * np.log(areas)) == pytest.approx(0.25, abs=0.07)


def test_the_border_cuts_nuclei_and_keeps_the_rest():
    labels = make(count=None, coverage=0.4).labels
    rim = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    assert len(numbers(rim)) > 2


@pytest.mark.parametrize("diameter, blur", [(8, 0.8), (24, 0.8), (24, 2.0), (60, 3.0)])
def test_the_truth_is_where_the_light_falls_to_half(diameter, blur):
    field = make(diameter=diameter, blur=blur, size=(200, 200), count=4, seed=2)
    seen, truth = relative_light(field) > 0.5, field.labels > 0
    assert truth.sum() == pytest.approx(seen.sum(), rel=0.06)
    assert (seen & truth).sum() / (seen | truth).sum() > 0.93


def test_covered_light_is_added_in_part():
    crowded = {"count": 30, "size": (90, 90), "overlap": 0.5, "cluster_probability": 1.0}
    assert relative_light(make(overlap_light=0.0, **crowded)).max() < 1.1
    assert relative_light(make(overlap_light=1.0, **crowded)).max() > 1.8


def test_without_clusters_nuclei_keep_a_gap():
    labels = make(count=25, size=(300, 300), overlap=0.5).labels
    assert ndimage.label(labels, np.ones((3, 3)))[1] == labels.max() == 25


def test_in_clusters_nuclei_touch():
    labels = make(count=20, size=(260, 260), cluster_probability=0.9, overlap=0.1).labels
    assert ndimage.label(labels, np.ones((3, 3)))[1] < 0.6 * labels.max()


def test_patchy_fields_leave_parts_empty():
    def most_in_a_quarter(patchiness):
        field = make(count=40, diameter=6, size=(160, 160), patchiness=patchiness, seed=1)
        return max(int((field.labels[r : r + 80, c : c + 80] > 0).sum()) for r in (0, 80) for c in (0, 80))

    assert most_in_a_quarter(1.0) > 1.3 * most_in_a_quarter(0.0)


def solidities(labels):
    return np.array([region.solidity for region in regionprops(labels)])


@pytest.mark.parametrize("share", ["kidney_share", "lobed_share"])
def test_kidneys_and_lobes_are_hollow_where_ellipses_are_not(share):
    shape = {"count": 8, "diameter": 36, "size": (300, 300), "deformation": 0}
    plain, hollow = make(**shape), make(**shape, **{share: 1.0})
    assert np.median(solidities(plain.labels)) > 0.96 > np.median(solidities(hollow.labels)) + 0.005


def test_deformation_makes_outlines_irregular():
    plain, bumpy = (make(count=8, diameter=36, size=(300, 300), deformation=d) for d in (0.0, 0.15))
    assert np.median(solidities(bumpy.labels)) < np.median(solidities(plain.labels)) - 0.005


def test_micronuclei_have_labels_of_their_own():
    field = make(count=6, size=(300, 300), diameter=40, micronucleus_share=1.0)
    areas = np.sort(np.bincount(field.labels.ravel())[1:])
    assert len(areas) > 6
    assert areas[0] < 0.15 * areas[-6:].min()


def test_micronuclei_too_small_to_outline_are_left_out():
    assert make(count=6, diameter=8, micronucleus_share=1.0).labels.max() <= 6


def test_mitosis_makes_pairs_and_bright_plates():
    resting, dividing = (make(count=20, size=(400, 400), mitotic_share=share) for share in (0.0, 1.0))
    assert resting.labels.max() == 20 < dividing.labels.max()
    assert relative_light(dividing).max() > 1.5 * relative_light(resting).max()


def test_brightness_differs_between_nuclei():
    field = make(brightness_spread=0.5, count=12, size=(300, 300))
    means = ndimage.mean(relative_light(field), field.labels, numbers(field.labels))
    assert means.max() > 1.8 * means.min()


@pytest.mark.parametrize("name, value", [("texture", 0.3), ("nucleoli", 0.8), ("bright_spots", 1.0), ("dome", 0.8)])
def test_nuclei_are_not_flat_when_asked_not_to_be(name, value):
    def variation(field):
        inner = ndimage.binary_erosion(field.labels > 0, iterations=4)
        return float(relative_light(field)[inner].std())

    shape = {"count": 12, "diameter": 40, "size": (260, 260)}
    plain, structured = make(**shape), make(**shape, **{name: value})
    assert variation(structured) > variation(plain) + 0.02


def test_defocus_softens_edges():
    def steepest(field):
        return float(np.abs(np.diff(relative_light(field), axis=0)).max())

    assert steepest(make(defocus=3.0)) < 0.5 * steepest(make())


def test_single_nuclei_may_be_out_of_focus():
    sharp, soft = make(diameter=30), make(diameter=30, defocus_spread=4.0)
    assert np.array_equal(sharp.labels > 0, soft.labels > 0)
    assert (relative_light(soft)[soft.labels == 0] > 0.1).sum() > 1.5 * (
        relative_light(sharp)[sharp.labels == 0] > 0.1
    ).sum()


def test_illumination_is_uneven():
    field = make(count=0, background=1.0, illumination=0.6)
    even = make(count=0, background=1.0)
    assert field.image.min() / field.image.max() < 0.6 < even.image.min() / even.image.max() + 0.2


@pytest.mark.parametrize("name", ["background", "haze", "cytoplasm"])
def test_there_is_light_between_nuclei(name):
    dark, hazy = make(), make(**{name: 0.2})
    away = ndimage.binary_dilation(dark.labels > 0, iterations=6)
    assert relative_light(hazy)[~away].mean() > relative_light(dark)[~away].mean() + 0.003


def test_debris_shines_and_is_never_labelled():
    field = make(count=0, debris=4.0)
    assert relative_light(field).max() > 0.1
    assert not field.labels.any()


def test_shot_noise_grows_with_the_light():
    field = make(count=0, background=1.0, photons=100, blur=0)
    electrons = field.image / (65535 * CLEAN.peak) * 100
    high_pass = electrons - ndimage.gaussian_filter(electrons, 3)
    assert high_pass.std() == pytest.approx(np.sqrt(electrons.mean()), rel=0.1)


def test_read_noise_and_offset_show_in_the_dark():
    field = make(count=0, offset=0.1, read_noise=50, photons=1e4)
    assert field.image.mean() == pytest.approx(6553.5, rel=0.01)
    assert field.image.std() == pytest.approx(65535 * CLEAN.peak * 50 / 1e4, rel=0.05)


def test_hot_pixels_are_single_and_bright():
    field = make(count=0, hot_pixels=0.001)
    hot = field.image > 5000
    assert 5 < hot.sum() < 45
    assert ndimage.label(hot)[1] > 0.9 * hot.sum()


@pytest.mark.parametrize("name", sorted(FIELD_RANGES))
@pytest.mark.parametrize("side", ["below", "above", "nan"])
def test_a_setting_out_of_range_is_refused_by_name(name, side):
    low, high = FIELD_RANGES[name]
    value = {"below": low - 1, "above": high * 1.01 + 0.01, "nan": float("nan")}[side]
    with pytest.raises(ConfigError, match=f"^{name} is "):
        FieldConfig(**{name: value})


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"size": (0, 5)}, "size"),
        ({"size": (5, 5, 3)}, "size"),
        ({"size": (5.0, 5)}, "size"),
        ({"size": (5, 1_000_000)}, "size"),
        ({"count": -1}, "count"),
        ({"count": 1.5}, "count"),
        ({"bits": 10}, "bits"),
        ({"kidney_share": 0.5, "lobed_share": 0.3, "mitotic_share": 0.3}, "add up"),
    ],
)
def test_impossible_settings_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        FieldConfig(**changes)


@pytest.mark.parametrize("diameter_range", [(1, 50), (50, 20), (20, 5000)])
def test_an_impossible_diameter_range_is_refused(diameter_range):
    with pytest.raises(ConfigError, match="diameter range"):
        random_config(np.random.default_rng(0), (64, 64), diameter_range)


def test_random_settings_cover_the_diameter_range():
    drawn = [random_config(np.random.default_rng(s), (64, 64), (10, 80)).diameter for s in range(200)]
    assert 10 <= min(drawn) < 13
    assert 65 < max(drawn) <= 80


def test_random_settings_cover_bits_focus_and_empty_fields():
    drawn = [random_config(np.random.default_rng(s), (64, 64)) for s in range(300)]
    assert {config.bits for config in drawn} == {8, 12, 16}
    assert 0.1 < np.mean([config.defocus > 0 for config in drawn]) < 0.5
    assert 0 < np.mean([config.count == 0 for config in drawn]) < 0.06


def test_most_random_fields_hold_nuclei():
    generators = [np.random.default_rng(s) for s in range(40)]
    held = [simulate_field(random_config(rng, (96, 96)), rng).labels.any() for rng in generators]
    assert np.mean(held) > 0.75


def test_tidy_keeps_the_largest_piece_and_closes_gaps():
    labels = np.zeros((8, 12), np.int32)
    labels[0:3, 0:3] = 4
    labels[0:2, 6:9] = 4
    labels[5:8, 5:8] = 9
    expected = np.zeros_like(labels)
    expected[0:3, 0:3] = 1
    expected[5:8, 5:8] = 2
    assert np.array_equal(tidy(labels), expected)


def test_tidy_drops_nuclei_of_a_few_pixels():
    labels = np.zeros((6, 6), np.int32)
    labels[0, :4] = 1
    labels[2:4, :3] = 2
    assert np.array_equal(tidy(labels), (labels == 2).astype(np.int32))


def test_tidy_leaves_its_input_alone():
    labels = np.array([[3, 0], [0, 3]], np.int32)
    tidy(labels)
    assert np.array_equal(labels, [[3, 0], [0, 3]])


def test_ten_thousand_nuclei_are_possible():
    field = make(count=10_000, size=(600, 600), diameter=4, diameter_spread=0)
    assert field.labels.max() > 7_000
