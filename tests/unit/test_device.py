import pytest
import torch

from nucdl_core.device import fast_dtype, resolve_device
from nucdl_core.errors import DeviceError


def test_a_gpu_that_is_not_there_is_an_error_that_says_what_to_do(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match=r"finds none .* choose the device 'auto' or 'cpu'"):
        resolve_device("cuda")


@pytest.mark.parametrize("available, expected", [(True, "cuda"), (False, "cpu")])
def test_auto_takes_a_gpu_where_there_is_one(monkeypatch, available, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    assert resolve_device("auto") == expected


def test_a_processor_without_bfloat16_computes_in_float32(monkeypatch):
    fast_dtype.cache_clear()
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False, raising=False)
    assert fast_dtype("cpu") == torch.float32
    fast_dtype.cache_clear()


def test_a_processor_with_bfloat16_uses_it(monkeypatch):
    fast_dtype.cache_clear()
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True, raising=False)
    assert fast_dtype("cpu") == torch.bfloat16
    fast_dtype.cache_clear()
