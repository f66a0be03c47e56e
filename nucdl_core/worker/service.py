"""All that CellProfiler's modules ask of the engine: each question is one method, with plain arguments.

The modules call these methods in their own process where the engine can be imported there, and through pipes where it
cannot (see `wire`). Heavy parts are imported by the methods that need them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from nucdl_core.arrays import AnyArray, Doubles, Floats, Labels, Mask
from nucdl_core.progress import LoggedProgress, TileProgress

if TYPE_CHECKING:
    from nucdl_core.annotate.folder import Saved
    from nucdl_core.model.doubt import Doubt
    from nucdl_core.refine import Refined
    from nucdl_core.scores.compare import Comparison
    from nucdl_core.steps.filters import FilteredNuclei

Values = Mapping[str, Any]
"""Values of a configuration by name, such as ``{"views": "flips"}``."""


class ModelCard(NamedTuple):
    """What is shown of a model.

    Attributes
    ----------
    folder : str
    made_for : str
        In a sentence, what images it was made for.
    text : str
        Its card, in Markdown.
    """

    folder: str
    made_for: str
    text: str


class ErrorPictures(NamedTuple):
    """Two compared label images, in the colours of their error classes.

    Attributes
    ----------
    outlines, first, second : uint8 array (H, W, 3)
        The outlines of both on their image, and each of the two filled.
    """

    outlines: AnyArray
    first: AnyArray
    second: AnyArray


class Sight(NamedTuple):
    """What a model sees in an image that is annotated.

    Attributes
    ----------
    probability : float32 array (H, W) or None
    nuclei : int32 array (H, W)
    threshold : float
        Probability above which a pixel belongs to a nucleus.
    """

    probability: Optional[Floats]
    nuclei: Labels
    threshold: float


class EngineService:
    """The questions; `config` is always the values of a configuration, `kind` says of which: "segment" or "refine"."""

    # Settings and models

    def offered_models(self) -> List[str]:
        """Name the models that can be used, the default one first, then bundled and own ones; see `model.listing`."""
        from nucdl_core.config import DEFAULT_MODEL
        from nucdl_core.model.listing import list_models

        usable = [model.name for model in list_models() if model.problem is None]
        return list(dict.fromkeys((DEFAULT_MODEL, *usable)))

    def preset_values(self, name: str) -> Dict[str, Any]:
        """Return the values that a preset stands for, such as "balanced"; empty for an unknown one."""
        from nucdl_core.config import PRESETS

        return PRESETS.get(name, {})

    def settings_problems(self, kind: str, parts: Sequence[Values]) -> List[Optional[str]]:
        """Say for each part of a configuration what is wrong with its values, None where nothing is."""
        from nucdl_core.errors import ConfigError

        problems: List[Optional[str]] = []
        for part in parts:
            try:
                _configuration(kind, part)
                problems.append(None)
            except ConfigError as error:
                problems.append(str(error))
        return problems

    def check_description(self, model: str, needs_maps: bool) -> None:
        """Raise a `BundleError` unless there is a model of that name, or folder, that gives what is needed.

        Neither torch nor the weights are loaded.
        """
        from nucdl_core.model.bundle import find_bundle, read_description
        from nucdl_core.model.registry import require_maps

        description = read_description(find_bundle(model))
        if needs_maps:
            require_maps(description)

    def check_model_and_device(self, model: str, device: str) -> None:
        """Check that a model is unaltered and a device is there, before the first image needs them.

        torch is imported only where a GPU is asked for, or where the model relies on another one: then both are loaded.

        Parameters
        ----------
        model : str
            Name or folder, as of `bundle.find_bundle`.
        device : str
            "auto", "cpu" or "cuda".

        Raises
        ------
        BundleError
            If the model, or the one that it relies on, is missing, damaged, altered or not understood.
        DeviceError
            If there is no such device.
        """
        from nucdl_core.model.bundle import find_bundle, read_bundle

        bundle = read_bundle(find_bundle(model))
        relies_on_another = bundle.description.companion is not None
        if device != "cuda" and not relies_on_another:
            return
        from nucdl_core.model.device import resolve_device

        found = resolve_device(device)
        if relies_on_another:
            from nucdl_core.model.loading import load_model

            load_model(bundle.folder, found)

    def card(self, model: str) -> ModelCard:
        """Return the card of a model, by name or folder; raises `BundleError` if there is none."""
        from nucdl_core.model.bundle import find_bundle, read_card, read_description
        from nucdl_core.model.fitness import describe_made_for

        folder = find_bundle(model)
        made_for = read_description(folder).made_for
        kind = "It does not say what images it was made for." if made_for is None else describe_made_for(made_for)
        return ModelCard(str(folder), kind, read_card(folder))

    def limit_threads(self, most: int) -> bool:
        """Let the network use at most so many threads; tell whether it used more."""
        import torch

        if most >= torch.get_num_threads():
            return False
        torch.set_num_threads(most)
        return True

    # Images

    def check_source(self, path: str) -> None:
        """Raise an `ImageError` if the file of an image that CellProfiler has read is cut off."""
        from nucdl_core.files.truncation import check_source

        check_source(path)

    def find_nuclei(
        self, image: AnyArray, config: Values, mask: Optional[Mask] = None, progress: Optional[TileProgress] = None
    ) -> FilteredNuclei:
        """Find the nuclei of an image (H, W) and discard those that are not wanted; errors as of `segment.segment`."""
        from nucdl_core.segment import segment_unfiltered
        from nucdl_core.steps.filters import filter_nuclei

        settings = _configuration("segment", config)
        found = segment_unfiltered(image, settings, mask, _logged_too(progress))
        return filter_nuclei(found, settings, mask)

    def refine_objects(
        self,
        image: AnyArray,
        objects: Labels,
        config: Values,
        mask: Optional[Mask] = None,
        progress: Optional[TileProgress] = None,
    ) -> Refined:
        """Correct objects (H, W) of an image, see `refine.refine`, with its errors."""
        from nucdl_core.refine import refine

        return refine(image, objects, _configuration("refine", config), mask, _logged_too(progress))

    def warnings_about(
        self, image: Floats, mask: Optional[Mask], bits: Optional[int], model: str, seen: Tuple[float, str]
    ) -> List[str]:
        """Say in sentences where an image differs from those that a model was made for.

        Parameters
        ----------
        image : float32 array (H, W)
        mask : bool array (H, W) or None
        bits : int or None
            Of its file, None where they are not known.
        model : str
            Name or folder, as of `bundle.find_bundle`.
        seen : (float, str)
            Typical diameter of its nuclei in pixels, NaN where there are none, and the polarity that was asked for.
        """
        from nucdl_core.model.bundle import find_bundle, read_description
        from nucdl_core.model.fitness import ImageTraits, misfits
        from nucdl_core.steps.polarity import looks_dark_on_bright

        diameter, polarity = seen
        traits = ImageTraits(diameter, bits, looks_dark_on_bright(image, mask))
        return list(misfits(read_description(find_bundle(model)).made_for, traits, polarity).values())

    def doubt_about(
        self, image: Floats, labels: Labels, diameter: float, model: str, mask: Optional[Mask] = None
    ) -> Doubt:
        """Say how far an image (H, W) cannot be trusted, by all nuclei that were found; see `doubt.doubt_about`."""
        from nucdl_core.model.bundle import find_bundle, read_description
        from nucdl_core.model.doubt import doubt_about

        return doubt_about(image, labels, diameter, read_description(find_bundle(model)).made_for, mask)

    # Labels: see `nucdl_core.labels`

    def as_labels(self, array: AnyArray) -> Labels:
        """Return integers (H, W) as a label image; raises `ImageError` if they cannot be one."""
        from nucdl_core.labels import as_labels

        return as_labels(array)

    def relabel(self, labels: AnyArray) -> Labels:
        """Renumber nuclei (H, W) from 1 without gaps."""
        from nucdl_core.labels import relabel

        return relabel(labels)

    def centroids(self, labels: Labels) -> Doubles:
        """Return the (row, col) of the centre of each nucleus of (H, W): float64 array (N, 2)."""
        from nucdl_core.labels import centroids

        return centroids(labels)

    def equivalent_diameters(self, labels: Labels) -> Doubles:
        """Return the diameter of each nucleus of (H, W) in pixels: float64 array (N,)."""
        from nucdl_core.labels import equivalent_diameters

        return equivalent_diameters(labels)

    def contact_share(self, labels: Labels) -> float:
        """Return the share of neighbouring pixels in nuclei of (H, W) that belong to two of them."""
        from nucdl_core.labels import contact_share

        return contact_share(labels)

    # Comparisons

    def compare(self, first: Labels, second: Labels, threshold: float) -> Comparison:
        """Compare two label images (H, W), see `scores.compare.compare`."""
        from nucdl_core.scores.compare import compare

        return compare(first, second, threshold)

    def error_pictures(self, image: AnyArray, first: Labels, second: Labels, found: Comparison) -> ErrorPictures:
        """Draw what a comparison of two label images (H, W) of an image (H, W) has found."""
        from nucdl_core.reports.overlay import error_map, error_overlay

        outlines = error_overlay(image, first, second, (found.truth, found.prediction))
        return ErrorPictures(outlines, error_map(first, found.truth), error_map(second, found.prediction))

    def error_colours(self) -> List[Tuple[str, Tuple[int, int, int]]]:
        """List the error classes by name, each with its red, green and blue from 0 to 255."""
        from nucdl_core.scores.object_errors import COLOURS

        return [(kind.name.lower(), colour) for kind, colour in COLOURS.items()]

    # Annotations

    def check_class_names(self, names: Sequence[str]) -> None:
        """Raise an `AnnotationError` if the names of classes cannot be saved."""
        from nucdl_core.annotate.folder import check_class_names

        check_class_names(names)

    def saved_annotation(self, folder: str, names: Sequence[str], name: str, image: AnyArray) -> Optional[Saved]:
        """Load what was saved of an image (H, W), see `annotate.folder.AnnotationFolder.load`, with its errors."""
        from nucdl_core.annotate.folder import AnnotationFolder

        return AnnotationFolder(folder, names).load(name, image)

    def stored_image(self, pixels: AnyArray, scale: Optional[float]) -> AnyArray:
        """Return an image (H, W) as it is saved beside its annotation, see `annotate.folder.stored_image`."""
        from nucdl_core.annotate.folder import stored_image

        return stored_image(pixels, scale)

    def look(
        self, image: AnyArray, config: Values, mask: Optional[Mask] = None, progress: Optional[TileProgress] = None
    ) -> Sight:
        """Let a model look at an image (H, W) that is to be annotated; errors as of `segment.segment`."""
        from nucdl_core.model.bundle import find_bundle, read_description
        from nucdl_core.segment import segment_unfiltered

        settings = _configuration("segment", config)
        found = segment_unfiltered(image, settings, mask, _logged_too(progress))
        calibrated = read_description(find_bundle(settings.model)).decision.foreground
        return Sight(found.probability, found.labels, float(settings.probability_threshold or calibrated))


def _configuration(kind: str, values: Values) -> Any:
    """Make a configuration; raises `ConfigError` for an impossible value."""
    from nucdl_core.config import SegmentConfig
    from nucdl_core.steps.contours import RefineConfig

    return {"segment": SegmentConfig, "refine": RefineConfig}[kind](**values)


def _logged_too(progress: Optional[TileProgress]) -> TileProgress:
    """Return what tells about tiles in the log as well."""
    logged = LoggedProgress()

    def tell(done: int, count: int) -> None:
        logged(done, count)
        if progress is not None:
            progress(done, count)

    return tell
