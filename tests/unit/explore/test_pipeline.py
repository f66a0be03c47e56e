"""Variants as the text of CellProfiler pipelines."""

import re

import pytest

from nucdl_core.config import TREATMENTS, SegmentConfig
from nucdl_core.errors import ConfigError
from nucdl_core.explore.pipeline import pipeline_text, why_no_pipeline

WITH_PIPELINE = {"median3", "median5", "background", "edges", "invert", "bin2"}


def modules(text):
    return re.findall(r"^(\w+):\[module_num:(\d+)", text, flags=re.MULTILINE)


@pytest.mark.parametrize("name", TREATMENTS)
def test_treatments_that_cellprofiler_has_no_module_for_have_no_pipeline(name):
    config = SegmentConfig(treatments=(name,))
    assert (why_no_pipeline(config) is None) == (name in WITH_PIPELINE)
    if name not in WITH_PIPELINE:
        with pytest.raises(ConfigError, match="CellProfiler has no module .*; use the command nucdl segment"):
            pipeline_text(config)


def test_in_a_binned_image_the_background_has_no_pipeline():
    assert "GaussianFilter" in why_no_pipeline(SegmentConfig(treatments=("bin2", "background")))
    assert why_no_pipeline(SegmentConfig(treatments=("bin2", "median3"))) is None


def test_modules_are_numbered_and_each_takes_what_the_one_before_made():
    text = pipeline_text(SegmentConfig(treatments=("median3", "background")))
    names, numbers = zip(*modules(text))
    assert names[:5] == ("LoadData", "MedianFilter", "GaussianFilter", "ImageMath", "IdentifyNucleiDL")
    assert [int(number) for number in numbers] == list(range(1, len(names) + 1))
    assert f"ModuleCount:{len(names)}\n" in text and "NucDLTaken" not in text and "NucDLMade" not in text
    median, find = (re.search(rf"{name}:\[.*?\n\n", text, re.DOTALL).group() for name in (names[1], names[4]))
    assert "input image:DNA\n" in median and "output image:DNATreated1\n" in median
    assert "input image:DNATreated2\n" in find and "nuclei to be identified:Nuclei\n" in find


def test_a_binned_image_is_searched_at_half_the_diameter_and_its_nuclei_enlarged():
    text = pipeline_text(SegmentConfig(treatments=("bin2",), diameter=19.0))
    names = [name for name, _ in modules(text)]
    assert names[1:4] == ["Resize", "IdentifyNucleiDL", "ResizeObjects"]
    assert "Typical diameter of nuclei in pixels:9.5\n" in text and "automatically?:No\n" in text
    assert "Name the nuclei to be identified:NucleiAtHalfSize\n" in text
