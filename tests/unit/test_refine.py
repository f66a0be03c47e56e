import copy
from dataclasses import replace

import numpy as np
import pytest
from drawings import disks, field

from nucdl_core import refine as refine_module
from nucdl_core.config import DEFAULT_MODEL
from nucdl_core.errors import BundleError, ImageError, OutOfMemoryError
from nucdl_core.labels import areas, offset_outlines, relabel
from nucdl_core.model.bundle import find_bundle
from nucdl_core.model.loading import load_map_model
from nucdl_core.refine import chosen_refinement, gather_evidence, gather_in_tiles, object_diameter, refine
from nucdl_core.scores.matching import image_scores
from nucdl_core.steps.contours import CONTOURS_ONLY, RefineConfig, Refinement
from nucdl_core.steps.instances import Decision
from nucdl_core.steps.normalize import NormalizedImage
from nucdl_core.steps.views import VIEW_SETS

EVERYTHING = {"split": True, "merge": True, "remove": True, "add": True}
QUICK = RefineConfig(views="none")


@pytest.fixture(scope="module")
def predictor():
    return load_map_model(find_bundle(DEFAULT_MODEL), "cpu")


def tight(labels):
    return offset_outlines(labels, -2)


def wide(labels):
    return offset_outlines(labels, 2)


@pytest.mark.parametrize("spoil", [tight, wide])
def test_outlines_that_are_too_tight_or_too_wide_come_closer_to_the_truth(spoil):
    image, truth = field()
    refined = refine(image, spoil(truth), RefineConfig(refinement=Refinement(threshold=0.5, inwards=3, outwards=3)))
    before, after = (image_scores(truth, labels)["mean_f1"] for labels in (spoil(truth), refined.labels))
    assert after > before + 0.1
    assert refined.count == truth.max()
    assert np.median(refined.shift) == pytest.approx(2, abs=1)


def test_each_refined_nucleus_has_the_place_of_its_object():
    image, truth = field()
    refined = refine(image, truth)
    np.testing.assert_array_equal(refined.parents, np.arange(1, truth.max() + 1))
    both = (truth > 0) & (refined.labels > 0)
    np.testing.assert_array_equal(refined.labels[both], truth[both])


def test_all_vectors_have_one_value_per_nucleus_and_the_maps_one_per_pixel():
    image, truth = field()
    refined = refine(image, truth, RefineConfig(views="all", **EVERYTHING))
    for vector in (refined.parents, refined.agreement, refined.shift, refined.probability_mean):
        assert vector.shape == (refined.count,)
    assert refined.labels.shape == refined.probability.shape == image.shape == (160, 240)
    assert refined.agreement.min() > 0.8 and refined.agreement.max() <= 1
    assert refined.probability_mean.min() > 0.5


def test_how_far_it_is_reaches_the_one_who_waits(monkeypatch):
    told, in_tiles = [], gather_in_tiles

    def in_small_tiles(image, predictor, views, diameter, side, progress=None):
        return in_tiles(image, predictor, views, diameter, 100, progress)

    monkeypatch.setattr(refine_module, "gather_in_tiles", in_small_tiles)
    refine(*field(), QUICK, progress=lambda *tile: told.append(tile))
    assert told[-1] == (len(told), len(told)) and len(told) > 1


def test_what_no_view_sees_has_no_agreement_and_a_low_probability():
    image, truth = field()
    objects = truth.copy()
    objects[2:8, 2:8] = truth.max() + 1
    refined = refine(image, objects)
    assert refined.agreement[-1] == 0
    assert refined.probability_mean[-1] < 0.3
    assert refined.agreement[:-1].min() > 0.8


def test_one_view_agrees_with_nothing():
    image, truth = field()
    assert np.isnan(refine(image, truth, QUICK).agreement).all()


def test_an_object_over_two_nuclei_is_split_where_it_is_allowed():
    image, truth = field()
    first, second = 1, 2
    clump = np.where(truth == second, first, truth)
    rows, cols = np.nonzero(clump == first)
    clump[rows.min() + 8 : rows.max() - 7, cols.min() + 5 : cols.max() - 4] = first
    kept, split = (refine(image, clump, RefineConfig(split=switch)) for switch in (False, True))
    assert kept.count == truth.max() - 1
    assert split.count == truth.max()
    assert list(split.parents[:3]) == [1, 1, 3]


def test_halves_of_a_nucleus_are_merged_where_it_is_allowed():
    image, truth = field()
    right = np.indices(truth.shape)[1] > np.nonzero(truth == 1)[1].mean() + 1
    halves = np.where(right & (truth == 1), truth.max() + 1, truth)
    kept, merged = (refine(image, halves, RefineConfig(merge=switch)) for switch in (False, True))
    assert kept.count == truth.max() + 1
    assert merged.count == truth.max()
    np.testing.assert_array_equal(merged.parents, np.arange(1, truth.max() + 1))


def test_nuclei_are_added_and_others_removed_where_it_is_allowed():
    image, truth = field()
    objects = np.where(truth == 1, 0, truth)
    objects[2:8, 2:8] = 1
    unchanged = refine(image, objects)
    added = refine(image, objects, RefineConfig(add=True))
    removed = refine(image, objects, RefineConfig(remove=True))
    assert (unchanged.count, added.count, removed.count) == (truth.max(), truth.max() + 1, truth.max() - 1)
    assert added.parents[-1] == 0 and np.isnan(added.shift[-1])
    assert image_scores((truth == 1).astype(np.int32), (added.labels == added.count).astype(np.int32))["f1_0.50"] == 1
    assert 1 not in removed.parents


def test_no_objects_stay_none_unless_nuclei_are_added():
    image, truth = field()
    nothing = np.zeros(image.shape, np.int32)
    assert refine(image, nothing).count == 0
    assert refine(image, nothing, RefineConfig(split=True, merge=True, remove=True)).count == 0
    added = refine(image, nothing, RefineConfig(add=True))
    assert image_scores(truth, added.labels)["f1_0.50"] == 1
    assert not added.parents.any()


def test_a_flat_image_has_nothing_to_add():
    assert refine(np.zeros((50, 60), np.uint8), np.zeros((50, 60), np.uint8), RefineConfig(add=True)).count == 0


def test_parents_are_the_original_numbers_also_with_large_gaps():
    image, truth = field()
    numbers = np.concatenate([[0], 5 + 70_000 * np.arange(truth.max())]).astype(np.int64)
    refined = refine(image, numbers[truth], QUICK)
    np.testing.assert_array_equal(refined.parents, numbers[1:])
    assert refined.labels.max() == truth.max()


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float32, np.float64])
def test_whole_numbers_of_every_type_are_accepted(dtype):
    image, truth = field()
    labels = (truth == 2).astype(dtype)
    assert refine(image, labels, QUICK).count == 1


@pytest.mark.parametrize("value", [1.5, np.nan, np.inf, 1e300])
def test_objects_that_are_no_whole_numbers_are_refused(value):
    labels = np.zeros((8, 8))
    labels[3, 3] = value
    with pytest.raises(ImageError, match="the objects hold .*take a label image"):
        refine(np.zeros((8, 8), np.uint8), labels)


def test_negative_numbers_are_refused():
    with pytest.raises(ImageError, match="labels start at 0"):
        refine(np.zeros((8, 8), np.uint8), np.full((8, 8), -1.0))


def test_objects_of_another_shape_are_refused_with_both_shapes():
    with pytest.raises(ImageError, match=r"the image is \(8, 8\) but the objects are \(8, 9\); take the objects"):
        refine(np.zeros((8, 8), np.uint8), np.zeros((8, 9), np.uint8))


def test_an_unusable_image_or_model_is_refused():
    with pytest.raises(ImageError, match="NaN"):
        refine(np.full((4, 4), np.nan), np.zeros((4, 4), np.uint8))
    with pytest.raises(BundleError, match="neither a bundled model"):
        refine(np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint8), RefineConfig(model="unknown"))


def test_the_inputs_are_not_modified():
    image, truth = field()
    before = image.copy(), truth.copy()
    refine(image, truth, RefineConfig(contour_offset=1, **EVERYTHING), mask=image > 400)
    assert (image == before[0]).all() and (truth == before[1]).all()


def test_outlines_are_moved_by_the_offset():
    image, truth = field()
    sizes = [areas(refine(image, truth, replace(QUICK, contour_offset=offset)).labels).sum() for offset in (-1, 0, 1)]
    assert sizes[0] < sizes[1] < sizes[2]


def test_outlines_are_moved_by_what_the_model_knows_of_them(monkeypatch):
    image, truth = field()
    wider = areas(refine(image, truth, replace(QUICK, contour_offset=1)).labels).sum()
    predictor = load_map_model(find_bundle(QUICK.model), "cpu")
    monkeypatch.setattr(predictor, "description", replace(predictor.description, contour_offset=1.0))
    assert areas(refine(image, truth, QUICK).labels).sum() == wider


def test_nuclei_that_an_offset_makes_vanish_leave_no_gap():
    image, truth = field()
    objects = np.where(truth > 0, truth + 1, 0)
    objects[2:5, 2:5] = 1
    refined = refine(image, objects, replace(QUICK, contour_offset=-3))
    np.testing.assert_array_equal(refined.parents, np.arange(2, truth.max() + 2))
    assert refined.labels.max() == len(refined.shift) == truth.max()


def test_nothing_is_found_or_widened_outside_the_mask():
    image, truth = field()
    mask = np.zeros(image.shape, bool)
    # Cuts a column of nuclei.
    mask[:, :142] = True
    objects = np.where(mask, tight(truth), 0)
    refined = refine(image, relabel(objects), RefineConfig(contour_offset=2, add=True), mask)
    assert refined.count > 0
    assert not refined.labels[~mask].any()
    assert not refined.probability[~mask].any()


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (5, 3)])
def test_images_smaller_than_the_network_give_a_result(shape):
    image = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    refined = refine(image, np.ones(shape, np.uint8), RefineConfig(views="all", split=True, merge=True))
    assert refined.labels.shape == shape
    assert refined.count == 1


@pytest.mark.parametrize("diameter", [10, 24, 37, 61])
def test_tiles_show_the_same_as_the_whole_image(predictor, diameter):
    image = NormalizedImage.of(field(radius=diameter // 2, shape=(311, 470))[0])
    views = VIEW_SETS["flips"]
    scale = predictor.description.canonical_diameter / diameter
    whole = gather_in_tiles(image, predictor, views, diameter, 100_000)
    tiled = gather_in_tiles(image, predictor, views, diameter, max(16, round(150 * scale)))
    assert np.abs(whole.probability - tiled.probability).mean() < 0.005
    for first, second in zip(whole.views, tiled.views):
        assert first.shape == second.shape
        assert image_scores(first, second)["f1_0.70"] > 0.95


def test_each_tile_is_told_where_there_are_several(predictor):
    told = []
    image, views = NormalizedImage.of(field(radius=12, shape=(311, 470))[0]), VIEW_SETS["none"]
    for side in (100_000, 150):
        gather_in_tiles(image, predictor, views, 24, side, lambda *tile: told.append(tile))
    count = len(told)
    assert count > 1
    assert told == [(done, count) for done in range(1, count + 1)]


def test_smaller_tiles_are_tried_where_memory_is_short(predictor, monkeypatch):
    sides = []

    def too_large(image, predictor, views, diameter, side, progress=None):
        sides.append(side)
        if len(sides) < 3:
            raise MemoryError
        return "seen"

    monkeypatch.setattr(refine_module, "gather_in_tiles", too_large)
    assert gather_evidence(None, predictor, VIEW_SETS["none"], 20) == "seen"
    assert sides == sorted(sides, reverse=True)


def test_too_little_memory_for_the_smallest_tiles_is_a_clear_error(predictor, monkeypatch):
    def fail(*_, **__):
        raise MemoryError

    monkeypatch.setattr(refine_module, "gather_in_tiles", fail)
    with pytest.raises(OutOfMemoryError, match="too little free memory"):
        gather_evidence(None, predictor, VIEW_SETS["none"], 20)
    with pytest.raises(OutOfMemoryError):
        refine(*field(), RefineConfig(device="cpu"))


def test_other_errors_of_the_network_are_not_taken_for_a_lack_of_memory(predictor, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("something else")

    monkeypatch.setattr(refine_module, "gather_in_tiles", fail)
    with pytest.raises(RuntimeError, match="something else"):
        gather_evidence(None, predictor, VIEW_SETS["none"], 20)


def test_the_diameter_is_the_median_of_the_objects_and_never_that_of_noise(predictor):
    image, truth = field()
    normal = NormalizedImage.of(image)
    assert object_diameter(normal, truth, predictor) == pytest.approx(24, rel=0.05)
    grains = disks(image.shape, [(row, col) for row in range(2, 150, 9) for col in range(2, 230, 9)], 0)
    assert object_diameter(normal, grains, predictor) == 5
    assert object_diameter(normal, np.zeros_like(truth), predictor) == pytest.approx(24, rel=0.25)


def test_the_numbers_are_a_persons_or_the_models_or_the_published_ones_with_the_models_threshold(predictor):
    chosen, tuned = Refinement(inwards=3), Refinement(inwards=2)

    def model(refinement):
        described = replace(predictor.description, decision=Decision(foreground=0.45), refinement=refinement)
        other = copy.copy(predictor)
        other.description = described
        return other

    assert chosen_refinement(model(tuned), RefineConfig(refinement=chosen)) is chosen
    assert chosen_refinement(model(tuned), RefineConfig()) is tuned
    assert chosen_refinement(model(None), RefineConfig()) == replace(CONTOURS_ONLY, threshold=0.45)
