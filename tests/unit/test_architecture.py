"""The house keeps its shape: imports point down, the engine knows no CellProfiler, everything stays small."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
ENGINE = REPOSITORY / "nucdl_core"
# It is run by CellProfiler's own Python, as a process, and imported by nothing.
CELLPROFILER_PROGRAM = ENGINE / "screen" / "cellprofiler_check.py"
LONGEST_BODY = 60
LONGEST_FILE = 500

# The bands of docs/architecture.md from the bottom to the top. A module imports only what stands before it.
BANDS = {
    "WORDS": "arrays errors config progress",
    "NUMPY": "large labels results normalize instances tiling stitch scales size metrics object_errors compare tta"
    " detections contours edits pictures source files bundle model_card filters overlay error_rules region_scores"
    " all_scores significance strata shapes field layout population optics simulate plate",
    "TORCH": "device models predict together predict_instances training synthesis",
    "RECIPES": "segment refine batch evaluate evaluate_methods report_data report_tables report_figures report_gallery"
    " report refine_files calibrate train tune adapt headless demo screen",
    "PROGRAM": "cli_words cli_evaluate cli_screen cli_screen_run cli_fast_worker cli_fast cli",
}
ORDER = [module for band in BANDS.values() for module in band.split()]
MODULES = sorted(path.stem for path in ENGINE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file())
MODULES.remove("__init__")
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


def files_of(module):
    folder = ENGINE / module
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]


@pytest.mark.parametrize("module", MODULES)
def test_every_module_of_the_engine_stands_in_a_band(module):
    assert module in ORDER


@pytest.mark.parametrize("module", [module for module in MODULES if module in ORDER])
def test_imports_point_down_a_band_or_left_within_it(module):
    imported = {
        name.split(".")[1]
        for path in files_of(module)
        for name in imported_names(path)
        if name.startswith("nucdl_core.")
    }
    upwards = {name for name in imported & set(MODULES) if ORDER.index(name) > ORDER.index(module)}
    assert not upwards


@pytest.mark.parametrize("path", sorted(ENGINE.rglob("*.py")), ids=lambda path: str(path.relative_to(ENGINE)))
def test_the_engine_never_imports_cellprofiler(path):
    names = set(imported_names(path))
    roots = {name.split(".")[0] for name in names}
    assert path == CELLPROFILER_PROGRAM or not roots & {"cellprofiler", "cellprofiler_core"}
    assert not any(CELLPROFILER_PROGRAM.stem in name for name in names)


@pytest.mark.parametrize("module", ["nucdl_core", "nucdl_core.cli"])
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
