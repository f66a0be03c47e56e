"""Variants on sample images: what is found, which comes first."""

import numpy as np
import pytest
from drawings import field

from nucdl_core.config import SegmentConfig
from nucdl_core.errors import ImageError
from nucdl_core.explore.flags import flags_of
from nucdl_core.explore.trial import CROP_SIDE, Sample, telling_window, try_variants
from nucdl_core.explore.variants import Grid, Variant
from nucdl_core.files.writing import write_labels
from nucdl_core.segment import segment
from nucdl_core.simulate.faulty import FAULTS, simulate_faulty_field

IMAGE, TRUTH = field()


def sample(path, image=IMAGE, truth=None):
    return Sample(path, lambda: image, truth)


def test_each_variant_has_a_result_for_each_image(tmp_path):
    variants, told = Grid(treatments=("none", "median3")).variants(), []
    names = ("a.tif", "b.tif")
    trial = try_variants([sample(tmp_path / name) for name in names], variants, lambda *done: told.append(done))
    assert [image.name for image in trial.images] == list(names) and not trial.failed
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    alone, result = segment(IMAGE), trial.images[1].results[0]
    assert result.count == alone.count and result.diameter == pytest.approx(alone.median_diameter)
    assert result.confidence == pytest.approx(alone.scores.mean()) and result.f1 is None


def test_with_masks_the_real_f1_decides_and_other_tools_take_part(tmp_path):
    for folder in ("masks", "perfect"):
        (tmp_path / folder).mkdir()
        write_labels(tmp_path / folder / "a_labels.tif", TRUTH)
    variants = [*Grid(treatments=("mean9",)).variants(), Variant("perfect", folder=tmp_path / "perfect")]
    truth = tmp_path / "masks" / "a_labels.tif"
    first, *others = try_variants([sample(tmp_path / "a.tif", truth=truth)], variants).ranked(variants)
    assert first.variant.name == "perfect" and first.f1 == 1.0 and np.isnan(first.results[0].confidence)
    assert all(0 < other.f1 < 1 for other in others)


def test_variants_that_find_the_same_nuclei_are_named_together(tmp_path):
    variants = Grid(thresholds=(None, 0.5), treatments=("none",)).variants()
    ranked = try_variants([sample(tmp_path / "a.tif")], variants).ranked(variants)
    assert len(ranked) == 1 and ranked[0].same == ("image as it is · nuclei_unet · threshold 0.5",)


def test_an_image_that_cannot_be_used_does_not_stop_the_others(tmp_path):
    variants = Grid(treatments=("none",)).variants()
    empty = np.full((20, 20), np.nan)
    trial = try_variants([sample(tmp_path / "bad.tif", empty), sample(tmp_path / "a.tif")], variants)
    assert list(trial.failed) == ["bad.tif"] and "NaN" in trial.failed["bad.tif"] and len(trial.images) == 1
    with pytest.raises(ImageError, match=r"no image can be used: .*NaN"):
        try_variants([sample(tmp_path / "bad.tif", empty)], variants)


def test_another_tool_needs_a_label_image_for_each_image_and_of_its_size(tmp_path):
    variants = [Variant("other", folder=tmp_path)]
    write_labels(tmp_path / "a_labels.tif", TRUTH[:50])
    with pytest.raises(ImageError, match=r"other has no label image for b\.tif"):
        try_variants([sample(tmp_path / "b.tif")], variants)
    with pytest.raises(ImageError, match=r"a_labels\.tif has \(50, 240\) pixels, but its image \(160, 240\)"):
        try_variants([sample(tmp_path / "a.tif")], variants)


def test_what_is_shown_is_where_results_differ():
    same, more = np.zeros((600, 600), np.int32), np.zeros((600, 600), np.int32)
    more[500:540, 500:540] = 1
    rows, cols = telling_window([same, more])
    assert rows.start <= 500 and rows.stop >= 540 and cols.stop - cols.start == CROP_SIDE
    assert telling_window([same[:90, :700], more[:90, :700]])[0] == slice(0, 90)


def test_flags_name_what_is_unusual(tmp_path):
    for name, labels in (("none", 0 * TRUTH), ("few", np.where(TRUTH < 5, TRUTH, 0))):
        (tmp_path / name).mkdir()
        write_labels(tmp_path / name / "a_labels.tif", labels)
    variants = Grid(treatments=("none", "median3", "background")).variants()
    variants += [Variant(name, folder=tmp_path / name) for name in ("none", "few")]
    ranked = try_variants([sample(tmp_path / "a.tif")], variants).ranked(variants)
    flags = {each.variant.name: flags_of(each, ranked) for each in ranked}
    assert flags["none"] == ["finds nothing"] and flags["few"] == ["far fewer nuclei than the others"]
    assert flags["image as it is · nuclei_unet"] == []


@pytest.mark.parametrize("fault", FAULTS)
def test_the_treatment_that_a_faulty_field_needs_is_put_first(tmp_path, fault):
    faulty = simulate_faulty_field(fault, seed=1)
    right = round(faulty.diameter, 1)
    grid = Grid(treatments=("none", "median3", "background", "edges", "invert"), polarity="bright")
    if not faulty.right:
        grid = Grid(treatments=("none", "median3"), diameters=(None, 3 * right, right))
    variants = grid.variants()
    first = try_variants([sample(tmp_path / "a.tif", faulty.image)], variants).ranked(variants)[0].variant.config
    assert set(first.treatments) & set(faulty.right) if faulty.right else first.diameter in (None, right)


def test_the_usual_settings_are_known_as_such():
    assert Variant("x", SegmentConfig(device="cpu")).is_plain
