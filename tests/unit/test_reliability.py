"""docs/reliability.md names tests that exist, and the engine can do nothing with what it must never open."""

import ast
import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
TABLE = (REPOSITORY / "docs" / "reliability.md").read_text(encoding="utf-8")
CASES = 92
BENCHMARKS = sorted(set(re.findall(r"`(benchmarks/\w+\.py)`", TABLE)))
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TABLE)))
ENGINE = sorted((REPOSITORY / "nucdl_core").rglob("*.py"))

# Formats that run code when they are opened, archives that can lead out of their folder, and the network.
FORBIDDEN_IMPORTS = {"pickle", "cPickle", "dill", "joblib", "shelve", "marshal", "yaml", "tarfile", "zipfile"}
FORBIDDEN_IMPORTS |= {"requests", "http", "socket", "ftplib", "urllib.request", "torch.jit", "torch.hub"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "torch.load", "torch.jit.load", "torch.hub.load"}


@pytest.mark.parametrize(("path", "name"), NAMED, ids=lambda value: value)
def test_a_test_that_the_table_names_exists(path, name):
    tree = ast.parse((REPOSITORY / path).read_text(encoding="utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("path", BENCHMARKS)
def test_a_benchmark_that_the_table_names_exists(path):
    assert (REPOSITORY / path).is_file()


def test_every_case_has_one_row_with_a_test_or_a_reason():
    rows = re.findall(r"^\| (\d+) \| (.+?) \| (.+?) \| (.+?) \|$", TABLE, re.MULTILINE)
    assert [int(row[0]) for row in rows] == list(range(1, CASES + 1))
    assert not [row[0] for row in rows if not re.search("::|`benchmarks/|^not testable here: ", row[3])]


# ImageJ keeps ROI sets in archives. This one file reads their members into memory, within limits, and unpacks nothing.
ARCHIVES = {REPOSITORY / "nucdl_core" / "exchange" / "roi_archive.py": {"zipfile"}}
UNPACKING = {"extract", "extractall", "unpack_archive"}


@pytest.mark.parametrize("path", ENGINE, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_the_engine_opens_no_pickle_no_archive_and_no_connection_and_runs_no_text(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            module = getattr(node, "module", "") or ""
            names = {name.name for name in node.names} | {f"{module}.{name.name}" for name in node.names} | {module}
            assert not names & (FORBIDDEN_IMPORTS - ARCHIVES.get(path, set()))
        elif isinstance(node, ast.Call):
            assert ast.unparse(node.func) not in FORBIDDEN_CALLS
            assert ast.unparse(node.func).split(".")[-1] not in UNPACKING
            assert not any(word.arg == "allow_pickle" and ast.unparse(word.value) != "False" for word in node.keywords)
