"""Whether the engine can be used: model and device are checked before the first image."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import edit_description


@pytest.fixture
def prepare(module, make_workspace):
    """Return a function that prepares a run of IdentifyNucleiDL with a model in a folder."""

    def prepare_run(folder):
        module.model.value = "Folder"
        module.model_folder.value = f"Elsewhere...|{folder}"
        return module.prepare_run(make_workspace(module, np.zeros((8, 8))))

    return prepare_run


def test_a_run_with_an_unaltered_model_may_start(prepare, tiny_bundle):
    assert prepare(tiny_bundle)


def test_a_run_with_a_damaged_description_is_refused_before_the_first_image(prepare, tiny_bundle):
    from cellprofiler_core.setting import ValidationError

    (tiny_bundle / "bundle.json").write_text("{}")
    with pytest.raises(ValidationError, match=r"bundle\.json"):
        prepare(tiny_bundle)


def test_a_run_with_altered_weights_is_refused_before_the_first_image(prepare, tiny_bundle):
    from nucdl_core.errors import BundleError

    weights = tiny_bundle / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(BundleError, match=r"weights\.safetensors"):
        prepare(tiny_bundle)


def test_a_run_without_the_model_that_the_chosen_one_relies_on_is_refused_before_the_first_image(
    prepare, tiny_instance_bundle
):
    from nucdl_core.errors import BundleError

    assert prepare(tiny_instance_bundle)
    edit_description(tiny_instance_bundle, companion={"name": "nuclei_unet", "sha256": "0" * 64})
    with pytest.raises(BundleError, match="another version of the model nuclei_unet"):
        prepare(tiny_instance_bundle)


def test_a_run_on_a_missing_gpu_is_refused_before_the_first_image(module, prepare, tiny_bundle, monkeypatch):
    import torch

    from nucdl_core.errors import DeviceError

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    module.device.value = "GPU"
    with pytest.raises(DeviceError, match="GPU"):
        prepare(tiny_bundle)


def test_the_bundled_models_are_offered_with_the_default_one_first(cellprofiler, no_own_models):
    import _nucdl_engine

    from nucdl_core.config import DEFAULT_MODEL
    from nucdl_core.model.bundle import list_bundles

    offered = _nucdl_engine.offered_models()
    assert offered[0] == DEFAULT_MODEL == _nucdl_engine.FALLBACK_MODEL
    assert sorted(offered) == sorted(list_bundles())


def test_without_the_engine_a_module_still_has_a_model_and_presets_without_values(cellprofiler, monkeypatch):
    import _nucdl_engine

    monkeypatch.setattr(_nucdl_engine, "engine_problem", lambda: "it is missing")
    assert _nucdl_engine.offered_models() == ("nuclei_unet",)
    assert _nucdl_engine.preset_values("best") == {}


def test_an_unknown_preset_stands_for_no_values(cellprofiler):
    import _nucdl_engine

    assert _nucdl_engine.preset_values("Perfect") == {}
    assert _nucdl_engine.preset_values("best") == {"views": "all"}
