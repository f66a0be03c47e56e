"""Settings of a field: checked, and drawn at random."""

from __future__ import annotations

import numpy as np
import pytest

from nucdl_core.errors import ConfigError
from nucdl_core.simulate.field import FIELD_RANGES, FieldConfig, random_config, screen_config
from nucdl_core.simulate.image import simulate_field


@pytest.mark.parametrize("name", sorted(FIELD_RANGES))
@pytest.mark.parametrize("side", ["below", "above", "nan"])
def test_a_setting_out_of_range_is_refused_by_name(name, side):
    low, high = FIELD_RANGES[name]
    value = {"below": low - 1, "above": high * 1.01 + 0.01, "nan": float("nan")}[side]
    with pytest.raises(ConfigError, match=f"^{name} is "):
        FieldConfig(**{name: value})


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"size": (0, 5)}, "size"),
        ({"size": (5, 5, 3)}, "size"),
        ({"size": (5.0, 5)}, "size"),
        ({"size": (5, 1_000_000)}, "size"),
        ({"count": -1}, "count"),
        ({"count": 1.5}, "count"),
        ({"bits": 10}, "bits"),
        ({"kidney_share": 0.5, "lobed_share": 0.3, "mitotic_share": 0.3}, "add up"),
    ],
)
def test_impossible_settings_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        FieldConfig(**changes)


@pytest.mark.parametrize("diameter_range", [(1, 50), (50, 20), (20, 5000)])
def test_an_impossible_diameter_range_is_refused(diameter_range):
    with pytest.raises(ConfigError, match="diameter range"):
        random_config(np.random.default_rng(0), (64, 64), diameter_range)


def test_random_settings_cover_the_diameter_range():
    drawn = [random_config(np.random.default_rng(s), (64, 64), (10, 80)).diameter for s in range(200)]
    assert 10 <= min(drawn) < 13
    assert 65 < max(drawn) <= 80


def test_random_settings_cover_bits_focus_and_empty_fields():
    drawn = [random_config(np.random.default_rng(s), (64, 64)) for s in range(300)]
    assert {config.bits for config in drawn} == {8, 12, 16}
    assert 0.1 < np.mean([config.defocus > 0 for config in drawn]) < 0.5
    assert 0 < np.mean([config.count == 0 for config in drawn]) < 0.06


def test_most_random_fields_hold_nuclei():
    generators = [np.random.default_rng(s) for s in range(40)]
    held = [simulate_field(random_config(rng, (96, 96)), rng).labels.any() for rng in generators]
    assert np.mean(held) > 0.75


def test_sites_of_a_well_share_the_kind_of_cell_and_differ_in_density():
    first, second = (screen_config((48, 64), np.random.default_rng(5), np.random.default_rng(s)) for s in (1, 2))
    assert first.diameter == second.diameter
    assert first.coverage != second.coverage


def test_screens_have_nuclei_of_the_usual_size():
    sizes = [screen_config((48, 64), np.random.default_rng(s), np.random.default_rng(0)).diameter for s in range(50)]
    assert 20 <= min(sizes) < max(sizes) <= 45
