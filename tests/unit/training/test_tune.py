import dataclasses

import numpy as np
import pytest
import tifffile
from conftest import untrained_map_model
from drawings import disks, ideal_maps

from nucdl_core.errors import ConfigError, ImageError
from nucdl_core.model.bundle import read_bundle
from nucdl_core.steps.contours import CONTOURS_ONLY, Refinement
from nucdl_core.steps.instances import Decision, MapPrediction, Maps
from nucdl_core.training import tune as tuning
from nucdl_core.training.calibrate import PredictedTruth
from nucdl_core.training.tune import DECISION_RANGES, TuneConfig, scores_both_ways, search, told_scores, tune

QUICK = TuneConfig(generations=1, population=5)


def predicted(rim=0.42):
    """Two touching disks whose outermost ring the network gives only that probability."""
    truth = disks((60, 90), [(30, 28), (30, 52)], 12)
    core = disks((60, 90), [(30, 28), (30, 52)], 9)
    ideal = ideal_maps(truth)
    foreground = np.where(core > 0, 1, np.where(truth > 0, rim, 0)).astype(np.float32)
    maps = Maps(foreground, ideal.boundary, ideal.distance, ideal.size)
    return PredictedTruth(truth, MapPrediction([maps], maps, foreground, 1.0), finer=foreground)


@pytest.fixture
def data(tmp_path):
    for kind in ("images", "masks"):
        (tmp_path / "data" / kind).mkdir(parents=True)
    for number in range(8):
        labels = disks((64, 64), [(20, 20), (40, 40)], 7 + number % 2)
        tifffile.imwrite(tmp_path / "data" / "images" / f"{number}.tif", (labels > 0).astype(np.uint8) * 200)
        tifffile.imwrite(tmp_path / "data" / "masks" / f"{number}.tif", labels.astype(np.uint16))
    return tmp_path / "data"


def test_the_search_finds_numbers_that_fit_the_annotators():
    start = Decision("distance", foreground=0.6)
    model = untrained_map_model(decision=start)
    decision, refinement = search([predicted()], model, TuneConfig(generations=6, population=20))
    assert scores_both_ways([predicted()], model, start, CONTOURS_ONLY).mean() < 0.7
    assert scores_both_ways([predicted()], model, decision, refinement).mean() > 0.95


def test_the_same_seed_finds_the_same_numbers():
    model = untrained_map_model()
    assert search([predicted()], model, QUICK) == search([predicted()], model, QUICK)


def test_the_best_score_is_told_after_each_generation():
    told = []
    search([predicted()], untrained_map_model(), TuneConfig(generations=3, population=5), told.append)
    assert told == sorted(told)
    assert 1 <= len(told) <= 3


def test_a_decision_counts_without_and_with_correction():
    """The correction alone would make up for a threshold that leaves out the outermost ring."""
    model, generous = untrained_map_model(), Refinement(1.0, 0.0, 0.4, 0.0, 3.0, 0.0)
    image, tight = predicted(), Decision("distance", foreground=0.6, score=0.0)
    alone = dataclasses.replace(image, finer=None)
    without = scores_both_ways([alone], model, tight, generous)[0]
    both = scores_both_ways([image], model, tight, generous)[0]
    assert without < both < 1
    assert both == pytest.approx((without + 1) / 2, abs=0.02)


@pytest.fixture
def always_better(monkeypatch):
    monkeypatch.setattr("nucdl_core.training.tune.is_better", lambda after, before: True)


def test_numbers_that_are_not_clearly_better_are_not_taken(data, tiny_bundle, tmp_path, monkeypatch):
    monkeypatch.setattr("nucdl_core.training.tune.is_better", lambda after, before: False)
    result = tune(data, tmp_path / "mine", TuneConfig(str(tiny_bundle), 1, 5))
    old, new = read_bundle(tiny_bundle).description, read_bundle(result.bundle).description
    assert not result.better
    assert (new.name, new.decision, new.refinement) == ("mine", old.decision, old.refinement)
    assert "tuned" not in new.metrics and result.warning is None
    assert new.description.startswith(
        f"{old.name} with its own decisions: tuning on 6 annotated images was not clearly"
    )
    card = (result.bundle / "README.md").read_text(encoding="utf-8")
    assert card.startswith("# mine") and "were not clearly better" in card and "95 % interval" in card


def test_tuning_writes_a_bundle_with_the_same_weights_and_new_numbers(data, tiny_bundle, tmp_path, always_better):
    result = tune(data, tmp_path / "mine", TuneConfig(str(tiny_bundle), 1, 5))
    old, new = read_bundle(tiny_bundle), read_bundle(result.bundle)
    assert new.description.name == "mine"
    assert new.description.refinement is not None
    assert new.description.files["weights.safetensors"] == old.description.files["weights.safetensors"]
    reached = new.description.metrics["tuned"]
    assert (reached["images"], reached["judges"], reached["dsb_score"]) == (6, 2, result.after)
    assert new.description.description.startswith(f"{old.description.name}, its decisions tuned on 6 annotated images;")
    assert "F1 at IoU 0.9" in (result.bundle / "README.md").read_text(encoding="utf-8")
    for key, (low, high) in DECISION_RANGES.items():
        assert low <= getattr(new.description.decision, key) <= high


def scores(mean_f1, strict):
    return {"dsb_score": np.array(mean_f1), "mean_f1": np.array(mean_f1), "f1_0.90": np.array(strict)}


def test_what_was_reached_is_told_with_its_interval():
    told = told_scores(scores([0.7, 0.9], [0.4, 0.4]), scores([0.6, 0.6], [0.4, 0.4]))
    assert told.startswith(
        "on 2 images that took no part: mean F1 0.600 before, 0.800 after, +0.200 (95 % interval +0.1"
    )
    assert "F1 at IoU 0.9 0.400 before, 0.400 after, +0.000" in told


def test_a_fall_of_the_strictest_score_is_a_warning(data, tiny_bundle, tmp_path, always_better, monkeypatch):
    results = iter([scores([0.5, 0.5], [0.4, 0.4]), scores([0.6, 0.6], [0.3, 0.3])])
    monkeypatch.setattr(tuning, "judged_scores", lambda *arguments: next(results))
    assert "F1 at IoU 0.9 falls by 0.100" in tune(data, tmp_path / "mine", TuneConfig(str(tiny_bundle), 1, 5)).warning


def test_an_existing_folder_is_not_overwritten(data, tiny_bundle):
    with pytest.raises(ConfigError, match="exists already"):
        tune(data, data, TuneConfig(str(tiny_bundle)))


def test_too_few_annotated_images_are_refused(data, tiny_bundle, tmp_path):
    for kind in ("images", "masks"):
        for path in list((data / kind).iterdir())[1:]:
            path.unlink()
    for path in (data / "masks").iterdir():
        path.unlink()
    for path in (data / "images").iterdir():
        tifffile.imwrite(data / "masks" / path.name, np.pad(np.ones((9, 9), np.uint16), (0, 55)))
    with pytest.raises(ImageError, match="add images"):
        tune(data, tmp_path / "mine", TuneConfig(str(tiny_bundle), 1, 5))


@pytest.mark.parametrize("values", [{"generations": 0}, {"population": 4}, {"seed": -1}])
def test_settings_of_a_search_that_make_no_sense_are_refused(values):
    with pytest.raises(ConfigError, match=next(iter(values))):
        TuneConfig(**values)
