"""What a pipeline must be like to be run on a screen, and how it is adapted."""

import re
from pathlib import Path

import pytest

from nucdl_core.model.bundle import read_bundle
from nucdl_core.screen.cellprofiler import pipeline_rules
from nucdl_core.screen.cellprofiler.pipeline_file import format_pipeline, parse_pipeline
from nucdl_core.screen.cellprofiler.pipeline_rules import adapt_pipeline, used_models
from nucdl_core.screen.core.plan import PlannedModel, ScreenError

REPOSITORY = Path(__file__).resolve().parents[4]
DEEP = (REPOSITORY / "pipelines" / "deep.cppipe").read_text(encoding="utf-8")
HEAD = "CellProfiler Pipeline: http://www.cellprofiler.org\nVersion:5\nModuleCount:{}\nHasImagePlaneDetails:False\n"


def block(name, *settings, revision=1, enabled=True):
    lines = "".join(f"    {setting}\n" for setting in settings)
    return f"\n{name}:[module_num:1|variable_revision_number:{revision}|enabled:{enabled}]\n{lines}"


IMAGES = block("Images", "Filter images?:Images only")
NAMES = block("NamesAndTypes", "Set intensity range from:Image metadata", "Process as 3D?:No")
GROUPS = block(
    "Groups",
    "Do you want to group your images?:Yes",
    "grouping metadata count:2",
    "Metadata category:Plate",
    "Metadata category:Well",
)
LOADER_LINES = ("Load images based on this data?:Yes", "Process just a range of rows?:No")
LOADER = block("LoadData", *LOADER_LINES)
EXPORTER = block("ExportToSpreadsheet", "Add a prefix to file names?:Yes", "Filename prefix:My", revision=13)
DATABASE = block("ExportToDatabase", "Database type:MySQL")
SAVER = block(
    "SaveImages", "Output file location:{}", "Enter single file name:{}", "Create subfolders in the output folder?:No"
)


@pytest.fixture
def modules(tmp_path):
    def run(*blocks):
        path = tmp_path / "p.cppipe"
        path.write_text(HEAD.format(len(blocks)) + "".join(blocks))
        return parse_pipeline(path)

    return run


def test_a_pipeline_that_fits_is_not_changed(modules):
    given = parse_pipeline(REPOSITORY / "pipelines" / "deep.cppipe")
    adapted = adapt_pipeline(given)
    assert (adapted.modules, adapted.grouping, adapted.changes) == (given, (), ())


def test_the_copy_has_the_same_settings_and_evaluates_nothing_of_the_file(tmp_path):
    given = parse_pipeline(REPOSITORY / "pipelines" / "deep.cppipe")
    path = tmp_path / "copy.cppipe"
    path.write_text(format_pipeline(given))
    assert parse_pipeline(path) == given
    assert re.findall(r"^    .*$", path.read_text(), re.MULTILINE) == re.findall(r"^    .*$", DEEP, re.MULTILINE)
    assert set(re.findall(r"notes:(.*?)\|batch", path.read_text())) == {"[]"}


def test_input_modules_are_replaced_by_loaddata_with_their_grouping(modules):
    adapted = adapt_pipeline(modules(IMAGES, NAMES, GROUPS, EXPORTER))
    assert [module.name for module in adapted.modules] == ["LoadData", "ExportToSpreadsheet"]
    assert adapted.grouping == ("Plate", "Well")
    assert adapted.changes[0].startswith("Images, NamesAndTypes, Groups were replaced by LoadData")
    assert adapt_pipeline(modules(IMAGES, NAMES, EXPORTER)).grouping == ()


def test_the_loaddata_that_is_made_is_one_that_cellprofiler_writes(modules):
    made = adapt_pipeline(modules(NAMES, EXPORTER)).modules[0]
    written = parse_pipeline(REPOSITORY / "pipelines" / "deep.cppipe")[0]
    assert [text for text, _ in made.settings] == [text for text, _ in written.settings]
    assert (made.revision, made.raw) == (written.revision, written.raw)


def test_loaddata_comes_first_and_makes_input_modules_idle(modules):
    adapted = adapt_pipeline(modules(IMAGES, block("Crop"), LOADER, EXPORTER))
    assert [module.name for module in adapted.modules] == ["LoadData", "Crop", "ExportToSpreadsheet"]


def test_the_exporter_writes_whole_tables_without_prefix(modules):
    adapted = adapt_pipeline(modules(LOADER, EXPORTER))
    assert adapted.modules[1].raw == ("Add a prefix to file names?:No", "Filename prefix:My")
    assert adapted.modules[1].value("Add a prefix to file names?") == "No"
    assert "Add a prefix to file names? changed" in adapted.changes[0]


def test_databases_batches_and_further_exporters_are_left_out(modules):
    adapted = adapt_pipeline(modules(LOADER, EXPORTER, DATABASE, EXPORTER, block("CreateBatchFiles")))
    assert [module.name for module in adapted.modules] == ["LoadData", "ExportToSpreadsheet"]
    assert sum("was left out" in change for change in adapted.changes) == 3


@pytest.mark.parametrize("exporter", [DATABASE, block("ExportToSpreadsheet", "Prefix?:Yes", revision=11)])
def test_other_exporters_are_replaced_by_one_that_cellprofiler_writes(modules, exporter):
    adapted = adapt_pipeline(modules(LOADER, exporter))
    written = parse_pipeline(REPOSITORY / "pipelines" / "deep.cppipe")[-1]
    assert [text for text, _ in adapted.modules[1].settings] == [text for text, _ in written.settings]
    assert adapted.modules[1].revision == written.revision
    assert "replaced by an ExportToSpreadsheet" in adapted.changes[0]


@pytest.mark.parametrize(
    ("blocks", "reason"),
    [
        ((LOADER,), "exports nothing"),
        ((LOADER, block("ExportToSpreadsheet", enabled=False)), "exports nothing"),
        ((EXPORTER,), "loads no images"),
        ((LOADER, LOADER, EXPORTER), "2 LoadData modules"),
        ((LOADER.replace("rows?:No", "rows?:Yes"), EXPORTER), "just a range of rows.*cut the list"),
        ((LOADER.replace("data?:Yes", "data?:No"), EXPORTER), "Load images based on this data"),
        ((NAMES.replace("3D?:No", "3D?:Yes"), EXPORTER), "3-D images cannot be checked"),
        ((NAMES.replace("Image metadata", "Manual"), EXPORTER), "'Set intensity range from' is Manual"),
        ((LOADER, SAVER.format("Elsewhere...|/data", "x"), EXPORTER), "keeps only what is in 'Default Output Folder'"),
        ((LOADER, SAVER.format("Same folder as image|", "x"), EXPORTER), "keeps only"),
        ((LOADER, SAVER.format("Default Output Folder sub-folder|a/../../x", "x"), EXPORTER), "leads out of"),
        ((LOADER, SAVER.format(r"Default Output Folder sub-folder|\x2e\x2e", "x"), EXPORTER), "leads out of"),
        ((LOADER, SAVER.format("Default Output Folder sub-folder|/etc", "x"), EXPORTER), "leads out of"),
        ((LOADER, SAVER.format("Default Output Folder|", "../x"), EXPORTER), "leads out of"),
        ((LOADER, SAVER.replace("?:No", "?:Yes").format("Default Output Folder|", "x"), EXPORTER), "switch that off"),
    ],
    ids=range(15),
)
def test_a_pipeline_that_cannot_be_run_on_a_screen_is_refused(modules, blocks, reason):
    with pytest.raises(ScreenError, match=reason):
        adapt_pipeline(modules(*blocks))


def test_a_disabled_module_may_write_anywhere_and_a_subfolder_is_fine(modules):
    off = SAVER.format("Elsewhere...|/data", "x").replace("enabled:True", "enabled:False")
    inside = SAVER.format("Default Output Folder sub-folder|labels/x", "a..b")
    assert len(adapt_pipeline(modules(LOADER, off, inside, EXPORTER)).modules) == 4


def model(name, folder="Elsewhere...|", enabled=True):
    return block("IdentifyNucleiDL", f"Select the model:{name}", f"Model folder:{folder}", enabled=enabled)


def test_the_models_of_enabled_modules_are_found_once(modules, monkeypatch):
    monkeypatch.setattr(pipeline_rules, "identify_model", lambda name: PlannedModel(name, "hash"))
    found = used_models(
        modules(model("a"), model("a"), model("Folder", "Elsewhere...|/m"), model("c", enabled=False), block("Crop"))
    )
    assert found == (PlannedModel("a", "hash"), PlannedModel("/m", "hash"))


def test_a_model_folder_must_be_a_full_path(modules):
    with pytest.raises(ScreenError, match="choose 'Elsewhere...' and a full path"):
        used_models(modules(model("Folder", "Default Input Folder|m")))


def test_a_model_that_cannot_be_read_is_named_with_its_module(modules):
    with pytest.raises(ScreenError, match="module 1, IdentifyNucleiDL: model 'none' is neither"):
        used_models(modules(model("none")))


def test_an_own_model_is_identified_by_its_name(modules, tiny_bundle, monkeypatch):
    monkeypatch.setenv("NUCDL_MODELS", str(tiny_bundle.parent))
    assert used_models(modules(model("tiny"))) == (PlannedModel("tiny", read_bundle(tiny_bundle).sha256),)


@pytest.mark.parametrize("folder", ["Elsewhere...|", "Elsewhere...|/no/such/folder"])
def test_a_folder_of_another_computer_in_loaddata_does_not_matter_since_the_screen_gives_the_list(modules, folder):
    loader = block(
        "LoadData",
        f"Input data file location:{folder}",
        *LOADER_LINES,
    )
    adapted = adapt_pipeline(modules(loader, EXPORTER))
    assert adapted.modules[0].value("Input data file location") == "Default Input Folder|"
    assert folder in adapted.changes[0]


def test_a_folder_in_loaddata_that_exists_is_kept(modules, tmp_path):
    loader = block(
        "LoadData",
        f"Input data file location:Elsewhere...|{tmp_path}",
        *LOADER_LINES,
    )
    assert (
        adapt_pipeline(modules(loader, EXPORTER)).modules[0].value("Input data file location").endswith(str(tmp_path))
    )
