"""Pipelines of nucdl try: in step with the modules, and set as the variant says."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from nucdl_core.config import SegmentConfig
from nucdl_core.explore.pipeline import pipeline_text

REPOSITORY = Path(__file__).resolve().parents[2]


def test_the_parts_are_what_the_script_writes(cellprofiler, monkeypatch):
    monkeypatch.syspath_prepend(str(REPOSITORY / "pipelines"))
    spec = importlib.util.spec_from_file_location("make_parts", REPOSITORY / "pipelines" / "make_parts.py")
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    sys.modules.pop("make_pipelines", None)
    assert maker.PARTS_FILE.read_text(encoding="utf-8") == maker.parts_text()


@pytest.mark.parametrize(
    "config",
    [
        SegmentConfig(),
        SegmentConfig("nuclei_maskrcnn", 20.5, views="flips", device="cpu", treatments=("median3", "background")),
        SegmentConfig(probability_threshold=0.4, views="all", polarity="dark", treatments=("edges", "invert")),
        SegmentConfig(diameter=30.0, polarity="bright", treatments=("bin2", "median5")),
    ],
)
def test_cellprofiler_opens_it_and_the_module_is_set_as_the_variant(cellprofiler, tmp_path, config):
    from cellprofiler_core.pipeline import LoadException, Pipeline
    from cellprofiler_core.preferences import set_data_file

    def stop(_, event):
        assert not isinstance(event, LoadException), event.error

    rows = {"Image_FileName_DNA": ["a.tif"], "Image_PathName_DNA": [str(tmp_path)], "Metadata_Well": ["A01"]}
    pd.DataFrame(rows).to_csv(tmp_path / "list.csv", index=False)
    (tmp_path / "p.cppipe").write_text(pipeline_text(config), encoding="utf-8")
    set_data_file(str(tmp_path / "list.csv"))
    try:
        pipeline = Pipeline()
        pipeline.add_listener(stop)
        pipeline.load(str(tmp_path / "p.cppipe"))
        pipeline.test_valid()
    finally:
        set_data_file(None)
    (module,) = [each for each in pipeline.modules() if each.module_name == "IdentifyNucleiDL"]
    diameter = config.diameter if "bin2" not in config.treatments else config.diameter / 2
    set_up = SegmentConfig(**{**module.config(), "keep_probability": True})
    assert set_up == replace(config, treatments=(), diameter=diameter)
