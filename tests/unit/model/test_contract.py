"""What every family of models promises, held for those that there are and for one that is made up."""

import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor

import made_up_family
import numpy as np
import pytest
import torch
from conftest import make_tiny_bundle
from drawings import field
from safetensors.numpy import load_file

from nucdl_core.config import SegmentConfig
from nucdl_core.errors import BundleError
from nucdl_core.model.batching import Group
from nucdl_core.model.bundle import read_bundle
from nucdl_core.model.device import resolve_device
from nucdl_core.model.loading import dtype_for, load_model, make_predictor
from nucdl_core.model.map_predictor import MapPredictor
from nucdl_core.model.predictor import Predictor
from nucdl_core.model.registry import FAMILIES, build_network, family_of, load_part, predictor_class
from nucdl_core.segment import Job, segment, segment_tiles, segment_unfiltered
from nucdl_core.steps.instances import Decision
from nucdl_core.steps.normalize import NormalizedImage
from nucdl_core.steps.views import VIEW_SETS
from nucdl_core.training.calibrate import calibrate, predict_image
from nucdl_core.training.config import TrainConfig
from nucdl_core.training.crops import CropDataset, collate
from nucdl_core.training.lessons import Lesson, lesson_of
from nucdl_core.training.loop import CHECKPOINT, train_network
from nucdl_core.training.recipe import make_bundle
from nucdl_core.training.sources import prepare

ARGUMENTS = {
    "unet": {"widths": [4, 8]},
    "maskrcnn": {"widths": [4, 4, 8, 8, 8], "channels": 8},
    "maskrcnn_resnet": {"depth": 18, "channels": 8},
    "unet_three_class": {"widths": [4, 8]},
    "unet_shrunk": {"widths": [4, 8]},
    "unet_resnet34": {"widths": [16, 16, 8, 8, 8], "depth": 18},
    "unet_positions": {"widths": [4, 8], "channels": 4},
    "unet_mask": {"widths": [4, 8]},
    "fpn2": {"depth": 18, "channels": 8},
    "deepcell": {"members": 2, "channels": 4, "dense": 8},
    "cnn": {"widths": [4, 4]},
    "resnet": {"depth": 18},
    made_up_family.NAME: {"gain": 8.0},
}
SMALL = {"steps": 2, "batch": 2, "crop_size": 64, "checkpoint_every": 1, "simulated_share": 0.0}


@pytest.fixture(autouse=True)
def third_family(monkeypatch):
    monkeypatch.setitem(FAMILIES, made_up_family.NAME, made_up_family.FAMILY)


@pytest.fixture(params=sorted(ARGUMENTS))
def family(request):
    return request.param


@pytest.fixture
def config(family):
    return TrainConfig(f"tiny_{family}", family, ARGUMENTS[family], canonical_diameter=24.0, **SMALL)


@pytest.fixture
def bundle(family, config, tmp_path):
    return make_tiny_bundle(tmp_path / "bundle", config)


@pytest.fixture
def predictor(bundle):
    made = make_predictor(read_bundle(bundle), "cpu", torch.float32)
    if hasattr(made.network, "roi_heads"):
        made.network.roi_heads.detections_per_img = 20  # An untrained one finds nuclei everywhere.
    return made


def test_every_registered_family_is_tried():
    assert set(FAMILIES) == set(ARGUMENTS)


def test_what_the_registry_names_exists(family):
    entry = family_of(family)
    assert issubclass(predictor_class(family), Predictor)
    assert issubclass(predictor_class(family), MapPredictor) == entry.tells_sizes
    assert isinstance(lesson_of(family), Lesson)
    assert all(Decision(decoder) and choices for decoder, choices in load_part(entry.calibration).items())


@pytest.mark.parametrize("shape", [(1, 1), (5, 33), (64, 97)])
@pytest.mark.parametrize("views", ["none", "all"])
def test_images_of_any_shape_give_nuclei_of_that_shape(predictor, shape, views):
    image = np.random.default_rng(0).random(shape, np.float32)
    found = predictor.find(predictor.predict(image, 20.0, VIEW_SETS[views]), predictor.decision())
    assert found.labels.shape == found.probability.shape == shape
    assert found.labels.dtype == np.int32
    assert np.array_equal(np.unique(found.labels[found.labels > 0]), np.arange(1, len(found.areas) + 1))
    assert found.areas.tolist() == np.bincount(found.labels.ravel())[1:].tolist()
    for vector in (found.scores, found.agreement):
        assert vector is None or vector.shape == found.areas.shape
    assert 0 <= found.probability.min() <= found.probability.max() <= 1


def test_the_size_model_tells_sizes_and_is_its_own(predictor):
    assert isinstance(predictor.size_model, MapPredictor)
    assert predictor.size_model.size_model is predictor.size_model
    assert predictor.size_model.estimate_diameters(field()[0] / np.float32(3000))[0] > 0


def test_a_bundle_is_loaded_once_and_passes_its_own_test(bundle):
    loaded = load_model(bundle, "cpu")
    assert loaded is load_model(bundle, "cpu")
    assert loaded.self_test(bundle) <= loaded.description.tolerance


def test_a_network_without_norms_is_computed_in_float32_and_all_others_in_the_fast_format(bundle, family, monkeypatch):
    monkeypatch.setattr("nucdl_core.model.loading.fast_dtype", lambda device, integers=False: torch.bfloat16)
    wanted = torch.float32 if family == "cnn" else torch.bfloat16
    assert dtype_for(read_bundle(bundle).description, "cpu") == wanted


def test_a_bundle_of_another_model_fails_the_test(bundle, predictor):
    for parameter in predictor.network.parameters():
        parameter.data.add_(1.0)
    with pytest.raises(BundleError, match="differs from its expected test output"):
        predictor.self_test(bundle)


@pytest.mark.parametrize("options", [{}, {"views": "flips"}, {"refine": True}, {"contour_offset": 1.0}])
def test_an_image_is_segmented_from_the_bundle(bundle, options):
    image, _ = field()
    mask = np.ones(image.shape, bool)
    mask[:30] = False
    found = segment(image, SegmentConfig(model=str(bundle), diameter=24.0, **options), mask)
    assert found.labels.shape == image.shape
    assert found.count == len(found.scores) == len(found.regions.areas)
    assert (found.agreement is not None) == (options.get("views") == "flips" and found.agreement is not None)
    assert not found.labels[:30].any()


def test_the_diameter_is_estimated_by_the_size_model(bundle, monkeypatch):
    asked = []
    monkeypatch.setattr(MapPredictor, "estimate_diameters", lambda self, image: asked.append(image.shape) or [24.0])
    image, _ = field()
    segment(image, SegmentConfig(model=str(bundle), several_scales=False))
    assert asked == [image.shape]


def test_tiles_are_planned_and_put_together(predictor):
    image, _ = field()
    seen = []
    job = Job(NormalizedImage.of(image), predictor, SegmentConfig(), lambda done, count: seen.append((done, count)))
    found = segment_tiles(job, 24.0, 64)
    assert len(seen) == seen[-1][0] == seen[-1][1] > 1
    assert found.labels.shape == found.probability.shape == image.shape
    assert found.count == len(found.scores)


def test_calls_of_several_images_are_computed_together(bundle):
    """Both images are there when the network runs, and each gets what it would get alone."""
    images, config = [field()[0], field(dtype=np.uint8, peak=250)[0]], SegmentConfig(model=str(bundle), diameter=24.0)
    group, gathered = Group(2, threading.Lock()), []

    def do(member):
        def load(folder, device):
            return load_model(folder, device).through(group.gate(member))

        try:
            return segment_unfiltered(images[member], config, load=load)
        finally:
            group.leave()

    original = type(load_model(bundle, "cpu")).compute

    def noting(self, shown):
        gathered.append(len(shown))
        return original(self, shown)

    with pytest.MonkeyPatch.context() as patched, ThreadPoolExecutor(2) as pool:
        patched.setattr(type(load_model(bundle, "cpu")), "compute", noting)
        found = list(pool.map(do, range(2)))
    assert gathered == [2]
    alone = [segment_unfiltered(image, config) for image in images]
    assert [each.labels.shape for each in found] == [each.labels.shape for each in alone]
    assert [each.count for each in found] == [each.count for each in alone]


def sources():
    image, truth = field()
    return [prepare(name, image, truth) for name in ("one", "two")]


def test_two_steps_of_training_change_the_network_and_can_be_interrupted(config, tmp_path):
    folders = [tmp_path / name for name in ("whole", "parts")]
    for folder in folders:
        folder.mkdir()
    whole = load_file(train_network(config, sources(), folders[0], "cpu", workers=0))
    train_network(dataclasses.replace(config, steps=1), sources(), folders[1], "cpu", workers=0)
    # The same configuration goes on from the first step.
    parts = load_file(train_network(config, sources(), folders[1], "cpu", workers=0))
    assert int(whole["step"]) == int(parts["step"]) == 2
    network = build_network(config.architecture, config.arguments)
    learns = {name for name, _ in network.named_parameters()}
    start = {name: value for name, value in network.state_dict().items() if name in learns}
    assert [name for name, value in start.items() if not np.array_equal(value, whole[f"network.{name}"])]


def test_steps_of_training_lower_the_loss(config):
    torch.manual_seed(0)
    lesson, network = lesson_of(config.architecture), build_network(config.architecture, config.arguments)
    crops = CropDataset(sources(), config, range(2), lesson.finish)
    batch = collate([crops[0], crops[1]])
    optimizer = torch.optim.AdamW(network.parameters(), 2e-3)
    losses = []
    for _ in range(8):
        # A Mask R-CNN draws at random which of its proposals it learns from.
        torch.manual_seed(1)
        loss = lesson.losses(network.train(), batch)["total"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]


def test_a_part_of_the_network_can_be_frozen(config):
    """Each parameter belongs to one part."""
    network = build_network(config.architecture, config.arguments)
    parts = [id(parameter) for part in network.parts().values() for parameter in part]
    assert sorted(parts) == sorted(id(parameter) for parameter in network.parameters())
    assert network.parts()["heads"]


def test_a_checkpoint_becomes_a_bundle_that_passes_its_test_and_replaces_an_older_one(config, tmp_path):
    train_network(config, sources(), tmp_path, "cpu", workers=0)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("nucdl_core.training.recipe.SIMULATED", 1)
        folder = make_bundle(config, tmp_path / CHECKPOINT, sources()[:1], tmp_path / "model", sources()[:1] * 2)
        first = read_bundle(folder)
        make_bundle(config, tmp_path / CHECKPOINT, sources()[:1], tmp_path / "model", sources()[:1] * 3)
    assert first.description.family == config.architecture
    assert read_bundle(folder).description.training["images"] == 3
    assert load_model(folder, resolve_device("cpu")).self_test(folder) <= first.description.tolerance


def test_a_decision_is_calibrated_among_what_the_registry_says(predictor, family):
    image, truth = field()
    predicted = [predict_image(NormalizedImage.of(image)[:, :], truth, predictor)]
    choices = {
        decoder: {key: values[:2] for key, values in numbers.items()}
        for decoder, numbers in load_part(family_of(family).calibration).items()
    }
    decision, reached = calibrate(predicted, predictor, choices)
    assert decision.decoder in choices
    assert set(reached) == set(choices)


def test_an_unknown_family_is_refused_with_those_that_are_known():
    with pytest.raises(
        BundleError, match="architecture 'vit' is not known; this version knows cnn, deepcell, fpn2, islands, maskrcnn"
    ):
        family_of("vit")
