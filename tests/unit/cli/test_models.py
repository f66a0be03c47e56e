"""nucdl models."""

import pytest
import tifffile
from commands import nucdl
from drawings import field


def test_a_model_of_the_second_family_is_checked_and_used(tmp_path, tiny_instance_bundle):
    result = nucdl("models", "check", tiny_instance_bundle)
    assert "all files are unaltered" in result.output, result.output
    tifffile.imwrite(tmp_path / "a.tif", field(shape=(64, 64))[0])
    options = ("--family", "maskrcnn", "--model", tiny_instance_bundle, "--diameter", "24")
    result = nucdl("segment", tmp_path / "a.tif", "--output", tmp_path / "out", *options)
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("model", ["nuclei_unet", "nuclei_maskrcnn"])
def test_models_are_listed_and_checked(model):
    assert model in [line.split()[0] for line in nucdl("models", "list").output.splitlines()]
    result = nucdl("models", "check", model)
    assert result.exit_code == 0
    assert "all files are unaltered" in result.output


def test_an_altered_model_fails_the_check(tiny_bundle):
    (tiny_bundle / "weights.safetensors").write_bytes(b"altered")
    result = nucdl("models", "check", tiny_bundle)
    assert result.exit_code == 1
    assert "was altered" in result.output
