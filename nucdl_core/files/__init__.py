"""Files in and out: images read strictly, results written completely, folders listed and paired."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nucdl_core.files.reading import read_image, read_labels
    from nucdl_core.files.writing import write_labels

__all__ = ["read_image", "read_labels", "write_labels"]

_PLACES = {"read_image": "reading", "read_labels": "reading", "write_labels": "writing"}


def __getattr__(name: str) -> Any:
    """Load what other programs take from here when they ask for it, since the decoders take time to load."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
