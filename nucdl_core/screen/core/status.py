"""How far a screen is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Tuple

from nucdl_core.screen.core.plan import ScreenFolder, read_chunks, read_plan
from nucdl_core.screen.core.publish import is_published, read_manifest
from nucdl_core.screen.core.work import is_running, read_error, running_chunks


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

    @property
    def complete(self) -> bool:
        """Whether every chunk is finished."""
        return self.finished_chunks == self.chunks


def screen_status(folder: ScreenFolder) -> ScreenStatus:
    """Find out how far a screen is; nothing is written.

    Raises
    ------
    ScreenError
        If the folder holds no plan.
    """
    read_plan(folder)
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
    )


def describe_status(status: ScreenStatus) -> str:
    """Write a status as a table for people."""
    left = status.image_sets - status.succeeded - status.failed
    state = "running" if status.running else "finished" if status.complete else "stopped; resume it"
    lines = [
        ("state", state),
        ("chunks", f"{status.finished_chunks} of {status.chunks} finished"),
        ("running", ", ".join(map(str, status.running_chunks)) or "none"),
        (
            "image sets",
            f"{status.succeeded} succeeded, {status.failed} failed, {left} to do",
        ),
        ("merged", "yes" if status.merged else "no"),
    ]
    lines += [(f"chunk {name}", reason) for name, reason in status.errors.items()]
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"{name:<{width}}  {text}" for name, text in lines)
