"""The figure of a module: three pictures and a table, where IdentifyPrimaryObjects draws its own.

`run` leaves what a figure needs in the workspace's display data, as arrays and text: in the window these travel as
JSON from the worker process to the one that draws.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any, List, Sequence, Tuple

if TYPE_CHECKING:
    from cellprofiler.gui.figure import Figure

    from nucdl_core.arrays import Labels

Rows = List[List[str]]
"""The table: a name and a value in each row."""

WARNING_WIDTH = 110
"""Letters in a line of a warning."""

WARNING_COLOUR = "#b00020"


def draw_nuclei(
    figure: Figure, data: Any, titles: Tuple[str, str, str], outlines: Sequence[Tuple[str, Labels]]
) -> None:
    """Draw the input image, the nuclei in colors, outlines on the image, and the table.

    Parameters
    ----------
    figure : cellprofiler.gui.figure.Figure
    data : workspace's display data
        With ``image`` (float32 array (H, W)), ``labels`` (int32 array (H, W)), ``statistics`` (`Rows`) and ``warnings``
        (list of str), which stand above everything else.
    titles : (str, str, str)
        Of the input image, of the nuclei and of the outlines.
    outlines : sequence of (str, int32 array (H, W))
        What is outlined: the name and the labels. CellProfiler's first color is that of accepted objects.
    """
    figure.set_subplots((2, 2))
    axes = figure.subplot_imshow_grayscale(0, 0, data.image, titles[0])
    figure.subplot_imshow_labels(1, 0, data.labels, titles[1], sharexy=axes)
    lines = [{"name": name, "labels": [labels]} for name, labels in outlines]
    figure.subplot_imshow_grayscale(0, 1, data.image, titles[2], cplabels=lines, sharexy=axes)
    draw_table(figure, data.statistics)
    if data.warnings:
        draw_warnings(figure, data.warnings)


def draw_warnings(figure: Figure, warnings: Sequence[str]) -> None:
    """Write sentences in red at the upper edge of a figure, and make room for them."""
    lines = [line for warning in warnings for line in textwrap.wrap(f"Warning: {warning}", WARNING_WIDTH)]
    figure.figure.suptitle("\n".join(lines), fontsize=8, color=WARNING_COLOUR)


def draw_table(figure: Figure, rows: Rows) -> None:
    """Draw the table into the lower right quarter of a figure."""
    figure.subplot_table(1, 1, [[value] for _, value in rows], row_labels=[name for name, _ in rows])
