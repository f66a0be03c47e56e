"""What the fast path does to each image set; ``segmentation.json``."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass

from nucdl_core.batch.extra_outputs import NOTHING_MORE, ExtraOutputs
from nucdl_core.config import BRIGHT, SegmentConfig, from_mapping, require
from nucdl_core.screen.core.plan import ScreenError, ScreenFolder, rename_keys, swap
from nucdl_core.screen.fast.label_images import LABEL_FORMATS

_STORED = {"batch": "together"}
"""Names in the code, and in the file, which earlier versions wrote as well."""


@dataclass(frozen=True)
class FastSettings:
    """What is done to each image set; ``segmentation.json``.

    Attributes
    ----------
    config : SegmentConfig
    device : str
        "cpu" or "cuda": what the configuration's "auto" was found to be, and has to be until the end.
    channel : str
        Name of the image that shows nuclei.
    labels : str
        "tiff", "zarr" or "none": kind of the label images.
    batch : int
        Images that go through the network at once.
    number_format : str
        Of the network, such as "float32".
    outputs : ExtraOutputs
        What is written besides.
    flags : bool
        Whether the tables say which nuclei are micronuclei, and by how much images are doubted; those of earlier
        versions do not.
    """

    config: SegmentConfig
    device: str
    channel: str
    labels: str
    batch: int
    number_format: str
    outputs: ExtraOutputs = NOTHING_MORE
    flags: bool = True

    def __post_init__(self) -> None:
        require(self.labels in LABEL_FORMATS, f"labels is {self.labels!r}; give one of {', '.join(LABEL_FORMATS)}")
        require(self.batch >= 1, f"the batch is {self.batch} images; give at least 1")


def format_settings(settings: FastSettings) -> str:
    """Write settings as JSON."""
    values = dataclasses.asdict(settings)
    if settings.outputs == NOTHING_MORE:
        # A screen that an earlier version has planned goes on.
        del values["outputs"]
    else:
        # Classes are for `nucdl segment` of files alone.
        del values["outputs"]["classes"]
    if not settings.flags:
        del values["flags"]
    # JSON knows no infinity.
    values["config"] = {name: None if value == math.inf else value for name, value in values["config"].items()}
    if settings.config.polarity == BRIGHT:
        del values["config"]["polarity"]
    for name in ("treatments", "minimum_confidence", "micronuclei", "lobed_diameter"):
        if getattr(settings.config, name) == getattr(SegmentConfig, name):
            del values["config"][name]
    return json.dumps(rename_keys(values, _STORED), indent=2, allow_nan=False) + "\n"


def read_settings(folder: ScreenFolder) -> FastSettings:
    """Read ``segmentation.json``.

    Raises
    ------
    ScreenError
        If it is missing, or was altered or made by another version.
    """
    try:
        values = rename_keys(json.loads(folder.procedure.read_text(encoding="utf-8")), swap(_STORED))
        # Before there was a choice, nuclei were taken for bright, and nothing was flagged.
        config = values["config"] = {"polarity": BRIGHT, **values["config"]}
        values = {"flags": False, **values}
        if config["maximum_diameter"] is None:
            config["maximum_diameter"] = math.inf
        return from_mapping(FastSettings, values)
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise ScreenError(f"{folder.procedure} cannot be understood ({error}); give a new folder") from error
