"""Nuclei that the fast path has found, measured by CellProfiler afterwards."""

import re
from pathlib import Path

import pandas as pd

from nucdl_core.cellprofiler.headless import HeadlessRun, run_cellprofiler
from nucdl_core.config import SegmentConfig
from nucdl_core.screen.fast.plan import plan_fast
from nucdl_core.screen.fast.run import run_fast
from nucdl_core.screen.fast.task import FastRequest

REPOSITORY = Path(__file__).resolve().parents[2]
MODULES = ("LoadData", "MeasureObjectSizeShape", "MeasureObjectIntensity", "ExportToSpreadsheet")


def write_pipeline(path):
    """Write classic_basic.cppipe without what finds nuclei and draws pictures."""
    head, *modules = (REPOSITORY / "pipelines" / "classic_basic.cppipe").read_text(encoding="utf-8").split("\n\n")
    kept = [module for module in modules if module.split(":")[0] in MODULES]
    kept = [re.sub(r"module_num:\d+", f"module_num:{number}", module, count=1) for number, module in enumerate(kept, 1)]
    head = re.sub(r"ModuleCount:\d+", f"ModuleCount:{len(kept)}", head)
    path.write_text("\n\n".join([head, *kept]), encoding="utf-8")
    return path


def test_the_merged_table_of_images_is_the_list_with_which_cellprofiler_measures(plate, tmp_path):
    folder, planned = plan_fast(FastRequest(plate / "load_data.csv", tmp_path / "fast", SegmentConfig(diameter=24)))
    run_fast(folder, planned, 1)
    (tmp_path / "measured").mkdir()
    pipeline = write_pipeline(tmp_path / "measure.cppipe")
    run_cellprofiler(HeadlessRun(pipeline, folder.merged / "Image.csv", tmp_path / "measured", tmp_path))
    found = pd.read_csv(folder.merged / "Nuclei.csv")
    measured = pd.read_csv(tmp_path / "measured" / "Nuclei.csv")
    assert len(found) > 5
    for column in ("ImageNumber", "ObjectNumber", "AreaShape_Area"):
        assert list(measured[column]) == list(found[column])
    assert (measured["Intensity_MeanIntensity_DNA"] > 0).all()
