"""What became of the image sets of a chunk, whatever was done to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping, Optional, Tuple

from nucdl_core.screen.core.plan import ScreenError
from nucdl_core.screen.core.verify import VerifiedTables


class ChunkError(ScreenError):
    """A chunk cannot be finished now, and none of its image sets is the cause; nothing of it is published."""


@dataclass(frozen=True)
class Failure:
    """Why an image set failed.

    Attributes
    ----------
    module : str or None
        Module of CellProfiler that raised an error; "" where no module can be named; None if the images cannot be used.
    reason : str
    left_out : bool
        Whether it was not wanted, see `plan.FieldLimits`.
    """

    module: Optional[str]
    reason: str
    left_out: bool = False


@dataclass(frozen=True)
class ChunkOutcome:
    """What became of a chunk.

    Attributes
    ----------
    tables : VerifiedTables or None
        The tables that were written; None if no image set was left for them.
    positions : tuple of int
        Image sets whose rows are in the tables, in order, from 0 in the chunk.
    failures : dict of int to Failure
        The other image sets of the chunk.
    """

    tables: Optional[VerifiedTables]
    positions: Tuple[int, ...]
    failures: Mapping[int, Failure]
