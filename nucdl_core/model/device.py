"""Where a network runs: resolved once, with a clear error instead of a silent fall-back."""

from __future__ import annotations

import functools
import logging
import os
from typing import Callable, Dict, Sequence, TypeVar

import torch

from nucdl_core.errors import DeviceError, OutOfMemoryError

_LOGGER = logging.getLogger(__name__)
_T = TypeVar("_T")

# From the slowest to the fastest; the environment variable names the fastest one that may be used.
NUMBER_FORMATS: Dict[str, torch.dtype] = {"float32": torch.float32, "bfloat16": torch.bfloat16, "int8": torch.qint8}
FORMAT_VARIABLE = "NUCDL_NUMBER_FORMAT"


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
def fast_dtype(device: str, integers: bool = False) -> torch.dtype:
    """Choose the fastest number format that the hardware computes a network in.

    Parameters
    ----------
    device : str
        "cpu" or "cuda".
    integers : bool
        Whether the network can be computed in 8-bit integers, see `networks.int8`.

    Returns
    -------
    torch.dtype
        int8 (`torch.qint8`), bfloat16 or float32, none faster than the environment variable `FORMAT_VARIABLE` allows.

    Raises
    ------
    DeviceError
        If the environment variable names something else.
    """
    allowed = os.environ.get(FORMAT_VARIABLE, "int8")
    if allowed not in NUMBER_FORMATS:
        raise DeviceError(
            f"the environment variable {FORMAT_VARIABLE} is {allowed!r}; set it to {' or '.join(NUMBER_FORMATS)}, or "
            "unset it"
        )
    if allowed == "int8" and integers and _computes_int8(device):
        return torch.qint8
    if allowed != "float32" and _computes_bfloat16(device):
        return torch.bfloat16
    return torch.float32


def format_name(dtype: torch.dtype) -> str:
    """Name a number format as `NUMBER_FORMATS` does."""
    return next(name for name, known in NUMBER_FORMATS.items() if known == dtype)


def is_out_of_memory(error: Exception) -> bool:
    """Tell whether an error of torch or numpy says that memory ran out."""
    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
        return True
    # On the CPU torch raises a plain RuntimeError.
    return "can't allocate memory" in str(error) or "not enough memory" in str(error)


def in_smaller_tiles(compute: Callable[[int], _T], sides: Sequence[int], device: str) -> _T:
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
            _LOGGER.warning("too little memory for tiles of %d network pixels: %s", side, error)
        free_memory(device)
    raise OutOfMemoryError(
        f"too little free memory ({device}) even for tiles of {sides[-1]} pixels; close other programs, run fewer "
        "CellProfiler workers at a time, or choose the device 'cpu'"
    )


def on_the_cpu_if_short(compute: Callable[[str], _T], wanted: str) -> _T:
    """Call `compute` with a device, and with the CPU if an automatically chosen GPU is too full for it or fails.

    Parameters
    ----------
    compute : callable
        Takes "cpu" or "cuda".
    wanted : str
        See `resolve_device`.

    Raises
    ------
    OutOfMemoryError, DeviceError
        If the memory of a GPU that was asked for does not suffice, or if that GPU fails.
    """
    device = resolve_device(wanted)
    try:
        return compute(device)
    except (OutOfMemoryError, RuntimeError) as error:
        full, reason = isinstance(error, OutOfMemoryError), str(error).partition("\n")[0]
        if device == "cpu" or not (full or is_gpu_failure(error)) or (full and wanted != "auto"):
            raise
        if wanted != "auto":
            raise DeviceError(
                f"the GPU failed while it computed ({reason}); start again, on another GPU or with the device 'cpu', "
                "and look into the system's log if it fails again"
            ) from error
    _LOGGER.warning("the GPU cannot be used (%s); this image is computed on the CPU", reason)
    return compute("cpu")


def is_gpu_failure(error: Exception) -> bool:
    """Tell whether an error of torch says that a GPU, or its driver, failed or was lost."""
    return any(sign in str(error) for sign in ("CUDA error", "cuDNN error", "CUBLAS_STATUS", "NVML"))


def free_memory(device: str) -> None:
    """Give the memory that torch keeps for later back to the device."""
    if device == "cuda":
        torch.cuda.empty_cache()


def _computes_bfloat16(device: str) -> bool:
    if device == "cuda":
        return torch.cuda.is_bf16_supported()
    # Without these instructions bfloat16 is emulated, and slower than float32.
    return _processor_has("amx_tile") or _processor_has("avx512_bf16")


def _computes_int8(device: str) -> bool:
    # Without VNNI sums of products can overflow, and are slow; with AMX bfloat16 is faster.
    fastest = _processor_has("vnni") and not _processor_has("amx_tile")
    return device == "cpu" and fastest and _torch_has_integer_convolutions()


def _torch_has_integer_convolutions() -> bool:
    return {"onednn", "fbgemm"} <= set(torch.backends.quantized.supported_engines)


def _processor_has(instructions: str) -> bool:
    return bool(getattr(torch.cpu, f"_is_{instructions}_supported", bool)())
