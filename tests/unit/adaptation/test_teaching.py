"""A model taught further with synthetic images."""

import dataclasses

import numpy as np
import pytest
from drawings import field

from nucdl_core.adaptation.images import SeenImage
from nucdl_core.adaptation.styles import PIX2PIX_DIAMETER, simulated_style, translated_style
from nucdl_core.adaptation.teaching import TeachConfig, lessons_of, settings_of, teach_further, usual_fields
from nucdl_core.adaptation.translation import TranslationConfig
from nucdl_core.errors import ConfigError
from nucdl_core.model.bundle import read_bundle
from nucdl_core.model.loading import load_model
from nucdl_core.synthesis.appearance import appearance_of
from nucdl_core.synthesis.artificial import SyntheticImage
from nucdl_core.synthesis.nucleus_shapes import bundled_shapes
from nucdl_core.training.sources import prepare


def pairs(count=5):
    image, truth = field()
    return [SyntheticImage(image, truth)] * count


def seen():
    image, truth = field(radius=8)
    return [SeenImage(name, image, truth, appearance_of(image, truth)) for name in ("one", "two")]


def test_one_synthetic_image_of_five_judges_and_styles_count_the_same():
    lessons = lessons_of([pairs(10), pairs(5)])
    assert (len(lessons.teaching), len(lessons.judging)) == (12, 3)
    assert {source.group for source in lessons.judging} == {"style 1", "style 2"}
    assert all(source.synthetic for source in lessons.teaching)


def test_crops_that_are_not_synthetic_are_simulated_unless_known_images_are_given(tiny_bundle):
    start = read_bundle(tiny_bundle)
    alone, beside = (settings_of(start, TeachConfig(share=0.3), known) for known in (False, True))
    assert alone.simulated_share == pytest.approx(0.7)
    assert (beside.simulated_share, beside.synthetic_share) == (0.0, 0.3)
    assert alone.initial == str(tiny_bundle) and alone.steps == 150 and alone.falling


@pytest.mark.parametrize("setting", [{"share": 0.0}, {"share": 1.1}, {"steps": 0}])
def test_settings_out_of_range_are_refused_by_name(setting):
    with pytest.raises(ConfigError, match=next(iter(setting))):
        TeachConfig(**setting)


def test_a_taught_model_has_the_decision_of_the_one_before_and_other_weights(tiny_bundle, tmp_path, monkeypatch):
    (tiny_bundle / "README.md").write_text("# The model before")
    start = read_bundle(tiny_bundle)
    small = {"crop_size": 64, "batch": 1, "warm_up": 1}
    monkeypatch.setattr(
        "nucdl_core.adaptation.teaching.settings_of",
        lambda *arguments: dataclasses.replace(settings_of(*arguments), **small),
    )
    model = teach_further(start, lessons_of([pairs()]), TeachConfig(steps=2), tmp_path / "run", "cpu", workers=0)
    new = read_bundle(model)
    assert new.description.decision == start.description.decision
    assert new.sha256 != start.sha256
    card = (model / "README.md").read_text()
    assert "Nobody annotated for it" in card and card.endswith("# The model before")
    assert load_model(model, "cpu").self_test(model) < 0.05


def test_usual_fields_have_nuclei_of_many_sizes_and_are_always_the_same():
    fields = usual_fields()
    assert len(fields) > 15
    diameters = [each.diameter for each in fields]
    assert max(diameters) > 2 * min(diameters)
    assert diameters == [each.diameter for each in usual_fields()]


def test_a_simulated_style_makes_images_that_look_like_its_cluster():
    style = simulated_style(seen(), seed=0)
    assert style.members == ["one", "two"]
    made = style.pairs(bundled_shapes(), seed=0, count=4)
    sizes = [appearance_of(pair.image, pair.labels).diameter for pair in made if pair.labels.max() > 5]
    assert np.median(sizes) == pytest.approx(16, rel=0.2)


def test_a_style_by_pix2pix_makes_images_at_the_scale_of_the_network(tmp_path):
    style = translated_style(seen(), 0, TranslationConfig(epochs=1, width=4), tmp_path / "new", "cpu")
    (pair,) = style.pairs(bundled_shapes(), seed=0, count=1)
    assert pair.image.shape == (256, 256)
    assert prepare("x", pair.image, pair.labels).diameter == pytest.approx(PIX2PIX_DIAMETER, rel=0.25)


def test_known_images_stand_beside_synthetic_ones():
    known = [prepare("known", *field())]
    assert lessons_of([pairs()], known).known == known
