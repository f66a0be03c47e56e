import pytest
import torch

from nucdl_core.errors import DeviceError, OutOfMemoryError
from nucdl_core.model import device
from nucdl_core.model.device import (
    FORMAT_VARIABLE,
    fast_dtype,
    format_name,
    in_smaller_tiles,
    on_the_cpu_if_short,
    resolve_device,
)


def test_a_gpu_that_is_not_there_is_an_error_that_says_what_to_do(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match=r"finds none .* choose the device 'auto' or 'cpu'"):
        resolve_device("cuda")


@pytest.mark.parametrize("available, expected", [(True, "cuda"), (False, "cpu")])
def test_auto_takes_a_gpu_where_there_is_one(monkeypatch, available, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    assert resolve_device("auto") == expected


@pytest.fixture
def processor(monkeypatch):
    """Pretend that the processor has some instructions and no others."""
    monkeypatch.delenv(FORMAT_VARIABLE, raising=False)

    def has(*instructions):
        fast_dtype.cache_clear()
        for name in ("amx_tile", "avx512_bf16", "vnni"):
            monkeypatch.setattr(
                torch.cpu, f"_is_{name}_supported", lambda there=name in instructions: there, raising=False
            )

    yield has
    fast_dtype.cache_clear()


def test_a_processor_without_bfloat16_computes_in_float32(processor):
    processor()
    assert fast_dtype("cpu") == fast_dtype("cpu", integers=True) == torch.float32


def test_a_processor_with_bfloat16_uses_it(processor):
    processor("avx512_bf16")
    assert fast_dtype("cpu") == fast_dtype("cpu", integers=True) == torch.bfloat16


def test_integers_are_used_where_the_processor_multiplies_them_and_the_model_allows_it(processor, monkeypatch):
    monkeypatch.setattr(device, "_torch_has_integer_convolutions", lambda: True)
    processor("avx512_bf16", "vnni")
    assert fast_dtype("cpu") == torch.bfloat16
    assert fast_dtype("cpu", integers=True) == torch.qint8


def test_bfloat16_is_preferred_where_the_processor_multiplies_matrices_of_it(processor, monkeypatch):
    monkeypatch.setattr(device, "_torch_has_integer_convolutions", lambda: True)
    processor("amx_tile", "avx512_bf16", "vnni")
    assert fast_dtype("cpu", integers=True) == torch.bfloat16


def test_integers_are_not_used_without_torchs_convolutions_for_them(processor, monkeypatch):
    monkeypatch.setattr(device, "_torch_has_integer_convolutions", lambda: False)
    processor("vnni")
    assert fast_dtype("cpu", integers=True) == torch.float32


@pytest.mark.parametrize("allowed, expected", [("float32", "float32"), ("bfloat16", "bfloat16"), ("int8", "int8")])
def test_the_environment_limits_the_number_format(processor, monkeypatch, allowed, expected):
    monkeypatch.setattr(device, "_torch_has_integer_convolutions", lambda: True)
    processor("avx512_bf16", "vnni")
    monkeypatch.setenv(FORMAT_VARIABLE, allowed)
    assert format_name(fast_dtype("cpu", integers=True)) == expected


def test_an_unknown_number_format_is_an_error_that_names_the_known_ones(processor, monkeypatch):
    processor()
    monkeypatch.setenv(FORMAT_VARIABLE, "float64")
    with pytest.raises(DeviceError, match="NUCDL_NUMBER_FORMAT is 'float64'; set it to float32 or bfloat16 or int8"):
        fast_dtype("cpu")


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


def lost_gpu(device):
    if device == "cuda":
        raise RuntimeError("CUDA error: unspecified launch failure\nCUDA kernel errors might come later")
    return device


def test_the_cpu_takes_over_where_an_automatic_gpu_is_lost(monkeypatch, caplog):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert on_the_cpu_if_short(lost_gpu, "auto") == "cpu"
    assert "(CUDA error: unspecified launch failure); this image is computed on the CPU" in caplog.text


def test_a_lost_gpu_that_a_person_asked_for_is_an_error_that_says_what_to_do(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(DeviceError, match=r"the GPU failed .*unspecified launch failure\); start again"):
        on_the_cpu_if_short(lost_gpu, "cuda")


def test_an_error_without_words_stays_what_it_is():
    def fail(device):
        raise RuntimeError

    with pytest.raises(RuntimeError):
        on_the_cpu_if_short(fail, "cpu")


def test_another_fault_on_a_gpu_is_not_hidden(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)

    def faulty(device):
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes do not match"):
        on_the_cpu_if_short(faulty, "auto")


def test_smaller_tiles_are_tried_until_the_memory_suffices():
    tried = []

    def compute(side):
        tried.append(side)
        if side > 2:
            raise MemoryError
        return side

    assert in_smaller_tiles(compute, (8, 4, 2, 1), "cpu") == 2
    assert tried == [8, 4, 2]
