"""The commands for screens: many image sets through CellProfiler."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

import click

from nucdl_core.cli.limit_options import Command
from nucdl_core.cli.progress_lines import CountDone, shown_progress
from nucdl_core.cli.screen_plan import CORES, plan_command, plan_request, planning_options
from nucdl_core.cli.words import EXISTING_FOLDER, NOT_FINISHED, SOME_FAILED
from nucdl_core.extras import install_line

if TYPE_CHECKING:
    from nucdl_core.screen.core.finish import ScreenEnd

MOST_SHOWN = 10
SCREEN = click.option("--output", type=EXISTING_FOLDER, required=True, help="Folder of the screen.")


@click.group()
def screen() -> None:
    """Run a pipeline on a whole screen: plan, run, status, resume, report; chunk for job arrays."""


screen.add_command(plan_command)


def engine_options(command: Command) -> Command:
    """Give a command the options that say where and how the jobs run."""
    options = (
        CORES,
        click.option("--profile", default=None, help="Snakemake profile, for SLURM, Kubernetes or a cloud."),
        click.option(
            "--gpus", type=click.IntRange(min=0), default=0, show_default=True, help="GPUs; each job holds one."
        ),
        click.option(
            "--retries",
            type=click.IntRange(min=0),
            default=1,
            show_default=True,
            help="More tries of a job that fails.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@screen.command()
@planning_options
@engine_options
def run(output: Path, cores: Optional[int], profile: Optional[str], gpus: int, retries: int, **planning: Any) -> None:
    """Plan a screen and run it to its end: chunks, merged tables, report.

    If the screen has been begun with the same pipeline and list, it goes on. Exit code: 0 if every image set
    succeeded, 3 if some failed, which are named then, 4 if the run did not finish.
    """
    from nucdl_core.screen.cellprofiler.planner import plan_screen
    from nucdl_core.screen.cellprofiler.snakemake import EngineOptions, find_profile

    profile = None if profile is None else find_profile(profile)
    # On a cluster there are more cores than this computer has; there the chunks are as large as they should be.
    at_once = cores if profile is None else cores or 1
    plan_screen(plan_request({"output": output, "cores": at_once, **planning}))
    _finish(output, EngineOptions(cores, profile, gpus, retries=retries))


@screen.command()
@SCREEN
@engine_options
@click.option("--retry-failed", is_flag=True, help="Do chunks with failed image sets again.")
def resume(
    output: Path, cores: Optional[int], profile: Optional[str], gpus: int, retries: int, retry_failed: bool
) -> None:
    """Go on with a screen that was stopped or killed; what is finished is kept. Exit codes are those of run."""
    from nucdl_core.screen.cellprofiler.snakemake import EngineOptions, find_profile

    profile = None if profile is None else find_profile(profile)
    _finish(output, EngineOptions(cores, profile, gpus, retries=retries), retry_failed)


@screen.command(name="chunk")
@click.argument("output", type=EXISTING_FOLDER)
@click.argument("number", type=click.IntRange(min=1))
@click.option("--gpus", type=click.IntRange(min=0), default=0, show_default=True, help="GPUs of this computer.")
def one_chunk(output: Path, number: int, gpus: int) -> None:
    """Do the chunk NUMBER (from 1) of the planned screen in OUTPUT; for job arrays, where there is no Snakemake.

    A chunk that is finished is left as it is. When all are finished, 'nucdl screen report' merges their tables. Exit
    code: 0 if the chunk is finished, whether image sets failed or not, otherwise 1.
    """
    from nucdl_core.screen.chunk import chunk_program

    raise SystemExit(chunk_program([str(output), str(number), "--gpus", str(gpus)]))


@screen.command()
@SCREEN
def status(output: Path) -> None:
    """Show how far a screen is, how fast it goes, and what is to be done next.

    Exit codes are those of run, and 0 for a screen that was planned and not started.
    """
    from nucdl_core.screen.core.plan import ScreenFolder
    from nucdl_core.screen.core.status import PLANNED, describe_status, next_command, screen_status

    found = screen_status(ScreenFolder(output.absolute()))
    click.echo(describe_status(found))
    click.echo(f"next        {next_command(found, output)}")
    if found.state == PLANNED:
        return
    if not (found.complete and found.merged):
        raise SystemExit(NOT_FINISHED)
    if found.failed:
        raise SystemExit(SOME_FAILED)


@screen.command(name="report")
@SCREEN
def report_again(output: Path) -> None:
    """Check the results of a finished screen, merge them again, and write its report.

    Exit codes are those of run.
    """
    from nucdl_core.screen.core.finish import merge_again
    from nucdl_core.screen.core.plan import ScreenFolder

    tell_end(merge_again(ScreenFolder(output.absolute())))


def _finish(output: Path, options: Any, retry_failed: bool = False) -> None:
    from nucdl_core.screen.cellprofiler.run import finish_screen
    from nucdl_core.screen.core.plan import ScreenFolder, read_plan
    from nucdl_core.screen.core.process import StopRequest

    folder = ScreenFolder(output.absolute())
    try:
        with shown_progress(read_plan(folder).chunks, "chunks") as count:
            end = finish_screen(folder, options, only_new(count), retry_failed)
    except StopRequest as request:
        click.echo(f"stopped; go on with: nucdl screen resume --output {output}", err=True)
        raise SystemExit(request.code) from None
    tell_end(end, f"nucdl screen resume --output {output}")


def only_new(count: CountDone) -> CountDone:
    """Turn what counts new chunks into what is told how many there are in all."""
    known = [0]

    def tell(finished: int) -> None:
        new, known[0] = finished - known[0], finished
        count(new)

    return tell


def tell_end(end: ScreenEnd, go_on: str = "") -> None:
    """Say how a run ended, and how to go on where it did not finish; end with the exit codes of run."""
    for name, reason in list(end.unfinished.items())[:MOST_SHOWN]:
        click.echo(f"chunk {name}: {reason}", err=True)
    if end.merged is None:
        click.echo(
            f"{len(end.unfinished)} chunks could not be finished; remove the cause, then: {go_on}",
            err=True,
        )
        raise SystemExit(NOT_FINISHED)
    formats = "CSV, SQLite and Parquet" if end.merged.parquet else f"CSV and SQLite (Parquet: {install_line('screen')})"
    left_out = f", {end.left_out} were left out" if end.left_out else ""
    click.echo(f"{end.succeeded} image sets succeeded, {end.failed - end.left_out} failed{left_out}")
    click.echo(f"tables ({formats}) in {end.merged.folder}, report: {end.report}")
    if end.failed:
        what = "failed" if end.failed > end.left_out else "left out"
        click.echo(f"{what}: see {end.merged.folder / 'failed_image_sets.csv'}", err=True)
        raise SystemExit(SOME_FAILED)
