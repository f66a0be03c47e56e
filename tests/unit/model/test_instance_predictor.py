import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import edit_description
from drawings import field
from safetensors.numpy import load_file, save_file
from scipy import ndimage

from nucdl_core.config import SegmentConfig
from nucdl_core.errors import BundleError
from nucdl_core.model.bundle import TEST, read_bundle, read_description, write_description
from nucdl_core.model.instance_predictor import InstancePredictor
from nucdl_core.model.loading import load_map_model, load_model, make_predictor
from nucdl_core.refine import refine
from nucdl_core.scores.matching import image_scores
from nucdl_core.segment import Job, segment, segment_normalized, segment_tiles
from nucdl_core.steps.detections import Detections
from nucdl_core.steps.instances import ONE_BY_ONE
from nucdl_core.steps.normalize import NormalizedImage, normalize
from nucdl_core.steps.views import VIEW_SETS, apply_view
from nucdl_core.training.calibrate import calibrate, predict_image

CELLS = 28


@pytest.fixture
def predictor(tiny_instance_bundle):
    made = make_predictor(read_bundle(tiny_instance_bundle), "cpu", torch.float32)
    # An untrained network finds nuclei everywhere.
    made.network.roi_heads.detections_per_img = 20
    return made


@pytest.fixture
def oracle(predictor, monkeypatch):
    """A predictor whose network is replaced by one that finds every bright island."""
    monkeypatch.setattr(predictor, "compute", lambda images: [islands(image) for image in images])
    return predictor


def islands(image):
    labels, count = ndimage.label(image > 0.5)
    boxes = [[part[0].start, part[1].start, part[0].stop, part[1].stop] for part in ndimage.find_objects(labels)]
    boxes = np.array(boxes, np.float32).reshape(count, 4)
    masks = np.zeros((count, CELLS, CELLS), np.float32)
    cells = (np.arange(CELLS) + 0.5) / CELLS
    for index, (top, left, bottom, right) in enumerate(boxes):
        grid = np.meshgrid(top + cells * (bottom - top), left + cells * (right - left), indexing="ij")
        masks[index] = ndimage.map_coordinates((labels == index + 1).astype(np.float32), grid, order=1)
    return Detections(boxes, np.linspace(1, 0.9, count).astype(np.float32), masks)


@pytest.mark.parametrize("shape", [(1, 1), (5, 33), (64, 96)])
@pytest.mark.parametrize("views", ["none", "all"])
def test_images_of_any_shape_give_a_result_for_each_view(predictor, shape, views):
    image = np.random.default_rng(0).random(shape, np.float32)
    prediction = predictor.predict(image, 24.0, VIEW_SETS[views])
    assert prediction.shape == shape
    assert len(prediction.detections) == len(VIEW_SETS[views])


def test_each_view_is_what_the_network_says_about_the_turned_image(predictor):
    image = np.random.default_rng(0).random((64, 96), np.float32)
    prediction = predictor.predict(image, 32.0, VIEW_SETS["all"])
    for view, found in zip(VIEW_SETS["all"], prediction.detections):
        alone = predictor.compute([np.ascontiguousarray(apply_view(image, view))])[0]
        assert np.allclose(found.scores, alone.scores, atol=1e-3)
        assert np.allclose(np.sort(found.boxes, axis=0), np.sort(alone.boxes, axis=0), atol=0.05)


@pytest.mark.parametrize("diameter", [12.0, 24.0, 48.0])
def test_nuclei_come_back_at_their_place_at_every_scale(oracle, diameter):
    image, truth = field()
    found = segment_normalized(Job(NormalizedImage.of(image), oracle, SegmentConfig(diameter=diameter)))
    assert found.count == truth.max()
    assert image_scores(truth, found.labels)["mean_f1"] > 0.8
    assert found.scores.min() >= 0.9


def test_the_companion_estimates_the_size(oracle):
    image, truth = field()
    found = segment_normalized(Job(NormalizedImage.of(image), oracle))
    assert found.count == truth.max()
    assert found.diameter == pytest.approx(24, rel=0.15)


@pytest.mark.parametrize("views", ["flips", "all"])
def test_views_vote_on_each_nucleus(oracle, views):
    image, truth = field()
    found = segment_normalized(Job(NormalizedImage.of(image), oracle, SegmentConfig(diameter=24, views=views)))
    assert found.count == truth.max() == len(found.agreement)
    assert found.agreement.min() > 0.8


def test_a_nucleus_that_only_one_of_four_views_holds_is_dropped(oracle, monkeypatch):
    image, truth = field()
    monkeypatch.setattr(
        oracle, "compute", lambda images: [islands(one) if i else islands(one * 0) for i, one in enumerate(images)]
    )
    config = SegmentConfig(diameter=24, views="flips")
    assert segment_normalized(Job(NormalizedImage.of(image), oracle, config)).count == truth.max()
    monkeypatch.setattr(
        oracle, "compute", lambda images: [islands(one * 0) if i else islands(one) for i, one in enumerate(images)]
    )
    assert segment_normalized(Job(NormalizedImage.of(image), oracle, config)).count == 0


def test_tiles_give_the_nuclei_of_the_whole_image(oracle):
    image, truth = field()
    normal, config = NormalizedImage.of(image), SegmentConfig()
    whole = segment_tiles(Job(normal, oracle, config), 24.0, 768)
    tiled = segment_tiles(Job(normal, oracle, config), 24.0, 96)
    assert whole.count == tiled.count == truth.max()
    assert np.array_equal(whole.labels > 0, tiled.labels > 0)
    assert sorted(whole.scores) != sorted(np.ones(whole.count))
    assert tiled.probability.shape == image.shape


def test_outlines_are_corrected_by_the_companion(oracle):
    image, truth = field()
    normal = NormalizedImage.of(image)
    plain, refined = (
        segment_normalized(Job(normal, oracle, SegmentConfig(diameter=24, refine=on))) for on in (False, True)
    )
    assert refined.count == plain.count == truth.max()
    assert not np.array_equal(refined.labels, plain.labels)
    ring = ndimage.binary_dilation(plain.labels > 0, np.ones((3, 3)))
    assert not (refined.labels > 0)[~ring].any()


def test_nothing_is_found_outside_the_mask(oracle):
    image, _ = field()
    mask = np.zeros(image.shape, bool)
    mask[:, :130] = True
    found = segment_normalized(Job(NormalizedImage.of(image, mask), oracle, SegmentConfig(diameter=24)))
    assert found.count == len(found.scores) > 0
    assert not found.labels[:, 130:].any()
    assert not found.probability[:, 130:].any()


def test_the_decision_is_calibrated_on_what_it_decides(oracle, monkeypatch):
    image, truth = field()
    real = oracle.compute

    def with_ghosts(images):
        """Twice as many detections as nuclei, half of them with a low score and nowhere near one."""
        found = real(images)[0]
        ghosts = found.boxes + 9
        scores = np.concatenate([found.scores, found.scores * 0.5])
        return [Detections(np.concatenate([found.boxes, ghosts]), scores, np.concatenate([found.masks] * 2))]

    monkeypatch.setattr(oracle, "compute", with_ghosts)
    seen = [predict_image(normalize(image), truth, oracle)]
    decision, reached = calibrate(seen, oracle)
    assert decision.decoder == ONE_BY_ONE
    assert decision.score > 0.45
    assert reached[ONE_BY_ONE] > 0.8


def test_a_bundle_of_either_family_is_loaded_once_and_passes_its_own_test(tiny_bundle, tiny_instance_bundle):
    for folder in (tiny_bundle, tiny_instance_bundle):
        assert load_model(folder, "cpu") is load_model(folder, "cpu")
        assert load_model(folder, "cpu").self_test(folder) < 0.05


def test_an_image_is_segmented_with_a_bundle_of_this_family(tiny_instance_bundle):
    found = segment(field()[0], SegmentConfig(model=str(tiny_instance_bundle), diameter=24))
    assert found.labels.shape == found.probability.shape == (160, 240)
    assert found.count == len(found.scores)


def test_another_output_than_expected_fails_the_test(predictor, tiny_instance_bundle):
    tensors = load_file(tiny_instance_bundle / TEST)
    save_file({**tensors, "masks": 1 - tensors["masks"]}, tiny_instance_bundle / TEST)
    write_description(tiny_instance_bundle, read_description(tiny_instance_bundle))
    with pytest.raises(BundleError, match="differs from its expected test output"):
        predictor.self_test(tiny_instance_bundle)


def test_a_test_without_its_tensors_is_refused(predictor, tiny_instance_bundle):
    save_file({"input": np.zeros((4, 4), np.float32)}, tiny_instance_bundle / TEST)
    write_description(tiny_instance_bundle, read_description(tiny_instance_bundle))
    with pytest.raises(BundleError, match="lacks the tensor 'objectness'"):
        predictor.self_test(tiny_instance_bundle)


def test_another_version_of_the_companion_is_refused(tiny_instance_bundle):
    companion = json.loads((tiny_instance_bundle / "bundle.json").read_text())["companion"]
    edit_description(tiny_instance_bundle, companion={**companion, "sha256": "0" * 64})
    with pytest.raises(BundleError, match=r"another version of the model nuclei_unet \(sha256 000000000000"):
        load_model(tiny_instance_bundle, "cpu")


def test_a_companion_of_one_s_own_is_found_by_its_name(tiny_instance_bundle, tiny_bundle, monkeypatch):
    monkeypatch.setenv("NUCDL_MODELS", str(tiny_bundle.parent))
    companion = {"name": "tiny", "sha256": read_bundle(tiny_bundle).sha256}
    edit_description(tiny_instance_bundle, companion=companion)
    assert load_model(tiny_instance_bundle, "cpu").size_model.description.name == "tiny"


def test_a_model_without_companion_is_refused(tiny_instance_bundle):
    edit_description(tiny_instance_bundle, companion=None)
    with pytest.raises(BundleError, match="names no other model"):
        load_model(tiny_instance_bundle, "cpu")


def test_what_needs_a_u_net_refuses_another_family(tiny_instance_bundle):
    with pytest.raises(BundleError, match="of the family maskrcnn, but one of the family unet is needed"):
        load_map_model(tiny_instance_bundle, "cpu")
    image, truth = field()
    from nucdl_core.steps.contours import RefineConfig

    with pytest.raises(BundleError, match="of the family maskrcnn, but one of the family unet is needed"):
        refine(image, truth, RefineConfig(model=str(tiny_instance_bundle)))


def test_a_model_runs_in_bfloat16_as_in_float32(tiny_instance_bundle):
    image = np.random.default_rng(0).random((64, 64), np.float32)
    bundle = read_bundle(tiny_instance_bundle)
    exact, fast = (make_predictor(bundle, "cpu", dtype).respond(image) for dtype in (torch.float32, torch.bfloat16))
    assert max(np.abs(exact[name] - fast[name]).max() for name in exact) < 0.02


def test_the_probability_threshold_of_a_person_decides_the_outlines(oracle):
    image, _ = field()
    image = ndimage.gaussian_filter(image, 1)
    assert isinstance(oracle, InstancePredictor)
    oracle.description = replace(oracle.description)
    wide, tight = (
        segment_normalized(
            Job(NormalizedImage.of(image), oracle, SegmentConfig(diameter=24, probability_threshold=value))
        )
        for value in (0.2, 0.8)
    )
    assert (tight.labels > 0).sum() < (wide.labels > 0).sum()
