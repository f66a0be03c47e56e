"""How fast chunks were done, without the time in which nothing was done because a run was stopped or dead."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import List, Sequence, Tuple

from nucdl_core.screen.core.publish import Manifest

SHORT_GAP = 60.0
"""Seconds between two chunks, in which the next process starts, that still count as work."""


@dataclass(frozen=True)
class Throughput:
    """How fast chunks were done.

    Attributes
    ----------
    image_sets : int
    process_seconds : float
        By the clock, summed over the chunks.
    worked_seconds : float
        In which at least one chunk was being done.
    span_seconds : float
        From the first start to the last end.
    """

    image_sets: int
    process_seconds: float
    worked_seconds: float
    span_seconds: float

    @property
    def per_hour(self) -> float:
        """Image sets in an hour of work, however many processes there were."""
        return 3600 * self.image_sets / max(self.worked_seconds, 1e-3)


def measure_throughput(manifests: Sequence[Manifest]) -> Throughput:
    """Find out how fast finished chunks were done.

    Parameters
    ----------
    manifests : sequence of Manifest
        At least one.
    """
    times = sorted(_interval(each) for each in manifests)
    ends = max(end for _, end in times)
    return Throughput(
        image_sets=sum(each.image_sets for each in manifests),
        process_seconds=sum(end - begun for begun, end in times),
        worked_seconds=sum(end - begun for begun, end in stretches(times)),
        span_seconds=ends - times[0][0],
    )


def _interval(manifest: Manifest) -> Tuple[float, float]:
    begun = datetime.datetime.fromisoformat(manifest.begun).timestamp()
    return begun, begun + sum(manifest.seconds.values())


def stretches(times: Sequence[Tuple[float, float]]) -> List[Tuple[float, float]]:
    """Join times (begin, end; sorted, in seconds) that overlap or are parted by a short gap."""
    joined: List[Tuple[float, float]] = []
    for begun, end in times:
        if joined and begun <= joined[-1][1] + SHORT_GAP:
            joined[-1] = joined[-1][0], max(joined[-1][1], end)
        else:
            joined.append((begun, end))
    return joined
