"""The report of a screen as one HTML file with its figures inside."""

from __future__ import annotations

import base64
import importlib.util
import io
import re
from pathlib import Path
from typing import Any, List, Mapping, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from nucdl_core.files.writing import write_atomically
from nucdl_core.screen.core.wells import QUANTITIES
from nucdl_core.simulate.plate import WELL_PLATES

TEMPLATE_FOLDER = Path(__file__).parent / "templates"
TEMPLATE = "report.html"
MOST_PLATES = 20
"""More are only in ``run_report.json``: each takes a row of figures."""
COUNTS_OF_WELLS = ("image_sets", "failed", "empty", "saturated")
"""Quantities of a well that are small whole numbers."""
MOST_COLOURS = 10
_WELL = re.compile(r"([A-Za-z]{1,2})0*(\d{1,2})")
_NEEDED = ("jinja2", "matplotlib")


def can_write_html() -> bool:
    """Tell whether the packages that the HTML report needs are installed."""
    return all(importlib.util.find_spec(name) is not None for name in _NEEDED)


def write_html(path: Path, report: Mapping[str, Any]) -> None:
    """Write a report as an HTML file that needs no other file.

    Parameters
    ----------
    path : Path
    report : mapping
        From `report.make_report`.

    Raises
    ------
    NucDLError
        If it cannot be written.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    # Names of files and reasons are data, and may hold anything: all values are escaped.
    environment = Environment(loader=FileSystemLoader(TEMPLATE_FOLDER), autoescape=True, undefined=StrictUndefined)
    plates = sorted({well["plate"] for well in report["wells"]})
    shown = [(plate, plate_maps(report["wells"], plate)) for plate in plates[:MOST_PLATES]]
    page = environment.get_template(TEMPLATE).render(report=report, plates=shown, hidden=len(plates) - len(shown))
    write_atomically(path, lambda stream: stream.write(page.encode("utf-8", "backslashreplace")))


def plate_maps(wells: Sequence[Mapping[str, Any]], plate: str) -> List[Tuple[str, str]]:
    """Draw the heat maps of a plate.

    Parameters
    ----------
    wells : sequence of mapping
        Records of `wells.well_table`.
    plate : str

    Returns
    -------
    list of (str, str)
        What each map shows, and the map as base64 of a PNG file; nothing for what is missing in all wells.
    """
    placed = {
        place: well
        for well in wells
        for place in [well_place(well["well"])]
        if well["plate"] == plate and place is not None
    }
    maps = []
    for name, title in QUANTITIES.items():
        values = {place: well[name] for place, well in placed.items() if is_number(well[name])}
        if values:
            maps.append((title, draw_map(plate_array(values), title, counted=name in COUNTS_OF_WELLS)))
    return maps


def is_number(value: Any) -> bool:
    """Tell whether a value is there."""
    return value is not None and not np.isnan(value)


def well_place(well: str) -> Optional[Tuple[int, int]]:
    """Return row and column from 0 of a well such as "A01" or "AF48"; None where the name is another."""
    match = _WELL.fullmatch(well.strip())
    if match is None or int(match.group(2)) < 1:
        return None
    row = 0
    for letter in match.group(1).upper():
        row = 26 * row + ord(letter) - ord("A") + 1
    return row - 1, int(match.group(2)) - 1


def plate_array(values: Mapping[Tuple[int, int], float]) -> NDArray[np.float64]:
    """Arrange values by well in an array of the smallest usual plate that has all of them, NaN elsewhere."""
    rows, columns = (max(place[axis] for place in values) + 1 for axis in range(2))
    usual = [shape for shape in WELL_PLATES if shape[0] >= rows and shape[1] >= columns]
    array = np.full(usual[0] if usual else (rows, columns), np.nan)
    for place, value in values.items():
        array[place] = value
    return array


def draw_map(values: NDArray[np.float64], title: str, counted: bool = False) -> str:
    """Draw an array of wells, with one colour for each number where few are counted; return base64 of a PNG file."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure

    rows, columns = values.shape
    figure = Figure(figsize=(1.2 + 0.22 * columns, 0.9 + 0.22 * rows), dpi=110)
    axes = figure.subplots()
    steps = count_steps(values) if counted else None
    if steps is None:
        picture = axes.imshow(values, cmap="viridis", aspect="equal")
    else:
        edges = (steps[0] - 0.5, steps[-1] + 0.5)
        colours = ListedColormap(matplotlib.colormaps["viridis"](np.linspace(0, 1, len(steps))))
        picture = axes.imshow(values, cmap=colours, vmin=edges[0], vmax=edges[1], aspect="equal")
    axes.set_title(title, fontsize=9)
    axes.set_xticks(range(0, columns, 2))
    axes.set_xticklabels([str(column + 1) for column in range(0, columns, 2)], fontsize=6)
    axes.set_yticks(range(rows))
    axes.set_yticklabels([row_name(row) for row in range(rows)], fontsize=6)
    figure.colorbar(picture, ax=axes, shrink=0.8, ticks=steps).ax.tick_params(labelsize=6)
    stream = io.BytesIO()
    FigureCanvasAgg(figure).print_png(stream)
    return base64.b64encode(stream.getvalue()).decode("ascii")


def count_steps(values: NDArray[np.float64]) -> Optional[List[int]]:
    """Return the whole numbers that the colour bar of counts shows, each by itself; None where there are too many."""
    lowest, highest = int(np.nanmin(values)), int(np.nanmax(values))
    # Where all wells have the same number, the bar still says which.
    return list(range(lowest, highest + 1)) if highest - lowest < MOST_COLOURS else None


def row_name(row: int) -> str:
    """Return the letters of a row of wells, from 0."""
    first, last = divmod(row, 26)
    return (chr(ord("A") + first - 1) if first else "") + chr(ord("A") + last)
