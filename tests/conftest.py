"""What several tests need: small bundles, simulated fields, the real images where they are."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
REAL_IMAGES = REPOSITORY.parent / "shared" / "data" / "dsb2018"


@pytest.fixture
def real_images():
    """Folder of the annotated images; the test is skipped where it is absent."""
    if not (REAL_IMAGES / "train" / "index.csv").is_file():
        pytest.skip(f"the real images are absent ({REAL_IMAGES})")
    return REAL_IMAGES


@pytest.fixture(autouse=True)
def no_own_models(monkeypatch, tmp_path_factory):
    """Keep the models of whoever runs the tests out of them."""
    monkeypatch.delenv("NUCDL_MODELS", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.getbasetemp() / "no_account"))


@pytest.fixture
def tiny_bundle(tmp_path):
    """A complete bundle of an untrained network that is small enough to be made in an instant."""
    from nucdl_core.training.config import TrainConfig

    return make_tiny_bundle(tmp_path / "tiny", TrainConfig(name="tiny", arguments={"widths": [4, 8]}))


def make_tiny_bundle(folder, config, decision=None):
    """Write the bundle of an untrained network, whatever its family, with a test that it passes."""
    import torch
    from safetensors.numpy import save_file

    from nucdl_core.model.bundle import TEST, WEIGHTS, write_description
    from nucdl_core.model.registry import build_network, predictor_class
    from nucdl_core.training.recipe import draft_description

    folder.mkdir(parents=True)
    torch.manual_seed(0)
    network = build_network(config.architecture, config.arguments)
    save_file({name: tensor.numpy() for name, tensor in network.state_dict().items()}, folder / WEIGHTS)
    draft = draft_description(config)
    description = draft if decision is None else replace(draft, decision=decision)
    predictor = predictor_class(config.architecture)(network, description, "cpu", torch.float32)
    sample = np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(64, 64)
    save_file({"input": sample, **predictor.respond(sample)}, folder / TEST)
    write_description(folder, description)
    return folder


@pytest.fixture
def tiny_instance_bundle(tmp_path):
    """A complete bundle of a small untrained Mask R-CNN that relies on the default U-Net."""
    from nucdl_core.steps.instances import ONE_BY_ONE, Decision
    from nucdl_core.training.config import TrainConfig

    config = TrainConfig("tiny_instances", "maskrcnn", {"widths": [4, 4, 8, 8, 8], "channels": 8})
    return make_tiny_bundle(tmp_path / "tiny_instances", config, Decision(ONE_BY_ONE))


def untrained_map_model(canonical_diameter=24.0, decision=None):
    """A predictor of a small untrained U-Net, for what needs a model but not what it predicts."""
    import torch

    from nucdl_core.model.map_predictor import MapPredictor
    from nucdl_core.model.networks.unet import UNet
    from nucdl_core.steps.instances import Decision
    from nucdl_core.training.config import TrainConfig
    from nucdl_core.training.recipe import draft_description

    described = draft_description(TrainConfig("tiny", canonical_diameter=canonical_diameter))
    return MapPredictor(UNet([4, 8]), replace(described, decision=decision or Decision()), "cpu", torch.float32)


def edit_description(folder, **changes):
    """Change values in a bundle's description, as a person with a text editor would."""
    path = Path(folder) / "bundle.json"
    values = json.loads(path.read_text())
    values.update(changes)
    path.write_text(json.dumps(values))


@pytest.fixture
def no_figures(monkeypatch):
    """Drawing the maps of a screen's report takes longer than all else."""
    monkeypatch.setattr("nucdl_core.screen.core.report.can_write_html", lambda: False)
