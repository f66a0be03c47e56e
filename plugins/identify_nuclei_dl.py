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

-  *The nuclei are well separated and evenly bright:* **IdentifyPrimaryObjects** finds them as well, and you
   can read from its settings why an object was found.
-  *Tissue sections with colored stains (H&E), brightfield or phase contrast:* the bundled model has not been
   validated on such images. Use a model folder that was made for them.
-  *Dark nuclei on a bright background:* invert the image with **ImageMath** first.
-  *3D stacks:* each plane is a separate image here.
-  *Whole cells, bacteria, spots:* the model knows nuclei only.

A trained network errs as well: it can miss very dim nuclei, join two that overlap, split one of unusual
shape, and its outlines follow the taste of the people who drew its training images. **Look at the outlines
of some images of each experiment before you believe the numbers**; the confidence of each nucleus helps to
find the doubtful ones.

What do I need as input?
^^^^^^^^^^^^^^^^^^^^^^^^

One grayscale image with any bit depth and any size. Color images must be converted with **ColorToGray**
first. If the image has been masked or cropped (**MaskImage**, **Crop**), nuclei are searched inside the mask.

What do I get as output?
^^^^^^^^^^^^^^^^^^^^^^^^

A set of objects that every later module can measure and use, as the objects of **IdentifyPrimaryObjects**
are; in particular **IdentifySecondaryObjects** knows the nuclei that were discarded at the border, so that
cells do not grow into the place of a discarded neighbor. On request you also get the *probability image*: for
each pixel the network's probability that it belongs to a nucleus.

The window shows the input image (upper left), the nuclei in colors (upper right), their outlines on the image
(lower left; green: accepted, magenta: discarded for their size, yellow: discarded at the border; the colors
can be changed under *File > Preferences*) and a table with counts, sizes and the mean confidence (lower right).

Measurements made by this module
^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

**Image measurements:**

-  *Count:* The number of accepted nuclei.
-  *NucDL_Diameter:* The typical nucleus diameter in pixels: your own, or the median of all nuclei that were found
   (discarded ones included). Not a number (NaN) where it was to be estimated and no nucleus was found.

**Object measurements:**

-  *Location_Center_X, Location_Center_Y, Location_Center_Z:* The center of mass of the nucleus in pixels.
-  *Number_Object_Number:* The number of the nucleus, from 1.
-  *NucDL_Agreement:* (more than one view) How much the views agree on the nucleus, from 0 to 1: the overlap of its
   masks, averaged over all pairs of views; a view that does not find it counts as no overlap.
-  *NucDL_Confidence:* How sure the network is about the nucleus, from 0 to 1. It tells nothing about the
   biology: leave it out of morphological profiles (it has a category of its own, *NucDL*, for that purpose).

Technical notes
^^^^^^^^^^^^^^^

The network knows nuclei of one size best. So the module first looks at a reduced copy of the image to estimate
the diameter of the nuclei, and rescales the image so that they get that size (*Hollandi et al., 2020*). For each
pixel the network predicts the probability that it lies in a nucleus, that it lies on an outline, and how deep
inside its nucleus it lies. Touching nuclei are separated on these maps (*Caicedo et al., 2019*; *Zaki et al.,
2020*), and the outlines are brought back to the size of the image. The model is loaded with the first image and
stays in memory; later images are faster.

Two models come with the module. *nuclei_unet* is the one described above. *nuclei_maskrcnn* looks for each nucleus by
itself (a Mask R-CNN, as in *Hollandi et al., 2020*): it joins fewer crowded nuclei and splits hardly any, but leaves
out more nuclei and takes several times as long.

A model is a folder with a description, weights and checksums; a folder that was altered or damaged is refused.

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

from typing import ClassVar, Dict, List

import _nucdl_cellprofiler as nucdl
from cellprofiler_core.constants.measurement import IMAGE
from cellprofiler_core.module.image_segmentation import ImageSegmentation
from cellprofiler_core.setting import Binary
from cellprofiler_core.setting.choice import Choice
from cellprofiler_core.setting.range import IntegerRange
from cellprofiler_core.setting.text import Float, ImageName


class IdentifyNucleiDL(nucdl.UsesModel, ImageSegmentation):
    module_name = "IdentifyNucleiDL"
    category = "Object Processing"
    variable_revision_number = 4
    added_settings: ClassVar[Dict[int, List[str]]] = {
        1: ["0.0", "One", "No", nucdl.CUSTOM, "Yes"],
        2: [nucdl.CUSTOM, "Yes"],
        3: ["Yes"],
    }

    def create_settings(self):
        super().create_settings()
        self.x_name.doc = "Select the image of the nuclear stain: nuclei bright, background dark."
        self.y_name.text = "Name the nuclei to be identified"
        self.y_name.value = "Nuclei"
        self.y_name.doc = "Enter the name under which later modules find the nuclei."
        self.create_model_settings()
        self.create_size_settings()
        self.create_detail_settings()
        self.create_care_settings()

    def create_size_settings(self):
        self.automatic_diameter = Binary(
            "Estimate the nucleus diameter automatically?",
            True,
            doc="""\
Select "*Yes*" to have the typical diameter estimated for each image. Select "*No*" to enter it: this is a little
faster, and safer for images with very few nuclei, with mostly debris or with a known magnification.""",
        )
        self.diameter = Float(
            "Typical diameter of nuclei in pixels",
            30.0,
            doc="""\
*(Used only if the diameter is not estimated automatically)*

Enter the diameter of a typical nucleus in pixels; measure one with the *Measure length* tool of an image window
(*Tools > Measure length*). It need not be exact, a third more or less changes little.""",
        )
        self.several_scales = Binary(
            "Search again where nuclei differ strongly in size?",
            True,
            doc="""\
*(Used only if the diameter is estimated automatically)*

Select "*Yes*" to have images in which many nuclei are at least four times larger, or at most 0.4 times as large, as the
typical one searched once more at the scale of those. All other images take no longer. Select "*No*" to search all
images at one scale only.""",
        )
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

Nuclei from the first to the second diameter are kept. For nuclei that are not round it is the "equivalent diameter":
that of a circle with the same area.""",
        )
        self.exclude_border = Binary(
            "Discard nuclei touching the border of the image?",
            True,
            doc="""\
Select "*Yes*" to discard nuclei that are cut off by the border of the image or of its mask, since their area and shape
cannot be measured. Such nuclei are outlined in yellow. Select "*No*" to keep them, for example for counting.""",
        )

    def create_detail_settings(self):
        self.automatic_threshold = Binary(
            "Use the model's calibrated threshold?",
            True,
            doc="""\
Select "*Yes*" to use the probability threshold that suited the images on which the model was validated. Select "*No*"
to enter another one, if all outlines are too wide or too tight or if dim nuclei are missed.""",
        )
        self.threshold = Float(
            "Probability threshold",
            0.5,
            doc="""\
*(Used only if the calibrated threshold is not used)*

Enter a number between 0 and 1. Pixels above this probability belong to nuclei: a lower number gives more nuclei
and wider outlines, a higher number fewer nuclei and tighter outlines. The probability image helps to choose.""",
        )
        self.contour_offset = Float(
            "Move outlines outwards by (pixels)",
            0.0,
            doc="""\
Laboratories draw the outline of a nucleus differently: at the half height of its edge, or where the last light ends.
Enter the number of pixels by which all outlines are to be moved outwards, or a negative number to move them inwards.
The line between two touching nuclei stays where it is.""",
        )
        self.wants_probability = Binary(
            "Keep the probability image?",
            False,
            doc="""\
Select "*Yes*" to give later modules (for example **SaveImages** or **MeasureObjectIntensity**) the probability of each
pixel to lie in a nucleus, from 0 to 1.""",
        )
        self.probability_name = ImageName(
            "Name the probability image",
            "NucleusProbability",
            doc="""\
*(Used only if the probability image is kept)*

Enter the name under which later modules find the probability image.""",
        )
        self.create_device_setting()

    def create_care_settings(self):
        self.preset = Choice(
            "Speed or accuracy?",
            [*nucdl.PRESETS, nucdl.CUSTOM],
            doc=f"""\
Select how much care the network takes.

-  *Fast:* It looks at each image once. Begin with this.
-  *Balanced:* It looks at four mirrored views of each image; up to four times slower.
-  *Best:* It looks at all eight mirrored and turned views; up to eight times slower.
-  *{nucdl.CUSTOM}:* You choose the number of views, and whether outlines are corrected.

More views gain a little accuracy, and give each nucleus the measurement *NucDL_Agreement*, which helps to find doubtful
ones.""",
        )
        self.views = Choice(
            "Number of views",
            list(nucdl.VIEWS),
            doc=f"""\
*(Used only if you select "{nucdl.CUSTOM}" for speed or accuracy)*

The network can look at mirrored and turned views of the image as well, and average what it sees (*test-time
augmentation*, *Moshkov et al., 2020*). That gains a little, and takes up to as many times as long as there are views.
With more than one view each nucleus also gets the measurement *NucDL_Agreement*.""",
        )
        self.wants_refinement = Binary(
            "Correct the outlines at a finer scale?",
            False,
            doc=f"""\
*(Used only if you select "{nucdl.CUSTOM}" for speed or accuracy)*

Select "*Yes*" to have a second look at the image, with the nuclei larger, decide where exactly the outlines run; the
U-Net then works on three times as many pixels once more. On the public test images that brought the outlines of the
Mask R-CNN nearer to the annotation, and those of the U-Net itself a little away from it. Compare both on yours.""",
        )

    def settings(self):
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
        ]

    def visible_settings(self):
        hidden = {
            self.model_folder.key(): self.model.value != nucdl.MODEL_FOLDER,
            self.diameter.key(): self.automatic_diameter.value,
            self.several_scales.key(): not self.automatic_diameter.value,
            self.size_range.key(): not self.exclude_size.value,
            self.threshold.key(): self.automatic_threshold.value,
            self.probability_name.key(): not self.wants_probability.value,
            self.views.key(): self.preset.value != nucdl.CUSTOM,
            self.wants_refinement.key(): self.preset.value != nucdl.CUSTOM,
        }
        # New settings are saved at the end, but a person looks for the device there, for what belongs together in one
        # place, and for the choice first on which others depend.
        moved = {self.preset.key(), self.device.key(), self.several_scales.key()}
        order = [setting for setting in self.settings() if setting.key() not in moved]
        order.insert(order.index(self.views), self.preset)
        order.insert(order.index(self.exclude_size), self.several_scales)
        return [setting for setting in [*order, self.device] if not hidden.get(setting.key(), False)]

    def care(self):
        """List the settings that say how much care is taken, as `config_values` does."""
        if self.preset.value != nucdl.CUSTOM:
            return [(self.preset, nucdl.preset_values(self.preset.value))]
        return [
            (self.views, {"views": nucdl.VIEWS.get(self.views.value, self.views.value)}),
            (self.wants_refinement, {"refine": self.wants_refinement.value}),
        ]

    def config_values(self):
        """List which setting answers for which values of the engine's configuration."""
        values = [
            (self.model, {"model": self.model_name()}),
            (self.exclude_border, {"discard_border": self.exclude_border.value}),
            (self.device, {"device": nucdl.DEVICES.get(self.device.value, self.device.value)}),
            (self.contour_offset, {"contour_offset": self.contour_offset.value}),
            (self.several_scales, {"several_scales": self.several_scales.value}),
            *self.care(),
            (self.wants_probability, {"keep_probability": self.wants_probability.value}),
        ]
        if not self.automatic_diameter.value:
            values.append((self.diameter, {"diameter": self.diameter.value}))
        if self.exclude_size.value:
            smallest, largest = self.size_range.value
            limits = {"minimum_diameter": float(smallest), "maximum_diameter": float(largest)}
            values.append((self.size_range, limits))
        if not self.automatic_threshold.value:
            values.append((self.threshold, {"probability_threshold": self.threshold.value}))
        return values

    def config_class(self):
        from nucdl_core.config import SegmentConfig

        return SegmentConfig

    def run(self, workspace):
        image, pixels, mask = nucdl.input_image(workspace, self.x_name.value)
        nuclei = nucdl.find_nuclei(image, pixels, mask, self.config())
        nucdl.add_objects(workspace, self.y_name.value, image, nuclei)
        self.add_measurements(workspace)
        nucdl.add_measurements(workspace, self, nuclei)
        if self.wants_probability.value:
            nucdl.add_probability_image(workspace, self.probability_name.value, image, nuclei)
        if self.show_window:
            nucdl.set_figure_data(workspace.display_data, pixels, nuclei)

    def display(self, workspace, figure):
        nucdl.draw(figure, workspace.display_data, self.y_name.value, workspace.measurements.image_number)

    def features(self):
        """List what the engine measures of each nucleus."""
        chosen = {key: value for _, part in self.care() for key, value in part.items()}
        several = chosen.get("views", "none") != "none"
        return [nucdl.F_CONFIDENCE, nucdl.F_AGREEMENT] if several else [nucdl.F_CONFIDENCE]

    def get_measurement_columns(self, pipeline):
        return super().get_measurement_columns(pipeline) + nucdl.measurement_columns(self, pipeline)

    def get_categories(self, pipeline, object_name):
        own = [nucdl.C_NUCDL] if object_name in (IMAGE, self.y_name.value) else []
        return super().get_categories(pipeline, object_name) + own

    def get_measurements(self, pipeline, object_name, category):
        if category == nucdl.C_NUCDL:
            return {IMAGE: [nucdl.F_DIAMETER], self.y_name.value: self.features()}.get(object_name, [])
        return super().get_measurements(pipeline, object_name, category)

    def get_measurement_objects(self, pipeline, object_name, category, measurement):
        of_diameter = (object_name, category, measurement) == (IMAGE, nucdl.C_NUCDL, nucdl.F_DIAMETER)
        return [] if not of_diameter or nucdl.is_first_of_its_kind(self, pipeline) else [self.y_name.value]

    def is_object_identification_module(self):
        return True

    def volumetric(self):
        return False


identify_nuclei_dl = IdentifyNucleiDL
