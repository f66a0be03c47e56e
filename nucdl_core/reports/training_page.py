"""One HTML file about a training: whether to use the new model, how it learnt, and what it does on images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Dict, List, Mapping, Sequence

from nucdl_core import __version__
from nucdl_core.files.writing import write_atomically
from nucdl_core.reports.figures import error_counts, error_types, f1_curves, figure_bytes, learning_curves
from nucdl_core.reports.gallery import Pictures, data_link, legend
from nucdl_core.reports.methods import Evaluation
from nucdl_core.reports.page import CAPTIONS, render_page, require_libraries
from nucdl_core.reports.tables import comparison_rows, error_rows, main_rows

if TYPE_CHECKING:
    import pandas as pd

MOST_PICTURES = 4
_LEARNING = (
    "Left: the loss on training crops (lower is better). Right: the mean F1 on the validation images, each time that "
    "they were looked at; the dashed line is the model before, the large point is the model that was kept."
)


@dataclass(frozen=True)
class TrainingPage:
    """What the page of a training says beside scores and pictures.

    Attributes
    ----------
    name : str
        Of the new model.
    sentence : str
        Whether to use it.
    better : bool
        Whether the sentence recommends it.
    before : str
        Name of the model before.
    start : float
        Mean F1 of the model before on the validation images.
    facts : mapping of str to str
        What was done, by a word or two.
    notes : sequence of str
        What a person must know.
    curves : mapping of str to list of dict
        Lines of the log ("step", "total", "validation") by the name of what was trained.
    """

    name: str
    sentence: str
    better: bool
    before: str
    start: float
    facts: Mapping[str, str]
    notes: Sequence[str]
    curves: Mapping[str, List[Dict[str, float]]]


def write_training_page(
    path: Path, page: TrainingPage, evaluation: Evaluation, nuclei: pd.DataFrame, pictures: Pictures
) -> None:
    """Write the page; tables, figures and pictures are in it.

    Parameters
    ----------
    path : Path
        An HTML file; one that is there is replaced.
    page : TrainingPage
    evaluation : Evaluation
        Of all methods on the validation images.
    nuclei : pandas.DataFrame
        See `data.NucleusCollector`.
    pictures : Pictures
        Of the validation images.

    Raises
    ------
    ConfigError
        If a library of the page is missing.
    NucDLError
        If it cannot be written.
    """
    import pandas as pd

    require_libraries()
    drawn = {
        "learning": (learning_curves(page.curves, page.start), _LEARNING),
        "f1_curves": (f1_curves(evaluation), CAPTIONS["f1_curves"]),
        "error_types": (error_types(nuclei, evaluation.methods), CAPTIONS["error_types"]),
    }
    figures = {
        name: {"link": data_link(figure_bytes(figure, "svg"), "image/svg+xml"), "caption": caption}
        for name, (figure, caption) in drawn.items()
    }
    own = evaluation.methods[0]
    values = {
        "version": __version__,
        "page": page,
        "figures": figures,
        "main": main_rows(evaluation, pd.DataFrame()),
        "errors": error_rows(evaluation, error_counts(nuclei)),
        "comparisons": comparison_rows(evaluation),
        "image_count": evaluation.overall(own)["images"],
        "nucleus_count": evaluation.overall(own)["n_truth"],
        "rows": [pictures.row(evaluation, image) for image in worst_images(evaluation, own)],
        "colours": legend(),
    }
    text = render_page("training.html", values)
    write_atomically(path, lambda stream: stream.write(text.encode("utf-8")))


def worst_images(evaluation: Evaluation, method: str) -> List[str]:
    """Name the images on which a method has the lowest mean F1, the worst first."""
    rows = evaluation.scores[evaluation.scores["method"] == method].sort_values("mean_f1", kind="stable")
    return [str(name) for name in rows["image"].head(MOST_PICTURES)]
