"""nucdl simulate."""

import pytest
from commands import nucdl


@pytest.mark.parametrize("size", ["520", "0x3", "axb", "-3x4"])
def test_a_size_that_is_none_is_refused(tmp_path, size):
    result = nucdl("simulate", "--output", tmp_path / "p", "--fields", 1, "--size", size)
    assert result.exit_code == 1
    assert "give height x width in pixels" in result.output
