"""A model adapted to images that nobody annotated."""

import dataclasses
import shutil

import numpy as np
import pytest
import tifffile
from adaptations import IMAGES, make_images, make_small, request

from nucdl_core.adaptation import adapt as adapting
from nucdl_core.adaptation import conclusion
from nucdl_core.adaptation.adapt import adapt, notes_on_images
from nucdl_core.adaptation.evidence import Gains
from nucdl_core.adaptation.images import read_plain_images
from nucdl_core.adaptation.request import AdaptRequest
from nucdl_core.errors import ConfigError, ImageError
from nucdl_core.files.locks import hold_lock
from nucdl_core.files.reading import read_labels
from nucdl_core.model.bundle import find_bundle, read_bundle
from nucdl_core.model.loading import load_model
from nucdl_core.training.plan import APART
from nucdl_core.training.reading import read_annotated_images
from nucdl_core.training.verdict import Verdict

NO_GAIN = Gains(views=0, second=0, shapes=0, edges=0, same=1, count=0, synthetic=0, usual=0)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    make_small(monkeypatch)


@pytest.fixture
def start(tiny_bundle):
    """A model with a card, as all have that NucDL makes."""
    (tiny_bundle / "README.md").write_text("# The model before")
    return tiny_bundle


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return make_images(tmp_path_factory.mktemp("adapt"))


def judged(monkeypatch, better, sentence="Said so."):
    """Let the judgement by annotations be as it is wanted."""
    monkeypatch.setattr(conclusion, "judge", lambda *arguments: Verdict(better, sentence))


def found_as_annotated(monkeypatch, images):
    """Let models find what is annotated."""
    truths = {name: read_labels(images.parent / "masks" / f"{name}.tif") for name in (f"f{n}" for n in range(IMAGES))}
    by_shape = iter(list(truths.values()) * 50)
    for module in ("images", "conclusion", "evidence"):
        monkeypatch.setattr(f"nucdl_core.adaptation.{module}.find_nuclei_in", lambda image, model: next(by_shape))


def test_a_better_model_goes_to_the_output_with_its_page(images, start, tmp_path, monkeypatch):
    judged(monkeypatch, True)
    adapted = adapt(request(images, tmp_path, start))
    assert adapted.model == tmp_path / "mine" and adapted.verdict.better
    assert load_model(adapted.model, "cpu").self_test(adapted.model) < 0.05
    assert read_bundle(adapted.model).description.name == "mine"
    page = adapted.page.read_text(encoding="utf-8")
    assert "Said so." in page and "6, 6 of them annotated" in page
    assert page.count("<h3>Cluster ") == 2 and page.count("<img") == 2 * 6 + 2 * 4 + 6


def test_a_model_that_is_not_better_is_kept_apart(images, start, tmp_path, monkeypatch):
    judged(monkeypatch, False)
    (tmp_path / "mine").mkdir()
    adapted = adapt(request(images, tmp_path, start))
    assert adapted.model == tmp_path / "mine_adaptation" / APART
    assert not any((tmp_path / "mine").iterdir())
    assert any("still holds" in note for note in adapted.notes)


def test_without_annotations_the_rule_judges(images, start, tmp_path, monkeypatch):
    found_as_annotated(monkeypatch, images)
    monkeypatch.setattr(conclusion, "gather_gains", lambda *arguments: NO_GAIN)
    adapted = adapt(request(images, tmp_path, start, masks=None))
    assert "judged without annotation" in adapted.verdict.sentence
    assert any("second model" in note for note in adapted.notes)
    assert "6, 0 of them annotated" in adapted.page.read_text(encoding="utf-8")


def test_a_model_that_forgot_what_it_knew_is_refused(images, start, tmp_path, monkeypatch):
    known = make_images(tmp_path / "known", count=2, seed=50).parent
    monkeypatch.setattr(conclusion, "find_nuclei", lambda source, model: None)
    fell = iter([0.8, 0.82, 0.6, 0.61])
    monkeypatch.setattr(conclusion, "mean_f1", lambda truth, found: next(fell))
    models = conclusion.Models(read_bundle(start), None, None, tmp_path)
    evidence = []
    held_out = read_annotated_images(known)
    verdict = conclusion.unless_it_forgot(Verdict(True, "x"), models, held_out, evidence)
    assert not verdict.better and "fell from 0.810 to 0.605" in verdict.sentence
    assert evidence == [("mean F1 on images of the kinds that it knew, which did not teach", "0.810 to 0.605")]


def test_images_that_it_learnt_from_teach_again_and_others_of_them_judge(images, start, tmp_path, monkeypatch):
    judged(monkeypatch, True)
    known = make_images(tmp_path / "known", count=10, seed=50).parent
    teaching, held_out = adapting.known_images(request(images, tmp_path, start, data=known))
    assert len(teaching) + len(held_out) == 10 and held_out
    adapted = adapt(request(images, tmp_path, start, data=known))
    assert "of the kinds that it knew" in adapted.page.read_text(encoding="utf-8")


def test_an_adaptation_that_was_stopped_goes_on_to_the_same_model(images, start, tmp_path, monkeypatch):
    judged(monkeypatch, True)
    whole = adapt(request(images, tmp_path / "whole", start))

    def stop(*arguments, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(adapting, "conclude_adaptation", stop)
        with pytest.raises(KeyboardInterrupt):
            adapt(request(images, tmp_path / "stopped", start))
    again = adapt(request(images, tmp_path / "stopped", start))
    weights = [(each.model / "weights.safetensors").read_bytes() for each in (whole, again)]
    assert weights[0] == weights[1]


def test_an_unfinished_adaptation_does_not_go_on_with_other_images(images, start, tmp_path, monkeypatch):
    def stop(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(adapting, "conclude_adaptation", stop)
    with pytest.raises(KeyboardInterrupt):
        adapt(request(images, tmp_path, start))
    other = make_images(tmp_path / "other", seed=99)
    with pytest.raises(ConfigError, match="begun with other settings or images"):
        adapt(request(other, tmp_path, start))


def test_two_adaptations_do_not_share_a_folder(images, start, tmp_path):
    folder = tmp_path / "mine_adaptation"
    folder.mkdir()
    with hold_lock(folder / adapting.LOCK_FILE), pytest.raises(ConfigError, match="another adaptation works in"):
        adapt(request(images, tmp_path, start))


def test_masks_that_fit_no_image_are_refused_before_anything_is_computed(images, start, tmp_path):
    masks = tmp_path / "masks"
    shutil.copytree(images.parent / "masks", masks)
    (masks / "f0.tif").rename(masks / "stranger.tif")
    with pytest.raises(ImageError, match="stranger has no image of the same name"):
        adapt(request(images, tmp_path, start, masks=masks))
    (masks / "stranger.tif").unlink()
    tifffile.imwrite(masks / "f0.tif", np.ones((20, 20), np.uint16))
    with pytest.raises(ImageError, match="an image of 20 x 20 pixels, .*f0.tif is 160 x 160"):
        adapt(request(images, tmp_path, start, masks=masks))
    assert not (tmp_path / "mine_adaptation").exists()


def test_a_folder_with_something_else_is_not_taken_for_the_output(images, start, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="something else than a model"):
        adapt(request(images, tmp_path, start))


def test_a_model_in_the_folder_of_the_adaptation_is_refused(images, start, tmp_path):
    inside = tmp_path / "mine_adaptation" / "model"
    shutil.copytree(start, inside)
    with pytest.raises(ConfigError, match="copy it elsewhere"):
        adapt(request(images, tmp_path, inside))


@pytest.mark.parametrize("change", [{"painter": "oil"}, {"max_minutes": 0}, {"output": "nuclei_unet"}])
def test_requests_out_of_range_are_refused_by_name(tmp_path, change):
    values = {"output": tmp_path / "mine", **change}
    values["output"] = tmp_path / values["output"]
    with pytest.raises(ConfigError, match=next(iter(change))):
        AdaptRequest([tmp_path], **values)


def test_images_that_taught_the_model_are_named_and_not_refused(images):
    plain = read_plain_images([images])
    bundled = read_bundle(find_bundle("nuclei_unet"))
    assert notes_on_images(plain, bundled, []) == []
    known = read_annotated_images(images.parent)[:2]
    (note,) = notes_on_images(plain, bundled, known)
    assert note.startswith("2 of 6 images (f0, f1) are among those that taught nuclei_unet")


def test_time_that_is_given_is_parted_and_never_all_gone(images, tmp_path):
    wanted = dataclasses.replace(request(images, tmp_path, "nuclei_unet"), max_minutes=1)
    assert adapting.seconds_given(wanted) == 60
    assert adapting.seconds_left(wanted, began=-1e9) == 1
    assert adapting.seconds_given(dataclasses.replace(wanted, max_minutes=None)) == float("inf")
