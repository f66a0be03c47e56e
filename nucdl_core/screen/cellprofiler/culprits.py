"""Finding the image sets that a process dies of."""

from __future__ import annotations

from typing import Callable, Dict, List, Optional, Sequence

Trial = Callable[[Sequence[int]], Optional[str]]
"""Runs some image sets in a process of their own; returns how it died, or None where it did not."""


def find_culprits(image_sets: Sequence[int], suspect: Optional[int], dies_of: Trial) -> Dict[int, str]:
    """Find image sets that a process dies of even when it gets nothing else.

    The suspect is tried alone first, for CellProfiler's log usually tells which image set it was at. If the process
    survives that, all are tried once more, for it may have been chance. Then the list is halved, and each half of
    which the process dies is halved again.

    Parameters
    ----------
    image_sets : sequence of int
        The process died of these.
    suspect : int or None
        The one of them that it was at.
    dies_of : callable
        See `Trial`.

    Returns
    -------
    dict of int to str
        The culprits, and how the process died of each. Empty if it survives every part: then it was chance, or they
        were too many.
    """
    if len(image_sets) > 1 and suspect is not None:
        how = dies_of([suspect])
        if how is not None:
            return {suspect: how}
    culprits: Dict[int, str] = {}
    parts: List[Sequence[int]] = [image_sets]
    while parts:
        part = parts.pop()
        how = dies_of(part)
        if how is None:
            continue
        if len(part) == 1:
            culprits[part[0]] = how
        else:
            middle = len(part) // 2
            parts += [part[middle:], part[:middle]]
    return culprits
