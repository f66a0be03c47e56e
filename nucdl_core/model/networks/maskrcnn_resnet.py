"""Mask R-CNN with torchvision's ResNet and its feature pyramid, as Kromp et al. and Hollandi et al. take it.

Its parts bear torchvision's names and have its shapes, but for the number of classes, so that weights that were trained
on COCO fit. Anchors are made for nuclei, which are smaller than what COCO shows.
"""

from __future__ import annotations

from typing import Collection, Dict, List

from torch import Tensor, nn

from nucdl_core.model.networks.maskrcnn import LOWEST_SCORE, MOST_NUCLEI, MOST_PROPOSALS, Detector
from nucdl_core.model.networks.resnet import MEAN, RESNET_STAGES, SPREAD, channels_of, make_resnet

# Sides in pixels, one for each level from stride 4 on, and heights over widths, as many as COCO's weights have.
SIDES = ((8,), (16,), (32,), (64,), (128,))
PROPORTIONS = (0.5, 1.0, 2.0)
LAST_STAGE = "body.layer4."


class ResNetMaskRCNN(Detector):
    """Mask R-CNN with a ResNet and a feature pyramid from stride 4 on.

    Parameters
    ----------
    depth : int
        Of the ResNet, 18 to 152; the authors take 50 and 101.
    channels : int
        Of the pyramid; four times as many in the dense layers.

    Raises
    ------
    BundleError
        If torchvision is not installed.
    """

    stride = 32

    def __init__(self, depth: int = 50, channels: int = 256) -> None:
        resnet = make_resnet("maskrcnn_resnet", depth)
        from torchvision.models.detection.anchor_utils import AnchorGenerator
        from torchvision.models.detection.backbone_utils import BackboneWithFPN
        from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
        from torchvision.models.detection.mask_rcnn import MaskRCNN, MaskRCNNHeads, MaskRCNNPredictor

        levels = {name: str(number) for number, name in enumerate(RESNET_STAGES)}
        backbone = BackboneWithFPN(resnet, levels, channels_of(depth)[1:], channels)
        detector = MaskRCNN(
            backbone,
            box_head=TwoMLPHead(channels * 7**2, 4 * channels),
            box_predictor=FastRCNNPredictor(4 * channels, 2),
            mask_head=MaskRCNNHeads(channels, (channels,) * 4, 1),
            mask_predictor=MaskRCNNPredictor(channels, channels, 2),
            rpn_anchor_generator=AnchorGenerator(SIDES, (PROPORTIONS,) * len(SIDES)),
            rpn_pre_nms_top_n_test=MOST_PROPOSALS,
            rpn_post_nms_top_n_test=MOST_PROPOSALS,
            box_score_thresh=LOWEST_SCORE,
            box_detections_per_img=MOST_NUCLEI,
        )
        super().__init__(detector)
        self.backbone: nn.Module = backbone

    def parts(self) -> Dict[str, List[nn.Parameter]]:
        """See `Detector.parts`; the pyramid is one of the heads."""
        parts: Dict[str, List[nn.Parameter]] = {"all": [], "late": []}
        parts["heads"] = [*self.rpn.parameters(), *self.roi_heads.parameters()]
        for name, parameter in self.backbone.named_parameters():
            stage = "late" if name.startswith(LAST_STAGE) else "all" if name.startswith("body.") else "heads"
            parts[stage].append(parameter)
        return parts

    def encoders(self, names: Collection[str] = ()) -> List[nn.Module]:
        """Return what published weights of these names can be given to: the whole network, or its ResNet alone."""
        whole = any(name.startswith("backbone.") for name in names)
        return [self if whole else self.backbone.body]  # type: ignore[list-item]

    def features(self, images: Tensor) -> Dict[str, Tensor]:
        """See `Detector.features`."""
        levels: Dict[str, Tensor] = self.backbone((images.expand(-1, 3, -1, -1) - MEAN) / SPREAD)
        return levels
