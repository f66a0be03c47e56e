"""How much a model gains where one, two or three annotated images tell how far out a laboratory draws its outlines.

The style (`nucdl_core.training.outline_style`) is chosen on every single image, pair or three of a kind of images, and
the others of that kind are scored with it.

    .venv/bin/python benchmarks/outlines.py --data ../shared/data --output runs/outlines
"""

from __future__ import annotations

import argparse
import itertools
import json
from dataclasses import astuple
from pathlib import Path
from typing import Dict, List, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from nucdl_core.config import DEFAULT_MODEL
from nucdl_core.model.bundle import find_bundle
from nucdl_core.model.loading import load_model
from nucdl_core.model.predictor import Predictor
from nucdl_core.training.calibrate import predict_image
from nucdl_core.training.outline_style import OutlineStyle, choose_style, style_scores, styles_around
from nucdl_core.training.reading import read_annotated, read_index
from nucdl_core.training.sources import image_of, truth_of
from nucdl_core.training.split import draw_of, is_validation

VALIDATION_PARTS, MOST_IMAGES = 8, 24
FOLDERS = {"validation": "dsb2018/train", "test": "dsb2018/test"}

Kinds = Dict[str, Tuple[str, List[str]]]


def kinds_of(data: Path) -> Kinds:
    """Name the kinds of images, each with its folder and the names of its images."""
    kinds: Kinds = {}
    for part, folder in FOLDERS.items():
        for name, row in read_index(data / folder / "images").items():
            if row["modality"] == "fluorescence" and (part == "test" or is_validation(name, VALIDATION_PARTS)):
                _add(kinds, f"{part}, {row['height']} x {row['width']}", folder, name)
    for name in read_index(data / "bbbc039" / "images"):
        _add(kinds, "BBBC039", "bbbc039", name)
    for name, row in read_index(data / "mouse_intestine" / "images").items():
        _add(kinds, f"mouse intestine, {row['extra']}", "mouse_intestine", name)
    for name in read_index(data / "mnfinder" / "images"):
        day, other = name.split("_", 1)[1][:10], "misc" in name
        if not other:
            _add(kinds, f"mnfinder, {day.replace('_', '-')}", "mnfinder", name)
    chosen = {kind: (folder, sorted(names, key=draw_of)[:MOST_IMAGES]) for kind, (folder, names) in kinds.items()}
    return {kind: images for kind, images in chosen.items() if len(images[1]) > 1}


def _add(kinds: Kinds, kind: str, folder: str, name: str) -> None:
    kinds.setdefault(kind, (folder, []))[1].append(name)


def scores_of_kind(folder: Path, names: Sequence[str], predictor: Predictor) -> NDArray[np.float64]:
    """Score all styles on the images of a kind, float64 (N, S, 2)."""
    styles = styles_around(usual_style(predictor))
    sources = read_annotated(folder / "images", folder / "masks", names=names)
    images = [predict_image(image_of(source), truth_of(source), predictor) for source in sources]
    return style_scores(images, predictor, styles)


def usual_style(predictor: Predictor) -> OutlineStyle:
    """Return the style that a model has."""
    return OutlineStyle(predictor.description.decision.foreground, predictor.description.contour_offset)


def gains(scores: NDArray[np.float64], styles: Sequence[OutlineStyle], annotated: int) -> NDArray[np.float64]:
    """Return mean F1 and F1 at 0.9 of the other images, usual and chosen, for each annotated choice, (C, 2, 2)."""
    found = []
    for chosen in itertools.combinations(range(len(scores)), annotated):
        others = np.delete(scores, chosen, axis=0)
        style = choose_style(scores[list(chosen)], styles).style
        found.append([others[:, 0].mean(axis=0), others[:, styles.index(style)].mean(axis=0)])
    return np.array(found)


def table(scores: Dict[str, NDArray[np.float64]], styles: Sequence[OutlineStyle]) -> str:
    """Write the table of the documentation."""
    lines = ["| images | number | as it is | one annotated | two | three | F1 at 0.9, two |", "|---" * 7 + "|"]
    of_test: Dict[Tuple[bool, int], List[float]] = {}
    for kind, values in sorted(scores.items()):
        cells, sharp = [f"{values[:, 0, 0].mean():.3f}"], ""
        for annotated in (1, 2, 3):
            if len(values) <= annotated:
                cells.append("")
                continue
            before, after = gains(values, styles, annotated).mean(axis=0)
            cells.append(f"{after[0] - before[0]:+.3f}")
            of_test.setdefault((kind.startswith("test"), annotated), []).append(after[0] - before[0])
            if annotated == 2:
                sharp = f"{before[1]:.3f} -> {after[1]:.3f}"
        lines.append(f"| {kind} | {len(values)} | {' | '.join(cells)} | {sharp} |")
    for test, name in ((False, "the other kinds"), (True, "the kinds of the test set")):
        cells = [f"{np.mean(of_test[test, annotated]):+.3f}" for annotated in (1, 2, 3)]
        lines.append(f"| mean over {name} | | | {' | '.join(cells)} | |")
    return "\n".join(lines)


def main() -> None:
    """Score what has not been scored yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument(
        "--output", type=Path, required=True, help="folder of the scores; what is there is not repeated"
    )
    parser.add_argument("--model", default=DEFAULT_MODEL)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    predictor = load_model(find_bundle(options.model), "cpu")
    styles = styles_around(usual_style(predictor))
    scores = {}
    for kind, (folder, names) in kinds_of(options.data).items():
        file = options.output / f"{kind}.json"
        if not file.exists():
            values = scores_of_kind(options.data / folder, names, predictor)
            file.write_text(json.dumps({"styles": [astuple(style) for style in styles], "scores": values.tolist()}))
        stored = json.loads(file.read_text())
        if stored["styles"] != [list(astuple(style)) for style in styles]:
            parser.error(f"{file} holds scores of other styles; name another folder")
        scores[kind] = np.array(stored["scores"])
        print(kind, scores[kind].shape[0], flush=True)
    print(table(scores, styles))


if __name__ == "__main__":
    main()
