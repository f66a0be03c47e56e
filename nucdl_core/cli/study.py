"""The command that repeats the studies of the documents, or one's own, on anyone's images."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Tuple

import click

from nucdl_core.cli.screen import engine_options
from nucdl_core.cli.words import EXISTING_FOLDER, FOLDER, SOME_FAILED


@click.command(name="study")
@click.argument("configuration", metavar="CONFIG")
@click.option(
    "--data",
    type=EXISTING_FOLDER,
    required=True,
    multiple=True,
    help="Folder with images and masks (and index.csv); may be given several times.",
)
@click.option("--output", type=FOLDER, required=True, help="Folder of the study.")
@engine_options
@click.option("--yes", is_flag=True, help="More than 200 trainings are meant.")
def study_command(configuration: str, data: Tuple[Path, ...], output: Path, yes: bool, **engine: Any) -> None:
    """Train a grid of networks on your images, score each, and report what made a difference.

    CONFIG is one of smoke, laptop and full, or a configuration file. The same command goes on with a study that was
    stopped; finished trainings are not repeated. Exit code: 0 if every training succeeded, 3 if some failed, which are
    named then.
    """
    from tqdm import tqdm

    from nucdl_core.screen.cellprofiler.snakemake import EngineOptions, find_profile
    from nucdl_core.screen.core.process import StopRequest
    from nucdl_core.study.design import read_design
    from nucdl_core.study.run import run_study

    if engine["profile"] is not None:
        engine["profile"] = find_profile(engine["profile"])
    try:
        with tqdm(desc="trainings", disable=None) as bar:

            def show(done: int, trainings: int) -> None:
                bar.total = trainings
                bar.update(done - bar.n)

            end = run_study(read_design(configuration), data, output, EngineOptions(**engine), yes, show)
    except StopRequest as request:
        click.echo("stopped; the same command goes on", err=True)
        raise SystemExit(request.code) from None
    for name, reason in end.failed.items():
        click.echo(f"{name}: {reason}", err=True)
    click.echo(f"{end.finished} trainings are done, {len(end.failed)} failed; look at {end.report}")
    if end.failed:
        raise SystemExit(SOME_FAILED)
