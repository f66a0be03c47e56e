"""What comes with NucDL is copied where CellProfiler looks for it."""

import json
import sys
from pathlib import Path

import pytest

from nucdl_core.cellprofiler import supplied
from nucdl_core.cellprofiler.supplied import copy_plugins, engine_command, supplied_folder
from nucdl_core.errors import NucDLError

REPOSITORY = Path(__file__).resolve().parents[3]


def test_the_modules_are_copied_with_pipelines_recipes_and_the_place_of_their_engine(tmp_path):
    copied = copy_plugins(tmp_path / "new" / "plugins")
    names = {path.name for path in copied.folder.glob("*.py")}
    assert names == {path.name for path in (REPOSITORY / "plugins").glob("*.py")}
    assert copied.files == len(names)
    assert (copied.folder / "pipelines" / "deep.cppipe").read_bytes() == (
        REPOSITORY / "pipelines" / "deep.cppipe"
    ).read_bytes()
    assert (copied.folder / "training" / "recipes" / "resnet.json").is_file()
    assert json.loads((copied.folder / "nucdl_engine.json").read_text()) == {"engine": engine_command()}
    assert Path(engine_command()).parent == Path(sys.executable).parent


def test_copied_again_files_of_an_earlier_version_go_and_those_of_others_stay(tmp_path):
    for name in ("_nucdl_gone.py", "runcellpose.py"):
        (tmp_path / name).write_text("")
    (tmp_path / "identify_nuclei_dl.py").write_text("old")
    copy_plugins(tmp_path)
    assert not (tmp_path / "_nucdl_gone.py").exists()
    assert (tmp_path / "runcellpose.py").exists()
    assert (tmp_path / "identify_nuclei_dl.py").read_text() != "old"


def test_the_modules_are_not_copied_onto_themselves():
    with pytest.raises(NucDLError, match="name another folder"):
        copy_plugins(supplied_folder("plugins"))


def test_in_a_wheel_they_lie_in_the_package(tmp_path, monkeypatch):
    monkeypatch.setattr(supplied, "SUPPLIED", tmp_path / "nucdl_core" / "supplied")
    with pytest.raises(NucDLError, match="from its wheel"):
        supplied_folder("plugins")
    (tmp_path / "nucdl_core" / "supplied" / "plugins").mkdir(parents=True)
    assert supplied_folder("plugins") == tmp_path / "nucdl_core" / "supplied" / "plugins"


def test_without_a_beside_command_this_python_is_the_engine(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert engine_command() == str(tmp_path / "python")
