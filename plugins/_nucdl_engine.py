"""The engine as the modules know it: in this Python where it can be imported, otherwise in a process of its own.

Every question goes through `engine`, and both ways answer the same. CellProfiler hides a module whose file cannot be
imported, and tells nobody. So the files of the plugin folder import neither the engine nor torch at their top, and
`engine_problem` says in words what is missing.
"""

from __future__ import annotations

import functools
import importlib.util
import sys
from typing import TYPE_CHECKING, Any, Dict, NamedTuple, Optional, Tuple, cast

from _nucdl_errors import NucDLError
from _nucdl_places import engine_elsewhere, named_by_variable
from _nucdl_remote import RemoteEngine

if TYPE_CHECKING:
    from nucdl_core.worker.service import EngineService

FALLBACK_MODEL = "nuclei_unet"
"""The model that a module offers while the engine, which knows the bundled models, is missing."""


class FoundEngine(NamedTuple):
    """What `find_engine` has found.

    Attributes
    ----------
    service : EngineService or None
        None where there is no engine.
    is_here : bool
        Whether it is in this Python.
    problem : str or None
        Why there is none.
    """

    service: Optional[EngineService]
    is_here: bool = False
    problem: Optional[str] = None


@functools.lru_cache(maxsize=1)
def find_engine() -> FoundEngine:
    """Find the engine, once: the one that a person names, then the one in this Python, then those elsewhere.

    One in another environment is started and tried. torch is looked for here, but not imported.
    """
    problem = None
    try:
        place = named_by_variable()
        if place is None:
            problem = _problem_here()
            if problem is None:
                from nucdl_core.worker.service import EngineService

                return FoundEngine(EngineService(), is_here=True)
            place = engine_elsewhere()
        if place is None:
            return FoundEngine(None, problem=_install_hint(problem))
        service = cast("EngineService", RemoteEngine(place))
        service.offered_models()
        return FoundEngine(service)
    except NucDLError as error:
        return FoundEngine(None, problem=str(error))


def _problem_here() -> Optional[str]:
    try:
        import nucdl_core.worker.service  # noqa: F401

        missing = [name for name in ("torch", "safetensors") if importlib.util.find_spec(name) is None]
    except ImportError as error:
        return str(error)
    return f"No module named {missing[0]!r}" if missing else None


def _install_hint(problem: Optional[str]) -> str:
    return (
        f"NucDL's engine does not work in the Python that runs CellProfiler ({problem}), and no other was found. "
        "Install it in an environment of its own ('pipx install nucdl', then 'nucdl plugins install FOLDER'), or here "
        f"with '{sys.executable} -m pip install FOLDER_OF_NUCDL', and start CellProfiler again."
    )


def engine_problem() -> Optional[str]:
    """Say why there is no engine, or None where there is one; CellProfiler asks at every key press."""
    return find_engine().problem


def engine_is_here() -> bool:
    """Tell whether the engine is in this Python, so that more of it than its answers can be used."""
    return find_engine().is_here


def engine() -> EngineService:
    """Return the engine.

    Raises
    ------
    NucDLError
        If there is none.
    """
    found = find_engine()
    if found.service is None:
        raise NucDLError(found.problem)
    return found.service


def offered_models() -> Tuple[str, ...]:
    """Name the models that can be used, the default one first, then bundled and own ones."""
    return (FALLBACK_MODEL,) if engine_problem() is not None else tuple(engine().offered_models())


def preset_values(name: str) -> Dict[str, Any]:
    """Return the values of the engine's configuration that a preset stands for.

    Parameters
    ----------
    name : str
        In the engine's words, such as "balanced".

    Returns
    -------
    dict of str to any
        Empty for an unknown preset, and while the engine is missing.
    """
    return {} if engine_problem() is not None else _preset_values(name)


@functools.cache
def _preset_values(name: str) -> Dict[str, Any]:
    return engine().preset_values(name)
