"""The classic pipeline on a folder of images, without CellProfiler itself."""

import pytest

from nucdl_core.cellprofiler import classic
from nucdl_core.cellprofiler.headless import HeadlessError


def test_without_the_pipeline_it_is_said_where_it_lies(tmp_path, monkeypatch):
    monkeypatch.setattr(classic, "REPOSITORY", tmp_path)
    with pytest.raises(HeadlessError, match=r"classic_advanced.cppipe is not installed; it lies in NucDL's source"):
        classic.classic_nuclei(tmp_path)
