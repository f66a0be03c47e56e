"""What is wanted of each image beside its label image; imported before anything heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple

from nucdl_core.config import require

BOXES = "boxes"
OBJECT_KINDS = ("masks", "stack", BOXES, "geojson")


@dataclass(frozen=True)
class ExtraOutputs:
    """What is wanted beside label images and the table of nuclei.

    Attributes
    ----------
    overlay : bool
        The image with outlines, ``NAME_overlay.png``.
    probability : bool
        Probability of each pixel to lie in a nucleus, 0 to 1 as 0 to 65,535, ``NAME_probability.tif``.
    rois : bool
        ImageJ ROIs, ``NAME_RoiSet.zip``.
    objects_as : tuple of str
        Other forms of the nuclei, of `OBJECT_KINDS`.
    measure : bool
        More columns of the table, see `measurements.measure_nuclei`.
    keep : str
        Rule by which nuclei are kept, see `keep_rules.kept_by`; empty keeps all.
    classes : str
        Folder of masks that give each nucleus a class, see `class_masks.ClassMasks`; empty for no classes.
    """

    overlay: bool = False
    probability: bool = False
    rois: bool = False
    objects_as: Tuple[str, ...] = ()
    measure: bool = False
    keep: str = ""
    classes: str = ""

    def __post_init__(self) -> None:
        unknown = [kind for kind in self.objects_as if kind not in OBJECT_KINDS]
        require(not unknown, f"objects_as is {unknown[:1]}; it has some of {', '.join(OBJECT_KINDS)}")
        if self.keep:
            from nucdl_core.batch.keep_rules import check_rule

            check_rule(self.keep)


NOTHING_MORE = ExtraOutputs()
