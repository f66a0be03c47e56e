"""Where a network runs: resolved once, with a clear error instead of a silent fall-back."""

from __future__ import annotations

import functools
import logging
from typing import Callable, Sequence, TypeVar

import torch

from nucdl_core.errors import DeviceError, OutOfMemoryError

LOGGER = logging.getLogger(__name__)
T = TypeVar("T")


def resolve_device(name: str) -> str:
    """Turn the setting "auto", "cpu" or "cuda" into the device that is used.

    Raises
    ------
    DeviceError
        If an accelerator is asked for and none can be used.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            "a GPU was asked for, but torch finds none that it can use (no NVIDIA card, or no matching driver); "
            "choose the device 'auto' or 'cpu', or repair the driver"
        )
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return name


@functools.cache
def fast_dtype(device: str) -> torch.dtype:
    """Choose the number format a network runs in: bfloat16 where the hardware computes with it, else float32."""
    if device == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    return torch.bfloat16 if _cpu_computes_bfloat16() else torch.float32


def is_out_of_memory(error: Exception) -> bool:
    """Tell whether an error of torch or numpy says that memory ran out."""
    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
        return True
    # On the CPU torch raises a plain RuntimeError.
    return "can't allocate memory" in str(error) or "not enough memory" in str(error)


def in_smaller_tiles(compute: Callable[[int], T], sides: Sequence[int], device: str) -> T:
    """Call `compute` with the first side of tiles for which the memory suffices.

    Parameters
    ----------
    compute : callable
        Takes the side of tiles in network pixels.
    sides : sequence of int
        From the largest to the smallest.
    device : str

    Raises
    ------
    OutOfMemoryError
        If the memory does not suffice for the smallest tiles either.
    """
    for side in sides:
        try:
            return compute(side)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            LOGGER.warning("too little memory for tiles of %d network pixels: %s", side, error)
        free_memory(device)
    raise OutOfMemoryError(
        f"too little free memory ({device}) even for tiles of {sides[-1]} pixels; close other programs, run fewer "
        "CellProfiler workers at a time, or choose the device 'cpu'"
    )


def on_the_cpu_if_short(compute: Callable[[str], T], wanted: str) -> T:
    """Call `compute` with a device, and with the CPU if the memory of an automatically chosen GPU does not suffice.

    Parameters
    ----------
    compute : callable
        Takes "cpu" or "cuda".
    wanted : str
        See `resolve_device`.
    """
    device = resolve_device(wanted)
    try:
        return compute(device)
    except OutOfMemoryError:
        if wanted != "auto" or device == "cpu":
            raise
    LOGGER.warning("the GPU has too little free memory even for small tiles; this image is computed on the CPU")
    return compute("cpu")


def free_memory(device: str) -> None:
    """Give the memory that torch keeps for later back to the device."""
    if device == "cuda":
        torch.cuda.empty_cache()


def _cpu_computes_bfloat16() -> bool:
    # Without these instructions bfloat16 is emulated, and slower than float32.
    probes = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return any(getattr(torch.cpu, probe, bool)() for probe in probes)
