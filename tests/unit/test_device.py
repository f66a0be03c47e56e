import pytest
import torch

from nucdl_core.device import fast_dtype, in_smaller_tiles, on_the_cpu_if_short, resolve_device
from nucdl_core.errors import DeviceError, OutOfMemoryError


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


def full_gpu(device):
    if device == "cuda":
        raise OutOfMemoryError("full")
    return device


def test_the_cpu_takes_over_where_the_memory_of_an_automatic_gpu_does_not_suffice(monkeypatch, caplog):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert on_the_cpu_if_short(full_gpu, "auto") == "cpu"
    assert "computed on the CPU" in caplog.text


def test_a_full_gpu_that_a_person_asked_for_is_an_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(OutOfMemoryError, match="full"):
        on_the_cpu_if_short(full_gpu, "cuda")


def test_smaller_tiles_are_tried_until_the_memory_suffices():
    tried = []

    def compute(side):
        tried.append(side)
        if side > 2:
            raise MemoryError
        return side

    assert in_smaller_tiles(compute, (8, 4, 2, 1), "cpu") == 2
    assert tried == [8, 4, 2]
