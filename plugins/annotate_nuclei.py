"""\
AnnotateNuclei
==============

**AnnotateNuclei** opens a window in which you outline nuclei with the help of a trained network: a rough line or a box
around a nucleus gives its exact contour at once. You can correct nuclei that another module has found, or start with
none, give each nucleus a class, and save what you have drawn in a folder from which a model can be trained.

|

============ ============ ===============
Supports 2D? Supports 3D? Respects masks?
============ ============ ===============
YES          NO           YES
============ ============ ===============

See also
^^^^^^^^

See also **IdentifyNucleiDL** (finds nuclei to start with), **EditObjectsManually** and **IdentifyObjectsManually**
(without a network), and **CompareNuclei** (to test other methods against what you have drawn).

When should I use this module?
^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

-  You need a truth: to measure how good a method is on your images, or to train a model for them.
-  A few images matter so much that every nucleus must be right.

What do I need as input?
^^^^^^^^^^^^^^^^^^^^^^^^

One grayscale image with any bit depth and any size, and optionally objects of any module that were found in it.

What do I do?
^^^^^^^^^^^^^

Run the pipeline, or step through it in test mode: a window opens for each image. Drag the mouse roughly around a
nucleus; the contour appears. Press *Enter* to accept it, *[* and *]* to move it inwards and outwards, draw again to
replace it, or press *Esc* to drop it. Click a nucleus to select it; *Delete*, *R* (redraw), *M* (merge) and the digits
(classes) work on what is selected. *S* and a line across a nucleus splits it. *U* undoes. All keys are listed beside
the image, and all can be done without the mouse: the arrows move a cross, *Space* sets a corner of a line there.

Press *Ctrl+Enter* when an image is finished, or *Ctrl+D* to keep it as a draft and go on; both open the next image.
If you close the window without saving, the image keeps the nuclei that it had, and a run stops.

What do I get as output?
^^^^^^^^^^^^^^^^^^^^^^^^

A set of objects that every later module can measure and use. In the folder of annotations:

-  *images*, *masks*, *rois:* for each finished image, the image itself, a label image, and a set of ImageJ ROIs with
   the classes (for Fiji and AnnotatorJ). *nucdl train* takes this folder as it is.
-  *drafts:* the same for images that are not finished; training does not see them.
-  *images.csv* and *annotations.csv:* a row for each image, and a row for each nucleus.

When an image comes again, the window opens with what has been saved; a run passes over finished images, if you wish.
Without windows (on the command line, on a cluster) the module hands on the saved nuclei of finished images, and stops
at an image that is not finished.

Measurements made by this module
^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

**Image measurements:**

-  *Count:* The number of nuclei.
-  *NucDL_Finished:* 1 if the image has been saved as finished, otherwise 0.

**Object measurements:**

-  *Location_Center_X, Location_Center_Y, Location_Center_Z:* The center of mass of the nucleus in pixels.
-  *Number_Object_Number:* The number of the nucleus, from 1.
-  *NucDL_Class:* The place of the nucleus's class in the list of classes, from 1; 0 if it has none.

Technical notes
^^^^^^^^^^^^^^^

The network looks at each image once, before its window opens. Inside of what you draw, and a little around it, the
probability is cut at the model's threshold, and the piece that fits your line best becomes the contour, its holes
filled (*Hollandi et al., 2020*). Where the network sees no nucleus, or without a model, a region is grown from the
middle of what you have drawn, up to half-way between the intensities inside and outside. Contours never cover other
nuclei.

The window follows the mouse, and for that needs NucDL in the Python that runs CellProfiler. Where NucDL is installed
beside CellProfiler, in an environment of its own, this module takes what was saved, in runs without a window.

References
^^^^^^^^^^

-  Hollandi R, Diosdi A, Hollandi G, Moshkov N, Horvath P (2020) "AnnotatorJ: an ImageJ plugin to ease hand
   annotation of cellular compartments." *Molecular Biology of the Cell* 31, 2179-2186.
   (`link <https://doi.org/10.1091/mbc.E20-02-0156>`__)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, List

import _nucdl_annotate as annotating
import _nucdl_engine as engine
from _nucdl_errors import AnnotationError
from _nucdl_images import GreyImage, grey_image
from _nucdl_measurements import Features, HasOwnMeasurements
from _nucdl_models import MODEL_FOLDER
from _nucdl_objects import add_objects
from _nucdl_settings import UsesEngine, UsesModel
from cellprofiler_core.constants.measurement import COLTYPE_INTEGER, IMAGE
from cellprofiler_core.module.image_segmentation import ImageSegmentation
from cellprofiler_core.preferences import DEFAULT_OUTPUT_SUBFOLDER_NAME, get_headless
from cellprofiler_core.setting import Binary, Setting, ValidationError
from cellprofiler_core.setting.subscriber import LabelSubscriber
from cellprofiler_core.setting.text import Directory, Text

if TYPE_CHECKING:
    from cellprofiler.gui.figure import Figure
    from cellprofiler_core.pipeline import Pipeline
    from cellprofiler_core.workspace import Workspace


class AnnotateNuclei(UsesModel, HasOwnMeasurements, ImageSegmentation):
    module_name = "AnnotateNuclei"
    category = "Object Processing"
    variable_revision_number = 1

    def create_settings(self) -> None:
        """Make the settings."""
        super().create_settings()
        self.x_name.doc = "Select the image of the nuclear stain that is shown and annotated."
        self.y_name.text = "Name the annotated nuclei"
        self.y_name.value = "AnnotatedNuclei"
        self.y_name.doc = "Enter the name under which later modules find the annotated nuclei."
        self.wants_start = Binary(
            "Start with objects of an earlier module?",
            False,
            doc="""\
Select "*Yes*" to correct nuclei that an earlier module has found, for example **IdentifyNucleiDL**. Select "*No*" to
start each image with no nuclei. Images that have been saved before start with what has been saved.""",
        )
        self.start_name = LabelSubscriber(
            "Select the objects to start with",
            doc="""\
*(Used only if you start with objects)*

Select objects of any module that were found in the image; they must not overlap.""",
        )
        self.create_saving_settings()
        self.wants_model = Binary(
            "Suggest contours with a model?",
            True,
            doc="""\
Select "*Yes*" to have the contour of a nucleus that you have drawn roughly found by a trained network. Select "*No*" to
have it found by the intensities of the image alone.""",
        )
        self.create_model_settings()
        self.create_contour_offset_setting("suggested contours")
        self.create_device_setting()

    def create_saving_settings(self) -> None:
        """Make the settings about what is saved, and under which name."""
        self.folder = Directory(
            "Folder of annotations",
            allow_metadata=False,
            doc="""\
Select the folder in which annotations are saved, and looked for when an image comes again. It is made when the first
image is saved. Use one folder for one set of images and classes.""",
        )
        self.folder.value = f"{DEFAULT_OUTPUT_SUBFOLDER_NAME}|Annotations"
        self.file_name = Text(
            "Name of the saved files",
            "",
            metadata=True,
            doc="""\
Leave this empty to save each image under the name of its file. If files of different folders have the same name, enter
a name with metadata tags (right-click to insert them) that differs for each image, for example plate, well and site. An
image is never saved over another one.""",
        )
        self.classes = Text(
            "Classes of nuclei",
            "",
            doc="""\
Leave this empty if all nuclei are of one kind. Otherwise enter up to nine names with commas between them, such as
*interphase, mitotic, apoptotic*; in the window the digits 1 to 9 give them. Later you may add classes at the end.""",
        )
        self.shows_finished = Binary(
            "Open finished images again in a run?",
            False,
            doc="""\
Select "*No*" to let a run pass over images that have been saved as finished, and so go on where you left off. Select
"*Yes*" to look at them again. In test mode they are always opened.""",
        )

    def settings(self) -> List[Setting]:
        """List the settings in the order of the pipeline file."""
        return [
            self.x_name,
            self.y_name,
            self.wants_start,
            self.start_name,
            self.folder,
            self.file_name,
            self.classes,
            self.shows_finished,
            self.wants_model,
            self.model,
            self.model_folder,
            self.contour_offset,
            self.device,
        ]

    def visible_settings(self) -> List[Setting]:
        """List the settings that count, in the order in which a person reads them."""
        with_model = self.wants_model.value
        hidden = {
            self.start_name.key(): not self.wants_start.value,
            self.model.key(): not with_model,
            self.model_folder.key(): not with_model or self.model.value != MODEL_FOLDER,
            self.device.key(): not with_model,
        }
        shown = [setting for setting in self.settings() if not hidden.get(setting.key(), False)]
        return self.with_card_button(shown) if with_model else shown

    def class_names(self) -> List[str]:
        """Return the names of the classes."""
        return annotating.class_names(self.classes.value)

    def validate_module(self, pipeline: Pipeline) -> None:
        """Raise a `ValidationError` at the setting that is wrong; CellProfiler asks at every key press."""
        self.refuse_window_without_engine()
        if self.wants_model.value:
            super().validate_module(pipeline)
        else:
            UsesEngine.validate_module(self, pipeline)
            self.refuse_offset()
        names = self.class_names()
        if len(names) > annotating.MOST_CLASSES:
            reason = f"{len(names)} classes came, {annotating.MOST_CLASSES} digits can give them; join some"
            raise ValidationError(reason, self.classes)
        self.refuse_class_names()
        self.refuse_same_files(pipeline)

    def refuse_window_without_engine(self) -> None:
        """Raise a `ValidationError` if a window would be opened, but the engine is in another Python."""
        if engine.engine_problem() is None and not engine.engine_is_here() and not get_headless():
            raise ValidationError(annotating.NO_WINDOW, self.setting_of_problems())

    def refuse_class_names(self) -> None:
        """Raise a `ValidationError` if the names of the classes cannot be saved."""
        try:
            engine.engine().check_class_names(self.class_names())
        except AnnotationError as error:
            raise ValidationError(str(error), self.classes) from error

    def refuse_same_files(self, pipeline: Pipeline) -> None:
        """Raise a `ValidationError` if an earlier module saves its annotations in the same files."""
        for other in pipeline.modules():
            if other.module_num >= self.module_num:
                break
            same = other.module_name == self.module_name and other.folder.value == self.folder.value
            if same and other.file_name.value == self.file_name.value:
                reason = f"module #{other.module_num} saves its annotations in the same files; choose another folder"
                raise ValidationError(reason, self.folder)

    def refuse_offset(self) -> None:
        """Raise a `ValidationError` if contours cannot be moved so far."""
        values = {"contour_offset": self.contour_offset.value}
        (problem,) = engine.engine().settings_problems(self.config_kind, [values])
        if problem is not None:
            raise ValidationError(problem, self.contour_offset)

    def prepare_run(self, workspace: Workspace) -> bool:
        """Refuse a run that cannot succeed before its first image; the model is looked at only if windows open."""
        if self.wants_model.value and not get_headless():
            return super().prepare_run(workspace)
        return UsesEngine.prepare_run(self, workspace)

    def prepare_to_create_batch(self, workspace: Workspace, fn_alter_path: Callable[..., str]) -> bool:
        """Change the paths of the folders to those on the machines that will run the batch."""
        self.folder.alter_for_create_batch_files(fn_alter_path)
        return super().prepare_to_create_batch(workspace, fn_alter_path)

    def run(self, workspace: Workspace) -> None:
        """Let a person annotate one image, or take what has been saved; store objects and measurements."""
        image, name = grey_image(workspace, self.x_name.value), self.y_name.value
        outcome, classes = self.annotate(workspace, image), self.class_names()
        add_objects(workspace, name, image.source, annotating.label_sets(outcome.labels))
        self.add_measurements(workspace)
        self.add_own_measurements(workspace, name, annotating.measured(outcome, classes))
        self.add_own_measurements(workspace, IMAGE, {annotating.F_FINISHED: int(outcome.finished)})
        if self.show_window:
            annotating.set_figure(workspace.display_data, image, outcome, classes)

    def annotate(self, workspace: Workspace, image: GreyImage) -> annotating.Outcome:
        """Return the annotation of an image: from the folder, or from the window."""
        name, folder = annotating.image_name(workspace, image, self.file_name.value), self.folder.get_absolute_path()
        saved = annotating.load_saved(folder, self.class_names(), name, image)
        finished = saved is not None and saved.state == annotating.FINISHED
        in_window = workspace.interaction_handler is not None or not get_headless()
        opens_again = self.shows_finished.value or workspace.pipeline.test_mode
        if saved is not None and finished and not (in_window and opens_again):
            return annotating.Outcome(saved.annotated.labels, saved.annotated.classes, True)
        if not in_window:
            raise annotating.no_annotation(folder, name, is_draft=saved is not None)
        start = workspace.object_set.get_objects(self.start_name.value) if self.wants_start.value else None
        config = self.config() if self.wants_model.value else None
        data = annotating.window_data(image, name, start, saved, config)
        answer = workspace.interaction_request(self, data, workspace.measurements.image_set_number)
        outcome = annotating.answered(answer)
        if answer["stop"] and workspace.cancel_handler is not None:
            workspace.cancel_request()
        return outcome

    def handle_interaction(self, data: annotating.Plain, image_number: int) -> annotating.Plain:
        """Show an image in a window of CellProfiler's process, and send back what a person has made of it."""
        from _nucdl_annotate_window import annotate_in_window

        title = f"{self.module_name} #{self.module_num}, image {image_number}: {data['name']}"
        place = self.folder.get_absolute_path(), self.class_names()
        return annotate_in_window(data, place, self.contour_offset.value, title)

    def display(self, workspace: Workspace, figure: Figure) -> None:
        """Draw the annotated nuclei of one image."""
        annotating.draw_figure(figure, workspace.display_data, self.y_name.value, workspace.measurements.image_number)

    def own_features(self) -> Features:
        """List what is measured of each nucleus and of the image."""
        return {
            self.y_name.value: {annotating.F_CLASS: COLTYPE_INTEGER},
            IMAGE: {annotating.F_FINISHED: COLTYPE_INTEGER},
        }

    def endings(self, pipeline: Pipeline, object_name: str) -> List[str]:
        """Return the name of the objects for what is measured of the image, since there may be several sets."""
        return [self.y_name.value] if object_name == IMAGE else []

    def is_object_identification_module(self) -> bool:
        """Say that this module makes objects out of images."""
        return True


annotate_nuclei = AnnotateNuclei
