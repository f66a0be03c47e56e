from __future__ import annotations

import dataclasses

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from nucdl_core.simulate.field import FIELD_RANGES, FieldConfig, random_config
from nucdl_core.simulate.image import SMALLEST_AREA, simulate_field

SIZES = st.tuples(st.integers(1, 60), st.integers(1, 60))
SEEDS = st.integers(0, 2**32 - 1)
# full ranges, except where a field would take long: huge blurs and nuclei, dirt by the thousand
UPPER = {"diameter": 80.0, "blur": 8.0, "defocus": 8.0, "defocus_spread": 8.0, "debris": 2.0}
SHAPES = ("kidney_share", "lobed_share", "mitotic_share")


@st.composite
def configs(draw):
    values = {name: draw(st.floats(low, UPPER.get(name, high))) for name, (low, high) in FIELD_RANGES.items()}
    total = max(1.0, sum(values[name] for name in SHAPES) * 1.001)
    values.update({name: values[name] / total for name in SHAPES})
    count = draw(st.one_of(st.none(), st.integers(0, 40)))
    return FieldConfig(size=draw(SIZES), count=count, bits=draw(st.sampled_from((8, 12, 16))), **values)


def check(field, config):
    assert field.image.shape == field.labels.shape == config.size
    assert field.image.dtype == (np.uint8 if config.bits == 8 else np.uint16)
    assert field.image.max() < 2**config.bits
    assert field.labels.dtype == np.int32
    areas = np.bincount(field.labels.ravel())[1:]
    assert (areas >= SMALLEST_AREA).all()
    assert np.isnan(field.diameter) == (len(areas) == 0)


@settings(max_examples=60, deadline=None)
@given(configs(), SEEDS)
def test_any_allowed_settings_make_a_valid_field(config, seed):
    check(simulate_field(config, np.random.default_rng(seed)), config)


@settings(max_examples=40, deadline=None)
@given(SIZES, SEEDS)
def test_random_settings_are_allowed_and_make_a_valid_field(size, seed):
    rng = np.random.default_rng(seed)
    config = random_config(rng, size)
    check(simulate_field(config, rng), config)


@settings(max_examples=15, deadline=None)
@given(configs(), SEEDS)
def test_the_same_seed_gives_the_same_field(config, seed):
    first, second = (simulate_field(config, np.random.default_rng(seed)) for _ in range(2))
    assert np.array_equal(first.image, second.image)
    assert np.array_equal(first.labels, second.labels)


@settings(max_examples=60, deadline=None)
@given(configs(), SEEDS)
def test_labels_do_not_depend_on_light_and_camera(config, seed):
    changed = dataclasses.replace(config, photons=77.0, peak=0.3, bits=16, illumination=0.4, background=0.2)
    labels = [simulate_field(one, np.random.default_rng(seed)).labels for one in (config, changed)]
    assert np.array_equal(*labels)
