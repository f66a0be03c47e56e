"""\
IdentifyNucleiDL
================

**IdentifyNucleiDL** finds cell nuclei in fluorescence images with a trained deep network. It takes the
place of **IdentifyPrimaryObjects** where nuclei touch, differ in brightness or size, or where one
threshold does not fit all images of an experiment. A trained model comes with the module: nothing has to
be trained or downloaded, and with the settings as they are no parameter has to be chosen.

|

============ ============ ===============
Supports 2D? Supports 3D? Respects masks?
============ ============ ===============
YES          NO           YES
============ ============ ===============

See also
^^^^^^^^

See also **IdentifyPrimaryObjects** (the classic way), **IdentifySecondaryObjects** (cells around the
nuclei), **FilterObjects** (to discard nuclei by a measurement, for example by their confidence) and
**EditObjectsManually**.

When should I use this module?
^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

-  The nuclei are stained (DAPI, Hoechst, DRAQ5, histone-GFP ...) and bright on a dark background.
-  They touch or overlap, are unevenly bright or textured, or the background is uneven.
-  You have several experiments, magnifications or cell types and do not want to tune a pipeline for each.

And when not?
^^^^^^^^^^^^^

-  *The nuclei are well separated and evenly bright:* **IdentifyPrimaryObjects** finds them just as well, and its
   settings tell you why an object was found.
-  *Tissue sections with colored stains (H&E), brightfield or phase contrast:* dark nuclei are recognized and the image
   is inverted, but the bundled models are much less accurate there (about 70 % of the nuclei of stained sections are
   found). A model of your own that was made for such images is better.
-  *3D stacks:* each plane is a separate image here.
-  *Whole cells, bacteria, spots:* the model knows nuclei only.
-  *Nuclei of several lobes* (neutrophils, some leukemia cells): each lobe is found as a nucleus of its own. *Join
   lobes* puts them together; you have to say how large such a nucleus is.

A trained network makes mistakes, too: it can miss very dim nuclei, join two that overlap or split one of
unusual shape, and its outlines follow the habits of the people who drew those of its training images. **Look at
the outlines of some images of each experiment before you believe the numbers**; the confidence of each nucleus
helps you to find doubtful ones.

What do I need as input?
^^^^^^^^^^^^^^^^^^^^^^^^

One grayscale image with any bit depth and any size. Color images must be converted with **ColorToGray**
first. If the image has been masked or cropped (**MaskImage**, **Crop**), nuclei are searched for inside the mask
only.

What do I get as output?
^^^^^^^^^^^^^^^^^^^^^^^^

A set of objects that every later module can measure and use, as the objects of **IdentifyPrimaryObjects**
are; in particular **IdentifySecondaryObjects** knows the nuclei that were discarded at the border, so that
cells do not grow into the place of a discarded neighbor. On request you also get the *probability image*: for
each pixel, the network's probability that it belongs to a nucleus.

The window shows the input image (upper left), the nuclei in colors (upper right), their outlines on the image
(lower left; green: accepted, magenta: discarded for size or confidence, yellow: discarded at the border; the colors
can be changed under *File > Preferences*) and a table with counts, sizes and the mean confidence (lower right).

What you see, and what to change
^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

================================= ===========================================================================
What you see                      What to change
================================= ===========================================================================
Touching nuclei are one           A lower *typical diameter*; *Best*; *nuclei_maskrcnn*, which merges fewer
Nuclei are split                  A higher *typical diameter*; *Best*
Dim nuclei are missed             A lower *probability threshold*; a bright object masked by **MaskImage**
Debris is found                   *Keep micronuclei?* None; *Discard nuclei below a confidence*
Micronuclei are missed            *Keep micronuclei?* All
Lobes are nuclei of their own     *Join lobes into nuclei of at most (pixels)*
All outlines are too wide, tight  *Move outlines outwards by (pixels)*: negative, positive
Sizes are wrong, or all is found  *Estimate the diameter automatically*: No, and enter a typical diameter
Nothing is found, dark nuclei     *Are nuclei brighter or darker*: Darker
It is slow                        *Fast*; the image reduced by **Resize**; *Compute on*: GPU where there is one
Wrong in ways of its own          A model of your own, from a few annotated images: *nucdl train*
================================= ===========================================================================

Measurements made by this module
^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

**Image measurements:**

-  *Count:* The number of accepted nuclei.
-  *NucDL_Diameter:* The typical nucleus diameter in pixels: the one that you entered, or else the median of all
   nuclei that were found (discarded ones included, micronuclei not). Not a number (NaN) if you entered none and no
   nucleus was found.
-  *NucDL_Doubt:* How far the image cannot be trusted, from 0 to 1, by what was found and how it looks. Have a look at
   images with 0.5 or more.
-  *NucDL_DoubtReason:* Why, if it is 0.5 or more: *empty*, *specks only*, *saturated*, *artefact*, *out of focus*,
   *other modality* or *size outside the model's range*; otherwise nothing.

**Object measurements:**

-  *Location_Center_X, Location_Center_Y, Location_Center_Z:* The center of mass of the nucleus in pixels.
-  *Number_Object_Number:* The number of the nucleus, from 1.
-  *NucDL_Agreement:* (only with more than one view) How much the views agree on the nucleus, from 0 to 1: how much
   the outlines that they give it overlap, averaged over all pairs of views. A view that does not find the nucleus
   counts as no overlap.
-  *NucDL_Confidence:* How sure the network is about the nucleus, from 0 to 1.
-  *NucDL_Micronucleus:* 1 for micronuclei, and debris that looks like them: below 0.35 of the typical diameter, and not
   touching the border. 0 for all others.

The *NucDL* measurements say nothing about biology: leave them out of morphological profiles (they have a category of
their own for that purpose).

Technical notes
^^^^^^^^^^^^^^^

The network recognizes nuclei of one size best. So the module first estimates the diameter of the nuclei on a
reduced copy of the image, and rescales the image so that they get that size (*Hollandi et al., 2020*). For each
pixel the network predicts the probability that it lies in a nucleus, the probability that it lies on an outline,
and how deep inside its nucleus it lies. Touching nuclei are separated on these maps (*Caicedo et al., 2019*;
*Zaki et al., 2020*), and the outlines are scaled back to the size of the image. The model is loaded with the first
image and stays in memory, so later images take less time.

Two models come with the module. *nuclei_unet* is the one described above. *nuclei_maskrcnn* looks for each nucleus
separately (a Mask R-CNN, as in *Hollandi et al., 2020*): it joins fewer crowded nuclei and splits hardly any, but
misses more nuclei and takes several times as long.

A model is a folder with a description, weights and checksums; a folder that was altered or damaged is refused. Models
of your own stand in the list beside those two (see the help of *Select the model*), and a button shows the card of the
selected one: what it was made for and how good it is. If an image is of another kind than those that the model was made
for (the size of its nuclei, the bits of its file, dark nuclei), or looks as if it cannot be trusted (*NucDL_Doubt*),
the figure says so in red above the pictures, and of the latter the log as well. A model that does not say what it was
made for gives no warning of the first kind.

References
^^^^^^^^^^

-  Caicedo JC, Roth J, Goodman A, Becker T, Karhohs KW, Broisin M, Molnar C, McQuin C, Singh S, Theis FJ,
   Carpenter AE (2019) "Evaluation of Deep Learning Strategies for Nucleus Segmentation in Fluorescence
   Images." *Cytometry Part A* 95, 952-965. (`link <https://doi.org/10.1002/cyto.a.23863>`__)
-  Hollandi R, Szkalisity A, Toth T, Tasnadi E, Molnar C, et al. (2020) "nucleAIzer: A Parameter-free Deep
   Learning Framework for Nucleus Segmentation Using Image Style Transfer." *Cell Systems* 10, 453-458.
   (`link <https://doi.org/10.1016/j.cels.2020.04.003>`__)
-  Moshkov N, Mathe B, Kertesz-Farkas A, Hollandi R, Horvath P (2020) "Test-time augmentation for deep
   learning-based cell segmentation on microscopy images." *Scientific Reports* 10, 5068.
   (`link <https://doi.org/10.1038/s41598-020-61808-3>`__)
-  Zaki G, Gudla PR, Lee K, Kim J, Ozbun L, Shachar S, et al. (2020) "A Deep Learning Pipeline for Nucleus
   Segmentation." *Cytometry Part A* 97, 1248-1264. (`link <https://doi.org/10.1002/cyto.a.24257>`__)
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, ClassVar, Dict, List

import _nucdl_identify as identifying
from _nucdl_engine import preset_values
from _nucdl_filters import ChoosesNuclei
from _nucdl_images import grey_image
from _nucdl_measurements import F_AGREEMENT, Features, HasOwnMeasurements
from _nucdl_models import MODEL_FOLDER, doubt_about, warnings_about
from _nucdl_objects import add_objects
from _nucdl_settings import VIEWS, ConfigValues, UsesModel, engine_word
from cellprofiler_core.constants.measurement import COLTYPE_FLOAT, COLTYPE_INTEGER, COLTYPE_VARCHAR, IMAGE
from cellprofiler_core.module.image_segmentation import ImageSegmentation
from cellprofiler_core.setting import Binary, Setting
from cellprofiler_core.setting.choice import Choice
from cellprofiler_core.setting.text import Float, ImageName

if TYPE_CHECKING:
    from cellprofiler.gui.figure import Figure
    from cellprofiler_core.pipeline import Pipeline
    from cellprofiler_core.workspace import Workspace

_LOGGER = logging.getLogger(__name__)

CUSTOM = identifying.CUSTOM
AS_BEFORE = "Brighter"
"""What nuclei were taken for before there was a setting for it."""
NOT_CHOSEN = ["Large ones", "0.0"]
"""What became of micronuclei and of lobes before there were settings for them."""


class IdentifyNucleiDL(ChoosesNuclei, UsesModel, HasOwnMeasurements, ImageSegmentation):
    module_name = "IdentifyNucleiDL"
    category = "Object Processing"
    variable_revision_number = 6
    added_settings: ClassVar[Dict[int, List[str]]] = {
        1: ["0.0", "One", "No", CUSTOM, "Yes", AS_BEFORE, "0.0", *NOT_CHOSEN],
        2: [CUSTOM, "Yes", AS_BEFORE, "0.0", *NOT_CHOSEN],
        3: ["Yes", AS_BEFORE, "0.0", *NOT_CHOSEN],
        4: [AS_BEFORE, "0.0", *NOT_CHOSEN],
        5: NOT_CHOSEN,
    }

    def create_settings(self) -> None:
        """Make the settings."""
        super().create_settings()
        self.x_name.doc = "Select the image of the nuclear stain: gray, of any bit depth."
        self.y_name.text = "Name the nuclei to be identified"
        self.y_name.value = "Nuclei"
        self.y_name.doc = "Enter the name under which later modules find the nuclei."
        self.create_model_settings()
        self.create_size_settings()
        self.create_filter_settings()
        self.create_detail_settings()
        self.create_care_settings()
        self.create_polarity_setting()

    def create_size_settings(self) -> None:
        """Make the settings about the size of nuclei."""
        self.automatic_diameter = Binary(
            "Estimate the nucleus diameter automatically?",
            True,
            doc="""\
Select "*Yes*" to have the typical diameter estimated for each image. Select "*No*" to enter it: this is a little
faster, and safer for images with very few nuclei or with much debris, or where you know the magnification.""",
        )
        self.diameter = Float(
            "Typical diameter of nuclei in pixels",
            30.0,
            doc="""\
*(Used only if the diameter is not estimated automatically)*

Enter the diameter of a typical nucleus in pixels; measure one with the *Measure length* tool of an image window
(*Tools > Measure length*). It need not be exact: a third more or less changes little.""",
        )
        self.several_scales = Binary(
            "Search again where nuclei differ strongly in size?",
            True,
            doc="""\
*(Used only if the diameter is estimated automatically)*

Select "*Yes*" to search an image once more, at another scale, if many of its nuclei are at least four times as large as
the typical one, or at most 0.4 times as large. All other images take no longer. Select "*No*" to search all images at
one scale only.""",
        )

    def create_detail_settings(self) -> None:
        """Make the settings about the threshold, the outlines, the probability image and the device."""
        self.automatic_threshold = Binary(
            "Use the model's calibrated threshold?",
            True,
            doc="""\
Select "*Yes*" to use the probability threshold that was best for the images on which the model was validated. Select
"*No*" to enter another one if all outlines are too wide or too tight, or if dim nuclei are missed.""",
        )
        self.threshold = Float(
            "Probability threshold",
            0.5,
            doc="""\
*(Used only if the calibrated threshold is not used)*

Enter a number between 0 and 1. Pixels above this probability belong to nuclei: a lower number gives more nuclei
and wider outlines, a higher number fewer nuclei and tighter outlines. The probability image helps you to choose.""",
        )
        self.create_contour_offset_setting("all outlines")
        self.wants_probability = Binary(
            "Keep the probability image?",
            False,
            doc="""\
Select "*Yes*" to give later modules (for example **SaveImages** or **MeasureObjectIntensity**) an image of the
probability, from 0 to 1, that a pixel lies in a nucleus.""",
        )
        self.probability_name = ImageName(
            "Name the probability image",
            "NucleusProbability",
            doc="""\
*(Used only if the probability image is kept)*

Enter the name under which later modules find the probability image.""",
        )
        self.create_device_setting()

    def create_care_settings(self) -> None:
        """Make the settings about how much care the network takes."""
        self.preset = Choice(
            "Speed or accuracy?",
            [*identifying.PRESETS, CUSTOM],
            doc=f"""\
Select how much care the network takes.

-  *Fast:* It looks at each image once. Begin with this.
-  *Balanced:* It looks at four mirrored views of each image; up to four times slower.
-  *Best:* It looks at all eight mirrored and turned views; up to eight times slower.
-  *{CUSTOM}:* You choose the number of views, and whether outlines are corrected.

More views gain a little accuracy, and give each nucleus the measurement *NucDL_Agreement*, which helps to find doubtful
nuclei.""",
        )
        self.views = Choice(
            "Number of views",
            list(VIEWS),
            doc=f"""\
*(Used only if you select "{CUSTOM}" for speed or accuracy)*

The network can also look at mirrored and turned views of the image and average what it sees (*test-time augmentation*,
*Moshkov et al., 2020*). That gains a little accuracy; four views take up to four times as long, eight views up to eight
times. With more than one view each nucleus also gets the measurement *NucDL_Agreement*.""",
        )
        self.wants_refinement = Binary(
            "Correct the outlines at a finer scale?",
            False,
            doc=f"""\
*(Used only if you select "{CUSTOM}" for speed or accuracy)*

Select "*Yes*" to let the network look at the image a second time, enlarged, and decide exactly where the outlines run.
For this the U-Net runs once more, on three times as many pixels. On the public test images the outlines of the Mask
R-CNN came closer to the annotation in this way, and those of the U-Net itself moved a little away from it. Compare both
on your images.""",
        )

    def settings(self) -> List[Setting]:
        """List the settings in the order of the pipeline file."""
        return [
            self.x_name,
            self.y_name,
            self.model,
            self.model_folder,
            self.automatic_diameter,
            self.diameter,
            self.exclude_size,
            self.size_range,
            self.exclude_border,
            self.automatic_threshold,
            self.threshold,
            self.wants_probability,
            self.probability_name,
            self.device,
            self.contour_offset,
            self.views,
            self.wants_refinement,
            self.preset,
            self.several_scales,
            self.polarity,
            self.minimum_confidence,
            self.micronuclei,
            self.lobed_diameter,
        ]

    def visible_settings(self) -> List[Setting]:
        """List the settings that count, in the order in which a person reads them."""
        hidden = {
            self.model_folder.key(): self.model.value != MODEL_FOLDER,
            self.diameter.key(): self.automatic_diameter.value,
            self.several_scales.key(): not self.automatic_diameter.value,
            self.size_range.key(): not self.exclude_size.value,
            self.threshold.key(): self.automatic_threshold.value,
            self.probability_name.key(): not self.wants_probability.value,
            self.views.key(): self.preset.value != CUSTOM,
            self.wants_refinement.key(): self.preset.value != CUSTOM,
        }
        # In the file, new settings come last. A person looks for the device there, for settings that belong together in
        # one place, and for a choice before those that depend on it.
        care, filters = (self.preset, self.device), (self.minimum_confidence, self.micronuclei, self.lobed_diameter)
        moved = {setting.key() for setting in (*care, self.several_scales, self.polarity, *filters)}
        order = [setting for setting in self.settings() if setting.key() not in moved]
        order.insert(order.index(self.views), self.preset)
        order.insert(order.index(self.exclude_size), self.several_scales)
        order.insert(order.index(self.automatic_diameter), self.polarity)
        place = order.index(self.exclude_border)
        order[place:place] = filters
        shown = [setting for setting in [*order, self.device] if not hidden.get(setting.key(), False)]
        return self.with_card_button(shown)

    def care(self) -> ConfigValues:
        """List the settings that say how much care is taken, as `config_values` does."""
        if self.preset.value != CUSTOM:
            return [(self.preset, preset_values(engine_word(self.preset, identifying.PRESETS)))]
        return [
            (self.views, {"views": engine_word(self.views, VIEWS)}),
            (self.wants_refinement, {"refine": self.wants_refinement.value}),
        ]

    def config_values(self) -> ConfigValues:
        """List which setting answers for which values of the engine's configuration."""
        values = [
            *super().config_values(),
            self.polarity_value(),
            *self.filter_values(),
            (self.several_scales, {"several_scales": self.several_scales.value}),
            *self.care(),
            (self.wants_probability, {"keep_probability": self.wants_probability.value}),
        ]
        if not self.automatic_diameter.value:
            values.append((self.diameter, {"diameter": self.diameter.value}))
        if not self.automatic_threshold.value:
            values.append((self.threshold, {"probability_threshold": self.threshold.value}))
        return values

    def run(self, workspace: Workspace) -> None:
        """Find the nuclei of one image; store objects, measurements and the probability image."""
        image, name = grey_image(workspace, self.x_name.value), self.y_name.value
        nuclei = identifying.find_nuclei(image, self.config())
        add_objects(workspace, name, image.source, identifying.label_sets(nuclei))
        self.add_measurements(workspace)
        self.add_own_measurements(workspace, name, identifying.measured(nuclei))
        diameter = float(nuclei.segmentation.diameter)
        doubt = doubt_about(image, nuclei.unedited, diameter, self.model_name())
        self.add_own_measurements(workspace, IMAGE, identifying.measured_of_image(diameter, doubt))
        for warning in doubt.warnings:
            _LOGGER.warning("image set %d: %s", workspace.measurements.image_number, warning)
        if self.wants_probability.value:
            identifying.add_probability_image(workspace, self.probability_name.value, image.source, nuclei)
        if self.show_window:
            identifying.set_figure(workspace.display_data, image, nuclei)
            misfits = warnings_about(image, self.model_name(), diameter, self.config()["polarity"])
            workspace.display_data.warnings = [*misfits, *doubt.warnings]

    def display(self, workspace: Workspace, figure: Figure) -> None:
        """Draw the nuclei of one image."""
        identifying.draw_figure(figure, workspace.display_data, self.y_name.value, workspace.measurements.image_number)

    def own_features(self) -> Features:
        """List what is measured; the views can agree only if there are several."""
        chosen = {key: value for _, part in self.care() for key, value in part.items()}
        several = chosen.get("views", "none") != "none"
        of_nuclei = [identifying.F_CONFIDENCE, F_AGREEMENT] if several else [identifying.F_CONFIDENCE]
        return {
            self.y_name.value: {**dict.fromkeys(of_nuclei, COLTYPE_FLOAT), identifying.F_MICRONUCLEUS: COLTYPE_INTEGER},
            IMAGE: {
                identifying.F_DIAMETER: COLTYPE_FLOAT,
                identifying.F_DOUBT: COLTYPE_FLOAT,
                identifying.F_DOUBT_REASON: COLTYPE_VARCHAR,
            },
        }

    def endings(self, pipeline: Pipeline, object_name: str) -> List[str]:
        """Return the name of the objects for the image's diameter, where an earlier module of this kind also writes it.

        Otherwise the later diameter would overwrite the earlier one.
        """
        if object_name != IMAGE:
            return []
        same = [other for other in pipeline.modules() if other.module_name == self.module_name]
        is_first = all(other.module_num >= self.module_num for other in same)
        return [] if is_first else [self.y_name.value]

    def is_object_identification_module(self) -> bool:
        """Say that this module finds objects in images."""
        return True


identify_nuclei_dl = IdentifyNucleiDL
