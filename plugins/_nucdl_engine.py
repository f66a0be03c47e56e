"""Whether the engine can be used in this Python, and what it offers.

CellProfiler hides a module whose file cannot be imported, and tells nobody. So the files of the plugin folder import
neither the engine nor torch at their top, and `engine_problem` says in words what is missing.
"""

from __future__ import annotations

import functools
import importlib.util
import sys
from typing import Any, Dict, Optional, Tuple

FALLBACK_MODEL = "nuclei_unet"
"""The model that a module offers while the engine, which knows the bundled models, is missing."""


@functools.lru_cache(maxsize=1)
def engine_problem() -> Optional[str]:
    """Say why the engine cannot be used in this Python, or None where it can.

    CellProfiler asks at every key press: torch is looked for but not imported, and the answer is kept.
    """
    try:
        import nucdl_core.config
        import nucdl_core.model.bundle
        import nucdl_core.steps.filters  # noqa: F401

        missing = [name for name in ("torch", "safetensors") if importlib.util.find_spec(name) is None]
    except ImportError as error:
        return _install_hint(str(error))
    return _install_hint(f"No module named {missing[0]!r}") if missing else None


def _install_hint(problem: str) -> str:
    return (
        f"NucDL's engine does not work in the Python that runs CellProfiler ({problem}). Install it there with "
        f"'{sys.executable} -m pip install FOLDER_OF_NUCDL' and start CellProfiler again."
    )


def offered_models() -> Tuple[str, ...]:
    """Name the models that can be used, the default one first, then bundled and own ones; see `model.listing`."""
    if engine_problem() is not None:
        return (FALLBACK_MODEL,)
    from nucdl_core.config import DEFAULT_MODEL
    from nucdl_core.model.listing import list_models

    usable = [model.name for model in list_models() if model.problem is None]
    return tuple(dict.fromkeys((DEFAULT_MODEL, *usable)))


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
    if engine_problem() is not None:
        return {}
    from nucdl_core.config import PRESETS

    return PRESETS.get(name, {})


def check_model_and_device(model: str, device: str) -> None:
    """Check that a model is unaltered and a device is there, before the first image needs them.

    torch is imported only where a GPU is asked for, or where the model relies on another one: then both are loaded.

    Parameters
    ----------
    model : str
        Name or folder, as of the engine's `find_bundle`.
    device : str
        "auto", "cpu" or "cuda".

    Raises
    ------
    BundleError
        If the model, or the one that it relies on, is missing, damaged, altered or not understood.
    DeviceError
        If there is no such device.
    """
    from nucdl_core.model.bundle import find_bundle, read_bundle

    bundle = read_bundle(find_bundle(model))
    relies_on_another = bundle.description.companion is not None
    if device != "cuda" and not relies_on_another:
        return
    from nucdl_core.model.device import resolve_device

    found = resolve_device(device)
    if relies_on_another:
        from nucdl_core.model.loading import load_model

        load_model(bundle.folder, found)
