"""The engine's errors by name, also where the engine itself cannot be imported.

They are those of ``nucdl_core/errors.py`` where that is there, so that an error is the same whoever raises it.
"""

from __future__ import annotations

import builtins
from typing import Any, Dict, Tuple, Type

_BASES: Dict[str, Tuple[Type[Exception], ...]] = {
    "ConfigError": (ValueError,),
    "ImageError": (ValueError,),
    "AnnotationError": (ValueError,),
    "BundleError": (),
    "DeviceError": (RuntimeError,),
    "OutOfMemoryError": (RuntimeError,),
}
"""What each error is beside a `NucDLError`."""


def _all_errors() -> Dict[str, Any]:
    try:
        from nucdl_core import errors
    except ImportError:
        # They bear the engine's name in the log too, where screens look for it.
        of_engine = {"__module__": "nucdl_core.errors"}
        base = type("NucDLError", (Exception,), of_engine)
        return {"NucDLError": base, **{name: type(name, (base, *others), of_engine) for name, others in _BASES.items()}}
    return {name: getattr(errors, name) for name in ("NucDLError", *_BASES)}


_ERRORS = _all_errors()
NucDLError: Any = _ERRORS["NucDLError"]
ConfigError: Any = _ERRORS["ConfigError"]
ImageError: Any = _ERRORS["ImageError"]
AnnotationError: Any = _ERRORS["AnnotationError"]


class InEngineError(Exception):
    """What was raised in the engine's process, with the lines of its code; the cause of what is raised here."""

    def __str__(self) -> str:
        return f"\n\n{self.args[0]}"


def raised_there(name: str, text: str, trace: str) -> Exception:
    """Make the error that the engine's process has raised.

    Parameters
    ----------
    name, text, trace : str
        Its class, what it says, and the lines of code that it came from.

    Returns
    -------
    Exception
        Of the class of that name; of a class that is not known here, a `NucDLError` that begins with its name.
    """
    kind: Any = _ERRORS.get(name) or getattr(builtins, name, None)
    if not (isinstance(kind, type) and issubclass(kind, Exception)):
        kind, text = NucDLError, f"{name}: {text}"
    try:
        error: Exception = kind(text)
    except TypeError:
        # Some errors are made from more than a text.
        error = NucDLError(f"{name}: {text}")
    error.__cause__ = InEngineError(trace)
    return error
