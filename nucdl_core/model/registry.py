"""The families of models: which network, predictor, training lesson and calibration belong together.

A bundle names a family and never brings code. What a family consists of is named here as ``module:name`` and imported
when it is needed: listing families loads neither torch nor torchvision, and training, which uses models, is no part of
them. A new family is one entry here, with a predictor and a network of its own or those of another family.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Callable, Dict, Mapping, Optional, Type

from nucdl_core.errors import BundleError

if TYPE_CHECKING:
    from torch import nn

    from nucdl_core.model.bundle import BundleDescription
    from nucdl_core.model.predictor import Predictor

NETWORKS = "nucdl_core.model.networks"
# Decisions before calibration: as the authors made them, where they say so.
THREE = {"decoder": "three_class", "seed": 0.5, "score": 0.5}
SHRUNK = {"decoder": "distance", "seed": 0.5, "score": 0.5}
DISTANCE = {"decoder": "distance", "score": 0.5}
BORDER = {"decoder": "border", "seed": 0.6, "foreground": 0.4, "score": 0.5}
MASK = {"decoder": "foreground", "seed": 0.5, "score": 0.5}


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
    decision : mapping
        The decision before calibration: those numbers of `steps.instances.Decision` that are not the usual ones.
    tells_sizes : bool
        Whether its predictor is a `map_predictor.MapPredictor`, which estimates sizes and corrects outlines; another
        one needs a companion for that, see `guided`.
    exact : bool
        Whether it is computed in float32 everywhere: where no layer keeps features at one size, they become so large
        that the rounding of shorter numbers decides about pixels.
    bundled : str or None
        Its model that comes with this version.
    """

    network: str
    predictor: str
    lesson: str
    calibration: str
    decision: Mapping[str, Any] = field(default_factory=dict)
    tells_sizes: bool = True
    exact: bool = False
    bundled: Optional[str] = None


def published(network: str, lesson: str, calibration: str, **decision: Any) -> Family:
    """Describe the family of a published network that tells something about each pixel.

    Parameters
    ----------
    network : str
        ``module:name`` in `networks`.
    lesson : str
        Name in `training.published`.
    calibration : str
        Name in `training.calibrate`.
    **decision
        See `Family`.
    """
    return Family(
        network=f"{NETWORKS}.{network}",
        predictor="nucdl_core.model.guided:GuidedPixelPredictor",
        lesson=f"nucdl_core.training.published:{lesson}",
        calibration=f"nucdl_core.training.calibrate:{calibration}",
        decision=decision,
        tells_sizes=False,
    )


FAMILIES: Dict[str, Family] = {
    "unet": Family(
        network=f"{NETWORKS}.unet:UNet",
        predictor="nucdl_core.model.map_predictor:MapPredictor",
        lesson="nucdl_core.training.lessons:MAP_LESSON",
        calibration="nucdl_core.training.calibrate:MAP_CHOICES",
        bundled="nuclei_unet",
    ),
    "maskrcnn": Family(
        network=f"{NETWORKS}.maskrcnn:NucleusMaskRCNN",
        predictor="nucdl_core.model.instance_predictor:InstancePredictor",
        lesson="nucdl_core.training.lessons:INSTANCE_LESSON",
        calibration="nucdl_core.training.calibrate:INSTANCE_CHOICES",
        decision={"decoder": "instances"},
        tells_sizes=False,
        bundled="nuclei_maskrcnn",
    ),
    "maskrcnn_resnet": Family(
        network=f"{NETWORKS}.maskrcnn_resnet:ResNetMaskRCNN",
        predictor="nucdl_core.model.instance_predictor:InstancePredictor",
        lesson="nucdl_core.training.lessons:INSTANCE_LESSON",
        calibration="nucdl_core.training.calibrate:INSTANCE_CHOICES",
        decision={"decoder": "instances", "score": 0.5},
        tells_sizes=False,
    ),
    "unet_three_class": published("plain_unet:ThreeClassUNet", "THREE_CLASS_LESSON", "THREE_CLASS_CHOICES", **THREE),
    "unet_shrunk": published("plain_unet:ShrunkUNet", "SHRUNK_LESSON", "DISTANCE_CHOICES", **SHRUNK),
    "unet_resnet34": published("resnet_unet:ResNetUNet", "SHRUNK_LESSON", "DISTANCE_CHOICES", **SHRUNK),
    "unet_positions": published("plain_unet:PositionUNet", "POSITION_LESSON", "DISTANCE_CHOICES", **DISTANCE),
    "unet_mask": published("plain_unet:MaskUNet", "MASK_LESSON", "MASK_CHOICES", **MASK),
    "fpn2": published("resnet_unet:TwoPyramids", "BORDER_LESSON", "BORDER_CHOICES", **BORDER),
    "deepcell": published("windows:DeepCell", "THREE_CLASS_LESSON", "THREE_CLASS_CHOICES", **THREE),
    "cnn": replace(published("windows:SimpleCNN", "MASK_LESSON", "MASK_CHOICES", **MASK), exact=True),
    "resnet": published("resnet_unet:MaskResNet", "MASK_LESSON", "MASK_CHOICES", **MASK),
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
        recipe = f"training/{name}.json" if name else f"training/recipes/{family}.json"
        raise BundleError(
            f"this version comes without a model of the family {family}; train one with 'nucdl train {recipe} --data "
            "FOLDER --output FOLDER', and name its folder with --model"
        )
    return name


def require_maps(description: BundleDescription) -> None:
    """Refuse a model whose family gives no maps, where sizes are estimated or outlines corrected.

    Raises
    ------
    BundleError
    """
    if not family_of(description.family).tells_sizes:
        families = " or ".join(name for name, family in FAMILIES.items() if family.tells_sizes)
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
