"""Annotations of other programs in and out: ROI sets, COCO, QuPath, masks, tables, stacks and label images.

Everything is read into `objects.AnnotatedObjects`, one small mask per nucleus, so that nuclei that overlap stay whole,
and written from there. `formats` lists the formats, `conversion` goes from one to another, and `read_annotations` gives
label images to other parts of the program.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nucdl_core.exchange.annotations import read_annotations

__all__ = ["read_annotations"]


def __getattr__(name: str) -> Any:
    """Load what other programs take from here when they ask for it, since the readers take time to load."""
    if name != "read_annotations":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from nucdl_core.exchange.annotations import read_annotations

    return read_annotations
