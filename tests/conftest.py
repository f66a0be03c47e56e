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


@pytest.fixture
def tiny_bundle(tmp_path):
    """A complete bundle of an untrained network that is small enough to be made in an instant."""
    from nucdl_core.training.config import TrainConfig

    return make_tiny_bundle(tmp_path / "tiny", TrainConfig(name="tiny", arguments={"widths": [4, 8]}))


def make_tiny_bundle(folder, config):
    import torch
    from safetensors.numpy import save_file

    from nucdl_core.model.bundle import TEST, WEIGHTS, BundleDescription, read_bundle, write_description
    from nucdl_core.model.predictor import make_predictor
    from nucdl_core.model.registry import build_network
    from nucdl_core.steps.instances import Decision

    folder.mkdir(parents=True)
    torch.manual_seed(0)
    network = build_network(config.architecture, config.arguments)
    save_file({name: tensor.numpy() for name, tensor in network.state_dict().items()}, folder / WEIGHTS)
    description = BundleDescription(
        format=1,
        name=config.name,
        description="untrained",
        licence="none",
        family="unet",
        architecture=config.architecture,
        arguments=config.arguments,
        normalization={},
        canonical_diameter=config.canonical_diameter,
        decision=Decision(),
        files={WEIGHTS: "", TEST: ""},
    )
    sample = np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(64, 64)
    save_file({"input": sample, "maps": np.zeros((4, 64, 64), np.float32)}, folder / TEST)
    write_description(folder, description)
    maps = make_predictor(read_bundle(folder), "cpu", torch.float32).maps(sample)
    expected = np.stack([maps.foreground, maps.boundary, maps.distance, maps.size])
    save_file({"input": sample, "maps": expected}, folder / TEST)
    write_description(folder, description)
    return folder


@pytest.fixture
def tiny_instance_bundle(tmp_path):
    """A complete bundle of a small untrained Mask R-CNN that relies on the default U-Net."""
    import torch
    from safetensors.numpy import save_file

    from nucdl_core.model.bundle import TEST, WEIGHTS, write_description
    from nucdl_core.model.registry import build_network
    from nucdl_core.steps.instances import INSTANCES, Decision
    from nucdl_core.training.config import TrainConfig
    from nucdl_core.training.recipe import draft_description, draft_predictor

    folder = tmp_path / "tiny_instances"
    folder.mkdir()
    torch.manual_seed(0)
    config = TrainConfig("tiny_instances", "maskrcnn", {"widths": [4, 4, 8, 8, 8], "channels": 8})
    network = build_network(config.architecture, config.arguments)
    save_file({name: tensor.numpy() for name, tensor in network.state_dict().items()}, folder / WEIGHTS)
    description = replace(draft_description(config), decision=Decision(INSTANCES))
    sample = np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(64, 64)
    save_file({"input": sample, **draft_predictor(network, description).examine(sample)}, folder / TEST)
    write_description(folder, description)
    return folder


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
