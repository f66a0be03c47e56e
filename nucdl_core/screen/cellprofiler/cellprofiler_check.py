"""A program for CellProfiler's own Python: finds out whether it understands a pipeline, with these plugins.

It is the one file of the engine that imports CellProfiler; the engine only runs it, as a process of its own, and
reads the JSON file that it leaves. No image is opened and no module is run.

    python cellprofiler_check.py REQUEST.json RESULT.json
"""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any, Dict, List

Module = Any
Finding = Dict[str, Any]


def check_program(request_path: str, result_path: str) -> None:
    """Check the pipeline of a request, and write what was found."""
    request = json.loads(Path(request_path).read_text(encoding="utf-8"))
    Path(result_path).write_text(json.dumps(check_request(request)), encoding="utf-8")


def check_request(request: Dict[str, Any]) -> Dict[str, Any]:
    """Load the pipeline as a run would, and ask every module whether it could run.

    Parameters
    ----------
    request : dict
        ``pipeline`` (its text, whose evaluated parts are known to be harmless), ``modules`` (number, name, revision
        and values of the settings of each), ``data_file`` (a list with the columns of the real one) and ``plugins``
        (folder or None).

    Returns
    -------
    dict
        ``errors`` (number, name, reason); without errors also ``tables`` (kinds of objects that are measured),
        ``channels`` (images that modules take) and ``aggregating`` (modules that combine image sets).
    """
    bad_modules = load_modules(request["data_file"], request["plugins"])
    expected = request["modules"]
    errors = [error for module in expected for error in missing_or_newer(module, bad_modules)]
    if errors:
        return {"errors": errors}
    from cellprofiler_core.pipeline import Pipeline

    pipeline = Pipeline()
    pipeline.loadtxt(io.StringIO(request["pipeline"]), raise_on_error=True)
    for module, wanted in zip(pipeline.modules(False), expected):
        errors += cut_settings(module, wanted)
    for module in pipeline.modules():
        errors += invalid(module, pipeline)
    if errors:
        return {"errors": errors}
    return {
        "errors": [],
        "tables": sorted({column[0] for column in pipeline.get_measurement_columns()} - {"Image", "Experiment"}),
        "channels": used_images(pipeline),
        "aggregating": [module.module_name for module in pipeline.modules() if module.is_aggregation_module()],
    }


def load_modules(data_file: str, plugins: Any) -> Dict[str, str]:
    """Load CellProfiler's modules and the plugins; return why those that failed did, by name of the file."""
    from cellprofiler_core import preferences

    preferences.set_headless()
    preferences.set_data_file(data_file)
    if plugins:
        preferences.set_plugin_directory(plugins, globally=False)
    loaded = "cellprofiler_core.modules" in sys.modules
    import cellprofiler_core.modules
    from cellprofiler_core.constants.modules import badmodules

    if loaded:
        cellprofiler_core.modules.fill_modules()
    return {name.rpartition(".")[2]: f"{type(error).__name__}: {error}" for name, error in badmodules}


def missing_or_newer(wanted: Finding, bad_modules: Dict[str, str]) -> List[Finding]:
    """Say why a module cannot be had, or that its settings are newer than its code."""
    from cellprofiler_core.utilities.core.modules import get_module_class

    try:
        module_class = get_module_class(wanted["name"])
    except (ValueError, KeyError) as error:
        return [finding(wanted, missing_reason(wanted["name"], bad_modules, error))]
    newest = module_class.variable_revision_number
    if wanted["revision"] > newest:
        return [finding(wanted, f"its settings have revision {wanted['revision']}, but the installed version {newest}")]
    return []


def missing_reason(name: str, bad_modules: Dict[str, str], error: Exception) -> str:
    """Find the failed import that is the cause of a missing module."""
    for file, problem in bad_modules.items():
        if file.replace("_", "").lower() == name.lower():
            return f"its plugin {file}.py cannot be imported ({problem})"
    others = "".join(f"; {file}.py cannot be imported ({problem})" for file, problem in bad_modules.items())
    return f"it is missing ({error}); give the folder of its plugin with --plugins{others}"


def cut_settings(module: Module, wanted: Finding) -> List[Finding]:
    """Say that settings are missing: CellProfiler would silently use its defaults for them."""
    needed = len(module.settings())
    # What older versions of CellProfiler saved is completed by the module itself.
    given, _ = type(module)().upgrade_settings(list(wanted["settings"]), wanted["revision"], wanted["name"])
    if len(given) < needed:
        return [finding(wanted, f"it has {len(given)} settings instead of {needed}, the file is cut or damaged")]
    return []


def invalid(module: Module, pipeline: Any) -> List[Finding]:
    """Say what CellProfiler itself finds wrong with the settings of a module."""
    from cellprofiler_core.setting import ValidationError

    try:
        module.test_valid(pipeline)
    except ValidationError as error:
        setting = getattr(error.setting, "text", "")
        return [{"number": module.module_num, "name": module.module_name, "reason": f"{setting!r}: {error}"}]
    return []


def used_images(pipeline: Any) -> List[str]:
    """Names of the images that modules take."""
    from cellprofiler_core.setting.subscriber import ImageListSubscriber, ImageSubscriber

    used = set()
    for module in pipeline.modules():
        for setting in module.visible_settings():
            if isinstance(setting, ImageSubscriber):
                used.add(setting.value)
            elif isinstance(setting, ImageListSubscriber):
                used.update(setting.value)
    return sorted(used - {"None", ""})


def finding(wanted: Finding, reason: str) -> Finding:
    """Make an entry of the list of errors."""
    return {"number": wanted["number"], "name": wanted["name"], "reason": reason}


if __name__ == "__main__":
    check_program(*sys.argv[1:])
