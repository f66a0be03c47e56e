"""Which of several images in a file are meant; imported before anything heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from nucdl_core.config import require

PROJECTIONS = ("max", "sum", "median", "focus")


@dataclass(frozen=True)
class PlaneChoice:
    """Which channel, plane and series of a file are to be taken; all are counted from 1.

    Attributes
    ----------
    channel, series : int or None
        None where a file has only one.
    plane : str or None
        A number, or how all planes become one image: "max", "sum", "median", or "focus", the sharpest plane.
    """

    channel: Optional[int] = None
    plane: Optional[str] = None
    series: Optional[int] = None

    def __post_init__(self) -> None:
        for name in ("channel", "series"):
            value = getattr(self, name)
            require(value is None or value >= 1, f"{name} is {value}; they are counted from 1")
        is_number = self.plane is not None and self.plane.isdecimal() and int(self.plane) >= 1
        require(
            self.plane is None or is_number or self.plane in PROJECTIONS,
            f"plane is {self.plane!r}; give a number from 1, or one of {', '.join(PROJECTIONS)}",
        )


FIRST_ALONE = PlaneChoice()
