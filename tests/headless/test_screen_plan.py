"""Planning a screen with the real CellProfiler: what it is asked before any work, and what is refused then."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from click.testing import CliRunner

from nucdl_core.cli.main import main
from nucdl_core.screen.cellprofiler.planner import PlanRequest, plan_screen
from nucdl_core.screen.core.plan import ScreenError, ScreenFolder, read_plan

REPOSITORY = Path(__file__).resolve().parents[2]
PLUGINS = REPOSITORY / "plugins"


@pytest.fixture
def refused(plate, tmp_path):
    """Return a function that plans a screen that is refused, and returns the line that says why."""

    def run(pipeline, plugins=PLUGINS, csv=None):
        request = PlanRequest(pipeline, tmp_path / "screen", csv or plate / "load_data.csv", plugins=plugins)
        with pytest.raises(ScreenError) as caught:
            plan_screen(request)
        assert not (tmp_path / "screen").exists()
        assert "\n" not in str(caught.value)
        return str(caught.value)

    return run


def test_the_command_plans_a_screen_and_starts_nothing(plate, tmp_path):
    arguments = [REPOSITORY / "pipelines" / "compare.cppipe", "--csv", plate / "load_data.csv", "--plugins", PLUGINS]
    result = CliRunner().invoke(main, ["screen", "plan", *map(str, arguments), "--output", str(tmp_path / "screen")])
    assert result.exit_code == 0, result.output
    plan = read_plan(ScreenFolder(tmp_path / "screen"))
    assert plan.procedure.tables == ("Nuclei", "NucleiClassic")
    assert plan.procedure.channels == ("DNA",)
    assert not (tmp_path / "screen" / "results").exists()


def test_a_missing_plugin_and_newer_settings_are_refused(refused, changed_pipeline):
    number = "variable_revision_number"
    reason = refused(changed_pipeline("deep", (f"{number}:3|", f"{number}:99|")), plugins=None)
    assert "module 2, IdentifyNucleiDL: it is missing" in reason and "--plugins" in reason
    assert "its settings have revision 99, but the installed version 3" in reason


def test_a_plugin_that_cannot_be_imported_is_refused_with_its_error(refused, tmp_path):
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "identify_nuclei_dl.py").write_text("import no_such_library\n")
    reason = refused(REPOSITORY / "pipelines" / "deep.cppipe", plugins=tmp_path / "plugins")
    assert "module 2, IdentifyNucleiDL: its plugin identify_nuclei_dl.py cannot be imported" in reason
    assert "No module named 'no_such_library'" in reason


def test_wrong_names_of_channels_and_objects_are_refused(refused, changed_pipeline, plate, tmp_path):
    text = (plate / "load_data.csv").read_text()
    (tmp_path / "list.csv").write_text(text.replace("Name_DNA", "Name_RNA"))
    change = ("Select object sets to measure:Nuclei", "Select object sets to measure:Cells")
    reason = refused(changed_pipeline("classic_basic", change), csv=tmp_path / "list.csv")
    assert "module 2, " in reason and "DNA" in reason
    assert "MeasureObjectSizeShape" in reason and "Cells" in reason


def test_settings_that_are_cut_are_refused(refused, changed_pipeline):
    reason = refused(changed_pipeline("classic_basic", ("    Calculate the advanced features?:No\n", "")))
    assert "MeasureObjectSizeShape: it has 2 settings instead of 3" in reason


def test_a_pipeline_of_an_older_cellprofiler_with_input_modules_is_planned(tmp_path):
    spec = importlib.util.find_spec("cellprofiler")
    example = Path(spec.origin).parent / "data" / "examples" / "ExampleFly"
    if not (example / "ExampleFly.cppipe").is_file():
        pytest.skip("CellProfiler came without its examples")
    for channel in ("D", "F", "R"):
        (tmp_path / f"01_POS002_{channel}.TIF").touch()
    names = zip(("OrigBlue", "OrigGreen", "OrigRed"), ("D", "F", "R"))
    columns = {f"Image_FileName_{name}": f"01_POS002_{channel}.TIF" for name, channel in names}
    (tmp_path / "list.csv").write_text(",".join(columns) + "\n" + ",".join(columns.values()) + "\n")
    plan = plan_screen(PlanRequest(example / "ExampleFly.cppipe", tmp_path / "screen", tmp_path / "list.csv"))
    assert plan.procedure.steps[0] == "LoadData"
    assert plan.procedure.tables == ("Cells", "Cytoplasm", "Nuclei")
    assert plan.procedure.channels == ("OrigBlue", "OrigGreen", "OrigRed")


def test_without_java_nothing_is_planned(refused, monkeypatch, tmp_path):
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert "JAVA_HOME is" in refused(REPOSITORY / "pipelines" / "classic_basic.cppipe")
