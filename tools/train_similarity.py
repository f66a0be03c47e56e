"""Teaches the network that tells how similar two images are, and says how well it does on kinds that it never saw.

.venv/bin/python tools/train_similarity.py --data ../shared/data/dsb2018/train
"""

from __future__ import annotations

from pathlib import Path
from typing import List, Tuple

import click
import numpy as np
from safetensors.torch import save

from nucdl_core.adaptation.similarity import SIMILARITY_FILE, features_of, places_of, train_similarity
from nucdl_core.arrays import Doubles, Mask
from nucdl_core.files.writing import write_bytes
from nucdl_core.synthesis.appearance import Appearance, appearance_of
from nucdl_core.training.reading import annotated_files


@click.command()
@click.option("--data", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--output", type=click.Path(path_type=Path), default=SIMILARITY_FILE)
def main(data: Path, output: Path) -> None:
    """Teach with all fluorescence images; before that, leave out each kind (a shape) in turn and try."""
    appearances, kinds = appearances_in(data)
    features = np.stack([features_of(each) for each in appearances])
    for kind in sorted(set(kinds)):
        left_out = np.array([each == kind for each in kinds])
        if left_out.sum() < 3:
            continue
        network = train_similarity(features[~left_out], [each for each in kinds if each != kind])
        learnt = ranking(places_of(network, appearances), left_out)
        standard = (features - features.mean(axis=0)) / features.std(axis=0)
        click.echo(f"{kind}: {left_out.sum()} images, area under curve {learnt:.3f}, without learning", nl=False)
        click.echo(f" {ranking(standard, left_out):.3f}")
    network = train_similarity(features, kinds)
    write_bytes(output, save({name: values.contiguous() for name, values in network.state_dict().items()}))


def appearances_in(data: Path) -> Tuple[List[Appearance], List[str]]:
    """Measure the fluorescence images of a folder; a kind is a height and width."""
    appearances, kinds = [], []
    for file in annotated_files(data / "images", data / "masks"):
        found = appearance_of(file.image, file.labels) if file.row.get("modality") == "fluorescence" else None
        if found is not None:
            appearances.append(found)
            kinds.append("{} x {}".format(*file.labels.shape))
    return appearances, kinds


def ranking(places: Doubles, kind: Mask) -> float:
    """Return how often an image of a kind is nearer to another one of it than to one of other kinds."""
    own, others = places[kind], places[~kind]
    within = np.linalg.norm(own[:, None] - own[None], axis=2)
    across = np.linalg.norm(own[:, None] - others[None], axis=2)
    rows = [(np.delete(within[row], row)[:, None] < across[row][None]).mean() for row in range(len(own))]
    return float(np.mean(rows))


if __name__ == "__main__":
    main()
