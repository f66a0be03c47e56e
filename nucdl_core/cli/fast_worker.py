"""The process in which ``nucdl segment --csv`` works, see `screen.fast.watch`; it tells the user how it ends."""

from __future__ import annotations

import logging
import os
import sys
from typing import Optional, Sequence

import click

from nucdl_core.cli.progress_lines import shown_progress
from nucdl_core.cli.screen import tell_end
from nucdl_core.cli.words import LOG_FORMAT
from nucdl_core.errors import NucDLError
from nucdl_core.screen.fast.messages import Tell, tell_into
from nucdl_core.screen.fast.task import FastTask, parse_task


def worker_program(arguments: Optional[Sequence[str]] = None) -> int:
    """Do a task.

    Parameters
    ----------
    arguments : sequence of str, optional
        A task as `format_task` writes it, and the number of the pipe into which what is being done is told; without it
        those of the command line.

    Returns
    -------
    int
        Exit code: that of the command, or 0 where an image set was tried alone.
    """
    from nucdl_core.screen.core.process import StopRequest

    text, pipe = sys.argv[1:] if arguments is None else arguments
    task = parse_task(text)
    logging.basicConfig(level=task.log_level, format=LOG_FORMAT)
    with os.fdopen(int(pipe), "w", encoding="utf-8") as stream:
        try:
            do_task(task, tell_into(stream))
        except NucDLError as error:
            click.ClickException(str(error)).show()
            return 1
        except StopRequest as request:
            click.echo("stopped; the same command goes on", err=True)
            return request.code
    return 0


def do_task(task: FastTask, tell: Tell) -> None:
    """Plan and run, or try one image set alone.

    Raises
    ------
    NucDLError
        If it cannot be done, with one line that says why.
    SystemExit
        With the exit code, if not every image set succeeded.
    StopRequest
        If this process was asked to stop by a signal.
    """
    from nucdl_core.screen.core.plan import SETTINGS, ScreenFolder
    from nucdl_core.screen.fast.plan import plan_fast
    from nucdl_core.screen.fast.run import run_fast, try_image_set

    if task.alone is not None:
        try_image_set(ScreenFolder(task.request.output.absolute(), SETTINGS), task.alone, tell)
        return
    folder, plan = plan_fast(task.request)
    with shown_progress(plan.images.image_sets, "images") as count:
        end = run_fast(folder, plan, task.workers, count, task.retry_failed, tell)
    tell_end(end, "repeat this command")
