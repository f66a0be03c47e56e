"""The commands that compare segmentations with the truth."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import click

from nucdl_core.cli_words import EXISTING_FOLDER, FOLDER

SHOWN_SCORES = ("image", "n_truth", "n_prediction", "mean_f1", "f1_0.50", "f1_0.70", "f1_0.90", "dsb_score")


@click.command()
@click.option("--truth", type=EXISTING_FOLDER, required=True, help="Folder of true label images.")
@click.option("--prediction", type=EXISTING_FOLDER, required=True, help="Folder of label images to evaluate.")
@click.option("--output", type=FOLDER, default=None, help="Folder for evaluation.csv and summary.json [prediction].")
def evaluate(truth: Path, prediction: Path, output: Optional[Path]) -> None:
    """Compare label images with the truth, nucleus by nucleus."""
    from nucdl_core.evaluate import evaluate_folders, summary_text, write_evaluation

    table, summary = evaluate_folders(truth, prediction)
    write_evaluation(output or prediction, table, summary)
    click.echo(table[list(SHOWN_SCORES)].to_string(index=False, float_format="{:.3f}".format))
    click.echo(f"\n{summary_text(summary)}\n\nwritten to {output or prediction}: evaluation.csv, summary.json")
