"""Running a bundle's network: load once per process, feed images of any size, get maps."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Dict, Tuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from nucdl_core.arrays import AnyArray, Floats
from nucdl_core.bundle import TEST, WEIGHTS, Bundle, BundleDescription, read_bundle, read_tensors
from nucdl_core.device import fast_dtype
from nucdl_core.errors import BundleError
from nucdl_core.instances import Maps
from nucdl_core.models.registry import build_network
from nucdl_core.tiling import tiles

# The halo is wider than the default network sees (190 px), so that tiles give the maps of the whole image.
TILE, HALO = 1536, 224


class Predictor:
    """A network on a device, ready to predict.

    Parameters
    ----------
    network : nn.Module
        In float32, with its weights; it becomes the predictor's own.
    description : BundleDescription
        Of the model it belongs to.
    device : str
        "cpu" or "cuda".
    dtype : torch.dtype
        The number format of the convolutions.
    """

    def __init__(self, network: nn.Module, description: BundleDescription, device: str, dtype: torch.dtype) -> None:
        self.stride: int = int(network.stride)  # type: ignore[arg-type]
        self.description = description
        self.device, self.dtype = device, dtype
        fold_batch_norm(network.eval())
        self.network = network.to(device, dtype).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def maps(self, image: Floats, tile: int = TILE) -> Maps:
        """Predict the maps of an image whose nuclei have about the canonical diameter.

        Parameters
        ----------
        image : float32 array (H, W)
            Normalized.
        tile : int
            Side of the tiles in pixels that larger images are cut into.

        Returns
        -------
        Maps
            Arrays (H, W).
        """
        result = np.empty((4, *image.shape), np.float32)
        for part in tiles((image.shape[0], image.shape[1]), tile, HALO, self.stride):
            result[(slice(None), *part.core)] = self._run(image[part.outer])[(slice(None), *part.inner)]
        return Maps(*result)

    def maps_at(self, image: Floats, scale: float) -> Maps:
        """Predict the maps of an image at another scale; see `maps`."""
        return self.maps(resize(image, scaled_shape(image.shape, scale)))

    def _run(self, image: Floats) -> AnyArray:
        height, width = image.shape
        padding = ((0, -height % self.stride), (0, -width % self.stride))
        padded = np.pad(image, padding, mode="symmetric")
        with torch.inference_mode():
            tensor = torch.from_numpy(padded)[None, None].to(self.device, self.dtype)
            maps = self.network(tensor.contiguous(memory_format=torch.channels_last))[0].float()
            maps[:3].sigmoid_()
            array: AnyArray = maps[:, :height, :width].cpu().numpy()
        return array


def make_predictor(bundle: Bundle, device: str, dtype: torch.dtype) -> Predictor:
    """Load a bundle's network onto a device.

    Raises
    ------
    BundleError
        If the weights are damaged or do not fit the architecture that the description names.
    """
    network = build_network(bundle.description.architecture, bundle.description.arguments)
    load_weights(network, read_tensors(bundle.folder / WEIGHTS), bundle.folder / WEIGHTS)
    return Predictor(network, bundle.description, device, dtype)


def load_predictor(folder: Path, device: str) -> Predictor:
    """Return the predictor of a bundle: verified and loaded once per process, device and content.

    Raises
    ------
    BundleError
        If the bundle is missing, damaged, altered or not understood.
    """
    return _predictor(folder.resolve(), _stamp(folder), device)


def check_predictor(predictor: Predictor, folder: Path) -> float:
    """Run the bundle's own test and return the largest difference to the expected maps.

    Raises
    ------
    BundleError
        If the difference is above the bundle's tolerance.
    """
    test = read_tensors(folder / TEST)
    if not {"input", "maps"} <= set(test):
        raise BundleError(f"{folder / TEST} lacks the tensors 'input' and 'maps'; install the model again")
    maps = predictor.maps(np.asarray(test["input"], np.float32))
    found = np.stack([maps.foreground, maps.boundary, maps.distance])
    difference = float(np.abs(found - test["maps"][:3].astype(np.float32)).max())
    if not difference <= predictor.description.tolerance:
        raise BundleError(
            f"{folder}: the model's output differs from its expected test output by {difference:.3f}, more than "
            f"{predictor.description.tolerance}; install the model again, or report this with your processor's name"
        )
    return difference


def load_weights(network: nn.Module, tensors: Dict[str, AnyArray], path: Path) -> None:
    """Put a bundle's weights, kept in half precision, into a float32 network.

    Raises
    ------
    BundleError
        If names or shapes do not fit.
    """
    state = {
        name: torch.from_numpy(tensor.astype(np.float32) if tensor.dtype.kind == "f" else tensor)
        for name, tensor in tensors.items()
    }
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        details = " ".join(str(error).split())
        raise BundleError(f"{path} does not fit the architecture that its description names: {details}") from error


def fold_batch_norm(network: nn.Module) -> None:
    """Merge every batch norm into the convolution before it; same output, one pass over memory less."""
    for module in network.modules():
        names = list(module._modules)
        for name, following in zip(names, names[1:]):
            convolution, norm = module._modules[name], module._modules[following]
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                module._modules[name] = fuse_conv_bn_eval(convolution, norm)
                module._modules[following] = nn.Identity()


def resize(image: Floats, shape: Tuple[int, int]) -> Floats:
    """Resize a map or an image, bilinearly and without aliasing.

    Parameters
    ----------
    image : float32 array (H, W)
    shape : (int, int)
        New height and width.

    Returns
    -------
    float32 array `shape`
        `image` itself where it has that shape already.
    """
    if image.shape == tuple(shape):
        return image
    tensor: Tensor = functional.interpolate(
        torch.from_numpy(np.ascontiguousarray(image))[None, None],
        size=tuple(shape),
        mode="bilinear",
        align_corners=False,
        antialias=True,
    )
    resized: Floats = tensor[0, 0].numpy()
    return resized


def scaled_shape(shape: Tuple[int, ...], scale: float) -> Tuple[int, int]:
    """Shape of an image after rescaling, at least one pixel each way."""
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


@functools.lru_cache(maxsize=8)
def _predictor(folder: Path, stamp: Tuple[Tuple[str, int, int], ...], device: str) -> Predictor:
    return make_predictor(read_bundle(folder), device, fast_dtype(device))


def _stamp(folder: Path) -> Tuple[Tuple[str, int, int], ...]:
    """Names, sizes and times of a bundle's files: a changed bundle is read, and verified, again."""
    if not folder.is_dir():
        raise BundleError(f"{folder} is not a model folder; choose a bundled model or give the path of a model folder")
    entries = ((path.name, path.stat()) for path in sorted(folder.iterdir()))
    return tuple((name, status.st_size, status.st_mtime_ns) for name, status in entries)
