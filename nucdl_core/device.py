"""Where a network runs: resolved once, with a clear error instead of a silent fall-back."""

from __future__ import annotations

import functools

import torch

from nucdl_core.errors import DeviceError


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


def _cpu_computes_bfloat16() -> bool:
    # Without these instructions bfloat16 is emulated, and slower than float32.
    probes = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return any(getattr(torch.cpu, probe, bool)() for probe in probes)
