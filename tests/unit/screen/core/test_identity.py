"""A model is known by its hash."""

import pytest

from nucdl_core.errors import BundleError
from nucdl_core.model.bundle import find_bundle, read_bundle
from nucdl_core.screen.core.identity import identify_model
from nucdl_core.screen.core.plan import PlannedModel


def test_a_model_is_known_by_its_hash_and_refused_when_altered(tiny_bundle):
    assert identify_model(str(tiny_bundle)) == PlannedModel(
        str(tiny_bundle), read_bundle(find_bundle(str(tiny_bundle))).sha256
    )
    weights = tiny_bundle / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(BundleError, match="altered"):
        identify_model(str(tiny_bundle))
