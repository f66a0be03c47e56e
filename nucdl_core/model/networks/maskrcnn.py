"""Mask R-CNN for nuclei: torchvision's, on the encoder of our U-Net.

Boxes of nuclei are proposed, judged, and each filled with a mask. The backbone is the U-Net's encoder, whose trained
weights it can start from, with a feature pyramid on top (Hollandi et al., Cell Systems 2020, and Kromp et al. take a
ResNet, which needs a GPU). Anchors, pooling and heads are made for nuclei around 32 px and up to four times smaller or
larger; everything is small enough for a CPU. torchvision is loaded when a network is made, not before.
"""

from __future__ import annotations

import abc
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from torch import Tensor, nn

from nucdl_core.model.networks.resnet import require_torchvision
from nucdl_core.model.networks.unet import encode, make_encoder

# Anchors in pixels for each level of the pyramid from stride 4 on, and heights over widths.
ANCHORS = ((12, 17), (24, 34), (48, 68), (96, 136))
RATIOS = (0.6, 1.0, 1.67)
# A nucleus of so many pixels is pooled for its box at stride 4 and for its mask at stride 2, smaller ones as well,
# one twice as large one level higher.
POOLED_SIZE = 32
# Of one image, that is, of one tile.
MOST_PROPOSALS, MOST_NUCLEI = 3000, 1500
# Nuclei below this score are never looked at; which of the others count is calibrated.
LOWEST_SCORE = 0.05

Targets = List[Dict[str, Tensor]]


class Examination(NamedTuple):
    """What the network says about given boxes, for its self-test.

    Attributes
    ----------
    objectness : float32 tensor (B, A, h, w)
        Logits of the anchors at the finest level.
    scores : float32 tensor (N,)
        Probability that the box holds a nucleus.
    masks : float32 tensor (N, 28, 28)
        Probability of each of its cells to lie in that nucleus.
    """

    objectness: Tensor
    scores: Tensor
    masks: Tensor


class Detector(nn.Module, abc.ABC):
    """A Mask R-CNN with one class, whatever its encoder.

    Parameters
    ----------
    detector : torchvision's MaskRCNN
        Whose proposals and heads are taken. Its transform is not used: the images are normalized and scaled already.

    Notes
    -----
    Coordinates are (column, row) as torchvision has them, in pixels, 0 at the outer edge of the first pixel. A mask at
    position x of its box tells about the pixel number x, whose centre is x + 0.5; `detections.enlarge` knows that.
    """

    stride: int

    def __init__(self, detector: Any) -> None:
        from torchvision.models.detection.image_list import ImageList

        super().__init__()
        self._listed = ImageList
        self.rpn: nn.Module = detector.rpn
        self.roi_heads: nn.Module = detector.roi_heads
        for head in (self.rpn.head, self.roi_heads.box_predictor, self.roi_heads.mask_predictor):
            head.register_forward_hook(_in_single_precision)

    @abc.abstractmethod
    def parts(self) -> Dict[str, List[nn.Parameter]]:
        """Parameters by the stage of training up to which they learn: "all", "late" or "heads"."""

    @abc.abstractmethod
    def features(self, images: Tensor) -> Dict[str, Tensor]:
        """Return the levels of the feature pyramid for images (B, 1, H, W), the finest first."""

    def proposing(self, features: Dict[str, Tensor]) -> Dict[str, Tensor]:
        """Return the levels that propose nuclei: all of them, unless a subclass says otherwise."""
        return features

    def forward(
        self, images: Tensor, targets: Optional[Targets] = None
    ) -> Tuple[List[Dict[str, Tensor]], Dict[str, Tensor]]:
        """Find nuclei, or in training compare with the truth.

        Parameters
        ----------
        images : float tensor (B, 1, H, W)
            Normalized; H and W are multiples of `stride`.
        targets : list of dict, optional
            For each image "boxes" (N, 4), "labels" (N,), all 1, and "masks" (N, H, W). Needed in training.

        Returns
        -------
        list of dict
            For each image "boxes" (N, 4), "scores" (N,), falling, and "masks" (N, 1, 28, 28) in [0, 1]. Empty in
            training.
        dict of scalar tensors
            The terms of the loss; empty outside training.
        """
        features, sizes = self._features(images), [(images.shape[-2], images.shape[-1])] * len(images)
        proposals, first = self.rpn(self._listed(images, sizes), self.proposing(features), targets)
        found, second = self.roi_heads(features, proposals, sizes, targets)
        return found, {**first, **second}

    def examine(self, image: Tensor, boxes: Tensor) -> Examination:
        """Say what the parts of the network make of an image (1, 1, H, W) and of given boxes (N, 4) in it."""
        features, sizes = self._features(image), [(image.shape[-2], image.shape[-1])]
        heads: Any = self.roi_heads
        objectness, _ = self.rpn.head(list(self.proposing(features).values()))  # type: ignore[operator]
        logits, _ = heads.box_predictor(heads.box_head(heads.box_roi_pool(features, [boxes], sizes)))
        masks = heads.mask_predictor(heads.mask_head(heads.mask_roi_pool(features, [boxes], sizes)))
        return Examination(objectness[0], logits.softmax(dim=1)[:, 1], masks[:, 1].sigmoid())

    def _features(self, images: Tensor) -> Dict[str, Tensor]:
        # Single precision from here on, since anchors take the number format of the features.
        return {name: level.float() for name, level in self.features(images).items()}


class NucleusMaskRCNN(Detector):
    """Mask R-CNN on the encoder of our U-Net.

    Parameters
    ----------
    widths : sequence of int
        Channels of the encoder's levels; see `unet.UNet`. One level for each stride of the pyramid, five in all.
    channels : int
        Of the feature pyramid and of the heads.

    Raises
    ------
    BundleError
        If torchvision is not installed.
    ValueError
        If there are not five levels.
    """

    def __init__(self, widths: Sequence[int] = (32, 64, 128, 192, 256), channels: int = 64) -> None:
        if len(widths) != len(ANCHORS) + 1:
            raise ValueError(f"{len(widths)} widths came; the pyramid has {len(ANCHORS) + 1} levels")
        pyramid, detector = _small_detector(list(widths), channels)
        super().__init__(detector)
        self.stride = 2 ** len(widths)
        self.encoder = make_encoder(widths)
        self.pyramid = pyramid

    def parts(self) -> Dict[str, List[nn.Parameter]]:
        """See `Detector.parts`."""
        early, late = self.encoder[:-2], self.encoder[-2:]
        heads = [*self.pyramid.parameters(), *self.rpn.parameters(), *self.roi_heads.parameters()]
        return {"all": list(early.parameters()), "late": list(late.parameters()), "heads": heads}

    def features(self, images: Tensor) -> Dict[str, Tensor]:
        """See `Detector.features`."""
        levels = {str(number): level for number, level in enumerate(encode(self.encoder, images))}
        pyramid: Dict[str, Tensor] = self.pyramid(levels)
        return pyramid

    def proposing(self, features: Dict[str, Tensor]) -> Dict[str, Tensor]:
        """Return all levels but the finest, which is there for masks only."""
        return {name: level for name, level in features.items() if name != "0"}


def _in_single_precision(module: nn.Module, inputs: Any, output: Any) -> Any:
    """Turn what a head says into float32: in bfloat16 a box at 300 px could be two pixels off."""
    if isinstance(output, Tensor):
        return output.float()
    return type(output)(_in_single_precision(module, inputs, part) for part in output)


def _small_detector(widths: List[int], channels: int) -> Tuple[nn.Module, Any]:
    """Make a small feature pyramid, and torchvision's Mask R-CNN on it."""
    require_torchvision("maskrcnn")
    from torchvision.models.detection.anchor_utils import AnchorGenerator
    from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
    from torchvision.models.detection.mask_rcnn import MaskRCNN, MaskRCNNHeads, MaskRCNNPredictor
    from torchvision.ops import FeaturePyramidNetwork, MultiScaleRoIAlign

    pyramid = FeaturePyramidNetwork(widths, channels)
    pyramid.out_channels = channels
    levels = [str(number) for number in range(len(widths))]
    detector = MaskRCNN(
        pyramid,
        rpn_anchor_generator=AnchorGenerator(ANCHORS, (RATIOS,) * len(ANCHORS)),
        rpn_pre_nms_top_n_train=1000,
        rpn_post_nms_top_n_train=1000,
        rpn_pre_nms_top_n_test=MOST_PROPOSALS,
        rpn_post_nms_top_n_test=MOST_PROPOSALS,
        rpn_batch_size_per_image=128,
        box_roi_pool=MultiScaleRoIAlign(levels[1:], 7, 2, canonical_scale=POOLED_SIZE, canonical_level=2),
        box_head=TwoMLPHead(channels * 7**2, 4 * channels),
        box_predictor=FastRCNNPredictor(4 * channels, 2),
        box_score_thresh=LOWEST_SCORE,
        box_detections_per_img=MOST_NUCLEI,
        box_batch_size_per_image=128,
        mask_roi_pool=MultiScaleRoIAlign(levels[:-1], 14, 2, canonical_scale=POOLED_SIZE, canonical_level=1),
        mask_head=MaskRCNNHeads(channels, (channels, channels), 1),
        mask_predictor=MaskRCNNPredictor(channels, channels, 2),
    )
    return pyramid, detector
