"""How far a screen is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Optional, Set, Tuple

from nucdl_core.progress import time_in_words
from nucdl_core.screen.core.plan import ScreenFolder, read_chunks, read_plan
from nucdl_core.screen.core.publish import is_published, read_manifest
from nucdl_core.screen.core.throughput import measure_throughput
from nucdl_core.screen.core.work import LOCK, is_running, read_error, running_chunks

PLANNED, RUNNING, STOPPED = "planned, not started", "running", "stopped; resume it"
NOT_MERGED, ALL_DONE = "finished, not merged", "finished"


@dataclass(frozen=True)
class ScreenStatus:
    """How far a screen is.

    Attributes
    ----------
    chunks, finished_chunks : int
        How many there are, and are finished.
    running_chunks : tuple of int
        Numbers of those that are being worked on.
    image_sets, succeeded, failed : int
        How many there are, and what became of those in finished chunks.
    errors : dict of str to str
        Why unfinished chunks failed at their last try, by name.
    running : bool
        Whether a run holds the screen.
    merged : bool
        Whether the tables of the whole screen are there.
    begun : bool
        Whether anything was ever begun after the plan.
    by_nucdl_alone : bool
        See `plan.Procedure`.
    per_hour : float or None
        Image sets in an hour of work so far, see `throughput.Throughput`; None before the first chunk is finished.
    """

    chunks: int
    finished_chunks: int
    running_chunks: Tuple[int, ...]
    image_sets: int
    succeeded: int
    failed: int
    errors: Dict[str, str]
    running: bool
    merged: bool
    begun: bool = True
    by_nucdl_alone: bool = False
    per_hour: Optional[float] = None

    @property
    def complete(self) -> bool:
        """Whether every chunk is finished."""
        return self.finished_chunks == self.chunks

    @property
    def left(self) -> int:
        """Image sets that are to be done."""
        return self.image_sets - self.succeeded - self.failed

    @property
    def state(self) -> str:
        """What is going on, in words."""
        if self.running or self.running_chunks:
            return RUNNING
        if self.complete:
            return ALL_DONE if self.merged else NOT_MERGED
        return STOPPED if self.begun else PLANNED


def screen_status(folder: ScreenFolder) -> ScreenStatus:
    """Find out how far a screen is; nothing is written.

    Raises
    ------
    ScreenError
        If the folder holds no plan.
    """
    plan = read_plan(folder)
    chunks = read_chunks(folder)
    finished = [chunk for chunk in chunks if is_published(folder.result(chunk), chunk)]
    manifests = [read_manifest(folder.result(chunk)) for chunk in finished]
    unfinished = [chunk.name for chunk in chunks if chunk not in set(finished)]
    errors = {name: read_error(folder, name) for name in unfinished}
    return ScreenStatus(
        chunks=len(chunks),
        finished_chunks=len(finished),
        running_chunks=tuple(running_chunks(folder)),
        image_sets=sum(chunk.image_sets for chunk in chunks),
        succeeded=sum(len(manifest.succeeded) for manifest in manifests),
        failed=sum(manifest.failed for manifest in manifests),
        errors={name: reason for name, reason in errors.items() if reason is not None},
        running=is_running(folder),
        merged=folder.merged.is_dir(),
        begun=plan.procedure.by_nucdl_alone or bool(finished or _traces(folder)),
        by_nucdl_alone=plan.procedure.by_nucdl_alone,
        per_hour=round(measure_throughput(manifests).per_hour, 1) if manifests else None,
    )


def _traces(folder: ScreenFolder) -> Set[str]:
    """Return what a run leaves in the working folder, beside the lock that planning leaves, too."""
    return {path.name for path in folder.work.iterdir()} - {LOCK} if folder.work.is_dir() else set()


def next_command(status: ScreenStatus, output: Path) -> str:
    """Say what is to be done next, for people."""
    if status.state == RUNNING:
        return "wait, and ask again"
    if status.state == NOT_MERGED:
        return f"nucdl screen report --output {output}"
    if status.state == ALL_DONE and not status.failed:
        return f"look at {output / 'merged'}"
    if status.by_nucdl_alone:
        return "the command that began it ('nucdl segment --csv'); with --retry-failed it repeats what failed"
    return f"nucdl screen resume --output {output}" + (" --retry-failed" if status.state == ALL_DONE else "")


def describe_status(status: ScreenStatus) -> str:
    """Write a status as a table for people."""
    lines = [
        ("state", status.state),
        ("chunks", f"{status.finished_chunks} of {status.chunks} finished"),
        ("running", ", ".join(map(str, status.running_chunks)) or "none"),
        (
            "image sets",
            f"{status.succeeded} succeeded, {status.failed} failed, {status.left} to do",
        ),
        ("merged", "yes" if status.merged else "no"),
    ]
    if status.per_hour:
        left = f", about {time_in_words(3600 * status.left / status.per_hour)} left" if status.left else ""
        lines.append(("rate", f"{status.per_hour:,.0f} image sets per hour of work{left}"))
    lines += [(f"chunk {name}", reason) for name, reason in status.errors.items()]
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"{name:<{width}}  {text}" for name, text in lines)
