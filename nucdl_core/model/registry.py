"""The families of models: which network, predictor, training lesson and calibration belong together.

A bundle names a family and never brings code. What a family consists of is named here as ``module:name`` and imported
when it is needed: listing families loads neither torch nor torchvision, and training, which uses models, is no part of
them. A new family is one entry here, with a predictor and a network of its own or those of another family.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, Dict, Mapping, Optional, Type

from nucdl_core.errors import BundleError

if TYPE_CHECKING:
    from torch import nn

    from nucdl_core.model.bundle import BundleDescription
    from nucdl_core.model.predictor import Predictor

NETWORKS = "nucdl_core.model.networks"


@dataclass(frozen=True)
class Family:
    """What belongs to a family of models, each as ``module:name``.

    Attributes
    ----------
    network : str
        Class of the network; it takes the arguments that the bundle gives.
    predictor : str
        Subclass of `predictor.Predictor`.
    lesson : str
        How the network is taught, see `training.lessons.Lesson`.
    calibration : str
        Where the numbers of its decision are searched, see `training.calibrate.Choices`.
    gives_maps : bool
        Whether its predictor is a `map_predictor.MapPredictor`, which estimates sizes and corrects outlines; another
        one needs a companion for that.
    staged : bool
        Whether its network has ``parts()`` that can learn in stages, see `training.config.Stage`.
    bundled : str or None
        Its model that comes with this version.
    """

    network: str
    predictor: str
    lesson: str
    calibration: str
    gives_maps: bool = True
    staged: bool = False
    bundled: Optional[str] = None


FAMILIES: Dict[str, Family] = {
    "unet": Family(
        network=f"{NETWORKS}.unet:UNet",
        predictor="nucdl_core.model.map_predictor:MapPredictor",
        lesson="nucdl_core.training.lessons:MAP_LESSON",
        calibration="nucdl_core.training.calibrate:MAP_CHOICES",
        staged=True,
        bundled="nuclei_unet",
    ),
    "maskrcnn": Family(
        network=f"{NETWORKS}.maskrcnn:NucleusMaskRCNN",
        predictor="nucdl_core.model.instance_predictor:InstancePredictor",
        lesson="nucdl_core.training.lessons:INSTANCE_LESSON",
        calibration="nucdl_core.training.calibrate:INSTANCE_CHOICES",
        gives_maps=False,
        staged=True,
        bundled="nuclei_maskrcnn",
    ),
}
DEFAULT_FAMILY = "unet"


def family_of(name: str) -> Family:
    """Look up a family.

    Raises
    ------
    BundleError
        If the name is not registered.
    """
    if name not in FAMILIES:
        raise BundleError(f"architecture {name!r} is not known; this version knows {', '.join(sorted(FAMILIES))}")
    return FAMILIES[name]


def default_model(family: str) -> str:
    """Name the bundled model of a family.

    Raises
    ------
    BundleError
        If this version comes without one.
    """
    from nucdl_core.model.bundle import list_bundles

    name = family_of(family).bundled
    if name is None or name not in list_bundles():
        raise BundleError(
            f"this version comes without a model of the family {family}; train one with 'nucdl train "
            f"training/{name or family}.json --data FOLDER --output FOLDER', and name its folder with --model"
        )
    return name


def require_maps(description: BundleDescription) -> None:
    """Refuse a model whose family gives no maps, where sizes are estimated or outlines corrected.

    Raises
    ------
    BundleError
    """
    if not family_of(description.family).gives_maps:
        families = " or ".join(name for name, family in FAMILIES.items() if family.gives_maps)
        raise BundleError(
            f"the model {description.name} is of the family {description.family}, but one of the family {families} is "
            "needed here; choose another model"
        )


def load_part(reference: str) -> Any:
    """Import what a `Family` names as ``module:name``."""
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(module), name)


def predictor_class(name: str) -> Type[Predictor]:
    """Return the class of a family's predictors; see `family_of`."""
    found: Type[Predictor] = load_part(family_of(name).predictor)
    return found


def build_network(name: str, arguments: Mapping[str, Any]) -> nn.Module:
    """Make an untrained network of a family.

    Parameters
    ----------
    name : str
        A key of `FAMILIES`.
    arguments : mapping
        Keyword arguments of its network.

    Raises
    ------
    BundleError
        If the name is not registered or the arguments do not fit.
    """
    make: Callable[..., nn.Module] = load_part(family_of(name).network)
    try:
        return make(**arguments)
    except (TypeError, ValueError, LookupError, RuntimeError) as error:
        raise BundleError(f"architecture {name!r} does not take the arguments {dict(arguments)}: {error}") from error
