"""\
TTARefine
=========

**TTARefine** corrects the outlines of nuclei that any other module has found, with a trained deep network that
looks at the image from several sides. On request it also splits, merges, removes and adds objects where the
majority of these views says so. For each nucleus it measures how much the views agree on it and how far its
outline has moved.

|

============ ============ ===============
Supports 2D? Supports 3D? Respects masks?
============ ============ ===============
YES          NO           YES
============ ============ ===============

See also
^^^^^^^^

See also **IdentifyNucleiDL** (finds nuclei with the same network), **IdentifyPrimaryObjects** (the classic way),
**FilterObjects** (to discard nuclei by a measurement, for example by their agreement), **RelateObjects** and
**EditObjectsManually**.

When should I use this module?
^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

-  A pipeline that you want to keep finds the right nuclei, but its outlines are too wide, too tight or ragged:
   typically after thresholding in **IdentifyPrimaryObjects**.
-  You measure shapes, or intensities at the rim of the nuclei, where a pixel counts.
-  You want to know which objects to doubt: objects that the network does not see, or sees differently in every
   view, have a low *agreement*.
-  A classic pipeline joins touching nuclei or breaks large ones: let them be split and merged here.

And when not?
^^^^^^^^^^^^^

-  *Counting only:* outlines do not matter then.
-  *Most objects are wrong:* find the nuclei with **IdentifyNucleiDL** instead of repairing them. With all four
   switches on, little more than its result can come out.
-  *Objects that are no nuclei,* such as cells or spots: the network moves outlines to where nuclei end.
-  *Dark nuclei, colored tissue stains, phase contrast, 3D stacks:* what **IdentifyNucleiDL** says about them
   holds here as well.

**Look at the old and new outlines of some images of each experiment before you believe the numbers.**

What do I need as input?
^^^^^^^^^^^^^^^^^^^^^^^^

-  *An image:* the nuclear stain in gray, nuclei bright on a dark background, any bit depth. If it has been masked
   (**MaskImage**), no nucleus grows beyond the mask.
-  *Objects* that were found in this image or in another channel of the same size. They must not overlap. From their
   median diameter the module knows the size of the nuclei.

What do I get as output?
^^^^^^^^^^^^^^^^^^^^^^^^

A new set of objects; the input objects stay as they are. The refined objects have the input objects as parents. As
long as no switch is on, each input object has exactly one child (only a negative contour offset can make tiny ones
vanish), in the same order. Objects that an earlier module discarded, for example at the border, are still known to
**IdentifySecondaryObjects**, so that cells do not grow into their place.

The window shows the input image (upper left), the refined objects in colors (upper right), the outlines on the
image (lower left; green: refined objects, magenta: input objects; the colors can be changed under *File >
Preferences*) and a table of what has changed (lower right).

Measurements made by this module
^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

**Image measurements:**

-  *Count:* The number of refined objects.

**Measurements of the input objects:**

-  *Children_Count:* The number of refined objects that stem from the object: 1 as a rule, more for one that was
   split, 0 for one that was removed or merged into another.

**Measurements of the refined objects:**

-  *Location_Center_X, Location_Center_Y, Location_Center_Z:* The center of mass of the nucleus in pixels.
-  *Number_Object_Number:* The number of the nucleus, from 1.
-  *Parent:* The number of the input object that the nucleus stems from; 0 for one that was added.
-  *NucDL_Agreement:* How much the views agree on the nucleus, from 0 to 1: the overlap of its masks, averaged over
   all pairs of views; a view that does not find it counts as no overlap. 0 means that no two views see a nucleus like
   this one. Not a number (NaN) with one view, which has nothing to agree with.
-  *NucDL_ContourShift:* How far the outline has moved, in pixels: the mean distance of the new outline from the old
   one. Not a number (NaN) for a nucleus that was added.
-  *NucDL_ProbabilityMean:* The network's probability that a pixel lies in a nucleus, averaged over the pixels of the
   nucleus.

They tell nothing about the biology: leave them out of morphological profiles (they have a category of their own,
*NucDL*, for that purpose).

Technical notes
^^^^^^^^^^^^^^^

The network predicts the probability that a pixel lies in a nucleus in mirrored (and turned) copies of the image; the
copies are turned back and averaged (*Moshkov et al., 2020*). Pixels near an outline are then decided anew: those with
a high probability belong to the nearest nucleus, others to the background. How far an outline may move and what a
high probability is belongs to the model. What lies deeper in a nucleus stays, no pixel changes from one nucleus to
another, and each nucleus remains one piece (*Hollandi et al., 2020*).

For the four switches the nuclei of all views are matched with each other. Those that more than half of the views hold,
each with the pixels that the majority gives it, are compared with the input objects.

References
^^^^^^^^^^

-  Hollandi R, Szkalisity A, Toth T, Tasnadi E, Molnar C, et al. (2020) "nucleAIzer: A Parameter-free Deep
   Learning Framework for Nucleus Segmentation Using Image Style Transfer." *Cell Systems* 10, 453-458.
   (`link <https://doi.org/10.1016/j.cels.2020.04.003>`__)
-  Moshkov N, Mathe B, Kertesz-Farkas A, Hollandi R, Horvath P (2020) "Test-time augmentation for deep
   learning-based cell segmentation on microscopy images." *Scientific Reports* 10, 5068.
   (`link <https://doi.org/10.1038/s41598-020-61808-3>`__)
"""

import _nucdl_cellprofiler as nucdl
from cellprofiler_core.constants.measurement import COLTYPE_FLOAT
from cellprofiler_core.module.image_segmentation import ObjectProcessing
from cellprofiler_core.setting import Binary
from cellprofiler_core.setting.choice import Choice
from cellprofiler_core.setting.subscriber import ImageSubscriber
from cellprofiler_core.setting.text import Float

ONE, FOUR, EIGHT = nucdl.VIEWS


class TTARefine(nucdl.UsesModel, ObjectProcessing):
    module_name = "TTARefine"
    category = "Object Processing"
    variable_revision_number = 1
    family = "unet"

    def create_settings(self):
        super().create_settings()
        self.image_name = ImageSubscriber(
            "Select the input image",
            doc="Select the image of the nuclear stain: nuclei bright, background dark.",
        )
        self.x_name.text = "Select the input objects"
        self.x_name.doc = "Select the nuclei to be refined: objects of any module that were found in this image."
        self.y_name.text = "Name the refined objects"
        self.y_name.value = "RefinedNuclei"
        self.y_name.doc = "Enter the name under which later modules find the refined nuclei."
        self.create_model_settings()
        self.create_contour_settings()
        self.create_switches()
        self.create_device_setting()

    def create_contour_settings(self):
        self.views = Choice(
            "Number of views",
            list(nucdl.VIEWS),
            value=FOUR,
            doc=f"""\
Select how many views of the image the network looks at; the time grows with their number.

-  *{ONE}:* The image as it is. Nothing is known about the agreement.
-  *{FOUR}:* The image, and mirrored at one or both axes.
-  *{EIGHT}:* These four, each also turned by 90 degrees.""",
        )
        self.contour_offset = Float(
            "Move outlines outwards by (pixels)",
            0.0,
            doc="""\
Laboratories draw the outline of a nucleus differently: at the half height of its edge, or where the last light ends.
Enter the number of pixels by which all corrected outlines are to be moved outwards, or a negative number to move them
inwards. The line between two touching nuclei stays where it is.""",
        )

    def create_switches(self):
        self.wants_split = Binary(
            "Split objects that hold several nuclei?",
            False,
            doc="""\
Select "*Yes*" to part each object that holds more than half of each of two or more nuclei that the majority of the
views sees. Every pixel of the object goes to the nearest one of them.""",
        )
        self.wants_merge = Binary(
            "Merge objects that are parts of one nucleus?",
            False,
            doc="""\
Select "*Yes*" to join objects that lie, each with more than half of its area, in the same nucleus that the majority of
the views sees.""",
        )
        self.wants_remove = Binary(
            "Remove objects where there is no nucleus?",
            False,
            doc="""\
Select "*Yes*" to remove each object that shares no more than a tenth of its area with any one nucleus that the majority
of the views sees: debris, dirt, uneven background.""",
        )
        self.wants_add = Binary(
            "Add nuclei where there is no object?",
            False,
            doc="""\
Select "*Yes*" to add each nucleus that the majority of the views sees and that objects cover by less than a tenth.
Added nuclei have no parent (0). Mind that objects which an earlier module discarded on purpose, for example at the
border, may come back in this way.""",
        )

    def settings(self):
        return [
            self.image_name,
            self.x_name,
            self.y_name,
            self.model,
            self.model_folder,
            self.views,
            self.contour_offset,
            self.wants_split,
            self.wants_merge,
            self.wants_remove,
            self.wants_add,
            self.device,
        ]

    def visible_settings(self):
        hidden = [] if self.model.value == nucdl.MODEL_FOLDER else [self.model_folder.key()]
        return [setting for setting in self.settings() if setting.key() not in hidden]

    def config_class(self):
        from nucdl_core.steps.contours import RefineConfig

        return RefineConfig

    def config_values(self):
        """List which setting answers for which values of the engine's configuration."""
        return [
            (self.model, {"model": self.model_name()}),
            (self.views, {"views": nucdl.VIEWS.get(self.views.value, self.views.value)}),
            (self.contour_offset, {"contour_offset": self.contour_offset.value}),
            (self.wants_split, {"split": self.wants_split.value}),
            (self.wants_merge, {"merge": self.wants_merge.value}),
            (self.wants_remove, {"remove": self.wants_remove.value}),
            (self.wants_add, {"add": self.wants_add.value}),
            (self.device, {"device": nucdl.DEVICES.get(self.device.value, self.device.value)}),
        ]

    def run(self, workspace):
        image, pixels, mask = nucdl.input_image(workspace, self.image_name.value)
        objects = workspace.object_set.get_objects(self.x_name.value)
        refined = nucdl.refine_objects(image, pixels, mask, objects, self.config())
        nucdl.add_refined_objects(workspace, self.y_name.value, image, objects, refined)
        self.add_measurements(workspace, refined)
        if self.show_window:
            nucdl.set_refined_figure_data(workspace.display_data, pixels, objects.segmented, refined)

    def add_measurements(self, workspace, refined):
        # Location, number and count; the relation to the input objects is the engine's.
        super(ObjectProcessing, self).add_measurements(workspace, self.y_name.value)
        nucdl.add_refined_measurements(workspace, self.x_name.value, self.y_name.value, refined)

    def display(self, workspace, figure):
        names = (self.x_name.value, self.y_name.value)
        nucdl.draw_refined(figure, workspace.display_data, names, workspace.measurements.image_number)

    def get_measurement_columns(self, pipeline):
        name = self.y_name.value
        own = [(name, f"{nucdl.C_NUCDL}_{feature}", COLTYPE_FLOAT) for feature in nucdl.REFINED_FEATURES]
        return super().get_measurement_columns(pipeline) + own

    def get_categories(self, pipeline, object_name):
        own = [nucdl.C_NUCDL] if object_name == self.y_name.value else []
        return super().get_categories(pipeline, object_name) + own

    def get_measurements(self, pipeline, object_name, category):
        if category == nucdl.C_NUCDL:
            return list(nucdl.REFINED_FEATURES) if object_name == self.y_name.value else []
        return super().get_measurements(pipeline, object_name, category)

    def volumetric(self):
        return False


tta_refine = TTARefine
