"""The ResNets of torchvision as encoders: features at half the resolution of the image and coarser."""

from __future__ import annotations

from typing import Any, Dict, List

from torch import Tensor, nn

from nucdl_core.errors import BundleError
from nucdl_core.extras import install_line

# Mean and spread of grey images among those that the published weights were trained on.
MEAN, SPREAD = 0.45, 0.225
RESNET_STAGES = ("layer1", "layer2", "layer3", "layer4")
BASIC = (18, 34)


def require_torchvision(family: str) -> Any:
    """Import torchvision.

    Raises
    ------
    BundleError
        If it is not installed.
    """
    try:
        import torchvision
    # A torchvision for another version of torch fails with a RuntimeError.
    except (ImportError, RuntimeError) as error:
        raise BundleError(
            f"a model of the family {family} needs torchvision, which does not work in this Python ({error}); install "
            f"the version that fits torch with {install_line('maskrcnn')}, or choose a model of the family unet"
        ) from error
    return torchvision


def make_resnet(family: str, depth: int, dilated: bool = False) -> nn.Module:
    """Make an untrained ResNet without its classifier, with torchvision's names of its parts.

    Parameters
    ----------
    family : str
        That needs it, for the error message.
    depth : int
        18, 34, 50, 101 or 152.
    dilated : bool
        Whether its last two stages keep the resolution of the one before, an eighth of the image.
    """
    models = require_torchvision(family).models
    options = {"replace_stride_with_dilation": [False, True, True]} if dilated else {}
    # Each block begins as if it were not there, by which deep networks learn more steadily (Goyal et al. 2017).
    network: nn.Module = models.get_model(f"resnet{depth}", weights=None, zero_init_residual=True, **options)
    del network.fc
    return network


def channels_of(depth: int) -> List[int]:
    """Return the channels of the five levels that `encode_resnet` gives."""
    stages = [64, 128, 256, 512]
    return [64, *(stages if depth in BASIC else [4 * stage for stage in stages])]


def encode_resnet(network: Any, image: Tensor) -> List[Tensor]:
    """Return the features at strides 2, 4, 8, 16 and 32 for grey images (B, 1, H, W), the finest first."""
    colours = (image.expand(-1, 3, -1, -1) - MEAN) / SPREAD
    levels: List[Tensor] = [network.relu(network.bn1(network.conv1(colours)))]
    features = network.maxpool(levels[0])
    for name in RESNET_STAGES:
        features = getattr(network, name)(features)
        levels.append(features)
    return levels


def resnet_parts(network: Any) -> Dict[str, List[nn.Parameter]]:
    """Part the parameters of an encoder into the early ones ("all") and those of its last stage ("late")."""
    late = list(network.layer4.parameters())
    known = {id(parameter) for parameter in late}
    return {"all": [each for each in network.parameters() if id(each) not in known], "late": late}
