"""A trial as a page, with a table and the pipelines in a folder beside it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence

import pandas as pd

from nucdl_core.errors import ConfigError
from nucdl_core.explore.flags import confidence, flags_of, mean_agreement, total, typical_size
from nucdl_core.explore.pipeline import pipeline_text, why_no_pipeline
from nucdl_core.explore.ranking import CLOSE, HOW_FAR_TO_TRUST
from nucdl_core.explore.trial import TriedImages, TriedVariant
from nucdl_core.explore.variants import Variant, command_of
from nucdl_core.files.writing import make_folder, replaced_folder, write_atomically, write_table
from nucdl_core.reports.try_page import CropOnPage, ImageOnPage, TryPage, VariantOnPage, write_try_page

SHOWN_VARIANTS, SHOWN_IMAGES = 30, 4
"""Only so many variants, the best, have pictures on the page, of so many images."""
TRIED_TABLE, PIPELINES_FOLDER = "variants.csv", "pipelines"
WITH_TRUTH, WITHOUT_TRUTH = "mean F1", "score"


@dataclass(frozen=True)
class TryRequest:
    """What a person asked for, as the page repeats it.

    Attributes
    ----------
    output : Path
        The HTML file.
    inputs : sequence of str
        Files, folders and options that choose images, as they stand in a command.
    facts : mapping of str to str
        What was tried, by a word or two.
    notes : sequence of str
        What a person must know.
    """

    output: Path
    inputs: Sequence[str]
    facts: Mapping[str, str]
    notes: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.output.suffix.lower() not in (".html", ".htm"):
            raise ConfigError(f"{self.output}: the page is an HTML file; give a name that ends in .html")

    @property
    def files_folder(self) -> Path:
        """Folder for the table and the pipelines: ``NAME_files`` for ``NAME.html``."""
        return self.output.with_name(f"{self.output.stem}_files")


def write_trial(request: TryRequest, trial: TriedImages, variants: Sequence[Variant]) -> List[TriedVariant]:
    """Write the page of a trial, its table and its pipelines.

    Parameters
    ----------
    request : TryRequest
    trial : TriedImages
    variants : sequence of Variant

    Returns
    -------
    list of TriedVariant
        The best first.

    Raises
    ------
    ConfigError
        If a library of the page is missing.
    NucDLError
        If a file cannot be written.
    """
    ranked = trial.ranked(variants)
    shown = [_on_page(place, each, ranked, trial, request) for place, each in enumerate(ranked, start=1)]
    images = [ImageOnPage(each.name, each.crop, each.truth) for each in trial.images[:SHOWN_IMAGES]]
    has_truth = ranked[0].f1 is not None
    score_name = WITH_TRUTH if has_truth else WITHOUT_TRUTH
    told = "Sorted by the mean F1 against your masks." if has_truth else HOW_FAR_TO_TRUST
    make_folder(request.output.resolve().parent)
    with replaced_folder(request.files_folder, _is_of_trial) as folder:
        write_table(folder / TRIED_TABLE, table_of(ranked, variants))
        make_folder(folder / PIPELINES_FOLDER)
        for each in shown:
            if each.pipeline is not None:
                _write(folder / PIPELINES_FOLDER / each.file_name, each.pipeline)
    page = TryPage(
        sentence=verdict(ranked), score_name=score_name, track_record=told, facts=request.facts, images=images,
        variants=shown, has_truth=has_truth, notes=request.notes,
    )  # fmt: skip
    write_try_page(request.output, page)
    return ranked


def verdict(ranked: Sequence[TriedVariant]) -> str:
    """Say which variant is put first, and whether it is clearly better than no choice at all.

    Parameters
    ----------
    ranked : sequence of TriedVariant
        The best first.

    Returns
    -------
    str
    """
    first = ranked[0]
    kind = "score" if first.f1 is None else "mean F1"
    text = f"Best on these images: {first.variant.name} ({kind} {first.order:.3f})."
    plain = next((each for each in ranked if each.variant.is_plain), None)
    if plain is None:
        return text
    if plain is first:
        return f"{text} These are the settings that NucDL has anyway: nothing has to be changed."
    gain = first.order - plain.order
    usual = f"With the settings that NucDL has anyway it is {plain.order:.3f}"
    advice = ": as good, keep them unless the outlines say otherwise" if gain < CLOSE else ""
    return f"{text} {usual}{advice}."


def table_of(ranked: Sequence[TriedVariant], variants: Sequence[Variant]) -> pd.DataFrame:
    """List all variants and images: one row for each of both, the best variant first.

    Parameters
    ----------
    ranked : sequence of TriedVariant
    variants : sequence of Variant

    Returns
    -------
    pandas.DataFrame
    """
    rows: List[Dict[str, Any]] = []
    for place, each in enumerate(ranked, start=1):
        for number, result in enumerate(each.results, start=1):
            rows.append(
                {
                    "rank": place,
                    "variant": each.variant.name,
                    "same": "; ".join(each.same),
                    "image": number,
                    "nuclei": result.count,
                    "median_diameter": round(result.diameter, 2),
                    "confidence": round(result.confidence, 4),
                    "agreement": round(result.signs.agreement, 4),
                    "score": round(result.score, 4),
                    "mean_f1": result.f1,
                }
            )
    return pd.DataFrame(rows)


def _on_page(
    place: int, each: TriedVariant, ranked: Sequence[TriedVariant], trial: TriedImages, request: TryRequest
) -> VariantOnPage:
    config = each.variant.config
    reason = None if config is None else why_no_pipeline(config)
    crops = []
    if place <= SHOWN_VARIANTS:
        for image, result in zip(trial.images[:SHOWN_IMAGES], each.results):
            value = "" if result.f1 is None else f", mean F1 {result.f1:.3f}"
            crops.append(CropOnPage(result.labels, f"{image.name}: {result.count} nuclei{value}"))
    return VariantOnPage(
        name=each.variant.name,
        score=f"{each.order:.3f}",
        bar=min(max(each.order, 0.0), 1.0),
        facts=_facts(each),
        flags=flags_of(each, ranked),
        same=each.same,
        command="" if config is None else command_of(config, request.inputs),
        pipeline=None if config is None or reason is not None else pipeline_text(config),
        no_pipeline=reason or "",
        file_name=f"{place:02}_{_file_word(each.variant.name)}.cppipe",
        crops=crops,
    )


def _facts(each: TriedVariant) -> Dict[str, str]:
    facts = {"nuclei": f"{total(each)}"}
    for word, value, form in (
        ("median size", typical_size(each), "{:.1f} px"),
        ("confidence", confidence(each), "{:.2f}"),
    ):
        facts[word] = "-" if math.isnan(value) else form.format(value)
    facts["agreement"] = f"{mean_agreement(each):.2f}"
    if each.f1 is not None:
        facts["score without truth"] = f"{each.score:.3f}"
    return facts


def _file_word(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "_", name).strip("_")


def _write(path: Path, text: str) -> None:
    write_atomically(path, lambda stream: stream.write(text.encode("utf-8")))


def _is_of_trial(path: Path) -> bool:
    """Tell whether a file of a former trial, named by its path in the folder, goes when a new one comes."""
    return (
        path.name == TRIED_TABLE
        if len(path.parts) == 1
        else path.parts[0] == PIPELINES_FOLDER and path.suffix == ".cppipe"
    )
