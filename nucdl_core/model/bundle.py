"""Model bundles: a finished model as a described, hashed folder.

A bundle holds ``bundle.json`` (what the model is, how it must be fed, how its output is decided, what it was
trained on and what it reached), ``weights.safetensors``, ``test.safetensors`` (an input with its expected
output) and ``README.md`` (the model card), and for a U-Net ``ranges.safetensors`` (how large its features become).
The words are those of the bioimage.io model description where it has one. Nothing in a bundle is ever executed.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from nucdl_core.arrays import AnyArray
from nucdl_core.config import LARGEST_OFFSET, from_mapping, require
from nucdl_core.errors import BundleError
from nucdl_core.files.writing import write_json
from nucdl_core.model.fitness import MadeFor
from nucdl_core.model.places import DESCRIPTION as DESCRIPTION
from nucdl_core.model.places import MODELS_VARIABLE, brought_back, is_bundle, model_places, own_model, own_models
from nucdl_core.steps.contours import Refinement
from nucdl_core.steps.instances import Decision

ZOO = Path(__file__).resolve().parents[1] / "zoo"
WEIGHTS = "weights.safetensors"
TEST = "test.safetensors"
# Only where a network can also be computed in 8-bit integers, see `networks.int8`.
RANGES = "ranges.safetensors"
CARD = "README.md"
BUNDLE_FORMAT = 1
# A description is a page of text; anything longer is not one.
LONGEST_DESCRIPTION = 1_000_000


@dataclass(frozen=True)
class Companion:
    """A bundle that another one relies on.

    Attributes
    ----------
    name : str
        See `find_bundle`.
    sha256 : str
        Its identity, see `Bundle`.
    """

    name: str
    sha256: str


@dataclass(frozen=True)
class BundleDescription:
    """The content of ``bundle.json``.

    Attributes
    ----------
    format : int
        Version of this layout.
    name, description, licence : str
        What people see.
    family : str
        Kind of model, a key of `registry.FAMILIES`.
    architecture, arguments : str, dict
        Family whose network it is, the same as `family`, and the arguments of that network.
    normalization : dict
        Name and percentiles of the intensity normalization that the network was trained with.
    canonical_diameter : float
        Nucleus diameter in pixels that images are rescaled to.
    contour_offset : float
        Pixels, of the image as the model gets it, by which outlines are moved outwards in all images, where
        ``nucdl tune`` has found that a laboratory draws them there; what a person asks for comes on top. 0 is not
        written, so that older versions read it.
    rescaled : bool
        Whether images are rescaled at all; otherwise they are taken as they are, see `training.config.TrainConfig`.
    decision : Decision
        How the maps become nuclei, calibrated on validation data.
    files : dict
        sha256 of every other file of the bundle, by name.
    refinement : Refinement or None
        How outlines are corrected, where ``nucdl tune`` has found that out; None corrects them by one
        pixel at most, with the threshold of the decision, and drops and merges nothing.
    companion : Companion or None
        The model by which one whose family gives no maps estimates sizes and corrects outlines.
    tolerance : float
        Largest difference to the expected test output that is accepted.
    training, metrics : dict
        The training data and settings, and what the model reached on which images.
    made_for : MadeFor or None
        What kind of images it learnt from; None where that was not recorded.
    """

    format: int
    name: str
    description: str
    licence: str
    family: str
    architecture: str
    arguments: Dict[str, Any]
    normalization: Dict[str, Any]
    canonical_diameter: float
    decision: Decision
    files: Dict[str, str]
    refinement: Optional[Refinement] = None
    companion: Optional[Companion] = None
    contour_offset: float = 0.0
    rescaled: bool = True
    tolerance: float = 0.05
    training: Dict[str, Any] = field(default_factory=dict)
    metrics: Dict[str, Any] = field(default_factory=dict)
    made_for: Optional[MadeFor] = None

    def __post_init__(self) -> None:
        require(
            self.format == BUNDLE_FORMAT,
            f"bundle format {self.format} is not {BUNDLE_FORMAT}; install the matching version",
        )
        require(
            math.isfinite(self.canonical_diameter) and self.canonical_diameter > 0,
            f"canonical_diameter is {self.canonical_diameter}; it must be a positive number of pixels",
        )
        require(
            abs(self.contour_offset) <= LARGEST_OFFSET,
            f"contour_offset is {self.contour_offset}; give pixels from -{LARGEST_OFFSET:g} to {LARGEST_OFFSET:g}",
        )
        for name in self.files:
            require(Path(name).name == name and name not in ("", ".", ".."), f"file name {name!r} is not a plain name")
        for name in (WEIGHTS, TEST):
            require(name in self.files, f"the list of files lacks {name}")


@dataclass(frozen=True)
class Bundle:
    """A verified bundle.

    Attributes
    ----------
    folder : Path
    description : BundleDescription
    sha256 : str
        Identity of the model: hash of its description, which holds the hashes of all its files.
    """

    folder: Path
    description: BundleDescription
    sha256: str


def list_bundles() -> Tuple[str, ...]:
    """Name the bundled models, in alphabetical order."""
    return tuple(sorted(path.parent.name for path in ZOO.glob(f"*/{DESCRIPTION}")))


def find_bundle(name_or_folder: str) -> Path:
    """Locate a bundle, without reading it.

    A model that a killed training was about to replace is brought back.

    Parameters
    ----------
    name_or_folder : str
        Name of a bundled model; else name of an own model, see `places.own_model`; else path of a folder. The first
        one that there is counts, so that a bundled model means the same on every computer. Where a folder is no model,
        but a single folder in it is, as in that of a training, that one is meant.

    Returns
    -------
    Path
        A folder that holds a description.

    Raises
    ------
    BundleError
        If there is none.
    NucDLError
        If it cannot be brought back.
    """
    if name_or_folder in list_bundles():
        return ZOO / name_or_folder
    own = own_model(name_or_folder)
    if own is not None:
        return own
    folder = brought_back(Path(name_or_folder))
    if is_bundle(folder):
        return folder
    inside = [each for each in _folders_in(folder) if is_bundle(each)]
    if len(inside) == 1:
        return inside[0]
    raise BundleError(_not_found(name_or_folder))


def _folders_in(folder: Path) -> List[Path]:
    try:
        return sorted(each for each in folder.iterdir() if each.is_dir() and not each.name.startswith("."))
    except OSError:
        return []


def _not_found(name_or_folder: str) -> str:
    """Say what came, where was looked, and what to do."""
    bundled = ", ".join(list_bundles()) or "none is installed"
    own = ", ".join(dict.fromkeys(folder.name for folder, _ in own_models())) or "none"
    places = ", ".join(str(place.folder) for place in model_places()) or "none is named"
    return (
        f"model {name_or_folder!r} is neither a bundled model ({bundled}) nor one of your own (found: {own}; looked "
        f"in: {places}) nor a folder with a {DESCRIPTION}; choose one of these names, give the path of a model folder, "
        f"or name the folder that holds the model in {MODELS_VARIABLE} or by 'nucdl models add FOLDER'"
    )


def read_bundle(folder: Path) -> Bundle:
    """Read a bundle's description and verify every file against its hash.

    Raises
    ------
    BundleError
        If the description cannot be understood, or a file is missing or altered.
    """
    raw = _read(folder)
    description = _parse(folder / DESCRIPTION, raw)
    for name, expected in description.files.items():
        _verify(folder / name, expected)
    return Bundle(folder, description, hashlib.sha256(raw).hexdigest())


def read_description(folder: Path) -> BundleDescription:
    """Read a bundle's description only, which is quick; no file is verified.

    Raises
    ------
    BundleError
        If it cannot be understood.
    """
    return _parse(folder / DESCRIPTION, _read(folder))


def read_card(folder: Path) -> str:
    """Read the card of a bundle: Markdown, for people.

    Raises
    ------
    BundleError
        If it has none, or it cannot be read.
    """
    path = folder / CARD
    try:
        return path.read_bytes()[:LONGEST_DESCRIPTION].decode("utf-8", "replace")
    except OSError as error:
        raise BundleError(f"the model has no card that can be shown ({path}: {error.strerror})") from error


def require_family(description: BundleDescription, family: str) -> None:
    """Refuse a model of another family than the one that is needed.

    Raises
    ------
    BundleError
    """
    if description.family != family:
        raise BundleError(
            f"the model {description.name} is of the family {description.family}, but one of the family {family} is "
            "needed here; choose another model"
        )


def read_tensors(path: Path) -> Dict[str, AnyArray]:
    """Read a safetensors file of a bundle.

    Raises
    ------
    BundleError
        If it is damaged or holds NaN or infinite numbers.
    """
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError, ValueError) as error:
        raise BundleError(f"{path} is damaged ({error}); install the model again") from error
    for name, tensor in tensors.items():
        if not np.isfinite(tensor).all():
            raise BundleError(f"{path}: tensor {name} holds NaN or infinite numbers; install the model again")
    return tensors


def write_description(folder: Path, description: BundleDescription) -> None:
    """Write ``bundle.json``, with the hashes of the other files of the folder as they are now."""
    names: List[str] = sorted(path.name for path in folder.iterdir() if path.is_file() and path.name != DESCRIPTION)
    values = asdict(description)
    if not description.contour_offset:
        del values["contour_offset"]
    values["files"] = {name: sha256_of(folder / name) for name in names}
    write_json(folder / DESCRIPTION, values)


def sha256_of(path: Path) -> str:
    """Hash a file's content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _read(folder: Path) -> bytes:
    path = folder / DESCRIPTION
    try:
        return path.read_bytes()[: LONGEST_DESCRIPTION + 1]
    except OSError as error:
        raise BundleError(f"{path} cannot be read ({error.strerror}); give the path of a model folder") from error


def _parse(path: Path, raw: bytes) -> BundleDescription:
    if len(raw) > LONGEST_DESCRIPTION:
        raise BundleError(f"{path} has more than {LONGEST_DESCRIPTION} bytes; it is not a model description")
    try:
        return from_mapping(BundleDescription, json.loads(raw))
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path} is not a model description that can be used: {error}") from error


def _verify(path: Path, expected: str) -> None:
    if not path.is_file():
        raise BundleError(f"{path} is missing; install the model again")
    found = sha256_of(path)
    if found != expected:
        raise BundleError(
            f"{path} was altered: its sha256 is {found[:12]}..., the description says {str(expected)[:12]}...; "
            "install the model again"
        )
