import ast
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drawings import disks, field
from scipy import ndimage
from skimage.measure import label

from nucdl_core import large
from nucdl_core import segment as segmenting
from nucdl_core.batch.segment_files import object_table
from nucdl_core.config import SegmentConfig
from nucdl_core.errors import BundleError, ImageError, OutOfMemoryError
from nucdl_core.model.bundle import find_bundle
from nucdl_core.model.loading import load_map_model
from nucdl_core.model.map_predictor import MapPredictor
from nucdl_core.scores.matching import image_scores
from nucdl_core.segment import Job, segment, segment_normalized, segment_tiles, segment_unfiltered
from nucdl_core.steps import normalize as normalizing
from nucdl_core.steps.contours import CONTOURS_ONLY, origins, refine_objects
from nucdl_core.steps.filters import filter_nuclei
from nucdl_core.steps.normalize import NormalizedImage


@pytest.mark.parametrize("dtype, peak", [(np.uint8, 255), (np.uint16, 4095), (np.uint16, 300), (np.float32, 1.0)])
def test_disks_are_found_in_every_number_format(dtype, peak):
    image, truth = field(dtype=dtype, peak=peak)
    found = segment(image)
    assert found.count == truth.max()
    assert image_scores(truth, found.labels)["mean_f1"] > 0.7
    assert found.diameter == pytest.approx(24, rel=0.25)


def test_hot_pixels_in_an_empty_well_are_no_nuclei():
    rng = np.random.default_rng(1)
    image = rng.normal(100, 5, (256, 256))
    image.ravel()[rng.integers(0, image.size, 60)] += 3000
    assert segment(image).count == 0


@pytest.mark.parametrize(
    ("shape", "diameter", "side", "number"),
    [
        ((2160, 2160), 24.0, 1536, 1),
        ((2160, 2160), 24.0, 768, 16),
        ((2160, 2160), 12.0, 1536, 16),
        ((2400, 2400), 24.0, 1536, 1),
        ((2700, 2700), 24.0, 1536, 9),
        ((5100, 400), 96.0, 1536, 2),
    ],
)
def test_an_image_that_is_not_much_larger_than_a_tile_is_taken_whole_unless_memory_is_short(
    shape, diameter, side, number
):
    predictor = load_map_model(find_bundle(SegmentConfig().model), "cpu")
    assert len(predictor.plan_tiles(shape, diameter, side)) == number


@pytest.mark.parametrize(("several", "searched"), [(True, [24.0, 90.0]), (False, [24.0])])
def test_other_scales_are_searched_only_where_that_is_wanted(monkeypatch, several, searched):
    image, _ = field()
    at, diameters = segmenting.segment_at, []

    def noting(job, diameter):
        diameters.append(diameter)
        return at(job, diameter)

    monkeypatch.setattr(MapPredictor, "estimate_diameters", lambda *_: [24.0, 90.0])
    monkeypatch.setattr(segmenting, "segment_at", noting)
    segment(image, SegmentConfig(several_scales=several))
    assert diameters == searched


def test_a_given_diameter_is_used_and_reported():
    assert segment(field()[0], SegmentConfig(diameter=20)).diameter == 20


@pytest.mark.parametrize("value", [0, 9])
def test_a_flat_image_holds_no_nuclei(value):
    found = segment(np.full((80, 90), value, np.uint8))
    assert found.count == 0
    assert found.labels.shape == (80, 90)
    assert np.isnan(found.diameter)


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (5, 3)])
def test_images_smaller_than_the_network_give_a_result(shape):
    assert segment(np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)).labels.shape == shape


def test_nothing_is_found_outside_the_mask():
    image, truth = field()
    mask = np.zeros(image.shape, bool)
    mask[:, :130] = True
    found = segment(image, mask=mask)
    assert 0 < found.count < truth.max()
    assert not found.labels[:, 130:].any()
    assert not found.probability[:, 130:].any()


def test_size_and_border_filters_apply():
    image, truth = field()
    assert segment(image, SegmentConfig(minimum_diameter=60)).count == 0
    # The first row of disks is cut by the border of the image.
    cut, cut_truth = image[36:], truth[36:]
    touching = len(np.unique(cut_truth[0])) - 1
    everything, inside = segment(cut), segment(cut, SegmentConfig(discard_border=True))
    assert touching > 3 and everything.count == len(np.unique(cut_truth)) - 1
    assert inside.count == everything.count - touching


def test_a_higher_threshold_gives_tighter_outlines():
    image, _ = field()
    wide, tight = (segment(image, SegmentConfig(probability_threshold=value)) for value in (0.2, 0.8))
    assert (tight.labels > 0).sum() < (wide.labels > 0).sum()


def test_the_same_image_gives_the_same_result():
    image, _ = field()
    assert (segment(image).labels == segment(image).labels).all()


def test_the_image_is_not_modified():
    image, _ = field()
    before = image.copy()
    segment(image, mask=image > 400)
    assert (image == before).all()


@pytest.mark.parametrize(
    "image, reason",
    [
        (np.zeros((4, 4, 3), np.uint8), r"shape \(4, 4, 3\) came"),
        (np.zeros((0, 4), np.uint8), r"shape \(0, 4\) came"),
        (np.zeros((4, 4), complex), "type complex128 came"),
        (np.zeros((4, 4), bool), "type bool came"),
        (np.array([[1, np.nan]]), "NaN or infinite"),
        (np.array([[1, np.inf]]), "NaN or infinite"),
    ],
)
def test_what_is_not_a_grey_image_is_refused_with_the_reason(image, reason):
    with pytest.raises(ImageError, match=reason):
        segment(image)


def test_a_mask_of_another_shape_is_refused():
    with pytest.raises(ImageError, match="both must have the same shape"):
        segment(np.zeros((4, 4), np.uint8), mask=np.ones((4, 5), bool))


def test_an_unknown_model_is_refused():
    with pytest.raises(BundleError, match="neither a bundled model"):
        segment(np.zeros((4, 4), np.uint8), SegmentConfig(model="unknown"))


def short_of_memory(monkeypatch, largest_side, error):
    """Let tiles above a side in network pixels fail as if memory had run out."""
    run = segmenting.segment_tiles

    def limited(job, diameter, side):
        if side > largest_side:
            raise error
        return run(job, diameter, side)

    monkeypatch.setattr(segmenting, "segment_tiles", limited)


def test_too_little_memory_leads_to_smaller_tiles_and_the_same_nuclei(monkeypatch, caplog):
    image, _ = field()
    expected = segment(image).labels
    short_of_memory(monkeypatch, 384, RuntimeError("DefaultCPUAllocator: can't allocate memory"))
    assert np.array_equal(segment(image).labels, expected)
    assert "too little memory for tiles of 1536" in caplog.text


def test_too_little_memory_for_the_smallest_tiles_is_an_error_that_says_what_to_do(monkeypatch):
    short_of_memory(monkeypatch, 0, MemoryError())
    with pytest.raises(OutOfMemoryError, match="fewer CellProfiler workers"):
        segment(field()[0])


def test_another_error_is_not_taken_for_too_little_memory(monkeypatch):
    short_of_memory(monkeypatch, 0, RuntimeError("something else"))
    with pytest.raises(RuntimeError, match="something else"):
        segment(field()[0])


@pytest.mark.parametrize("views", ["flips", "all"])
def test_views_tell_how_much_they_agree_on_each_nucleus(views):
    image, truth = field()
    found = segment(image, SegmentConfig(views=views))
    assert found.count == truth.max() == len(found.agreement)
    assert 0.5 < found.agreement.min() <= found.agreement.max() <= 1
    assert segment(image).agreement is None


def test_a_contour_offset_moves_outlines():
    image, _ = field()
    areas = [(segment(image, SegmentConfig(contour_offset=offset)).labels > 0).sum() for offset in (-2, 0, 2)]
    assert areas[0] < areas[1] < areas[2]


def test_the_probability_map_can_be_left_out():
    image, _ = field()
    lean = segment(image, SegmentConfig(keep_probability=False))
    assert lean.probability is None
    assert np.array_equal(lean.labels, segment(image).labels)


def test_tiles_are_counted_while_they_are_done():
    image, _ = field()
    predictor = load_map_model(find_bundle("nuclei_unet"), "cpu")
    seen = []
    config = SegmentConfig()
    segment_tiles(
        Job(NormalizedImage.of(image), predictor, config, lambda done, all_: seen.append((done, all_))), 24.0, 64
    )
    assert seen == [(number, len(seen)) for number in range(1, len(seen) + 1)]
    assert len(seen) > 3


def test_a_large_image_is_normalized_part_by_part_with_the_same_result(monkeypatch):
    image, _ = field()
    mask = np.ones(image.shape, bool)
    mask[:40] = False
    whole = segment(image, mask=mask)
    monkeypatch.setattr(normalizing, "LARGE", 100)
    assert np.array_equal(segment(image, mask=mask).labels, whole.labels)


def test_refinement_moves_outlines_by_a_pixel_at_most_and_keeps_the_nuclei():
    image, truth = field()
    plain, refined = segment(image), segment(image, SegmentConfig(refine=True))
    assert refined.count == plain.count == truth.max()
    assert not np.array_equal(refined.labels, plain.labels)
    ring = ndimage.binary_dilation(plain.labels > 0, np.ones((3, 3)))
    core = ndimage.binary_erosion(plain.labels > 0, np.ones((3, 3)))
    assert not (refined.labels > 0)[~ring].any()
    assert (refined.labels > 0)[core].all()


def test_a_tuned_model_drops_and_merges_while_it_refines_and_agreement_follows_the_nuclei(monkeypatch):
    image, truth = field()
    predictor = load_map_model(find_bundle("nuclei_unet"), "cpu")
    config = SegmentConfig(refine=True, views="flips")
    kept = segment_normalized(Job(NormalizedImage.of(image), predictor, config))
    assert kept.count == len(kept.agreement) == truth.max()
    threshold = predictor.description.decision.foreground
    larger_than_any = replace(CONTOURS_ONLY, threshold=threshold, smallest_area=10_000)
    tuned = replace(predictor.description, refinement=larger_than_any)
    monkeypatch.setattr(predictor, "description", tuned)
    none = segment_normalized(Job(NormalizedImage.of(image), predictor, config))
    assert none.count == 0
    assert none.agreement.shape == (0,)


def test_nuclei_that_are_dropped_leave_the_numbers_of_the_others_known():
    labels = disks((40, 90), [(20, 15), (20, 45), (20, 75)], 8)
    probability = np.where(labels == 2, 0.6, np.where(labels > 0, 0.9, 0)).astype(np.float32)
    strict = replace(CONTOURS_ONLY, threshold=0.5, mean_probability=0.8)
    cleaned = refine_objects(labels, probability, strict)
    assert origins(labels, cleaned).tolist() == [1, 3]
    assert np.array_equal(cleaned == 2, labels == 3)


def test_agreement_follows_the_nuclei_where_a_mask_hides_the_last_ones():
    image, truth = field()
    mask = np.ones(image.shape, bool)
    mask[:, 130:] = False
    found = segment(image, SegmentConfig(views="flips"), mask)
    assert 0 < found.count == len(found.agreement) < truth.max()


def test_a_label_image_is_passed_over_at_most_five_times_after_the_network(monkeypatch):
    """Passes go through `large.strips`, or are the search for connected pieces."""
    image, passes = field(shape=(300, 300))[0], []

    def counted(*arrays):
        if arrays[0].dtype == np.int32 and arrays[0].shape == image.shape:
            passes.append("strips")
        yield from large.strips(*arrays)

    def pieces(*arguments, **options):
        passes.append("pieces")
        return label(*arguments, **options)

    for module in ("labels", "regions", "steps.scales"):
        monkeypatch.setattr(f"nucdl_core.{module}.strips", counted)
    monkeypatch.setattr("skimage.measure.label", pieces)
    config = SegmentConfig(minimum_diameter=8.0, discard_border=True)
    found = filter_nuclei(segment_unfiltered(image, config), config).segmentation
    object_table(found, 1, "a.tif")
    assert found.count > 20
    assert 2 < len(passes) <= 5


def functions_of_the_recipe():
    tree = ast.parse(Path(segmenting.__file__).read_text(encoding="utf-8"))
    return tree, [node for node in tree.body if isinstance(node, ast.FunctionDef)]


def test_the_recipe_has_at_most_forty_lines_and_hands_on_no_image_in_a_lambda():
    tree, functions = functions_of_the_recipe()
    code = [node for function in functions for node in function.body if not isinstance(node, ast.Expr)]
    lines = {line for node in code for line in range(node.lineno, node.end_lineno + 1)}
    assert len(lines) <= 40
    assert not any(isinstance(node, ast.Lambda) for node in ast.walk(tree))


def test_what_a_model_knows_of_outlines_comes_on_top_of_what_a_person_asks_for(monkeypatch):
    image, _ = field()
    wider = [(segment(image, SegmentConfig(contour_offset=offset)).labels > 0).sum() for offset in (0.5, 1.0)]
    predictor = load_map_model(find_bundle(SegmentConfig().model), "cpu")
    monkeypatch.setattr(predictor, "description", replace(predictor.description, contour_offset=0.5))
    assert [(segment(image, SegmentConfig(contour_offset=offset)).labels > 0).sum() for offset in (0.0, 0.5)] == wider
