"""Pipeline files are read without being run; those that are cut, damaged or hold code are refused."""

import re
from pathlib import Path

import pytest

from nucdl_core.screen.cellprofiler import pipeline_file
from nucdl_core.screen.cellprofiler.pipeline_file import parse_pipeline
from nucdl_core.screen.core.plan import ScreenError

REPOSITORY = Path(__file__).resolve().parents[4]
PIPELINES = sorted((REPOSITORY / "pipelines").glob("*.cppipe"))
DEEP = (REPOSITORY / "pipelines" / "deep.cppipe").read_text(encoding="utf-8")


@pytest.fixture
def parse(tmp_path):
    def run(text):
        path = tmp_path / "p.cppipe"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return parse_pipeline(path)

    return run


@pytest.mark.parametrize("path", PIPELINES, ids=lambda path: path.stem)
def test_the_example_pipelines_are_read_completely(path):
    modules = parse_pipeline(path)
    text = path.read_text(encoding="utf-8")
    assert len(modules) == int(re.search(r"ModuleCount:(\d+)", text).group(1))
    assert sum(len(module.settings) for module in modules) == len(re.findall(r"^    .", text, re.MULTILINE))
    assert (modules[0].name, modules[0].number, modules[0].revision) == ("LoadData", 1, 6)
    assert modules[0].value("Rescale intensities?") == "Yes"
    assert modules[0].value("no such setting") is None
    assert str(modules[0]) == "module 1, LoadData"


def attribute(name, value, text=DEEP):
    """Replace an attribute of the second module."""
    first, second = re.split(r"(?=IdentifyNucleiDL:\[)", text)
    return first + re.sub(rf"{name}:[^|\]]*", lambda match: f"{name}:{value}", second, count=1)


@pytest.mark.parametrize(
    "changed",
    [
        attribute("enabled", "__import__('os').mkdir('CANARY') or True"),
        attribute("enabled", r"__import__\x28'os'\x29.mkdir('CANARY')"),
        attribute("batch_state", "array([], dtype=uint8).tofile('CANARY')"),
        attribute("batch_state", "array([__import__('os').mkdir('CANARY')], dtype=uint8)"),
        attribute("notes", r"[__import__\x28'os'\x29.mkdir('CANARY')"),
        attribute("module_num", "(lambda: 2)()"),
        attribute("module_num", "[" * 500 + "]" * 500),
        attribute("svn_version", "'a'+'b'"),
        attribute("svn_version", "f'{open(0)}'"),
    ],
    ids=range(9),
)
def test_a_pipeline_with_code_is_refused_and_not_run(parse, tmp_path, monkeypatch, changed):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ScreenError, match="would run|damaged|is not an attribute"):
        parse(changed)
    assert not (tmp_path / "CANARY").exists()


def test_escaped_code_is_found_where_cellprofiler_would_find_it(parse):
    # The bar ends the notes, and what follows is an attribute of its own with a value that would be evaluated.
    changed = re.sub(r"notes:\[.*?\]\|batch", "notes:['a']|enabled:print(1)|batch", DEEP, count=1)
    with pytest.raises(ScreenError, match="module 1, LoadData: enabled is 'print\\(1\\)', which is code"):
        parse(changed)


def test_notes_with_bars_and_other_letters_are_read(parse):
    assert parse(re.sub(r"notes:\[.*?\]\|batch", "notes:['a | b', 'größer']|batch", DEEP, count=1))
    assert parse(re.sub(r"notes:\[.*?\]\|batch", "notes:[it's no Python]|batch", DEEP, count=1))


def test_disabled_modules_and_escaped_settings_are_understood(parse):
    text = attribute("enabled", "False").replace("images?:No", r"images?:a\x3ab", 1)
    modules = parse(text.replace("Filename prefix:MyExpt_", r"Filename prefix:\x2e\x2e/x"))
    assert [module.number for module in modules if not module.enabled] == [2]
    assert modules[10].value("Filename prefix") == "../x"
    assert (
        parse(DEEP.replace("MyExpt_", r"\\\\g<Plate>\x7C\\\\g<Well>"))[10].value("Filename prefix").endswith("g<Well>")
    )
    assert parse(DEEP.replace("MyExpt_", r"\xZ"))[10].value("Filename prefix") == r"\xZ"


@pytest.mark.parametrize("share", [0.01, 0.1, 0.3, 0.5, 0.7, 0.8, 0.99])
def test_a_pipeline_that_is_cut_off_is_refused(parse, share):
    with pytest.raises(ScreenError, match="cut off|no pipeline"):
        parse(DEEP[: int(len(DEEP) * share)])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not a pipeline"),
        ('{"modules": []}\n', "not a pipeline"),
        (b"\x89HDF\r\n", "not in UTF-8"),
        (DEEP.replace("ModuleCount:11", "ModuleCount:12"), "it has 11 of 12 modules"),
        (DEEP.replace("ModuleCount:11", "ModuleCount:10"), "more follows after 10 modules"),
        (DEEP.replace("ModuleCount:11", "ModuleCount:many"), "'ModuleCount:many' is not understood"),
        (DEEP.replace("ModuleCount:11", "ModuleCount:0"), "has no modules"),
        (DEEP.replace("Version:5", "Version:6"), "version 6"),
        (DEEP.split("\n\n")[0] + "\n", "ends before the first module"),
        (DEEP.replace("    Compute on:Automatic", "    Compute on Automatic"), "is not a setting"),
        (DEEP.replace("IdentifyNucleiDL:", "Identify Nuclei:"), "module 2 begins with"),
        (DEEP.replace("IdentifyNucleiDL:[", "IdentifyNucleiDL:"), "does not end with"),
        (re.sub(r"variable_revision_number:\d+\|", "", DEEP), "module 1, LoadData, lacks the revision"),
        (attribute("enabled", "1"), "enabled is '1', not bool"),
        (attribute("enabled", "True True"), "the file is damaged"),
        (attribute("wants_pause", "'\\N{no}'"), "cannot be unescaped"),
        (DEEP.replace("svn_version", "__class__", 1), "is not an attribute"),
    ],
    ids=range(17),
)
def test_a_damaged_pipeline_is_refused_in_one_line(parse, text, reason):
    with pytest.raises(ScreenError, match=reason) as caught:
        parse(text)
    assert "p.cppipe: " in str(caught.value) and "\n" not in str(caught.value)


def test_a_list_of_files_after_the_modules_is_left_out(parse):
    text = DEEP.replace("HasImagePlaneDetails:False", "HasImagePlaneDetails:True")
    assert len(parse(text + '\n"Version":"1","PlaneCount":"1"\n"URL"\n"file:///a.tif"\n')) == 11


def test_a_pipeline_that_is_not_there_or_much_too_large_is_refused(tmp_path, monkeypatch):
    with pytest.raises(ScreenError, match="cannot be read"):
        parse_pipeline(tmp_path / "p.cppipe")
    monkeypatch.setattr(pipeline_file, "LARGEST_FILE", 100)
    with pytest.raises(ScreenError, match="more than 100 bytes"):
        parse_pipeline(PIPELINES[0])
