"""Which of the nuclei that were found are kept, and which are joined: settings of IdentifyNucleiDL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from _nucdl_settings import engine_word
from cellprofiler_core.module import Module
from cellprofiler_core.setting import Binary
from cellprofiler_core.setting.choice import Choice
from cellprofiler_core.setting.range import IntegerRange
from cellprofiler_core.setting.text import Float

if TYPE_CHECKING:
    from _nucdl_settings import ConfigValues

MICRONUCLEI = {"Large ones": "large", "All": "all", "None": "none"}
"""Which micronuclei are kept, with the engine's word for each."""


class ChoosesNuclei(Module):
    """A module of which a person says which nuclei are kept."""

    def create_filter_settings(self) -> None:
        """Make the settings about which nuclei are kept, and which are joined."""
        self.exclude_size = Binary(
            "Discard nuclei outside a diameter range?",
            False,
            doc="""\
Select "*Yes*" to discard what is too small (debris, micronuclei) or too large (clumps) to be a nucleus. Such objects
are outlined in magenta.""",
        )
        self.size_range = IntegerRange(
            "Diameter range of nuclei in pixels (Min,Max)",
            (8, 150),
            minval=0,
            doc="""\
*(Used only if nuclei outside a diameter range are discarded)*

Nuclei whose diameter lies between these two are kept. The diameter of a nucleus that is not round is that of a circle
with the same area.""",
        )
        self.minimum_confidence = Float(
            "Discard nuclei below a confidence of",
            0.0,
            doc="""\
Each nucleus has a confidence from 0 to 1, the measurement *NucDL_Confidence*: how sure the network is about it. Enter a
number such as 0.7 to discard what it is less sure about, often debris and dim nuclei out of focus; 0 keeps all. Look at
the confidences of some images first. Such objects are outlined in magenta.""",
        )
        self.micronuclei = Choice(
            "Keep micronuclei?",
            list(MICRONUCLEI),
            doc="""\
Micronuclei, and debris that looks like them, are objects below 0.35 of the typical diameter that do not touch the
border. Each nucleus has the measurement *NucDL_Micronucleus*, 1 for such an object and 0 for all others.

-  *Large ones:* Keep those that the model was calibrated to find, down to about a quarter of the typical diameter.
-  *All:* Keep all that have at least 5 pixels. An image in which there are some is looked at once more, enlarged, which
   takes about three times as long. For counting micronuclei; in dirty images more debris is found, too.
-  *None:* Discard them all, for counting nuclei. They are outlined in magenta.""",
        )
        self.lobed_diameter = Float(
            "Join lobes into nuclei of at most (pixels)",
            0.0,
            doc="""\
Neutrophils and some leukemia cells have nuclei of several lobes, which are found one by one. Enter the diameter of the
largest lobed nucleus, that of a circle with the area of all its lobes, to join neighbors: those between which the gap
is at least half as bright as the dimmer lobe, as long as the whole is not larger. 0 joins none. Small nuclei that touch
are joined as well: use it only for such cells, and look at the outlines.""",
        )
        self.exclude_border = Binary(
            "Discard nuclei touching the border of the image?",
            True,
            doc="""\
Select "*Yes*" to discard nuclei that are cut off by the border of the image or of its mask, since their area and shape
cannot be measured. Such nuclei are outlined in yellow. Select "*No*" to keep them, for example for counting.""",
        )

    def filter_values(self) -> ConfigValues:
        """List which of these settings answers for which values of the engine's configuration."""
        values: ConfigValues = [
            (self.exclude_border, {"discard_border": self.exclude_border.value}),
            (self.minimum_confidence, {"minimum_confidence": self.minimum_confidence.value}),
            (self.micronuclei, {"micronuclei": engine_word(self.micronuclei, MICRONUCLEI)}),
            (self.lobed_diameter, {"lobed_diameter": self.lobed_diameter.value}),
        ]
        if self.exclude_size.value:
            smallest, largest = self.size_range.value
            limits = {"minimum_diameter": float(smallest), "maximum_diameter": float(largest)}
            values.append((self.size_range, limits))
        return values
