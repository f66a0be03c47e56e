"""What NucDL's modules share: the translation between CellProfiler and the engine.

CellProfiler hides a module whose file cannot be imported. So nothing here needs the engine (or torch) to be
imported; `engine_problem` says in words what is missing, and the modules show it in their settings.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import sys
from typing import TYPE_CHECKING, Any, ClassVar, Dict, Iterator, List, Optional, Tuple

import numpy as np
from _nucdl_progress import tile_progress
from _nucdl_workers import share_cores
from cellprofiler_core.constants.measurement import COLTYPE_FLOAT, FF_CHILDREN_COUNT, FF_PARENT, IMAGE
from cellprofiler_core.image import Image
from cellprofiler_core.object import Objects
from cellprofiler_core.setting import ValidationError
from cellprofiler_core.setting.choice import Choice
from cellprofiler_core.setting.range import IntegerRange
from cellprofiler_core.setting.text import Directory, Float
from numpy.typing import NDArray

if TYPE_CHECKING:
    from nucdl_core.arrays import Labels, Mask
    from nucdl_core.config import SegmentConfig
    from nucdl_core.refine import Refined
    from nucdl_core.steps.contours import RefineConfig
    from nucdl_core.steps.filters import FilteredNuclei

C_NUCDL = "NucDL"
F_CONFIDENCE = "Confidence"
F_DIAMETER = "Diameter"
F_AGREEMENT = "Agreement"
F_CONTOUR_SHIFT = "ContourShift"
F_PROBABILITY_MEAN = "ProbabilityMean"
M_CONFIDENCE = f"{C_NUCDL}_{F_CONFIDENCE}"
REFINED_FEATURES = (F_AGREEMENT, F_CONTOUR_SHIFT, F_PROBABILITY_MEAN)

MODEL_FOLDER = "Folder"
DEVICES = {"Automatic": "auto", "CPU": "cpu", "GPU": "cuda"}
PRESETS = {"Fast": "fast", "Balanced": "balanced", "Best": "best"}
CUSTOM = "Custom"
VIEWS = {"One": "none", "Four (mirrored)": "flips", "Eight (mirrored and turned)": "all"}

FALLBACK_MODEL = "nuclei_unet"
"""The model that a module offers while the engine, which knows the bundled models, is missing."""


@functools.lru_cache(maxsize=1)
def engine_problem() -> Optional[str]:
    """Say why the engine cannot be used in this Python, or None when it can.

    Cheap enough for every key press: torch is looked for but not imported, and the answer is kept.
    """
    try:
        import nucdl_core.config
        import nucdl_core.model.bundle
        import nucdl_core.steps.filters  # noqa: F401

        missing = [name for name in ("torch", "safetensors") if importlib.util.find_spec(name) is None]
    except ImportError as error:
        return _install_hint(str(error))
    return _install_hint(f"No module named {missing[0]!r}") if missing else None


def _install_hint(problem: str) -> str:
    return (
        f"NucDL's engine does not work in the Python that runs CellProfiler ({problem}). Install it there with "
        f"'{sys.executable} -m pip install FOLDER_OF_NUCDL' and start CellProfiler again."
    )


def bundled_models() -> Tuple[str, ...]:
    """Name the bundled models, the default one first."""
    if engine_problem() is not None:
        return (FALLBACK_MODEL,)
    from nucdl_core.config import DEFAULT_MODEL
    from nucdl_core.model.bundle import list_bundles

    return (DEFAULT_MODEL,) + tuple(name for name in list_bundles() if name != DEFAULT_MODEL)


def preset_values(name: str) -> Dict[str, Any]:
    """Return the values of the engine's configuration that a preset stands for, none while the engine is missing."""
    if engine_problem() is not None:
        return {}
    from nucdl_core.config import PRESETS as VALUES

    return VALUES.get(PRESETS.get(name, name), {})


def check_model_and_device(config: SegmentConfig) -> None:
    """Check that the model is unaltered and the device is there.

    torch is imported only where a GPU is asked for, and the model loaded only where it relies on another one.
    """
    from nucdl_core.model.bundle import find_bundle, read_bundle

    bundle = read_bundle(find_bundle(config.model))
    if config.device == "cuda":
        from nucdl_core.model.device import resolve_device

        resolve_device(config.device)
    if bundle.description.companion is not None:
        from nucdl_core.model.device import resolve_device
        from nucdl_core.model.loading import load_model

        load_model(bundle.folder, resolve_device(config.device))


class UsesEngine:
    """What all modules have in common; stands before CellProfiler's class among a module's bases."""

    added_settings: ClassVar[Dict[int, List[str]]] = {}
    """For each earlier revision of a module's settings, the values of those that it lacked at their end."""

    load_problem: Optional[str] = None
    """Why the settings of a saved pipeline could not be read."""

    def setting_of_problems(self):
        """Give the setting that shows what is wrong with none in particular."""
        return self.settings()[0]

    def refuse_what_did_not_load(self):
        problem = engine_problem() or self.load_problem
        if problem is not None:
            raise ValidationError(problem, self.setting_of_problems())

    def prepare_run(self, workspace):
        """Refuse a run that cannot succeed before its first image: headless, nothing else checks the settings."""
        self.refuse_what_did_not_load()
        for setting in self.visible_settings():
            if isinstance(setting, (Choice, Float, IntegerRange)):
                setting.test_valid(workspace.pipeline)
        self.validate_module(workspace.pipeline)
        return True

    def upgrade_settings(self, setting_values, variable_revision_number, module_name):
        """Keep in mind what cannot be read; an error here would cut the pipeline off at this module, unnoticed."""
        added = self.added_settings.get(variable_revision_number, [])
        expected = len(self.settings()) - len(added)
        if variable_revision_number > self.variable_revision_number:
            self.load_problem = (
                f"this pipeline was saved by a newer NucDL (revision {variable_revision_number} of the settings, this "
                f"one knows {self.variable_revision_number}); update NucDL, or remove this module and add it anew"
            )
        elif len(setting_values) != expected:
            self.load_problem = (
                f"the pipeline holds {len(setting_values)} settings of this module instead of {expected}, it seems to "
                "be damaged; load another copy, or remove this module and add it anew"
            )
        else:
            self.load_problem = None
            return setting_values + added, self.variable_revision_number
        return setting_values, variable_revision_number


class UsesModel(UsesEngine):
    """What modules that run a model have in common.

    A module says with `config_class` what the engine is configured by, and with `config_values` which setting answers
    for which of its values.
    """

    family: ClassVar[Optional[str]] = None
    """The only family of models that the module can use, where it cannot use all."""

    def create_model_settings(self):
        self.model = Choice(
            "Select the model",
            [*bundled_models(), MODEL_FOLDER],
            doc=f"""\
Select the trained network. The models that come with NucDL are listed by name; the first one is meant for all
fluorescence images of nuclei.

Select "*{MODEL_FOLDER}*" to use a model of your own or of a colleague.""",
        )
        self.model_folder = Directory(
            "Model folder",
            allow_metadata=False,
            doc=f"""\
*(Used only if the model is "{MODEL_FOLDER}")*

Select the folder of the model: the one in which *bundle.json* lies. Models are made with the command *nucdl train*
and checked with *nucdl models check*.""",
        )

    def create_device_setting(self):
        self.device = Choice(
            "Compute on",
            list(DEVICES),
            doc="""\
Select where the network computes. *Automatic* takes a graphics card (GPU) that PyTorch can use, otherwise the processor
(CPU). *GPU* reports an error where there is none, instead of taking hours without notice. The nuclei are the same apart
from rare single pixels. If several CellProfiler workers share one GPU, its memory must suffice for all of them.""",
        )

    def model_name(self):
        if self.model.value == MODEL_FOLDER:
            return self.model_folder.get_absolute_path()
        return self.model.value

    def shown_model_setting(self):
        return self.model_folder if self.model.value == MODEL_FOLDER else self.model

    def config(self):
        """Make the engine's configuration from the settings."""
        values = {key: value for _, part in self.config_values() for key, value in part.items()}
        return self.config_class()(**values)

    def validate_module(self, pipeline):
        """Check the settings at every key press: neither torch nor the weights of the model are loaded here."""
        self.refuse_what_did_not_load()
        from nucdl_core.errors import BundleError, ConfigError
        from nucdl_core.model.bundle import find_bundle, read_description, require_family

        for setting, values in self.config_values():
            try:
                self.config_class()(**values)
            except ConfigError as error:
                raise ValidationError(str(error), setting) from error
        try:
            folder = find_bundle(self.model_name())
            if self.family is not None:
                require_family(read_description(folder), self.family)
        except BundleError as error:
            raise ValidationError(str(error), self.shown_model_setting()) from error

    def setting_of_problems(self):
        return self.model

    def prepare_run(self, workspace):
        """Refuse a run also for a damaged model or a missing device."""
        super().prepare_run(workspace)
        check_model_and_device(self.config())
        return True

    def prepare_to_create_batch(self, workspace, fn_alter_path):
        """Let the model folder be found where the batch will run."""
        self.model_folder.alter_for_create_batch_files(fn_alter_path)
        return True


def is_first_of_its_kind(module: Any, pipeline: Any) -> bool:
    """Tell whether no module of the same kind stands before this one in the pipeline."""
    same = [other for other in pipeline.modules() if other.module_name == module.module_name]
    return all(other.module_num >= module.module_num for other in same)


def diameter_measurement(module: Any, pipeline: Any) -> str:
    """Name the measurement of the typical diameter: ``NucDL_Diameter``.

    Further modules of the same kind, which would overwrite it, add the name of their objects to it.
    """
    name = f"{C_NUCDL}_{F_DIAMETER}"
    return name if is_first_of_its_kind(module, pipeline) else f"{name}_{module.y_name.value}"


def measurement_columns(module: Any, pipeline: Any) -> List[Tuple[str, str, str]]:
    """List the columns that `add_measurements` writes."""
    of_nuclei = [(module.y_name.value, f"{C_NUCDL}_{feature}", COLTYPE_FLOAT) for feature in module.features()]
    return [*of_nuclei, (IMAGE, diameter_measurement(module, pipeline), COLTYPE_FLOAT)]


def input_image(workspace: Any, name: str) -> Tuple[Any, NDArray[np.float32], Optional[Mask]]:
    """Take a grey image from the image set.

    Returns
    -------
    image : cellprofiler_core.image.Image
    pixels : float32 array (H, W)
        As CellProfiler scales them, usually 0 to 1.
    mask : bool array (H, W) or None
        True where the image is valid; None where it has no mask.
    """
    image = workspace.image_set.get_image(name, must_be_grayscale=True)
    return image, image.pixel_data.astype(np.float32, copy=False), image.mask if image.has_mask else None


def find_nuclei(image: Any, pixels: NDArray[np.float32], mask: Optional[Mask], config: SegmentConfig) -> FilteredNuclei:
    """Run the engine on an image; an error about its content names the file it came from."""
    from nucdl_core.segment import segment_unfiltered
    from nucdl_core.steps.filters import filter_nuclei

    share_cores()
    with naming_the_file(image, pixels):
        return filter_nuclei(segment_unfiltered(pixels, config, mask, tile_progress("Finding nuclei")), config, mask)


def refine_objects(
    image: Any, pixels: NDArray[np.float32], mask: Optional[Mask], objects: Any, config: RefineConfig
) -> Refined:
    """Refine CellProfiler's objects on an image; an error about its content names the file it came from."""
    from nucdl_core.refine import refine

    share_cores()
    with naming_the_file(image, pixels):
        given = labels_without_overlaps(objects, "the objects")
        return refine(pixels, given, config, mask, tile_progress("Refining nuclei"))


def labels_without_overlaps(objects: Any, name: str) -> Labels:
    """Take the labels of CellProfiler's objects, in whatever integers it keeps them; refuse objects that overlap."""
    from nucdl_core.errors import ImageError

    planes = objects.get_labels()
    if len(planes) > 1:
        raise ImageError(f"{name} overlap; give objects that do not, or part them with another module first")
    labels: Labels = planes[0][0].astype(np.int32, copy=False)
    return labels


@contextlib.contextmanager
def naming_the_file(image: Any, pixels: NDArray[np.float32]) -> Iterator[None]:
    """Refuse images that CellProfiler cannot serve, and name the file in all errors about the content of an image."""
    from nucdl_core.errors import ImageError
    from nucdl_core.files.truncation import check_source

    path = source_path(image)
    try:
        check_source(path)
        if min(pixels.shape) < 2:
            # CellProfiler fails on such objects with an error that nobody understands.
            height, width = pixels.shape
            raise ImageError(f"CellProfiler keeps no objects of {height} x {width} pixels; leave this image out")
        yield
    except ImageError as error:
        raise ImageError(f"{path}: {error}" if path else str(error)) from error


def source_path(image: Any) -> str:
    """Return the path of the file that an image was loaded or derived from, "" where there is none."""
    return os.path.join(image.path_name or "", image.file_name or "")


class Nuclei(Objects):
    """CellProfiler's objects, numbered without gaps, whose centers are computed in a fraction of the time."""

    def center_of_mass(self) -> NDArray[np.float64]:
        """Return (row, col) of each object in pixels, as CellProfiler's own method does."""
        from nucdl_core.labels import centroids

        return centroids(self.segmented)


def add_objects(workspace: Any, name: str, image: Any, nuclei: FilteredNuclei) -> None:
    """Store nuclei as CellProfiler's objects, with the three label sets of IdentifyPrimaryObjects."""
    objects = Nuclei()
    objects.segmented = nuclei.segmentation.labels
    objects.unedited_segmented = nuclei.unedited
    objects.small_removed_segmented = nuclei.small_removed
    objects.parent_image = image
    workspace.object_set.add_objects(objects, name)


def add_refined_objects(workspace: Any, name: str, image: Any, given: Any, refined: Refined) -> None:
    """Store refined nuclei with three label sets: what was discarded beside the given objects stays discarded."""
    from nucdl_core.labels import relabel

    labels = refined.labels
    discarded = (given.unedited_segmented > 0) & (given.segmented == 0) & (labels == 0)
    others = relabel(np.where(discarded, given.unedited_segmented, 0))
    objects = Nuclei()
    objects.segmented = labels
    objects.unedited_segmented = np.where(discarded, refined.count + others, labels)
    objects.small_removed_segmented = np.where(
        (given.small_removed_segmented > 0) | (labels > 0), objects.unedited_segmented, 0
    )
    objects.parent_image = image
    workspace.object_set.add_objects(objects, name)


def add_refined_measurements(workspace: Any, given_name: str, name: str, refined: Refined) -> None:
    """Write where each refined nucleus stems from, and what only the engine knows about it.

    CellProfiler's own way to relate objects makes a table of all parents by all children: 13 GB for 40,000 of each.
    """
    given = workspace.object_set.get_objects(given_name)
    children = np.bincount(refined.parents, minlength=given.count + 1)[1:]
    measurements = workspace.measurements
    measurements.add_measurement(given_name, FF_CHILDREN_COUNT % name, children)
    measurements.add_measurement(name, FF_PARENT % given_name, refined.parents)
    for feature, values in zip(REFINED_FEATURES, (refined.agreement, refined.shift, refined.probability_mean)):
        measurements.add_measurement(name, f"{C_NUCDL}_{feature}", values)


def add_measurements(workspace: Any, module: Any, nuclei: FilteredNuclei) -> None:
    """Write what only the engine knows about each nucleus, and the typical diameter."""
    found, measurements = nuclei.segmentation, workspace.measurements
    for feature, values in zip((F_CONFIDENCE, F_AGREEMENT), (found.scores, found.agreement)):
        if values is not None:
            measurements.add_measurement(module.y_name.value, f"{C_NUCDL}_{feature}", values)
    measurements.add_measurement(IMAGE, diameter_measurement(module, workspace.pipeline), float(found.diameter))


def add_probability_image(workspace: Any, name: str, image: Any, nuclei: FilteredNuclei) -> None:
    """Store the probability map as an image that inherits the mask and the cropping of its parent."""
    workspace.image_set.add(name, Image(nuclei.segmentation.probability, parent_image=image, convert=False))


def set_figure_data(data: Any, pixels: NDArray[np.float32], nuclei: FilteredNuclei) -> None:
    """Hand `draw` what it needs, as arrays and text: in the window they travel from a worker process as JSON."""
    data.image = pixels
    data.labels = nuclei.segmentation.labels
    data.size_excluded = nuclei.size_excluded
    data.border_excluded = nuclei.border_excluded
    data.statistics = statistics(nuclei)


def statistics(nuclei: FilteredNuclei) -> List[List[str]]:
    """Sum up an image as rows of the small table beneath the figure: a name and a value as text."""
    from nucdl_core.labels import equivalent_diameters

    found = nuclei.segmentation
    rows = [
        ["# of accepted nuclei", f"{found.count}"],
        ["# discarded at the border", f"{int(nuclei.at_border.sum())}"],
        ["# discarded for their size", f"{int(((nuclei.too_small | nuclei.too_large) & ~nuclei.at_border).sum())}"],
    ]
    if not np.isnan(found.diameter):
        rows.append(["Typical diameter", f"{found.diameter:.1f} pixels"])
    if found.count:
        low, median, high = np.percentile(equivalent_diameters(found.labels), (10, 50, 90))
        rows += [
            ["10th pctile diameter", f"{low:.1f} pixels"],
            ["Median diameter", f"{median:.1f} pixels"],
            ["90th pctile diameter", f"{high:.1f} pixels"],
            ["Area covered by nuclei", f"{100 * np.count_nonzero(found.labels) / found.labels.size:.1f} %"],
            ["Mean confidence", f"{found.scores.mean():.2f}"],
        ]
    return rows


def draw(figure: Any, data: Any, name: str, image_number: int) -> None:
    """Draw the input, the labels, the outlines and the table where IdentifyPrimaryObjects draws its own."""
    figure.set_subplots((2, 2))
    axes = figure.subplot_imshow_grayscale(0, 0, data.image, f"Input image, cycle #{image_number}")
    figure.subplot_imshow_labels(1, 0, data.labels, name, sharexy=axes)
    outlines = [
        {"name": name, "labels": [data.labels]},
        {"name": "Nuclei filtered out by size", "labels": [data.size_excluded]},
        {"name": "Nuclei touching border", "labels": [data.border_excluded]},
    ]
    figure.subplot_imshow_grayscale(0, 1, data.image, f"{name} outlines", cplabels=outlines, sharexy=axes)
    values = [[value] for _, value in data.statistics]
    figure.subplot_table(1, 1, values, row_labels=[label for label, _ in data.statistics])


def set_refined_figure_data(data: Any, pixels: NDArray[np.float32], given: Labels, refined: Refined) -> None:
    """Hand `draw_refined` what it needs, as arrays and text; see `set_figure_data`."""
    data.image = pixels
    data.given = given
    data.labels = refined.labels
    data.statistics = refined_statistics(int(given.max(initial=0)), refined)


def refined_statistics(given_count: int, refined: Refined) -> List[List[str]]:
    """Sum up an image as rows of the small table beneath the figure: a name and a value as text."""
    children = np.bincount(refined.parents, minlength=given_count + 1)[1:]
    rows = [
        ["# of input objects", f"{given_count}"],
        ["# of refined objects", f"{refined.count}"],
        ["# of objects split", f"{int((children > 1).sum())}"],
        ["# of objects merged or removed", f"{int((children == 0).sum())}"],
        ["# of nuclei added", f"{int((refined.parents == 0).sum())}"],
    ]
    for name, values, unit in (
        ("Median contour shift", refined.shift, " pixels"),
        ("Median agreement", refined.agreement, ""),
        ("Median probability", refined.probability_mean, ""),
    ):
        known = values[~np.isnan(values)]
        if known.size:
            rows.append([name, f"{np.median(known):.2f}{unit}"])
    return rows


def draw_refined(figure: Any, data: Any, names: Tuple[str, str], image_number: int) -> None:
    """Draw the input, the refined nuclei, old and new outlines (of the objects called `names`) and the table."""
    figure.set_subplots((2, 2))
    axes = figure.subplot_imshow_grayscale(0, 0, data.image, f"Input image, cycle #{image_number}")
    figure.subplot_imshow_labels(1, 0, data.labels, names[1], sharexy=axes)
    # CellProfiler's first colour is that of accepted objects.
    outlines = [{"name": names[1], "labels": [data.labels]}, {"name": names[0], "labels": [data.given]}]
    figure.subplot_imshow_grayscale(0, 1, data.image, "Old and new outlines", cplabels=outlines, sharexy=axes)
    values = [[value] for _, value in data.statistics]
    figure.subplot_table(1, 1, values, row_labels=[label for label, _ in data.statistics])
