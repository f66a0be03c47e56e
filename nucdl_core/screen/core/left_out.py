"""Fields that can be read but are not wanted: out of focus, saturated, empty, or of another kind than the model's."""

from __future__ import annotations

from typing import Optional, Sequence

from nucdl_core.screen.core.inspection import EMPTY, ImageFacts
from nucdl_core.screen.core.plan import FieldLimits

OTHER_KIND = "modality_unlike_model"
"""Flag of an image that was taken otherwise than those that its model was made for, such as in brightfield."""


def left_out_reason(facts: ImageFacts, limits: FieldLimits) -> Optional[str]:
    """Say why the field that an image shows is left out.

    Parameters
    ----------
    facts : ImageFacts
    limits : FieldLimits

    Returns
    -------
    str or None
        With the value and the limit, the first limit that is not kept; None if the field is wanted.
    """
    if limits.skip_empty and EMPTY in facts.flags:
        return f"empty: all pixels are {facts.lowest:g}"
    if facts.saturated_share > limits.max_saturated:
        return f"saturated: a share of {facts.saturated_share:.4g} of the pixels, the limit is {limits.max_saturated:g}"
    if facts.focus < limits.min_focus:
        return f"out of focus: the focus is {facts.focus:.4g}, the limit is {limits.min_focus:g}"
    return None


def other_kind_reason(flags: Sequence[str], limits: FieldLimits) -> Optional[str]:
    """Say that an image is of another kind than those that its model was made for, if such are left out."""
    if limits.skip_other_kinds and OTHER_KIND in flags:
        return "of the wrong kind: it was not taken as those that the model was made for"
    return None
