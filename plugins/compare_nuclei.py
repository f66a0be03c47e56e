"""\
CompareNuclei
=============

**CompareNuclei** compares two sets of objects of the same image, nucleus by nucleus: the results of two
modules, or the result of one with a truth that a person has drawn. It measures how well the sets agree, finds out
which nuclei are matched, missed, extra, merged or split, and shows them in colors.

|

============ ============ ===============
Supports 2D? Supports 3D? Respects masks?
============ ============ ===============
YES          NO           NO
============ ============ ===============

See also
^^^^^^^^

See also **IdentifyNucleiDL**, **TTARefine** and **IdentifyPrimaryObjects** (which find the nuclei that are compared
here), **MeasureObjectOverlap** (pixel by pixel instead of nucleus by nucleus), **FilterObjects**, **ClassifyObjects**
and **DisplayDataOnImage** (which can use the measurements of each object).

When should I use this module?
^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

-  *Is the deep network better on my images?* Find the nuclei in two ways in one pipeline, and compare both with a
   truth or, if there is none, with each other: the images and nuclei on which they differ are those to look at.
-  You have changed a pipeline and want to know for which nuclei this makes a difference.
-  You have annotated some images and want numbers for a paper: the measures are defined below.

**Two results that agree can both be wrong.** Without a truth the module measures agreement, not accuracy.

What do I need as input?
^^^^^^^^^^^^^^^^^^^^^^^^

-  *Set A*: objects, or (the truth only) a label image.
-  *Set B*: objects of the same image. Both must have the same size in pixels, so crop both or none, and objects
   must not overlap.

A **truth** is a label image: a file in which all pixels of a nucleus have its number (from 1) and the background
is 0. Save it with 8 or 16 bits. There are two ways to load it.

-  *As objects:* in **NamesAndTypes** choose the image type "Objects", or give **LoadData** the columns
   *Image_ObjectsFileName_Truth* and *Image_ObjectsPathName_Truth*. Each true nucleus then gets its own row of
   measurements. If numbers are missing in the file, CellProfiler may renumber the objects, in the same order.
   (LoadData mixes up the objects of files with signed 32-bit numbers.)
-  *As an image:* a grayscale image (in **LoadData** *Image_FileName_Truth*) whose intensities are rescaled by the
   image's metadata, which is the default. CellProfiler then divides its numbers by the highest one that the file
   could hold; this module multiplies them again and gets exactly the numbers of the file. An image that does not give
   whole numbers in this way, has no background or looks like an image of intensities is refused.

Measurements made by this module
^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

All measurements have the category *NucDLCompare*, and names that end with the name of the other set, so that one
pipeline can hold several of these modules. Leave them out of morphological profiles.

A nucleus of B **matches** one of A if the area that both share, divided by the area that they cover together
(*intersection over union*, IoU), is above a threshold; with a threshold of 0.5 or more, a nucleus has at most one
match. Two nuclei are in **contact** if their IoU is 0.1 or more.

**Image measurements** (*NucDLCompare_MeanF1_A_B* and so on, with the names of both sets):

-  *CountA, CountB:* The number of nuclei in each set.
-  *F1_50, F1_55 ... F1_95:* The F1 score with matches above an IoU of 0.50, 0.55 ... 0.95: twice the number of
   matches, divided by the number of nuclei in both sets together (*Caicedo et al., 2019*). 1 where both are empty.
-  *MeanF1:* The mean of these ten.
-  *DSBScore:* The mean of matches / (matches + missed + extra) over the same ten thresholds, the score of the 2018
   Data Science Bowl.
-  *Matched, Missed, Extra:* The number of matches, of nuclei of A without a match, and of nuclei of B without a match,
   at the threshold that you enter in the settings.
-  *Precision, Recall:* (only for a test against truth) The share of the nuclei of B (precision) and of A (recall) that
   have a match at that threshold. If a set is empty, 1 if the other one is empty as well, otherwise 0.
-  *Merges:* The number of nuclei of B in contact with more than one of A.
-  *Splits:* The number of nuclei of A in contact with more than one of B (*Caicedo et al., 2019*).

**Object measurements** (*NucDLCompare_IoU_B* for the objects of A, and the other way round):

-  *Partner:* The number of the nucleus in the other set with the highest IoU; 0 if none shares a pixel with it.
-  *IoU:* The IoU with the partner; 0 if there is none.
-  *ErrorClass:* The first of the following that is true. 1 matched: it has a match. 4 merged: it is a nucleus of B in
   contact with more than one of A, or one of those in A. 5 split: it is a nucleus of A in contact with more than one of
   B, or one of those in B. Otherwise 2 missed (A) or 3 extra (B). The class 0 marks a number that no pixel has.
-  *Matched, Missed (A) or Extra (B), Merged, Split:* 1 if this is true of the nucleus, otherwise 0. Here, missed and
   extra are all nuclei without a match, and merged and split can also be nuclei that have one. So these add up to the
   image's counts: *Matched*, *Missed*, *Extra*, *Merges* (over B) and *Splits* (over A).

What do I see?
^^^^^^^^^^^^^^

The outlines of B, and of the nuclei of A that have no match, on the image (upper left); the nuclei of A (upper right)
and of B (lower left), filled; and the scores (lower right). Yellow: matched, blue: missed, red-orange: extra, purple:
merged, green: split. People with a common form of color blindness can tell these colors apart.

References
^^^^^^^^^^

-  Caicedo JC, Roth J, Goodman A, Becker T, Karhohs KW, Broisin M, Molnar C, McQuin C, Singh S, Theis FJ,
   Carpenter AE (2019) "Evaluation of Deep Learning Strategies for Nucleus Segmentation in Fluorescence
   Images." *Cytometry Part A* 95, 952-965. (`link <https://doi.org/10.1002/cyto.a.23863>`__)
-  Caicedo JC, Goodman A, Karhohs KW, Cimini BA, Ackerman J, et al. (2019) "Nucleus segmentation across imaging
   experiments: the 2018 Data Science Bowl." *Nature Methods* 16, 1247-1253.
   (`link <https://doi.org/10.1038/s41592-019-0612-7>`__)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, List, Tuple

import _nucdl_compare as comparing
from _nucdl_measurements import Features, HasOwnMeasurements
from _nucdl_settings import UsesEngine
from cellprofiler_core.constants.measurement import IMAGE
from cellprofiler_core.setting import Setting, ValidationError
from cellprofiler_core.setting.choice import Choice
from cellprofiler_core.setting.subscriber import ImageSubscriber, LabelSubscriber
from cellprofiler_core.setting.text import Float

if TYPE_CHECKING:
    from cellprofiler.gui.figure import Figure
    from cellprofiler_core.pipeline import Pipeline
    from cellprofiler_core.workspace import Workspace

AGREEMENT, TRUTH = "Agreement of A and B", "Test against truth"
OBJECTS, LABEL_IMAGE = "Objects", "Label image"


class CompareNuclei(UsesEngine, HasOwnMeasurements):
    module_name = "CompareNuclei"
    category = "Measurement"
    variable_revision_number = 1
    own_category = "NucDLCompare"

    def create_settings(self) -> None:
        """Make the settings."""
        self.mode = Choice(
            "Select what to measure",
            [AGREEMENT, TRUTH],
            doc=f"""\
-  *{AGREEMENT}:* A and B are two results, and neither is known to be right.
-  *{TRUTH}:* A is the truth, for example drawn by a person; the precision and recall of B are measured as well.""",
        )
        self.kind_of_truth = Choice(
            "Select what the truth was loaded as",
            [OBJECTS, LABEL_IMAGE],
            doc=f"""\
*(Used only for "{TRUTH}")*

Select "*{OBJECTS}*" if the truth is a set of objects, "*{LABEL_IMAGE}*" if it is a grayscale image in which each pixel
holds the number of its nucleus.""",
        )
        self.first_name = LabelSubscriber(
            "Select the objects A",
            doc=f'Select the first set of objects; with "{TRUTH}" the true nuclei.',
        )
        self.truth_image_name = ImageSubscriber(
            "Select the label image A",
            doc=f"""\
*(Used only if the truth is a "{LABEL_IMAGE}")*

Select the label image of the true nuclei. It must have been loaded as a grayscale image.""",
        )
        self.second_name = LabelSubscriber(
            "Select the objects B",
            doc="Select the second set of objects, found in the same image; against a truth, the set that is tested.",
        )
        self.threshold = Float(
            "Overlap above which two nuclei match",
            0.7,
            doc="""\
Enter an intersection over union from 0.5 up to, but not including, 1. It decides which nuclei count as matched, missed
and extra, and so the precision and recall. With 0.5 a nucleus only has to be found, with 0.7 it has to be right as a
whole, and with 0.9 its outline has to be right. The F1 scores are always measured at all thresholds.""",
        )

    def settings(self) -> List[Setting]:
        """List the settings in the order of the pipeline file."""
        return [
            self.mode,
            self.kind_of_truth,
            self.first_name,
            self.truth_image_name,
            self.second_name,
            self.threshold,
        ]

    def visible_settings(self) -> List[Setting]:
        """List the settings that count, in the order in which a person reads them."""
        kind = [self.kind_of_truth] if self.against_truth() else []
        return [self.mode, *kind, self.setting_of_first(), self.second_name, self.threshold]

    def against_truth(self) -> bool:
        """Tell whether A is the truth."""
        return self.mode.value == TRUTH

    def setting_of_first(self) -> Setting:
        """Return the setting that names A: objects, or the label image of the truth."""
        of_image = self.against_truth() and self.kind_of_truth.value == LABEL_IMAGE
        return self.truth_image_name if of_image else self.first_name

    def first_is_objects(self) -> bool:
        """Tell whether A is a set of objects, and no label image."""
        return self.setting_of_first() is self.first_name

    def names(self) -> Tuple[str, str]:
        """Return the names of A and B."""
        return self.setting_of_first().value, self.second_name.value

    def sets_of_objects(self) -> List[int]:
        """List the positions (0 for A, 1 for B) of the sets that get measurements of objects."""
        return [0, 1] if self.first_is_objects() else [1]

    def validate_module(self, pipeline: Pipeline) -> None:
        """Raise a `ValidationError` at the setting that is wrong; CellProfiler asks at every key press."""
        super().validate_module(pipeline)
        first, second = self.names()
        if self.first_is_objects() and first == second:
            raise ValidationError(f"{second} cannot be compared with itself; select another set", self.second_name)
        if not 0.5 <= self.threshold.value < 1:
            reason = f"{self.threshold.value:g} is no threshold; give a number from 0.5 up to, but not including, 1"
            raise ValidationError(reason, self.threshold)
        self.refuse_long_names(pipeline)
        self.refuse_same_pair(pipeline)

    def refuse_long_names(self, pipeline: Pipeline) -> None:
        """Raise a `ValidationError` if a database would cut the name of a column."""
        names = [f"{name}_{feature}" for name, feature, _ in self.get_measurement_columns(pipeline)]
        longest = max(names, key=len)
        if len(longest) > comparing.LONGEST_NAME:
            reason = (
                f"the column {longest} would have {len(longest)} characters, and databases cut names after "
                f"{comparing.LONGEST_NAME}; give the two sets shorter names"
            )
            raise ValidationError(reason, self.second_name)

    def refuse_same_pair(self, pipeline: Pipeline) -> None:
        """Raise a `ValidationError` if an earlier module compares the same sets, and so writes the same columns."""
        for other in pipeline.modules():
            if other.module_num >= self.module_num:
                break
            if other.module_name == self.module_name and sorted(other.names()) == sorted(self.names()):
                first, second = self.names()
                reason = f"module #{other.module_num} already compares {first} and {second}; remove one of the two"
                raise ValidationError(reason, self.second_name)

    def run(self, workspace: Workspace) -> None:
        """Compare the two sets of one image; store measurements."""
        names, threshold = self.names(), self.threshold.value
        take_first = comparing.side_of_objects if self.first_is_objects() else comparing.side_of_label_image
        sides = take_first(workspace, names[0]), comparing.side_of_objects(workspace, names[1])
        found = comparing.compare_sides(*sides, threshold)
        self.add_own_measurements(workspace, IMAGE, comparing.image_values(found.scores, self.against_truth()))
        for position in self.sets_of_objects():
            errors = (found.truth, found.prediction)[position]
            self.add_own_measurements(workspace, names[position], comparing.object_values(position, errors))
        if self.show_window:
            comparing.set_figure(workspace.display_data, sides, found, threshold)

    def display(self, workspace: Workspace, figure: Figure) -> None:
        """Draw the comparison of one image."""
        comparing.draw_figure(figure, workspace.display_data, self.names(), workspace.measurements.image_number)

    def own_features(self) -> Features:
        """List what is measured of the image, and of the objects of each set."""
        of_objects = {
            self.names()[position]: comparing.object_features(position) for position in self.sets_of_objects()
        }
        return {IMAGE: comparing.image_features(self.against_truth()), **of_objects}

    def endings(self, pipeline: Pipeline, object_name: str) -> List[str]:
        """Return the names of both sets for the image, and of the other set for objects."""
        first, second = self.names()
        return [{IMAGE: f"{first}_{second}", first: second, second: first}[object_name]]


compare_nuclei = CompareNuclei
