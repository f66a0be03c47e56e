"""CellProfiler's preference of the folder of plugins."""

import sys
from pathlib import Path

import pytest
from commands import nucdl

from nucdl_core.cellprofiler.preferences import preference_file, set_plugin_folder
from nucdl_core.errors import NucDLError


@pytest.fixture(autouse=True)
def account(tmp_path, monkeypatch):
    """A home folder of its own, on Linux."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("HOME", str(tmp_path))


def test_the_first_preference_makes_the_file(tmp_path):
    place, before = set_plugin_folder(Path("/my plugins"))
    assert (place, before) == (str(tmp_path / "config" / "CellProfilerLocal.cfg"), "")
    assert Path(place).read_text() == "PluginDirectoryCP4=/my plugins\n"


def test_all_others_stay_and_what_was_there_is_told():
    preference_file().parent.mkdir()
    preference_file().write_text("First=1\nPluginDirectoryCP4=/old\\\\er\nLast=\\n\n[Group]\nPluginDirectoryCP4=no\n")
    assert set_plugin_folder(Path("/new"))[1] == "/old\\er"
    assert (
        preference_file().read_text() == "First=1\nLast=\\n\nPluginDirectoryCP4=/new\n[Group]\nPluginDirectoryCP4=no\n"
    )


def test_letters_that_end_a_value_are_written_as_wxpython_reads_them():
    set_plugin_folder(Path('/a\\b"ü'))
    assert preference_file().read_text(encoding="utf-8") == 'PluginDirectoryCP4=/a\\\\b\\"ü\n'


def test_on_macos_it_lies_in_the_library(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert preference_file() == tmp_path / "Library" / "Preferences" / "CellProfilerLocal.cfg"


def test_an_account_without_a_home_is_told_what_to_do(monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    with pytest.raises(NucDLError, match="--plugins-directory"):
        preference_file()


def test_the_command_copies_says_what_else_to_do_and_sets_the_preference_only_if_asked(tmp_path):
    result = nucdl("plugins", "install", tmp_path / "plugins")
    assert result.exit_code == 0, result.output
    assert "File > Preferences" in result.output and f"--plugins-directory {tmp_path / 'plugins'}" in result.output
    assert not preference_file().exists()
    result = nucdl("plugins", "install", tmp_path / "plugins", "--into-cellprofiler")
    assert result.exit_code == 0, result.output
    assert preference_file().read_text() == f"PluginDirectoryCP4={tmp_path / 'plugins'}\n"


def test_without_a_folder_one_of_the_account_is_taken(tmp_path):
    result = nucdl("plugins", "install")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "config" / "nucdl" / "cellprofiler_plugins" / "identify_nuclei_dl.py").is_file()
