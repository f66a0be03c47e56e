"""Stages that variants share: an image is treated once for each treatment, and what networks said is remembered.

A variant is segmented by the recipe that ``nucdl segment`` uses, so that it finds the same nuclei; only what was
computed for another variant before is not computed again.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple, cast

from nucdl_core.arrays import AnyArray, Floats
from nucdl_core.config import SegmentConfig
from nucdl_core.model.loading import load_model
from nucdl_core.model.predictor import Predictor
from nucdl_core.results import Segmentation
from nucdl_core.segment import segment_prepared
from nucdl_core.steps.filters import filter_nuclei
from nucdl_core.steps.prepare import PreparedImage, prepare_image
from nucdl_core.steps.size import Pixels
from nucdl_core.steps.views import View

Preparation = Tuple[Tuple[str, ...], str]
"""Treatments and polarity: what decides about an image before the network."""


class SharedStages:
    """One image, segmented in many ways; what they have in common is computed once.

    Variants with the same treatments come one after the other, since only the last treatment is kept in memory.

    Parameters
    ----------
    image : array (H, W), any real dtype
    """

    def __init__(self, image: AnyArray) -> None:
        self._image = image
        self._known: Optional[Preparation] = None
        self._prepared: Optional[PreparedImage] = None
        self._memory: Dict[Any, Any] = {}

    def segment(self, config: SegmentConfig) -> Segmentation:
        """Find the nuclei as `segment.segment` does.

        Raises
        ------
        ImageError
            If the image cannot be used.
        BundleError, DeviceError
            If the model or the device cannot.
        """
        wanted = (config.treatments, config.polarity)
        if self._prepared is None or wanted != self._known:
            self._memory.clear()
            self._prepared, self._known = prepare_image(self._image, config), wanted
        found = segment_prepared(self._prepared, config, load=self._load)
        return filter_nuclei(found, config).segmentation

    def _load(self, folder: Path, device: str) -> Predictor:
        return cast(Predictor, _Remembering(load_model(folder, device), self._memory))


class _Remembering:
    """A predictor that does not compute again what it was asked before, for the same pixels."""

    def __init__(self, predictor: Predictor, memory: Dict[Any, Any]) -> None:
        self._predictor, self._memory = predictor, memory

    def __getattr__(self, name: str) -> Any:
        return getattr(self._predictor, name)

    @property
    def size_model(self) -> Any:
        model = self._predictor.size_model
        return self if model is self._predictor else _Remembering(model, self._memory)

    def predict(self, image: Floats, diameter: float, views: Sequence[View]) -> Any:
        key = (id(self._predictor), _content(image), diameter, tuple(views))
        if key not in self._memory:
            self._memory[key] = self._predictor.predict(image, diameter, views)
        return self._memory[key]

    def estimate_diameters(self, image: Pixels) -> List[float]:
        key = (id(self._predictor), image.shape)
        if key not in self._memory:
            self._memory[key] = cast(Any, self._predictor).estimate_diameters(image)
        return cast(List[float], self._memory[key])


def _content(image: Floats) -> Tuple[Tuple[int, ...], bytes]:
    return image.shape, hashlib.blake2b(image.tobytes(), digest_size=16).digest()
