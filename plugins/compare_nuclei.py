"""\
CompareNuclei
=============

**CompareNuclei** compares two sets of objects of the same image, nucleus by nucleus: the results of two
modules, or the result of one with a truth that a person has drawn. It says how well the sets agree, which
nuclei are matched, missed, extra, merged or split, and shows them in colors.

|

============ ============ ===============
Supports 2D? Supports 3D? Respects masks?
============ ============ ===============
YES          NO           NO
============ ============ ===============

See also
^^^^^^^^

See also **IdentifyNucleiDL**, **TTARefine** and **IdentifyPrimaryObjects** (that find what is compared here),
**MeasureObjectOverlap** (pixel by pixel instead of nucleus by nucleus), **FilterObjects**, **ClassifyObjects**
and **DisplayDataOnImage** (that use the measurements of each object).

When should I use this module?
^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

-  *Is deep better on my images?* Find the nuclei in two ways in one pipeline and compare both with a truth, or, if
   there is none, with each other: images and nuclei on which they differ are those to look at.
-  You change a pipeline and want to know which nuclei change.
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
   *Image_ObjectsFileName_Truth* and *Image_ObjectsPathName_Truth*. Each true nucleus gets its own row of
   measurements then. Where numbers are missing in the file, CellProfiler may number the objects anew, in the same
   order. (LoadData confuses the objects of files with signed 32-bit numbers.)
-  *As an image:* a grayscale image (in **LoadData** *Image_FileName_Truth*) whose intensities are rescaled by the
   image's metadata, as is the default. CellProfiler then divides its numbers by the highest one that the file could
   hold; the module multiplies them again and gets exactly those of the file. An image that gives no whole numbers
   that way, that has no background, or that looks like an image of intensities is refused.

Measurements made by this module
^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

All have the category *NucDLCompare*, and names that end with the name of the other set, so that several of these
modules can stand in one pipeline. Leave them out of morphological profiles.

A nucleus of B **matches** one of A if the area that both share, divided by the area that they cover together
(*intersection over union*, IoU), is above a threshold; from 0.5 on a nucleus has at most one match. Two nuclei are
in **contact** from an IoU of 0.1 on.

**Image measurements** (*NucDLCompare_MeanF1_A_B* and so on, with the names of both sets):

-  *CountA, CountB:* The number of nuclei in each set.
-  *F1_50, F1_55 ... F1_95:* The F1 score with matches above an IoU of 0.50, 0.55 ... 0.95: twice the number of
   matches, divided by the number of nuclei in both sets together (*Caicedo et al., 2019*). 1 where both are empty.
-  *MeanF1:* The mean of these ten.
-  *DSBScore:* The mean of matches / (matches + missed + extra) over the same ten thresholds, the score of the 2018
   Data Science Bowl.
-  *Matched, Missed, Extra:* The number of matches, and of the nuclei of A and of B without one, above the threshold
   of the settings.
-  *Precision, Recall:* (test against truth) The share of the nuclei of B, and of A, that have a match above that
   threshold. Without nuclei in a set 1 if the other is empty as well, otherwise 0.
-  *Merges:* The number of nuclei of B in contact with more than one of A.
-  *Splits:* The number of nuclei of A in contact with more than one of B (*Caicedo et al., 2019*).

**Object measurements** (*NucDLCompare_IoU_B* for the objects of A, and the other way round):

-  *Partner:* The number of the nucleus in the other set with the highest IoU; 0 if none shares a pixel.
-  *IoU:* The IoU with that one, 0 without.
-  *ErrorClass:* The first of these that holds. 1 matched: it has a match. 4 merged: it is a nucleus of B in contact
   with more than one of A, or one of those in A. 5 split: it is a nucleus of A in contact with more than one of B, or
   one of those in B. Otherwise 2 missed (A) or 3 extra (B). 0 is a number that no pixel has.
-  *Matched, Missed (A) or Extra (B), Merged, Split:* 1 if it holds for the nucleus, otherwise 0. Missed and extra are
   all nuclei without a match here, merged and split also those that have one. So these add up to the image's counts:
   *Matched*, *Missed*, *Extra*, *Merges* (over B) and *Splits* (over A).

What do I see?
^^^^^^^^^^^^^^

The outlines of B on the image (upper left), with those of the nuclei of A that have no match; A (upper right) and B
(lower left) filled, and the scores (lower right). Yellow: matched, blue: missed, red-orange: extra, purple: merged,
green: split. The colors can be told apart with the usual color blindnesses.

References
^^^^^^^^^^

-  Caicedo JC, Roth J, Goodman A, Becker T, Karhohs KW, Broisin M, Molnar C, McQuin C, Singh S, Theis FJ,
   Carpenter AE (2019) "Evaluation of Deep Learning Strategies for Nucleus Segmentation in Fluorescence
   Images." *Cytometry Part A* 95, 952-965. (`link <https://doi.org/10.1002/cyto.a.23863>`__)
-  Caicedo JC, Goodman A, Karhohs KW, Cimini BA, Ackerman J, et al. (2019) "Nucleus segmentation across imaging
   experiments: the 2018 Data Science Bowl." *Nature Methods* 16, 1247-1253.
   (`link <https://doi.org/10.1038/s41592-019-0612-7>`__)
"""

import _nucdl_cellprofiler as nucdl
import _nucdl_compare as comparing
from cellprofiler_core.constants.measurement import IMAGE
from cellprofiler_core.module import Module
from cellprofiler_core.setting import ValidationError
from cellprofiler_core.setting.choice import Choice
from cellprofiler_core.setting.subscriber import ImageSubscriber, LabelSubscriber
from cellprofiler_core.setting.text import Float

AGREEMENT, TRUTH = "Agreement of A and B", "Test against truth"
OBJECTS, LABEL_IMAGE = "Objects", "Label image"


class CompareNuclei(nucdl.UsesEngine, Module):
    module_name = "CompareNuclei"
    category = "Measurement"
    variable_revision_number = 1

    def create_settings(self):
        self.mode = Choice(
            "Select what to measure",
            [AGREEMENT, TRUTH],
            doc=f"""\
-  *{AGREEMENT}:* Two results, neither of which is known to be right.
-  *{TRUTH}:* A is the truth, for example drawn by a person; precision and recall of B are measured as well.""",
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
            doc="Select the second set of objects: nuclei of the same image, the ones that are tested.",
        )
        self.threshold = Float(
            "Overlap above which two nuclei match",
            0.7,
            doc="""\
Enter an intersection over union from 0.5 up to, but not including, 1. It decides which nuclei are matched, missed and
extra, and precision and recall. 0.7 asks for an object that is right as a whole, 0.5 for one that is found at all,
0.9 for one whose outline is right. The F1 scores are measured at all thresholds anyway.""",
        )

    def settings(self):
        return [
            self.mode,
            self.kind_of_truth,
            self.first_name,
            self.truth_image_name,
            self.second_name,
            self.threshold,
        ]

    def visible_settings(self):
        kind = [self.kind_of_truth] if self.against_truth() else []
        return [self.mode, *kind, self.setting_of_first(), self.second_name, self.threshold]

    def against_truth(self):
        return self.mode.value == TRUTH

    def setting_of_first(self):
        """Give the setting that names A: objects, or the label image of the truth."""
        of_image = self.against_truth() and self.kind_of_truth.value == LABEL_IMAGE
        return self.truth_image_name if of_image else self.first_name

    def names(self):
        return self.setting_of_first().value, self.second_name.value

    def pair(self):
        """Name both sets, as the image's measurements do."""
        return "_".join(self.names())

    def sets_of_objects(self):
        """Give the position (0 for A, 1 for B), name and other set's name of each set that is one of objects."""
        first, second = self.names()
        of_first = [(0, first, second)] if self.setting_of_first() is self.first_name else []
        return [*of_first, (1, second, first)]

    def validate_module(self, pipeline):
        self.refuse_what_did_not_load()
        first, second = self.names()
        if self.setting_of_first() is self.first_name and first == second:
            raise ValidationError(f"{second} cannot be compared with itself; select another set", self.second_name)
        if not 0.5 <= self.threshold.value < 1:
            reason = f"{self.threshold.value:g} is no threshold; give a number from 0.5 up to, but not including, 1"
            raise ValidationError(reason, self.threshold)
        self.refuse_long_names()
        for other in [] if pipeline is None else pipeline.modules():
            if other.module_num >= self.module_num:
                break
            if other.module_name == self.module_name and sorted(other.names()) == sorted(self.names()):
                reason = f"module #{other.module_num} compares {first} and {second} already; remove one of the two"
                raise ValidationError(reason, self.second_name)

    def refuse_long_names(self):
        names = [f"{name}_{feature}" for name, feature, _ in self.get_measurement_columns(None)]
        longest = max(names, key=len)
        if len(longest) > comparing.LONGEST_NAME:
            reason = (
                f"the column {longest} would have {len(longest)} characters, and databases cut names after "
                f"{comparing.LONGEST_NAME}; give the two sets shorter names"
            )
            raise ValidationError(reason, self.second_name)

    def run(self, workspace):
        first, second = self.sides(workspace)
        found = comparing.compare_sides(first, second, self.threshold.value)
        comparing.add_image_measurements(workspace, self.pair(), found.scores, self.against_truth())
        for position, _, _ in self.sets_of_objects():
            errors = (found.truth, found.prediction)[position]
            comparing.add_object_measurements(workspace, self.names(), position, errors)
        if self.show_window:
            comparing.set_figure_data(workspace.display_data, first, second, found, self.threshold.value)

    def sides(self, workspace):
        first, second = self.names()
        is_objects = self.setting_of_first() is self.first_name
        take = comparing.side_of_objects if is_objects else comparing.side_of_label_image
        return take(workspace, first), comparing.side_of_objects(workspace, second)

    def display(self, workspace, figure):
        comparing.draw(figure, workspace.display_data, self.names(), workspace.measurements.image_number)

    def get_measurement_columns(self, pipeline):
        of_image = comparing.image_features(self.against_truth())
        columns = [
            (IMAGE, f"{comparing.C_COMPARE}_{feature}_{self.pair()}", kind) for feature, (_, kind) in of_image.items()
        ]
        for position, name, other in self.sets_of_objects():
            features = comparing.object_features(position)
            columns += [(name, f"{comparing.C_COMPARE}_{feature}_{other}", kind) for feature, kind in features.items()]
        return columns

    def get_categories(self, pipeline, object_name):
        return [comparing.C_COMPARE] if self.features_of(object_name) else []

    def get_measurements(self, pipeline, object_name, category):
        return list(self.features_of(object_name)) if category == comparing.C_COMPARE else []

    def get_measurement_objects(self, pipeline, object_name, category, measurement):
        """Name what the measurement's name ends with: the other set, or both."""
        if category != comparing.C_COMPARE or measurement not in self.features_of(object_name):
            return []
        others = {name: other for _, name, other in self.sets_of_objects()}
        return [self.pair() if object_name == IMAGE else others[object_name]]

    def features_of(self, object_name):
        if object_name == IMAGE:
            return comparing.image_features(self.against_truth())
        positions = {name: position for position, name, _ in self.sets_of_objects()}
        return comparing.object_features(positions[object_name]) if object_name in positions else {}

    def volumetric(self):
        return False


compare_nuclei = CompareNuclei
