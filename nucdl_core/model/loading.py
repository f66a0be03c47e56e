"""From a bundle's folder to its predictor: verified and loaded once per process, device and content."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Tuple, cast

import torch

from nucdl_core.errors import BundleError
from nucdl_core.model.bundle import (
    RANGES,
    WEIGHTS,
    Bundle,
    BundleDescription,
    find_bundle,
    read_bundle,
    read_tensors,
)
from nucdl_core.model.device import fast_dtype
from nucdl_core.model.map_predictor import MapPredictor
from nucdl_core.model.predictor import Predictor
from nucdl_core.model.registry import build_network, family_of, predictor_class, require_maps
from nucdl_core.model.weights import load_weights

Stamp = Tuple[Tuple[str, int, int], ...]


def load_model(folder: Path, device: str) -> Predictor:
    """Return the predictor of a bundle of any family.

    Parameters
    ----------
    folder : Path
        See `bundle.find_bundle`.
    device : str
        "cpu" or "cuda".

    Raises
    ------
    BundleError
        If the bundle, or one that it relies on, is missing, damaged, altered or not understood, or if a library that
        its network needs is missing.
    """
    return _predictor(folder.resolve(), stamp_of(folder), device)


def load_map_model(folder: Path, device: str) -> MapPredictor:
    """Return the predictor of a bundle whose family gives maps; see `load_model`.

    Raises
    ------
    BundleError
        Also if the family gives none.
    """
    predictor = load_model(folder, device)
    require_maps(predictor.description)
    return cast(MapPredictor, predictor)


def make_predictor(bundle: Bundle, device: str, dtype: torch.dtype) -> Predictor:
    """Load a bundle's network onto a device, in a number format.

    Raises
    ------
    BundleError
        If the weights are damaged or do not fit the architecture that the description names, see also `load_model`.
    """
    description, path = bundle.description, bundle.folder / WEIGHTS
    network = build_network(description.architecture, description.arguments)
    if description.architecture != description.family:
        raise BundleError(
            f"{bundle.folder}: the network {description.architecture!r} and the family {description.family!r} do not "
            "belong together; install the model again"
        )
    load_weights(network, read_tensors(path), path)
    return predictor_class(description.family).from_bundle(network, bundle, device, dtype)


def load_companion(description: BundleDescription, device: str) -> MapPredictor:
    """Load the model that another one relies on for sizes and outlines.

    Raises
    ------
    BundleError
        If it names none, or if the one of that name is not the one that it was calibrated with.
    """
    companion = description.companion
    if companion is None:
        raise BundleError(
            f"the model {description.name} names no other model that estimates the size of nuclei; install it again"
        )
    folder = find_bundle(companion.name)
    found = read_bundle(folder).sha256
    if found != companion.sha256:
        raise BundleError(
            f"the model {description.name} was made with another version of the model {companion.name} (sha256 "
            f"{companion.sha256[:12]}...) than the one that is installed ({found[:12]}...); install the two that "
            "belong together, or run 'nucdl train' again with its output folder, which calibrates it anew"
        )
    return load_map_model(folder, device)


def dtype_for(description: BundleDescription, device: str) -> torch.dtype:
    """Return the number format that a model's network is computed in on a device; see `device.fast_dtype`."""
    if family_of(description.family).exact:
        return torch.float32
    return fast_dtype(device, integers=RANGES in description.files)


def stamp_of(folder: Path) -> Stamp:
    """Names, sizes and times of a bundle's files: a changed bundle is read, and verified, again."""
    if not folder.is_dir():
        raise BundleError(f"{folder} is not a model folder; choose a bundled model or give the path of a model folder")
    entries = ((path.name, path.stat()) for path in sorted(folder.iterdir()))
    return tuple((name, status.st_size, status.st_mtime_ns) for name, status in entries)


@functools.lru_cache(maxsize=8)
def _predictor(folder: Path, stamp: Stamp, device: str) -> Predictor:
    bundle = read_bundle(folder)
    return make_predictor(bundle, device, dtype_for(bundle.description, device))
