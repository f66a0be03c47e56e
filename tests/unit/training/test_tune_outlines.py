"""A model that draws outlines where a laboratory draws them."""

import json

import numpy as np
import pytest
import tifffile

from nucdl_core.errors import ConfigError, ImageError
from nucdl_core.model.bundle import read_bundle, read_description, write_description
from nucdl_core.training.outline_style import ChosenStyle, OutlineStyle
from nucdl_core.training.tune_outlines import tune_outlines

WIDER = ChosenStyle(OutlineStyle(0.4, 0.5), np.array([[0.6, 0.2]]), np.array([[0.7, 0.4]]))


@pytest.fixture
def data(tmp_path):
    for kind in ("images", "masks"):
        (tmp_path / "data" / kind).mkdir(parents=True)
    labels = np.zeros((64, 64), np.uint16)
    labels[10:24, 10:24], labels[36:50, 30:44] = 1, 2
    tifffile.imwrite(tmp_path / "data" / "images" / "a.tif", (labels > 0).astype(np.uint8) * 200)
    tifffile.imwrite(tmp_path / "data" / "masks" / "a.tif", labels)
    return tmp_path / "data"


def choosing(monkeypatch, chosen):
    monkeypatch.setattr("nucdl_core.training.tune_outlines.choose_style", lambda scores, styles: chosen)


def test_the_bundle_draws_outlines_as_the_images_have_them(data, tiny_bundle, tmp_path, monkeypatch):
    choosing(monkeypatch, WIDER)
    tuned = tune_outlines(data, tmp_path / "mine", str(tiny_bundle))
    new, old = read_bundle(tuned.bundle).description, read_bundle(tiny_bundle).description
    assert (new.name, new.decision.foreground, new.contour_offset) == ("mine", 0.4, 0.5)
    assert new.decision.seed == old.decision.seed
    assert new.metrics["outlines"] == {"images": 1, "usual": [0.6, 0.2], "chosen": [0.7, 0.4]}
    card = (tuned.bundle / "README.md").read_text()
    assert "as 1 annotated image has them" in card
    assert "above a probability of 0.4, and outlines are moved outwards by 0.5 px" in card
    assert "on 1 annotated image, scored by its own choice: mean F1 0.600 before, 0.700 after, +0.100" in tuned.sentence


def test_a_model_whose_outlines_fit_already_stays_as_it_is(data, tiny_bundle, tmp_path, monkeypatch):
    (tiny_bundle / "README.md").write_text("# tiny")
    write_description(tiny_bundle, read_description(tiny_bundle))
    old = read_bundle(tiny_bundle).description
    same = ChosenStyle(OutlineStyle(old.decision.foreground), np.array([[0.7, 0.4]] * 2), np.array([[0.7, 0.4]] * 2))
    choosing(monkeypatch, same)
    tuned = tune_outlines(data, tmp_path / "mine", str(tiny_bundle))
    assert "No other outlines are clearly better on 2 annotated images, each scored by" in tuned.sentence
    assert "mean F1 0.700 before, 0.700 after, +0.000 (95 % interval" in tuned.sentence
    assert read_bundle(tuned.bundle).description.decision == old.decision
    assert "contour_offset" not in json.loads((tuned.bundle / "bundle.json").read_text())
    card = (tuned.bundle / "README.md").read_text()
    assert "were not clearly better" in card and card.endswith("# tiny")


def test_a_model_that_is_there_is_not_replaced(data, tiny_bundle, tmp_path):
    (tmp_path / "mine").mkdir()
    with pytest.raises(ConfigError, match="exists already"):
        tune_outlines(data, tmp_path / "mine", str(tiny_bundle))


def test_images_without_annotations_are_refused(data, tiny_bundle, tmp_path):
    (data / "masks" / "a.tif").unlink()
    with pytest.raises(ImageError):
        tune_outlines(data, tmp_path / "mine", str(tiny_bundle))
