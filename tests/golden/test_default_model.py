"""What the bundled model reached when it was bundled must not get lost."""

import csv

import numpy as np
import pytest
import torch

from nucdl_core.config import DEFAULT_MODEL, SegmentConfig
from nucdl_core.files.reading import read_image, read_labels
from nucdl_core.model.bundle import ZOO, find_bundle, list_bundles, read_bundle
from nucdl_core.model.device import fast_dtype
from nucdl_core.model.loading import make_predictor
from nucdl_core.model.registry import default_model
from nucdl_core.scores.matching import image_scores
from nucdl_core.segment import Job, segment, segment_normalized, segment_tiles
from nucdl_core.simulate.field import FieldConfig
from nucdl_core.simulate.image import simulate_field
from nucdl_core.steps.normalize import NormalizedImage
from nucdl_core.training.split import is_validation


def fluorescence_images(folder):
    with open(folder / "index.csv", encoding="utf-8", newline="") as file:
        return [row["id"] for row in csv.DictReader(file) if row["modality"] == "fluorescence"]


def simulated(diameter, bits=16, seed=5):
    side = int(np.clip(12 * diameter, 200, 900))
    config = FieldConfig(size=(side, side), diameter=float(diameter), count=40, bits=bits)
    return simulate_field(config, np.random.default_rng(seed))


@pytest.mark.parametrize("diameter", [10, 20, 40, 80, 120])
def test_nuclei_of_any_size_are_found_without_a_hint(diameter):
    field = simulated(diameter)
    found = segment(field.image)
    assert found.diameter == pytest.approx(field.diameter, rel=0.25)
    assert image_scores(field.labels, found.labels)["f1_0.50"] > 0.8


@pytest.mark.parametrize("change", ["inverted bytes", "half", "offset", "8 bits"])
def test_the_intensity_scale_does_not_matter(change):
    image = simulated(30).image.astype(np.float64)
    changed = {
        "inverted bytes": image.astype(">u2"),
        "half": (image / 2).astype(np.uint16),
        "offset": (image / 4 + 40000).astype(np.uint16),
        "8 bits": (image / 256).astype(np.uint8),
    }[change]
    found, again = segment(image.astype(np.uint16)), segment(changed)
    assert image_scores(found.labels, again.labels)["mean_f1"] > 0.9


@pytest.mark.parametrize("refine", [False, True])
def test_the_second_family_finds_the_same_nuclei(refine):
    field = simulated(24)
    found = segment(field.image, SegmentConfig(model=default_model("maskrcnn"), refine=refine))
    assert image_scores(field.labels, found.labels)["f1_0.50"] > 0.8


def test_all_bundled_models_weigh_at_most_80_mb():
    assert {"nuclei_unet", "nuclei_maskrcnn"} <= set(list_bundles())
    assert sum(path.stat().st_size for path in ZOO.rglob("*.*")) < 80_000_000


def test_pure_noise_holds_hardly_any_nuclei():
    noise = np.random.default_rng(0).poisson(100, (400, 400)).astype(np.uint16)
    assert segment(noise).count <= 3


def test_a_mirrored_image_gives_mirrored_nuclei():
    field = simulated(30)
    found, mirrored = segment(field.image), segment(field.image[:, ::-1].copy())
    assert image_scores(found.labels, mirrored.labels[:, ::-1].copy())["mean_f1"] > 0.85


INTEGERS = pytest.param(
    torch.qint8,
    marks=pytest.mark.skipif(
        fast_dtype("cpu", integers=True) != torch.qint8, reason="this processor does not multiply 8-bit integers"
    ),
)


def in_format(dtype):
    return make_predictor(read_bundle(find_bundle(DEFAULT_MODEL)), "cpu", dtype)


@pytest.mark.parametrize("dtype", [torch.bfloat16, INTEGERS])
def test_a_fast_number_format_finds_the_nuclei_of_float32(dtype):
    image, config = NormalizedImage.of(simulated(30).image), SegmentConfig(diameter=30.0)
    exact, fast = (segment_normalized(Job(image, in_format(one), config)) for one in (torch.float32, dtype))
    assert image_scores(exact.labels, fast.labels)["mean_f1"] > 0.95


@pytest.mark.data
@pytest.mark.parametrize("dtype", [torch.bfloat16, INTEGERS])
def test_a_fast_number_format_is_as_accurate_as_float32_on_the_public_test_images(dtype, real_images):
    exact, fast = in_format(torch.float32), in_format(dtype)
    scores, agreement, changed, nuclear = [], [], 0, 0
    for name in fluorescence_images(real_images / "test"):
        image = NormalizedImage.of(read_image(real_images / "test" / "images" / f"{name}.png"))
        truth = read_labels(real_images / "test" / "masks" / f"{name}.tif")
        expected, found = (segment_normalized(Job(image, predictor)).labels for predictor in (exact, fast))
        scores.append([image_scores(truth, labels)["mean_f1"] for labels in (expected, found)])
        agreement.append(image_scores(expected, found)["mean_f1"])
        changed += np.count_nonzero((expected > 0) != (found > 0))
        nuclear += np.count_nonzero(expected)
    before, after = np.mean(scores, axis=0)
    assert after > before - 0.002
    assert np.mean(agreement) > 0.98
    assert changed < 0.01 * nuclear


GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="this computer has no GPU that torch can use")


@GPU
@pytest.mark.parametrize("family", ["unet", "maskrcnn"])
def test_a_gpu_finds_the_nuclei_of_the_processor(family):
    image = simulated(30).image
    here, there = (segment(image, SegmentConfig(model=default_model(family), device=one)) for one in ("cpu", "cuda"))
    assert image_scores(here.labels, there.labels)["mean_f1"] > 0.95


@GPU
@pytest.mark.data
def test_a_gpu_is_as_accurate_as_the_processor_on_the_public_test_images(real_images):
    reached = []
    for name in fluorescence_images(real_images / "test"):
        image = read_image(real_images / "test" / "images" / f"{name}.png")
        truth = read_labels(real_images / "test" / "masks" / f"{name}.tif")
        found = [segment(image, SegmentConfig(device=one)).labels for one in ("cpu", "cuda")]
        reached.append([image_scores(truth, labels)["mean_f1"] for labels in found])
    here, there = np.mean(reached, axis=0)
    # Each may differ from float32 by 0.002.
    assert abs(here - there) < 0.004


@pytest.mark.parametrize("diameter", [11.0, 24.0, 47.0])
def test_tiles_of_the_default_model_give_the_nuclei_of_the_whole_image(diameter):
    predictor = in_format(torch.float32)
    field = simulate_field(FieldConfig(size=(420, 900), diameter=diameter, count=120), np.random.default_rng(2))
    image = NormalizedImage.of(field.image)
    whole = segment_tiles(Job(image, predictor, SegmentConfig()), diameter, 5000)
    tiled = segment_tiles(Job(image, predictor, SegmentConfig()), diameter, 128)
    assert tiled.count == whole.count > 30
    assert np.array_equal(whole.labels > 0, tiled.labels > 0)
    assert image_scores(whole.labels, tiled.labels)["f1_0.95"] == 1
    assert np.abs(whole.probability - tiled.probability).max() < 1e-3


@pytest.mark.data
def test_real_validation_images_are_segmented_as_well_as_recorded(real_images):
    names = [name for name in fluorescence_images(real_images / "train") if is_validation(name, 8)][:20]
    scores = []
    for name in names:
        found = segment(read_image(real_images / "train" / "images" / f"{name}.png"), SegmentConfig())
        scores.append(image_scores(read_labels(real_images / "train" / "masks" / f"{name}.tif"), found.labels))
    assert np.mean([score["mean_f1"] for score in scores]) > 0.74
    assert np.mean([score["f1_0.70"] for score in scores]) > 0.83
