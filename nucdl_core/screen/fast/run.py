"""The fast path: chunks without CellProfiler, in threads of this process, up to merged tables and report.

Each lane, a thread, takes one image set after the other from file to label image, so that reading, network and
post-processing of different images overlap; on an accelerator it takes some at once, whose network calls are computed
together. The memory is that of the image sets in the lanes. Two chunks are open at a time: while the one is brought to
the disk, the lanes work on the other. What comes out does not depend on lanes.
"""

from __future__ import annotations

import contextlib
import os
import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Callable, Dict, Iterator, List, Optional, Sequence

import torch

from nucdl_core.errors import NucDLError
from nucdl_core.model.bundle import find_bundle
from nucdl_core.model.loading import load_model
from nucdl_core.screen.cellprofiler.engine import missing_chunks
from nucdl_core.screen.cellprofiler.run import ScreenEnd, discard_failed_chunks, merge_and_report
from nucdl_core.screen.core.plan import (
    Chunk,
    ScreenFolder,
    ScreenLimits,
    ScreenPlan,
    read_chunks,
    read_plan,
    read_rows,
)
from nucdl_core.screen.core.process import stop_on_signals
from nucdl_core.screen.core.work import lock_screen, private_folder, remove_leftovers
from nucdl_core.screen.fast.chunk import do_chunk
from nucdl_core.screen.fast.culprits import forget_blame
from nucdl_core.screen.fast.images import DoneImageSet, ImageSet, do_together
from nucdl_core.screen.fast.plan import FastSettings, read_settings
from nucdl_core.screen.fast.task import BEGIN, END, LANES, Trace

OPEN_CHUNKS = 2
MOST_LANES = 4
"""On a CPU: each lane may need some gigabytes for a large image."""
ACCELERATOR_LANES = 3
"""One whose network runs, one before and one after it."""

Progress = Callable[[int], None]
"""Called with the number of image sets that have been done since the last call."""


@dataclass(frozen=True)
class Crew:
    """How many threads work.

    Attributes
    ----------
    lanes : int
        Threads, of which each does one group of images at a time.
    threads : int
        Threads that the network uses within each of them.
    """

    lanes: int
    threads: int


def choose_crew(device: str, lanes: Optional[int] = None) -> Crew:
    """Choose how many threads work: on a CPU, as many lanes as it has cores, up to `MOST_LANES`."""
    if lanes is None:
        lanes = ACCELERATOR_LANES if device == "cuda" else min(count_cores(), MOST_LANES)
    return Crew(lanes, max(1, torch.get_num_threads() // lanes))


def count_cores() -> int:
    """Count the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_fast(
    folder: ScreenFolder,
    plan: ScreenPlan,
    lanes: Optional[int] = None,
    progress: Optional[Progress] = None,
    retry_failed: bool = False,
    trace: Optional[Trace] = None,
) -> ScreenEnd:
    """Do the chunks that are missing, merge the tables and write the report.

    Parameters
    ----------
    folder : ScreenFolder
        Planned by `fast_plan.plan_fast`; what is finished in it is kept.
    plan : ScreenPlan
    lanes : int, optional
        See `Crew`.
    progress : callable, optional
    retry_failed : bool
        Whether chunks with failed image sets are done again.
    trace : callable, optional
        Told when the work begins and which image sets are being done, for whoever watches this process.

    Returns
    -------
    ScreenEnd

    Raises
    ------
    ScreenError
        If another run holds the folder, or results were altered.
    NucDLError
        If something cannot be written.
    StopRequest
        If the program was asked to stop by a signal; the same call goes on.
    """
    settings = read_settings(folder)
    crew = choose_crew(settings.device, lanes)
    # Loaded here, before several lanes would do it at once.
    load_model(find_bundle(settings.config.model), settings.device)
    with stop_on_signals(), lock_screen(folder), network_threads(crew.threads):
        remove_leftovers(folder)
        if retry_failed:
            discard_failed_chunks(folder)
            forget_blame(folder)
        if trace is not None:
            trace(LANES, [crew.lanes])
        unfinished = run_chunks(folder, plan, Lanes(settings, plan.limits, crew.lanes, progress, trace))
        return ScreenEnd(unfinished) if unfinished else merge_and_report(folder)


def try_image_set(folder: ScreenFolder, number: int, trace: Trace) -> None:
    """Do one image set for the sole purpose of seeing whether this process survives; nothing of it is kept.

    The model's own test comes first, so that a processor or GPU that fails is not the image's fault.

    Parameters
    ----------
    folder : ScreenFolder
        Planned.
    number : int
        Global number of the image set.
    trace : callable

    Raises
    ------
    NucDLError
        If the model fails its test, another run holds the folder, or something cannot be written.
    """
    settings, limits = read_settings(folder), read_plan(folder).limits
    chunk = next(each for each in read_chunks(folder) if number < each.first_image_number + each.image_sets)
    row = read_rows(folder.chunk_csv(chunk))[number - chunk.first_image_number]
    bundle, crew = find_bundle(settings.config.model), choose_crew(settings.device, 1)
    with stop_on_signals(), lock_screen(folder), network_threads(crew.threads):
        load_model(bundle, settings.device).self_test(bundle)
        lanes = Lanes(settings, limits, crew.lanes, trace=trace)
        with contextlib.closing(lanes), private_folder(folder, chunk.name) as private:
            list(lanes.work([ImageSet(number, row, private, private)]))


@contextlib.contextmanager
def network_threads(count: int) -> Iterator[None]:
    """Let networks use so many threads each until the end of the block."""
    former = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(former)


class Lanes:
    """Threads that do image sets.

    Parameters
    ----------
    settings : FastSettings
    limits : ScreenLimits
    count : int
        Threads.
    progress, trace : callable, optional
    """

    def __init__(
        self,
        settings: FastSettings,
        limits: ScreenLimits,
        count: int,
        progress: Optional[Progress] = None,
        trace: Optional[Trace] = None,
    ) -> None:
        self._settings, self._limits, self._progress, self._trace = settings, limits, progress, trace
        self._turn, self.stopped = threading.Lock(), threading.Event()
        self._pool = ThreadPoolExecutor(count)

    def work(self, images: Sequence[ImageSet]) -> Iterator[DoneImageSet]:
        """Do image sets; yield what became of them, in order.

        Raises
        ------
        CancelledError
            If the event `stopped` is set before they are done.
        """
        size = self._settings.together
        groups = [images[first : first + size] for first in range(0, len(images), size)]
        waiting = [self._pool.submit(self._do, group) for group in groups]
        try:
            for future in waiting:
                done = future.result()
                self.tell(len(done))
                yield from done
        finally:
            # Nobody writes into the folder of the chunk any more when it is removed.
            for future in waiting:
                future.cancel()
            wait(waiting)

    def tell(self, count: int) -> None:
        """Tell that so many image sets more are done."""
        if self._progress is not None:
            self._progress(count)

    def _do(self, group: Sequence[ImageSet]) -> List[DoneImageSet]:
        if self.stopped.is_set():
            raise CancelledError
        with self._traced([image.image_number for image in group if image.blame is None]):
            return do_together(group, self._settings, self._limits, self._turn)

    @contextlib.contextmanager
    def _traced(self, numbers: List[int]) -> Iterator[None]:
        """Tell that image sets are begun, and at the end of the block that they are ended."""
        if self._trace is None:
            yield
            return
        self._trace(BEGIN, numbers)
        try:
            yield
        finally:
            self._trace(END, numbers)

    def close(self) -> None:
        """End the threads; nobody may work any more."""
        self._pool.shutdown()


def run_chunks(folder: ScreenFolder, plan: ScreenPlan, lanes: Lanes) -> Dict[str, str]:
    """Do all chunks that are missing; the lock must be held.

    Returns
    -------
    dict of str to str
        Names of chunks that cannot be finished, and why. The first one ends the run, since whatever is not the fault
        of an image, such as a full disk, concerns the next chunk as well.
    """
    failed: Dict[str, str] = {}

    def do(chunk: Chunk) -> None:
        if lanes.stopped.is_set():
            return
        try:
            with contextlib.suppress(CancelledError):
                do_chunk(folder, plan, chunk, lanes.work)
        except NucDLError as error:
            failed[chunk.name] = str(error)
            lanes.stopped.set()

    with contextlib.closing(lanes), ThreadPoolExecutor(OPEN_CHUNKS) as pool:
        missing = missing_chunks(folder)
        lanes.tell(plan.images.image_sets - sum(chunk.image_sets for chunk in missing))
        futures = [pool.submit(do, chunk) for chunk in missing]
        try:
            for future in futures:
                future.result()
        finally:
            lanes.stopped.set()
    return failed
