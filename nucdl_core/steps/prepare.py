"""What is done with an image before the network sees it: half size, treatments, bright nuclei, normalization."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Optional, Tuple

from nucdl_core.arrays import AnyArray, Mask
from nucdl_core.config import BINNING, SegmentConfig
from nucdl_core.results import Segmentation
from nucdl_core.steps.binning import enlarged, halved, halved_mask
from nucdl_core.steps.normalize import LARGE, NormalizedImage, check_image
from nucdl_core.steps.polarity import with_bright_nuclei
from nucdl_core.steps.preprocess import on_unit_scale, treat


@dataclass(frozen=True)
class PreparedImage:
    """An image as a network takes it.

    Attributes
    ----------
    image : NormalizedImage
        At half the size of the original where that is among the treatments.
    shape : (int, int)
        Height and width of the original in pixels.
    half : bool
        Whether it has half its size.
    """

    image: NormalizedImage
    shape: Tuple[int, int]
    half: bool

    def settings(self, config: SegmentConfig) -> SegmentConfig:
        """Return settings whose lengths are in pixels of `image`, instead of those of the original."""
        if not self.half:
            return config
        diameter = None if config.diameter is None else max(1.0, config.diameter / 2)
        lobed = max(2.0, config.lobed_diameter / 2) if config.lobed_diameter else 0.0
        return replace(config, diameter=diameter, contour_offset=config.contour_offset / 2, lobed_diameter=lobed)

    def on_original(self, found: Segmentation) -> Segmentation:
        """Bring what was found in `image` onto the pixels of the original."""
        return enlarged(found, self.shape) if self.half else found


def prepare_image(image: AnyArray, config: SegmentConfig, mask: Optional[Mask] = None) -> PreparedImage:
    """Do with an image what comes before the network.

    Parameters
    ----------
    image : array (H, W), any real dtype
    config : SegmentConfig
        Only its treatments and its polarity count.
    mask : bool array (H, W), optional
        Only pixels where it is true count.

    Returns
    -------
    PreparedImage

    Raises
    ------
    ImageError
        If the image cannot be used.
    """
    check_image(image, mask)
    shape, half = (image.shape[0], image.shape[1]), BINNING in config.treatments
    if config.treatments or image.size <= LARGE:
        image = on_unit_scale(image)
    if half:
        image, mask = halved(image), None if mask is None else halved_mask(mask)
    bright = with_bright_nuclei(treat(image, config.treatments), config.polarity, mask)
    return PreparedImage(NormalizedImage.of(bright, mask), shape, half)
