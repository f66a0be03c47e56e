"""The fast path: chunks without CellProfiler, in threads of this process, up to merged tables and report.

Each worker, a thread, takes one image set after the other from file to label image, so that reading, network and
post-processing of different images overlap; on an accelerator it takes a batch of them, which go through the network
at once. The memory is that of the image sets that the workers are at. Two chunks are open at a time: while the one is
brought to the disk, the workers work on the other. What comes out does not depend on the number of workers.
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
from nucdl_core.screen.core.finish import ScreenEnd, discard_failed_chunks, merge_and_report, missing_chunks
from nucdl_core.screen.core.plan import (
    Chunk,
    ScreenFolder,
    ScreenPlan,
    read_chunks,
    read_plan,
    read_rows,
)
from nucdl_core.screen.core.process import stop_on_signals
from nucdl_core.screen.core.work import lock_screen, private_folder, remove_leftovers
from nucdl_core.screen.fast.chunk import segment_chunk
from nucdl_core.screen.fast.culprits import forget_culprits
from nucdl_core.screen.fast.images import DoneImageSet, ImageSet, ImageWork, do_batch
from nucdl_core.screen.fast.messages import BEGIN, END, WORKERS, Tell, tell_nobody, told
from nucdl_core.screen.fast.settings import read_settings

OPEN_CHUNKS = 2
MOST_WORKERS = 4
"""On a CPU: each worker may need some gigabytes for a large image."""
ACCELERATOR_WORKERS = 3
"""One whose network runs, one before and one after it."""

ImageProgress = Callable[[int], None]
"""Called with the number of image sets that have been done since the last call."""


@dataclass(frozen=True)
class ThreadCounts:
    """How many threads work.

    Attributes
    ----------
    workers : int
        Threads, of which each does one batch of images at a time.
    of_network : int
        Threads that the network uses within each of them.
    """

    workers: int
    of_network: int


def choose_threads(device: str, workers: Optional[int] = None) -> ThreadCounts:
    """Choose how many threads work: on a CPU, as many workers as it has cores, up to `MOST_WORKERS`."""
    if workers is None:
        workers = ACCELERATOR_WORKERS if device == "cuda" else min(count_cores(), MOST_WORKERS)
    return ThreadCounts(workers, max(1, torch.get_num_threads() // workers))


def count_cores() -> int:
    """Count the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_fast(
    folder: ScreenFolder,
    plan: ScreenPlan,
    workers: Optional[int] = None,
    progress: Optional[ImageProgress] = None,
    retry_failed: bool = False,
    tell: Tell = tell_nobody,
) -> ScreenEnd:
    """Do the chunks that are missing, merge the tables and write the report.

    Parameters
    ----------
    folder : ScreenFolder
        Planned by `fast.plan.plan_fast`; what is finished in it is kept.
    plan : ScreenPlan
    workers : int, optional
        See `ThreadCounts`.
    progress : callable, optional
    retry_failed : bool
        Whether chunks with failed image sets are done again.
    tell : Tell
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
    threads = choose_threads(settings.device, workers)
    # Loaded here, before several workers would do it at once.
    made_for = load_model(find_bundle(settings.config.model), settings.device).description.made_for
    with stop_on_signals(), lock_screen(folder), network_threads(threads.of_network):
        remove_leftovers(folder)
        if retry_failed:
            discard_failed_chunks(folder)
            forget_culprits(folder)
        tell(WORKERS, [threads.workers])
        work = ImageWork(settings, plan.limits, threading.Lock(), tell, made_for)
        unfinished = run_chunks(folder, plan, Workers(work, threads.workers, progress))
        return ScreenEnd(unfinished) if unfinished else merge_and_report(folder)


def try_image_set(folder: ScreenFolder, number: int, tell: Tell) -> None:
    """Do one image set for the sole purpose of seeing whether this process survives; nothing of it is kept.

    The model's own test comes first, so that a processor or GPU that fails is not taken for a fault of the image.

    Parameters
    ----------
    folder : ScreenFolder
        Planned.
    number : int
        Global number of the image set.
    tell : Tell

    Raises
    ------
    NucDLError
        If the model fails its test, another run holds the folder, or something cannot be written.
    """
    settings, limits = read_settings(folder), read_plan(folder).limits
    chunk = next(each for each in read_chunks(folder) if number < each.first_image_number + each.image_sets)
    row = read_rows(folder.chunk_csv(chunk))[number - chunk.first_image_number]
    bundle, threads = find_bundle(settings.config.model), choose_threads(settings.device, 1)
    with stop_on_signals(), lock_screen(folder), network_threads(threads.of_network):
        load_model(bundle, settings.device).self_test(bundle)
        workers = Workers(ImageWork(settings, limits, threading.Lock(), tell), threads.workers)
        with contextlib.closing(workers), private_folder(folder, chunk.name) as private:
            list(workers.work([ImageSet(number, row, private, private)]))


@contextlib.contextmanager
def network_threads(count: int) -> Iterator[None]:
    """Let networks use so many threads each until the end of the block."""
    former = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(former)


class Workers:
    """Threads that do image sets.

    Parameters
    ----------
    work : ImageWork
    count : int
        Threads.
    progress : callable, optional
    """

    def __init__(self, work: ImageWork, count: int, progress: Optional[ImageProgress] = None) -> None:
        self._work, self._progress = work, progress
        self.stopped = threading.Event()
        self._pool = ThreadPoolExecutor(count)

    def work(self, images: Sequence[ImageSet]) -> Iterator[DoneImageSet]:
        """Do image sets; yield what became of them, in order.

        Raises
        ------
        CancelledError
            If the event `stopped` is set before they are done.
        """
        size = self._work.settings.batch
        batches = [images[first : first + size] for first in range(0, len(images), size)]
        waiting = [self._pool.submit(self._do, batch) for batch in batches]
        try:
            for future in waiting:
                done = future.result()
                self.count(len(done))
                yield from done
        finally:
            # Nobody writes into the folder of the chunk any more when it is removed.
            for future in waiting:
                future.cancel()
            wait(waiting)

    def count(self, done: int) -> None:
        """Report that so many image sets more are done."""
        if self._progress is not None:
            self._progress(done)

    def _do(self, batch: Sequence[ImageSet]) -> List[DoneImageSet]:
        if self.stopped.is_set():
            raise CancelledError
        with told(self._work.tell, (BEGIN, END), [image.image_number for image in batch if image.culprit is None]):
            return do_batch(batch, self._work)

    def close(self) -> None:
        """End the threads; nobody may work any more."""
        self._pool.shutdown()


def run_chunks(folder: ScreenFolder, plan: ScreenPlan, workers: Workers) -> Dict[str, str]:
    """Do all chunks that are missing; the lock must be held.

    Returns
    -------
    dict of str to str
        Names of chunks that cannot be finished, and why. The first one ends the run, since whatever is not the fault
        of an image, such as a full disk, concerns the next chunk as well.
    """
    failed: Dict[str, str] = {}

    def do(chunk: Chunk) -> None:
        if workers.stopped.is_set():
            return
        try:
            with contextlib.suppress(CancelledError):
                segment_chunk(folder, plan, chunk, workers.work)
        except NucDLError as error:
            failed[chunk.name] = str(error)
            workers.stopped.set()

    with contextlib.closing(workers), ThreadPoolExecutor(OPEN_CHUNKS) as pool:
        missing = missing_chunks(folder)
        workers.count(plan.images.image_sets - sum(chunk.image_sets for chunk in missing))
        futures = [pool.submit(do, chunk) for chunk in missing]
        try:
            for future in futures:
                future.result()
        finally:
            workers.stopped.set()
    return failed
