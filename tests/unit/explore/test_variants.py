"""The combinations that are tried."""

from pathlib import Path

import pytest

from nucdl_core.config import SegmentConfig
from nucdl_core.errors import ConfigError
from nucdl_core.explore.variants import Grid, Variant, all_variants, command_of, treatments_of


def test_every_combination_is_there_once_and_those_with_one_treatment_are_beside_each_other():
    grid = Grid(("a", "b"), ("none", "bin2+median3"), (None, 20.0, 20.0), (None, 0.4), ("none", "flips"))
    variants = grid.variants()
    assert len(variants) == grid.size == 2 * 2 * 2 * 2 * 2 == len({variant.name for variant in variants})
    assert [variant.config.treatments for variant in variants] == [()] * 16 + [("bin2", "median3")] * 16


def test_the_default_is_each_treatment_and_none():
    names = [variant.name for variant in Grid().variants()]
    assert len(names) == 12 and names[0] == "image as it is · nuclei_unet" and "median 3 x 3 · nuclei_unet" in names


def test_the_name_says_what_differs():
    config = SegmentConfig("models/mine", 20.0, 0.4, views="all", treatments=treatments_of("bin2+invert"))
    assert Grid(("models/mine",), ("bin2+invert",), (20.0,), (0.4,), ("all",)).variants() == [
        Variant("binned 2 x 2, inverted · mine · 20 px · threshold 0.4 · eight views", config)
    ]


def test_more_than_200_combinations_are_refused_with_their_number_unless_confirmed():
    grid = Grid(("a",), ("none",), tuple(float(size) for size in range(10, 210)))
    others = {"stardist": Path("stardist")}
    assert len(all_variants(grid, {})) == 200
    with pytest.raises(ConfigError, match="these are 201 combinations .* more than 200; .* confirm with --yes"):
        all_variants(grid, others)
    assert all_variants(grid, others, confirmed=True)[-1].folder == Path("stardist")


def test_an_unknown_treatment_is_refused():
    with pytest.raises(ConfigError, match="'sharpen' is no treatment"):
        Grid(treatments=("sharpen",)).variants()


def test_the_command_names_only_what_differs_from_the_usual():
    assert command_of(SegmentConfig()) == "nucdl segment IMAGES --output nuclei"
    config = SegmentConfig("my model", 20.5, 0.4, views="flips", polarity="dark", treatments=("bin2", "median3"))
    assert command_of(config, ["a b", "--channel", "2"]) == (
        "nucdl segment 'a b' --channel 2 --output nuclei --preprocess bin2,median3 --model 'my model' --diameter 20.5 "
        "--threshold 0.4 --views flips --polarity dark"
    )


def test_only_the_usual_settings_are_plain():
    plain, other = Grid(treatments=("none", "median3"), device="cpu").variants()
    assert plain.is_plain and not other.is_plain and not Variant("stardist", folder=Path("x")).is_plain
