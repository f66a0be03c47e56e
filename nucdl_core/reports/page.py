"""One HTML file that compares methods with the truth and with each other, with tables, figures and pictures in it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Optional

from nucdl_core import __version__
from nucdl_core.errors import ConfigError
from nucdl_core.extras import EXTRAS, install_line
from nucdl_core.files.folders import PathLike
from nucdl_core.files.writing import replaced_folder, write_atomically, write_table
from nucdl_core.reports.data import NucleusCollector, choose_images, image_files_by_stem, image_times
from nucdl_core.reports.figures import CATEGORY_FIGURE, all_figures, error_counts, figure_bytes
from nucdl_core.reports.gallery import Pictures, data_link, legend
from nucdl_core.reports.methods import (
    TABLE_NAMES,
    Evaluation,
    Inputs,
    evaluate_methods,
    pair_methods,
    write_method_tables,
)
from nucdl_core.reports.plain_verdict import few_images_note, plain_verdict
from nucdl_core.reports.tables import area_rows, comparison_rows, error_rows, main_rows, size_rows, strata_rows

if TYPE_CHECKING:
    import pandas as pd

_TEMPLATES = Path(__file__).with_name("templates")
REPORT_LIBRARIES = EXTRAS["report"][0]
NUCLEI_NAME, TIMES_NAME = "nuclei.csv", "times.csv"
GALLERY_TITLES = {
    "worst": "The worst images",
    "best": "The best images",
    "typical": "Typical images (nearest to the median)",
    "differ": "Where the methods differ most",
}
CAPTIONS = {
    "f1_curves": "F1 against the IoU threshold, averaged over the images; shaded: 95 % bootstrap confidence interval.",
    "error_types": "What became of each nucleus at IoU 0.7, in the colours of the pictures below. Missed and extra are "
    "those without a match that are neither merged nor split.",
    "missed_by_size": "Share of true nuclei without a match at IoU 0.7 against their diameter; bins of equal numbers.",
    "score_by_density": "Mean F1 of each image (points) against the part that nuclei cover; lines: medians of bins.",
    "times_per_image": "Seconds per image (points) and their median (line).",
}


@dataclass(frozen=True)
class ReportConfig:
    """What a report is about.

    Attributes
    ----------
    inputs : Inputs
        Truth, predictions and categories.
    images : str or path
        Folder of the images.
    output : str or path
        The HTML file. Tables and figures go into a folder beside it, see `files_folder`.
    times : str, path or None
        Table of times, see `data.image_times`.
    pictures : int
        Images of each kind in the galleries.
    """

    inputs: Inputs
    images: PathLike
    output: PathLike
    times: Optional[PathLike] = None
    pictures: int = 3

    def __post_init__(self) -> None:
        if Path(self.output).suffix.lower() not in (".html", ".htm"):
            raise ConfigError(f"{self.output}: a report is an HTML file; give a name that ends in .html")

    @property
    def files_folder(self) -> Path:
        """Folder for tables and figures: ``NAME_files`` for ``NAME.html``."""
        return Path(self.output).with_name(f"{Path(self.output).stem}_files")


def write_method_report(config: ReportConfig) -> Evaluation:
    """Compare methods and write the report.

    Parameters
    ----------
    config : ReportConfig

    Returns
    -------
    Evaluation
        The scores in the report.

    Raises
    ------
    ConfigError
        If a library of the report is missing, or a table of categories or times cannot be used.
    ImageError
        Naming the file, if an image or label image is missing or cannot be used.
    NucDLError
        If a file cannot be written.
    """
    require_libraries()
    files = pair_methods(config.inputs)
    names = list(next(iter(files.values())))
    images = image_files_by_stem(config.images, names)
    times = image_times(config.inputs.predictions, names, config.times)
    collector = NucleusCollector()
    evaluation = evaluate_methods(config.inputs, collector)
    nuclei = collector.table()
    with replaced_folder(config.files_folder, _is_of_report) as folder:
        figures = _write_files(folder, evaluation, nuclei, times)
        chosen, pictures = choose_images(evaluation, config.pictures), Pictures(images, files)
        galleries = [
            {"title": GALLERY_TITLES[kind], "rows": [pictures.row(evaluation, image) for image in stems]}
            for kind, stems in chosen.items()
        ]
        page = _page(evaluation, nuclei, times)
        text = render_page(
            "report.html",
            {**page, "figures": figures, "galleries": galleries, "files_folder": config.files_folder.name},
        )
    write_atomically(config.output, lambda stream: stream.write(text.encode("utf-8")))
    return evaluation


def require_libraries() -> None:
    """Raise a `ConfigError` that says how to install them if the libraries of the report are missing."""
    missing = [name for name in REPORT_LIBRARIES if util.find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"a report needs {' and '.join(missing)}, which this Python lacks; install with: {install_line('report')}"
        )


def _write_files(
    folder: Path, evaluation: Evaluation, nuclei: pd.DataFrame, times: pd.DataFrame
) -> Dict[str, Dict[str, str]]:
    """Write tables and figures; return link and caption of each figure."""
    write_method_tables(folder, evaluation)
    write_table(folder / NUCLEI_NAME, nuclei)
    write_table(folder / TIMES_NAME, times)
    links: Dict[str, Dict[str, str]] = {}
    for name, figure in all_figures(evaluation, nuclei, times).items():
        for kind in ("svg", "png"):
            content = figure_bytes(figure, kind)
            _write_bytes(folder / f"{name}.{kind}", content)
            if kind == "svg":
                caption = CAPTIONS.get(name, "Mean F1 of the images of each category, with 95 % confidence interval.")
                caption += few_images_note(int(evaluation.overall(evaluation.methods[0])["images"]))
                links[name] = {"link": data_link(content, "image/svg+xml"), "caption": caption}
    return links


def _is_of_report(path: Path) -> bool:
    """Tell whether a file of a former report, named by its path in the folder, goes when a new report comes."""
    drawn = path.suffix in (".svg", ".png") and (path.stem in CAPTIONS or path.stem.startswith(CATEGORY_FIGURE))
    return len(path.parts) == 1 and (drawn or path.name in (*TABLE_NAMES, NUCLEI_NAME, TIMES_NAME))


def _write_bytes(path: Path, content: bytes) -> None:
    write_atomically(path, lambda stream: stream.write(content))


def _page(evaluation: Evaluation, nuclei: pd.DataFrame, times: pd.DataFrame) -> Dict[str, Any]:
    first = evaluation.overall(evaluation.methods[0])
    categories = evaluation.strata.kinds if evaluation.strata is not None else ()
    return {
        "version": __version__,
        "verdict": plain_verdict(evaluation),
        "methods": evaluation.methods,
        "image_count": first["images"],
        "nucleus_count": first["n_truth"],
        "main": main_rows(evaluation, times),
        "areas": area_rows(evaluation),
        "comparisons": comparison_rows(evaluation),
        "errors": error_rows(evaluation, error_counts(nuclei)),
        "sizes": size_rows(evaluation),
        "strata": [
            {"name": name, "table": strata_rows(evaluation, name), "figure": f"{CATEGORY_FIGURE}{number}"}
            for number, name in enumerate(categories, start=1)
        ],
        "missing": evaluation.missing,
        "colours": legend(),
    }


def render_page(template: str, values: Dict[str, Any]) -> str:
    """Fill the template of a page; text from outside is escaped.

    Parameters
    ----------
    template : str
        Name of its file.
    values : dict of str to object
        What the template names.

    Returns
    -------
    str
        HTML.
    """
    import jinja2

    loader = jinja2.FileSystemLoader(str(_TEMPLATES))
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return environment.get_template(template).render(values)
