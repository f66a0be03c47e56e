"""Settings for a laboratory's own images: they follow from how many nuclei are annotated, as was measured."""

from __future__ import annotations

import re
from typing import Any, Dict, Optional

from nucdl_core.errors import ConfigError
from nucdl_core.model.bundle import BundleDescription
from nucdl_core.training.config import TrainConfig

# Own images come from one microscope: what blur, noise, light and other sizes do elsewhere need not be learnt.
AS_THEY_ARE: Dict[str, Any] = {
    "scale_jitter": 0.15,
    "any_scale_share": 0.1,
    "diameter_range": (8.0, 120.0),
    "simulated_share": 0.0,
    "superposed_share": 0.05,
    "plain_share": 0.8,
}
# A network of its own.
FROM_CHANCE: Dict[str, Any] = {
    **AS_THEY_ARE,
    "learning_rate": 2e-3,
    "warm_up": 100,
    "averaging": 0.99,
    "validate_every": 50,
    "patience": 12,
}
# A model that knows nuclei already and learns how these look and how they are outlined here.
FINE_TUNING: Dict[str, Any] = {
    **AS_THEY_ARE,
    "learning_rate": 5e-4,
    "warm_up": 20,
    "averaging": 0.98,
    "validate_every": 20,
    "patience": 8,
}
# Steps by the number of nuclei that teach; see `steps_for`.
FEWEST_STEPS, MOST_STEPS = 100, 600


def own_config(name: str, nuclei: int, start: Optional[BundleDescription], **chosen: Any) -> TrainConfig:
    """Choose the settings of a training on own images.

    Parameters
    ----------
    name : str
        Of the model.
    nuclei : int
        Annotated nuclei that teach.
    start : BundleDescription or None
        The model that is taught further; None begins with chance.
    **chosen
        Attributes of `TrainConfig` that are chosen by a person.

    Returns
    -------
    TrainConfig
    """
    settings: Dict[str, Any] = {
        "name": name,
        "description": "Nuclei in images like those it was taught with",
        "licence": "that of the images it was taught with",
        "falling": False,
        "checkpoint_every": 25,
    }
    if start is None:
        settings.update(FROM_CHANCE, steps=10 * steps_for(nuclei))
    else:
        settings.update(
            FINE_TUNING,
            steps=steps_for(nuclei),
            architecture=start.architecture,
            arguments=start.arguments,
            canonical_diameter=start.canonical_diameter,
        )
        if start.companion is not None:
            settings["companion"] = start.companion.name
    return TrainConfig(**{**settings, **chosen})


def steps_for(nuclei: int) -> int:
    """Return how many steps of fine-tuning so many nuclei are worth: more nuclei teach for longer."""
    return int(min(max(nuclei // 2, FEWEST_STEPS), MOST_STEPS))


def model_name(text: str) -> str:
    """Make the name of a model out of that of its folder.

    Raises
    ------
    ConfigError
        If nothing of it can be used.
    """
    name = re.sub(r"\W+", "_", text).strip("_")
    if not name:
        raise ConfigError(f"a model cannot be called {text!r}; give the output a name with letters or digits")
    return name if name.isidentifier() else f"model_{name}"
