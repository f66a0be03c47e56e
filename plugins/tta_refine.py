"""\
TTARefine
=========

**TTARefine** corrects the outlines of nuclei that any other module has found, with a trained deep network that
looks at several views of the image: as it is, mirrored and turned. On request it also splits, merges, removes and
adds objects where the majority of these views says so. For each nucleus it measures how much the views agree on it
and how far its outline has moved.

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

-  A pipeline that you want to keep finds the right nuclei, but its outlines are too wide, too tight or ragged, as
   they often are after thresholding in **IdentifyPrimaryObjects**.
-  You measure shapes, or intensities at the rim of the nuclei, where a single pixel matters.
-  You want to know which objects are doubtful: objects that the network does not see, or sees differently in every
   view, have a low *agreement*.
-  A classic pipeline joins touching nuclei or breaks large ones: split and merge them here.

And when not?
^^^^^^^^^^^^^

-  *You only count nuclei:* outlines do not matter then.
-  *Most objects are wrong:* find the nuclei with **IdentifyNucleiDL** instead of repairing them. With all four
   switches on, little more than its result can be reached.
-  *The objects are not nuclei* but, for example, cells or spots: the network moves outlines to where nuclei end.
-  *Colored tissue stains, phase contrast, 3D stacks:* see the help of **IdentifyNucleiDL**.

**Look at the old and new outlines of some images of each experiment before you believe the numbers.**

What do I need as input?
^^^^^^^^^^^^^^^^^^^^^^^^

-  *An image:* the nuclear stain in gray, any bit depth. If it has been masked
   (**MaskImage**), no nucleus grows beyond the mask.
-  *Objects* that were found in this image or in another channel of the same size. They must not overlap. Their median
   diameter tells the module the size of the nuclei.

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
-  *NucDL_Agreement:* How much the views agree on the nucleus, from 0 to 1: how much the outlines that they give it
   overlap, averaged over all pairs of views. A view that does not find the nucleus counts as no overlap, and 0 means
   that no two views see a nucleus like this one. Not a number (NaN) if there is only one view.
-  *NucDL_ContourShift:* How far the outline has moved, in pixels: the mean distance of the new outline from the old
   one. Not a number (NaN) for a nucleus that was added.
-  *NucDL_ProbabilityMean:* The network's probability that a pixel lies in a nucleus, averaged over the pixels of the
   nucleus.

The *NucDL* measurements say nothing about biology: leave them out of morphological profiles (they have a category of
their own for that purpose).

Technical notes
^^^^^^^^^^^^^^^

In mirrored (and turned) copies of the image, the network predicts the probability that a pixel lies in a nucleus; these
predictions are turned back and averaged (*Moshkov et al., 2020*). Then each pixel near an outline is assigned again: to
the nearest nucleus if its probability is high, otherwise to the background. The model defines how far an
outline may move and which probability is high. Pixels deeper inside a nucleus stay in it, no pixel changes from one
nucleus to another, and each nucleus remains one piece (*Hollandi et al., 2020*).

For the four switches, the nuclei of all views are matched with each other. Those that more than half of the views see,
each with the pixels that the majority gives it, are compared with the input objects.

If an image is of another kind than those that the model was made for (the size of its nuclei, the bits of its file,
dark nuclei), the figure says so in red above the pictures.

References
^^^^^^^^^^

-  Hollandi R, Szkalisity A, Toth T, Tasnadi E, Molnar C, et al. (2020) "nucleAIzer: A Parameter-free Deep
   Learning Framework for Nucleus Segmentation Using Image Style Transfer." *Cell Systems* 10, 453-458.
   (`link <https://doi.org/10.1016/j.cels.2020.04.003>`__)
-  Moshkov N, Mathe B, Kertesz-Farkas A, Hollandi R, Horvath P (2020) "Test-time augmentation for deep
   learning-based cell segmentation on microscopy images." *Scientific Reports* 10, 5068.
   (`link <https://doi.org/10.1038/s41598-020-61808-3>`__)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Dict, List

import _nucdl_refine as refining
from _nucdl_images import grey_image
from _nucdl_measurements import Features, HasOwnMeasurements
from _nucdl_models import MODEL_FOLDER, warnings_about
from _nucdl_objects import add_objects
from _nucdl_settings import VIEWS, ConfigValues, UsesModel, engine_word
from cellprofiler_core.constants.measurement import COLTYPE_FLOAT
from cellprofiler_core.module.image_segmentation import ImageSegmentation, ObjectProcessing
from cellprofiler_core.setting import Binary, Setting
from cellprofiler_core.setting.choice import Choice
from cellprofiler_core.setting.subscriber import ImageSubscriber

if TYPE_CHECKING:
    from cellprofiler.gui.figure import Figure
    from cellprofiler_core.workspace import Workspace

ONE, FOUR, EIGHT = VIEWS


class TTARefine(UsesModel, HasOwnMeasurements, ObjectProcessing):
    module_name = "TTARefine"
    category = "Object Processing"
    variable_revision_number = 2
    added_settings: ClassVar[Dict[int, List[str]]] = {1: ["Brighter"]}
    config_kind = "refine"
    needs_maps = True

    def create_settings(self) -> None:
        """Make the settings."""
        super().create_settings()
        self.image_name = ImageSubscriber(
            "Select the input image",
            doc="Select the image of the nuclear stain: gray, of any bit depth.",
        )
        self.x_name.text = "Select the input objects"
        self.x_name.doc = "Select the nuclei to be refined: objects of any module that were found in this image."
        self.y_name.text = "Name the refined objects"
        self.y_name.value = "RefinedNuclei"
        self.y_name.doc = "Enter the name under which later modules find the refined nuclei."
        self.create_model_settings()
        self.create_views_setting()
        self.create_contour_offset_setting("all corrected outlines")
        self.create_switches()
        self.create_device_setting()
        self.create_polarity_setting()

    def create_views_setting(self) -> None:
        """Make the setting of the number of views."""
        self.views = Choice(
            "Number of views",
            list(VIEWS),
            value=FOUR,
            doc=f"""\
Select how many views of the image the network looks at; the time grows with their number.

-  *{ONE}:* The image as it is. The agreement is not measured.
-  *{FOUR}:* The image, and its mirror images along one or both axes.
-  *{EIGHT}:* These four, and each of them turned by 90 degrees.""",
        )

    def create_switches(self) -> None:
        """Make the settings that let objects change as a whole."""
        self.wants_split = Binary(
            "Split objects that hold several nuclei?",
            False,
            doc="""\
Select "*Yes*" to split each object that covers more than half of each of two or more nuclei that the majority of the
views sees. Every pixel of the object goes to the nearest of these nuclei.""",
        )
        self.wants_merge = Binary(
            "Merge objects that are parts of one nucleus?",
            False,
            doc="""\
Select "*Yes*" to merge objects that lie in the same nucleus, as the majority of the views sees it, each with more than
half of its area.""",
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
Added nuclei have no parent (0). Objects that an earlier module discarded on purpose, for example at the border, may
come back in this way.""",
        )

    def settings(self) -> List[Setting]:
        """List the settings in the order of the pipeline file."""
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
            self.polarity,
        ]

    def visible_settings(self) -> List[Setting]:
        """List the settings that count, in the order in which a person reads them."""
        hidden = [] if self.model.value == MODEL_FOLDER else [self.model_folder.key()]
        return self.with_card_button([setting for setting in self.settings() if setting.key() not in hidden])

    def config_values(self) -> ConfigValues:
        """List which setting answers for which values of the engine's configuration."""
        return [
            *super().config_values(),
            self.polarity_value(),
            (self.views, {"views": engine_word(self.views, VIEWS)}),
            (self.wants_split, {"split": self.wants_split.value}),
            (self.wants_merge, {"merge": self.wants_merge.value}),
            (self.wants_remove, {"remove": self.wants_remove.value}),
            (self.wants_add, {"add": self.wants_add.value}),
        ]

    def run(self, workspace: Workspace) -> None:
        """Refine the objects of one image; store objects, relations and measurements."""
        image, given_name, name = grey_image(workspace, self.image_name.value), self.x_name.value, self.y_name.value
        given = workspace.object_set.get_objects(given_name)
        refined = refining.refine_objects(image, given, self.config())
        add_objects(workspace, name, image.source, refining.label_sets(given, refined))
        # Location, number and count only: the engine, not ObjectProcessing, knows which object is whose child.
        ImageSegmentation.add_measurements(self, workspace)
        refining.add_relations(workspace, given_name, name, refined)
        self.add_own_measurements(workspace, name, refining.measured(refined))
        if self.show_window:
            refining.set_figure(workspace.display_data, image, given.segmented, refined)
            workspace.display_data.warnings = warnings_about(
                image, self.model_name(), refined.median_diameter, self.config()["polarity"]
            )

    def display(self, workspace: Workspace, figure: Figure) -> None:
        """Draw the refined objects of one image."""
        names = (self.x_name.value, self.y_name.value)
        refining.draw_figure(figure, workspace.display_data, names, workspace.measurements.image_number)

    def own_features(self) -> Features:
        """List what is measured of each refined object."""
        return {self.y_name.value: dict.fromkeys(refining.FEATURES, COLTYPE_FLOAT)}


tta_refine = TTARefine
