"""A small adaptation: images of simulated nuclei, and a small model that learns for two steps."""

import dataclasses

import numpy as np
import tifffile

from nucdl_core.adaptation.request import AdaptRequest
from nucdl_core.adaptation.teaching import settings_of
from nucdl_core.simulate.field import FieldConfig
from nucdl_core.simulate.image import simulate_field

IMAGES = 6
CONFIG = FieldConfig(size=(160, 160), diameter=16, count=14)


def make_images(folder, count=IMAGES, seed=0):
    """Write images and masks; return the folder of the images."""
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for number in range(count):
        field = simulate_field(CONFIG, np.random.default_rng(seed + number))
        tifffile.imwrite(folder / "images" / f"f{number}.tif", field.image)
        tifffile.imwrite(folder / "masks" / f"f{number}.tif", field.labels.astype(np.uint16))
    return folder / "images"


def request(images, folder, start, **changes):
    """Ask for a small adaptation, judged by annotations."""
    values = {"masks": images.parent / "masks", "model": str(start), "device": "cpu", "workers": 0, **changes}
    return AdaptRequest([images], folder / "mine", **values)


def make_small(monkeypatch):
    """Let adaptations take few, small steps, and ask no second model."""
    changes = {"crop_size": 64, "batch": 1, "warm_up": 1, "checkpoint_every": 1, "steps": 2}
    for module in ("teaching", "adapt"):
        monkeypatch.setattr(
            f"nucdl_core.adaptation.{module}.settings_of",
            lambda *arguments: dataclasses.replace(settings_of(*arguments), **changes),
        )
    monkeypatch.setattr("nucdl_core.adaptation.conclusion.SECOND_MODEL", "nowhere")
    monkeypatch.setattr("nucdl_core.adaptation.teaching.USUAL_FIELDS", 1)
    for name in ("CORRECTIONS", "FIELDS"):
        monkeypatch.setattr(f"nucdl_core.synthesis.fitting.{name}", 1)
