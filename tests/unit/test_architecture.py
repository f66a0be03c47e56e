"""The house keeps its shape: imports point down, the engine knows no CellProfiler, everything stays small."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
ENGINE = REPOSITORY / "nucdl_core"
# It is run by CellProfiler's own Python, as a process, and imported by nothing.
CELLPROFILER_PROGRAM = ENGINE / "screen" / "cellprofiler" / "cellprofiler_check.py"
LONGEST_BODY = 60
LONGEST_FILE = 500

# From the bottom to the top: a file imports only what stands before it, or what lies in its own package.
PACKAGES = [
    "arrays",
    "errors",
    "extras",
    "config",
    "progress",
    "large",
    "labels",
    "regions",
    "ellipses",
    "overlap",
    "results",
    "files",
    "exchange",
    "steps",
    "model",
    "segment",
    "refine",
    "annotate",
    "scores",
    "reports",
    "worker",
    "simulate",
    "synthesis",
    "training",
    "adaptation",
    "cellprofiler",
    "batch",
    "explore",
    "screen",
    "study",
    "cli",
]
# The same for the files in screen; the two ways to run a screen know nothing of each other.
SCREEN = {
    "core": [
        "plan",
        "work",
        "disk",
        "process",
        "columns",
        "image_list",
        "naming",
        "new_screen",
        "inspection",
        "left_out",
        "verify",
        "outcome",
        "identity",
        "publish",
        "records",
        "database",
        "tables",
        "merge",
        "wells",
        "html",
        "throughput",
        "report",
        "status",
        "finish",
    ],
    "fast": [
        "task",
        "messages",
        "culprits",
        "label_images",
        "settings",
        "plan",
        "images",
        "chunk",
        "run",
        "watch",
    ],
    "cellprofiler": [
        "pipeline_file",
        "pipeline_rules",
        "preflight",
        "planner",
        "log",
        "culprits",
        "gpus",
        "attempt",
        "chunk",
        "snakemake",
        "engine",
        "run",
        "cellprofiler_check",
    ],
}
SCREEN_FILES = [(package, name) for package, names in SCREEN.items() for name in names]
# The program that does one chunk; it stands above the packages.
SCREEN_PROGRAM = "chunk"

CODE = [
    path
    for folder in ("nucdl_core", "plugins", "pipelines", "benchmarks", "tests")
    for path in (REPOSITORY / folder).rglob("*.py")
]
CODE = sorted(str(path.relative_to(REPOSITORY)) for path in CODE)


def parse(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def imported_names(path):
    """Dotted names of everything that a file imports, at its top or inside its functions."""
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are written in full here"
            yield from (f"{node.module}.{name.name}" for name in node.names)


def members(folder):
    """Names of the modules and packages of a package."""
    names = {path.stem for path in folder.glob("*.py")} | {path.parent.name for path in folder.glob("*/__init__.py")}
    return names - {"__init__"}


def files_of(path):
    return sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]


def imported_below(path, package):
    """First names after ``package.`` of what a module or package imports."""
    names = (name for file in files_of(path) for name in imported_names(file))
    return {name[len(package) + 1 :].split(".")[0] for name in names if name.startswith(package + ".")}


def test_the_order_names_exactly_the_packages_and_modules_that_there_are():
    assert sorted(PACKAGES) == sorted(members(ENGINE))
    assert sorted([*SCREEN, SCREEN_PROGRAM]) == sorted(members(ENGINE / "screen"))
    for package, names in SCREEN.items():
        assert sorted(names) == sorted(members(ENGINE / "screen" / package))


@pytest.mark.parametrize("name", PACKAGES)
def test_imports_point_to_what_stands_before(name):
    imported = imported_below(ENGINE / name, "nucdl_core") & set(PACKAGES)
    assert not {other for other in imported if PACKAGES.index(other) > PACKAGES.index(name)}


@pytest.mark.parametrize(("package", "name"), SCREEN_FILES)
def test_files_of_screens_import_what_stands_before_them_of_the_core_and_of_their_own_package(package, name):
    path = ENGINE / "screen" / package / f"{name}.py"
    imported = [each.split(".")[2:] for each in imported_names(path) if each.startswith("nucdl_core.screen.")]
    assert {parts[0] for parts in imported} <= {"core", package}
    own = [parts[1] for parts in imported if parts[0] == package]
    assert set(own) <= set(SCREEN[package][: SCREEN[package].index(name)])


@pytest.mark.parametrize("name", PACKAGES)
def test_every_package_says_in_one_sentence_what_it_is(name):
    if (ENGINE / name).is_dir():
        first_line = ast.get_docstring(parse(ENGINE / name / "__init__.py")).splitlines()[0]
        assert first_line.endswith(".")


@pytest.mark.parametrize("path", sorted(ENGINE.rglob("*.py")), ids=lambda path: str(path.relative_to(ENGINE)))
def test_the_engine_never_imports_cellprofiler(path):
    names = set(imported_names(path))
    roots = {name.split(".")[0] for name in names}
    assert path == CELLPROFILER_PROGRAM or not roots & {"cellprofiler", "cellprofiler_core"}
    assert not any(CELLPROFILER_PROGRAM.stem in name for name in names)


@pytest.mark.parametrize("module", ["nucdl_core", "nucdl_core.cli.main"])
def test_importing_it_loads_neither_torch_nor_cellprofiler(module):
    code = f"import {module}, sys; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True, capture_output=True, text=True)
    assert not {"torch", "torchvision", "cellprofiler", "cellprofiler_core"} & set(loaded.stdout.split())


@pytest.mark.parametrize("path", CODE)
def test_files_and_functions_stay_small(path):
    text = (REPOSITORY / path).read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LONGEST_FILE
    functions = [
        node for node in ast.walk(ast.parse(text)) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]
    long = {function.name: body_length(function) for function in functions if body_length(function) > LONGEST_BODY}
    assert not long


def body_length(function):
    """Lines of a function after its docstring."""
    begin = function.body[1:2] if ast.get_docstring(function, clean=False) else function.body[:1]
    return function.end_lineno - begin[0].lineno + 1 if begin else 0


FAMILY_NAMES = {"unet", "maskrcnn"}
REGISTRY = ENGINE / "model" / "registry.py"
BEYOND_THE_REGISTRY = sorted({*ENGINE.rglob("*.py"), *(REPOSITORY / "plugins").glob("*.py")} - {REGISTRY})


@pytest.mark.parametrize("path", BEYOND_THE_REGISTRY, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_only_the_registry_knows_families_by_name_or_tells_predictors_apart(path):
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Compare):
            names = {part.value for part in ast.walk(node) if isinstance(part, ast.Constant)}
            assert not names & FAMILY_NAMES
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("isinstance", "issubclass"):
            assert "Predictor" not in ast.unparse(node.args[1])


def test_every_file_that_the_document_names_exists():
    text = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:[\w.]+/)*_?\w+\.(?:py|md|json|html))`", text))
    there = [path.relative_to(REPOSITORY).as_posix() for path in REPOSITORY.rglob("*.*") if ".venv" not in str(path)]
    of_a_kind = {name for name in named if "NAME" in name or "GROUP" in name or name == "plan.json"}
    assert len(named) > 60
    assert not {name for name in named - of_a_kind if not any(f"/{path}".endswith(f"/{name}") for path in there)}
