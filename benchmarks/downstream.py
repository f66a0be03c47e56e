"""Every block of docs/profiles.md, run on finished screens: CytoTable's presets and pycytominer, to a profile per well.

    python benchmarks/downstream.py SCREEN [SCREEN ...]

in an environment with cytotable, pycytominer, anndata, duckdb-ext-sqlite and duckdb-ext-httpfs; NucDL is not needed
there. Each SCREEN is a folder of `nucdl screen run` or `nucdl segment --csv`. Prints a row for each block: nuclei,
columns, wells, columns of the profile, seconds. The exit code is 1 if one of them fails, or a preset reads what the
page says that it does not.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sqlite3
import sys
import tempfile
import time
import warnings
from importlib import metadata
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Tuple

PAGE = Path(__file__).resolve().parents[1] / "docs" / "profiles.md"
BLOCK = re.compile(r"<!-- (?P<kind>[a-z ]+) -->\n```python\n(?P<code>.*?)```", re.DOTALL)
WITH_CELLS, NUCLEI_ALONE, PROFILE = "with cells", "nuclei alone", "profile"
PRESET, UNREAD_PRESET = "cellprofiler_sqlite", "cellprofiler_sqlite_cpg0016_jump"
OTHER_PRESET = "cellprofiler_sqlite_pycytominer"
IN_THE_PAGE = 'merged = "screen/merged"'


class Row(NamedTuple):
    """What came of a block on a screen."""

    screen: str
    block: str
    nuclei: object
    columns: object
    wells: object
    features: object
    seconds: str


def main() -> int:
    """Run every block on every screen; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("screens", nargs="+", type=Path)
    screens = [path.absolute() for path in parser.parse_args().screens]
    warnings.simplefilter("ignore")
    print(", ".join(f"{name} {metadata.version(name)}" for name in ("cytotable", "pycytominer", "duckdb", "anndata")))
    failures = 0
    with tempfile.TemporaryDirectory(prefix="downstream_") as scratch:
        offer_extensions(Path(scratch))
        os.chdir(scratch)
        print("| screen | read by | nuclei | columns | wells | features | seconds |")
        print("|" + " --- |" * len(Row._fields))
        for screen in screens:
            for name, code in blocks_for(screen):
                failures += not tell(screen.name, name, code)
            failures += not is_refused(screen)
    return 1 if failures else 0


def offer_extensions(home: Path) -> None:
    """Put DuckDB's extensions where it looks for them, in a home folder of our own."""
    import duckdb_ext

    shutil.copytree(Path(next(iter(duckdb_ext.__path__))) / "extensions", home / ".duckdb" / "extensions")
    os.environ["HOME"] = str(home)
    # Parsl, on which CytoTable runs, starts programs of this environment by their names.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


def blocks_for(screen: Path) -> Iterator[Tuple[str, str]]:
    """Yield name and code of the blocks of the page for a screen: for three kinds of objects, or for nuclei alone."""
    with sqlite3.connect(screen / "merged" / "screen.sqlite") as database:
        names = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    kinds = [WITH_CELLS, NUCLEI_ALONE] if {"Per_Cells", "Per_Cytoplasm"} <= names else [NUCLEI_ALONE]
    page = PAGE.read_text(encoding="utf-8")
    for match in BLOCK.finditer(page):
        if match["kind"] not in kinds:
            continue
        code = match["code"].replace(IN_THE_PAGE, f"merged = {str(screen / 'merged')!r}")
        if code == match["code"]:
            raise ValueError(f"a block of {PAGE} lacks the line {IN_THE_PAGE}")
        preset = re.search(r'preset="(\w+)"', code)
        yield f"{preset[1] if preset else 'SingleCells'}, {match['kind']}", code
        if preset and preset[1] == PRESET and match["kind"] == WITH_CELLS:
            yield f"{OTHER_PRESET}, {match['kind']}", code.replace(PRESET, OTHER_PRESET)
        if preset and match["kind"] == NUCLEI_ALONE:
            yield f"{preset[1]}, {match['kind']}, AnnData", as_anndata(code)


def as_anndata(code: str) -> str:
    """Change a block as the page says for AnnData."""
    code = code.replace('dest_path="cells.parquet"', 'dest_path="cells.h5ad"')
    code = code.replace('dest_datatype="parquet"', 'dest_datatype="anndata_h5ad"')
    code = code.replace("import pandas as pd", "import anndata")
    opened = 'found = anndata.read_h5ad("cells.h5ad")\ncells = found.to_df().join(found.obs)'
    return code.replace('cells = pd.read_parquet("cells.parquet")', opened)


def run(code: str) -> Dict[str, Any]:
    """Run a block as a program of its own would."""
    for path in Path().glob("cells.*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    names: Dict[str, Any] = {"__name__": "__main__"}
    exec(compile(code, str(PAGE), "exec"), names)
    return names


def tell(screen: str, name: str, code: str) -> bool:
    """Run a block down to the profile and print its row; return whether it worked."""
    begun = time.perf_counter()
    profile = next(
        match["code"] for match in BLOCK.finditer(PAGE.read_text(encoding="utf-8")) if match["kind"] == PROFILE
    )
    try:
        names = run(code if "wells =" in code else f"{code}\n{profile}")
    except Exception as error:  # noqa: BLE001 whatever another program says is told
        print(
            f"| {screen} | {name} | FAILED: {type(error).__name__}: {' '.join(str(error).split())[:300]} | | | | |",
            flush=True,
        )
        return False
    cells, wells = names.get("cells"), names["wells"]
    features: List[str] = [column for column in wells.columns if not column.startswith(("Metadata_", "Image_"))]
    counted = ("", "") if cells is None else cells.shape
    row = Row(screen, name, *counted, len(wells), len(features), f"{time.perf_counter() - begun:.1f}")
    print("| " + " | ".join(map(str, row)) + " |", flush=True)
    return len(wells) > 0 and len(features) > 0


def is_refused(screen: Path) -> bool:
    """Check that the preset that the page does not recommend still cannot read a screen."""
    import duckdb
    from cytotable import convert

    try:
        convert(
            source_path=str(screen / "merged" / "screen.sqlite"),
            source_datatype="sqlite",
            dest_path="cells.parquet",
            dest_datatype="parquet",
            preset=UNREAD_PRESET,
        )
    except duckdb.BinderException as error:
        print(f"| {screen.name} | {UNREAD_PRESET} | is not for it ({type(error).__name__}) | | | | |", flush=True)
        return True
    print(f"| {screen.name} | {UNREAD_PRESET} | reads it now: tell so in {PAGE.name} | | | | |", flush=True)
    return False


if __name__ == "__main__":
    raise SystemExit(main())
