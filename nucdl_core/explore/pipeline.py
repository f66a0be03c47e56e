"""A variant as a CellProfiler pipeline that finds the same nuclei, with CellProfiler's own modules for the treatment.

The texts of the modules were written by CellProfiler itself (``pipelines/make_parts.py``); here they are only put
together, so that the engine needs no CellProfiler.
"""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import Dict, List, Mapping, Optional, cast

from nucdl_core.config import BINNING, SegmentConfig
from nucdl_core.errors import ConfigError
from nucdl_core.explore.variants import TREATMENT_NAMES

_PARTS = Path(__file__).with_name("pipeline_parts.json")
_BACKGROUND = "background"
_IMAGE, _TAKEN, _MADE = "DNA", "NucDLTaken", "NucDLMade"
_HEADER = (
    "CellProfiler Pipeline: http://www.cellprofiler.org\nVersion:5\nDateRevision:4281\nGitHash:\nModuleCount:{count}\n"
    "HasImagePlaneDetails:False\n"
)
# The engine's words, with those that IdentifyNucleiDL offers.
_VIEWS = {"none": "One", "flips": "Four (mirrored)", "all": "Eight (mirrored and turned)"}
_POLARITIES = {"auto": "Automatic", "bright": "Brighter", "dark": "Darker"}
_DEVICES = {"auto": "Automatic", "cpu": "CPU", "cuda": "GPU"}


def why_no_pipeline(config: SegmentConfig) -> Optional[str]:
    """Say why there is no pipeline that finds the same nuclei; None where there is one."""
    if BINNING in config.treatments and _BACKGROUND in config.treatments:
        return "CellProfiler's GaussianFilter blurs a resized image differently"
    lacking = [TREATMENT_NAMES[name] for name in config.treatments if name not in _parts()]
    if not lacking:
        return None
    return f"CellProfiler has no module of its own that does the same as {' and '.join(lacking)}"


def pipeline_text(config: SegmentConfig) -> str:
    """Return the content of a pipeline file.

    It reads a list of images (LoadData), in which the image of the nuclei is called DNA, and leaves label images in
    the folder ``labels`` and tables.

    Parameters
    ----------
    config : SegmentConfig

    Returns
    -------
    str

    Raises
    ------
    ConfigError
        If CellProfiler has no module of its own for a treatment.
    """
    reason = why_no_pipeline(config)
    if reason is not None:
        raise ConfigError(f"{reason}; use the command nucdl segment")
    parts, half = _parts(), BINNING in config.treatments
    blocks, taken = list(parts["load"]), _IMAGE
    for number, name in enumerate(config.treatments, start=1):
        made = f"{_IMAGE}Treated{number}"
        blocks += [block.replace(_TAKEN, taken).replace(_MADE, made) for block in parts[name]]
        taken = made
    find = parts["find_at_half_size" if half else "find"]
    blocks += [_with(block.replace(_TAKEN, taken), _settings(config, half)) for block in find]
    blocks += [*(parts["full_size"] if half else []), *parts["results"]]
    numbered = [
        re.sub(r"module_num:\d+", f"module_num:{number}", block) for number, block in enumerate(blocks, start=1)
    ]
    return "\n\n".join([_HEADER.format(count=len(blocks)).rstrip("\n"), *numbered]) + "\n"


def _settings(config: SegmentConfig, half: bool) -> Dict[str, str]:
    """Return the values of IdentifyNucleiDL's settings that differ from its usual ones, by their texts."""
    is_folder = len(Path(config.model).parts) > 1
    values = {
        "Select the model": "Folder" if is_folder else config.model,
        "Speed or accuracy?": "Custom",
        "Number of views": _VIEWS[config.views],
        "Are nuclei brighter or darker than the background?": _POLARITIES[config.polarity],
        "Compute on": _DEVICES[config.device],
    }
    if is_folder:
        values["Model folder"] = f"Elsewhere...|{Path(config.model).resolve()}"
    if config.diameter is not None:
        values["Estimate the nucleus diameter automatically?"] = "No"
        values["Typical diameter of nuclei in pixels"] = repr(float(config.diameter) / (2 if half else 1))
    if config.probability_threshold is not None:
        values["Use the model's calibrated threshold?"] = "No"
        values["Probability threshold"] = repr(float(config.probability_threshold))
    return values


def _with(block: str, values: Mapping[str, str]) -> str:
    """Give settings of a module other values."""
    lines = block.split("\n")
    for name, value in values.items():
        (place,) = [number for number, line in enumerate(lines) if line.startswith(f"    {name}:")]
        lines[place] = f"    {name}:{value}"
    return "\n".join(lines)


@functools.lru_cache(maxsize=1)
def _parts() -> Dict[str, List[str]]:
    return cast(Dict[str, List[str]], json.loads(_PARTS.read_text(encoding="utf-8")))
