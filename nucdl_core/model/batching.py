"""Images that are segmented at the same time, each in its own thread, share the calls of the network.

A call waits until every image of the group waits for one, or is done. So what is computed together does not depend on
which thread was faster, and the same group always gives the same numbers.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, ContextManager, Dict, Iterator, List, Optional, Sequence, Tuple

from nucdl_core.arrays import Floats
from nucdl_core.model.device import free_memory, is_out_of_memory
from nucdl_core.model.predictor import Gate, Predictor

MOST_PIXELS = 16_000_000
"""Network pixels that are computed together, unless one image has more."""

_Kind = Tuple[int, Tuple[int, ...]]


@dataclass
class _Call:
    """What one image wants of a network, and later what it gets."""

    member: int
    runner: Predictor
    images: Sequence[Floats]
    results: Optional[List[Any]] = None
    error: Optional[Exception] = None
    over: bool = False

    @property
    def kind(self) -> _Kind:
        """Only calls of one kind can be computed together: one network, one shape."""
        return id(self.runner.network), self.images[0].shape

    @property
    def pixels(self) -> int:
        return sum(image.size for image in self.images)


class Group:
    """Some images whose calls of the network are computed together.

    Parameters
    ----------
    members : int
        How many images, each in a thread of its own.
    turn : context manager
        Held while a network runs; groups that share an accelerator share one lock.
    """

    def __init__(self, members: int, turn: ContextManager[Any]) -> None:
        self._members, self._turn = members, turn
        self._waiting: List[_Call] = []
        self._condition = threading.Condition()

    def gate(self, member: int) -> Gate:
        """Return what the runners of one member, by its number, call instead of their networks."""
        return lambda runner, images: self._ask(_Call(member, runner, images))

    def leave(self) -> None:
        """Tell that a member will call no network any more; each member must do so, whatever becomes of it."""
        with self._condition:
            self._members -= 1
            self._compute_if_all_wait()

    def _ask(self, call: _Call) -> List[Any]:
        with self._condition:
            self._waiting.append(call)
            self._compute_if_all_wait()
            self._condition.wait_for(lambda: call.over)
        if call.results is None:
            raise call.error or RuntimeError("the network failed at another image of the group")
        return call.results

    def _compute_if_all_wait(self) -> None:
        if not self._waiting or len(self._waiting) < self._members:
            return
        try:
            with self._turn:
                for batch in batches(self._waiting):
                    compute(batch)
        finally:
            for call in self._waiting:
                call.over = True
            self._waiting = []
            self._condition.notify_all()


def batches(calls: Sequence[_Call]) -> Iterator[List[_Call]]:
    """Put calls of one kind together, in the order of the members, up to `MOST_PIXELS`."""
    kinds: Dict[_Kind, List[_Call]] = {}
    for call in sorted(calls, key=lambda call: call.member):
        batch = kinds.setdefault(call.kind, [])
        if batch and sum(each.pixels for each in batch) + call.pixels > MOST_PIXELS:
            yield batch
            batch = kinds[call.kind] = []
        batch.append(call)
    yield from kinds.values()


def compute(batch: Sequence[_Call]) -> None:
    """Run the network on all images of a batch, or on those of one call after the other where memory is too short."""
    runner = batch[0].runner
    try:
        results = list(runner.compute([image for call in batch for image in call.images]))
    except (MemoryError, RuntimeError) as error:
        if len(batch) == 1 or not is_out_of_memory(error):
            for call in batch:
                call.error = error
            return
        free_memory(runner.device)
        for call in batch:
            compute([call])
        return
    for call in batch:
        call.results, results = results[: len(call.images)], results[len(call.images) :]
