"""What a pipeline must be like to be run on a screen, and how it is adapted to that.

Each chunk is a CellProfiler process of its own that gets its images from a list and writes its tables into a folder
of its own. So the copy that is run reads its images by LoadData and writes whole CSV tables there, whatever the
pipeline said of these two things. All other modules are run as they are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Dict, List, Sequence, Tuple

from nucdl_core.errors import BundleError
from nucdl_core.screen.cellprofiler.pipeline_file import PipelineModule
from nucdl_core.screen.core.identity import identify_model
from nucdl_core.screen.core.plan import PlannedModel, ScreenError

INPUT_MODULES = ("Images", "Metadata", "NamesAndTypes", "Groups")
LOADER, EXPORTER = "LoadData", "ExportToSpreadsheet"
DATABASE_EXPORTER, BATCH = "ExportToDatabase", "CreateBatchFiles"
OUTPUT_FOLDER = "Default Output Folder"
OUTPUT_SETTING = "Output file location"
ELSEWHERE = "Elsewhere..."

_LOADER_REVISION, _EXPORTER_REVISION = 6, 13
_LOADER_SETTINGS = {
    "Input data file location": "Default Input Folder|",
    "Name of the file": "load_data.csv",
    "Load images based on this data?": "Yes",
    "Base image location": "Default Input Folder|",
    "Process just a range of rows?": "No",
    "Rows to process": "1,100000",
    "Group images by metadata?": "No",
    "Select metadata tags for grouping": "",
    "Rescale intensities?": "Yes",
}
_LOADER_FOLDERS = ("Input data file location", "Base image location")
# These decide which tables there are and where; whatever else ExportToSpreadsheet was told is kept.
_TABLES = {
    "Select the column delimiter": 'Comma (",")',
    "Select the measurements to export": "No",
    OUTPUT_SETTING: f"{OUTPUT_FOLDER}|",
    "Export all measurement types?": "Yes",
    "Add a prefix to file names?": "No",
    "Overwrite existing files without warning?": "Yes",
}
_EXPORTER_SETTINGS = {
    "Select the column delimiter": 'Comma (",")',
    "Add image metadata columns to your object data file?": "No",
    "Add image file and folder names to your object data file?": "No",
    "Select the measurements to export": "No",
    "Calculate the per-image mean values for object measurements?": "No",
    "Calculate the per-image median values for object measurements?": "No",
    "Calculate the per-image standard deviation values for object measurements?": "No",
    OUTPUT_SETTING: f"{OUTPUT_FOLDER}|",
    "Create a GenePattern GCT file?": "No",
    "Select source of sample row name": "Metadata",
    "Select the image to use as the identifier": "None",
    "Select the metadata to use as the identifier": "None",
    "Export all measurement types?": "Yes",
    "Press button to select measurements": "",
    "Representation of Nan/Inf": "NaN",
    "Add a prefix to file names?": "No",
    "Filename prefix": "MyExpt_",
    "Overwrite existing files without warning?": "Yes",
    "Data to export": "Do not use",
    "Combine these object measurements with those of the previous object?": "No",
    "File name": "DATA.csv",
    "Use the object name for the file name?": "Yes",
}


@dataclass(frozen=True)
class AdaptedPipeline:
    """A pipeline as it is run on a screen.

    Attributes
    ----------
    modules : tuple of PipelineModule
    grouping : tuple of str
        Metadata that it groups image sets by, without ``Metadata_``.
    changes : tuple of str
        What was changed, for people.
    """

    modules: Tuple[PipelineModule, ...]
    grouping: Tuple[str, ...]
    changes: Tuple[str, ...]


def adapt_pipeline(modules: Sequence[PipelineModule]) -> AdaptedPipeline:
    """Let a pipeline read its images from a list and write whole tables into the output folder.

    Parameters
    ----------
    modules : sequence of PipelineModule

    Returns
    -------
    AdaptedPipeline

    Raises
    ------
    ScreenError
        If it has no module that loads images or none that exports, reads only some rows or a stack, or writes
        elsewhere than into the output folder.
    """
    changes: List[str] = []
    kept = _with_exporter(_with_loader(modules, changes), changes)
    for module in kept:
        if module.enabled and module.name not in (LOADER, EXPORTER):
            _check_output(module)
    return AdaptedPipeline(tuple(kept), _loader_grouping(kept[0]), tuple(changes))


def _with_loader(modules: Sequence[PipelineModule], changes: List[str]) -> List[PipelineModule]:
    """Return the modules with exactly one LoadData, first."""
    loaders = [module for module in modules if module.name == LOADER and module.enabled]
    if len(loaders) > 1:
        raise ScreenError(f"the pipeline has {len(loaders)} LoadData modules; one list can feed only one of them")
    others = [module for module in modules if module.name not in (LOADER, *INPUT_MODULES)]
    if loaders:
        (loader,) = loaders
        for text, wanted in (("Process just a range of rows?", "No"), ("Load images based on this data?", "Yes")):
            if loader.value(text) != wanted:
                raise ScreenError(f"{loader}: {text!r} is {loader.value(text)!r}; set it to {wanted}, and cut the list")
        return [_with_folders_that_exist(loader, changes), *others]
    inputs = {module.name: module for module in modules if module.name in INPUT_MODULES and module.enabled}
    if "NamesAndTypes" not in inputs:
        raise ScreenError("the pipeline has neither LoadData nor NamesAndTypes, so it loads no images; add LoadData")
    changes.append(f"{', '.join(inputs)} were replaced by LoadData, which reads the list")
    return [_loader_for(inputs), *others]


def _with_folders_that_exist(loader: PipelineModule, changes: List[str]) -> PipelineModule:
    """Return LoadData without folders of another computer: CellProfiler refuses them, needed or not."""
    raw = list(loader.raw)
    for place, (text, value) in enumerate(loader.settings):
        chosen, _, folder = value.partition("|")
        if text in _LOADER_FOLDERS and chosen == ELSEWHERE and not (folder and Path(folder).is_dir()):
            raw[place] = f"{text}:{_LOADER_SETTINGS[text]}"
            changes.append(f"{loader}: {text!r} was {value!r}, which is no folder here; the list says where images are")
    settings = tuple((line.partition(":")[0], line.partition(":")[2]) for line in raw)
    return replace(loader, raw=tuple(raw), settings=settings)


def _loader_for(inputs: Dict[str, PipelineModule]) -> PipelineModule:
    """Make the LoadData that does what the input modules did."""
    names = inputs["NamesAndTypes"]
    if names.value("Process as 3D?") == "Yes":
        raise ScreenError(f"{names}: 3-D images cannot be checked; a screen takes 2-D images")
    ranges = {value for text, value in names.settings if text == "Set intensity range from"}
    if ranges - {"Image metadata"}:
        raise ScreenError(
            f"{names}: 'Set intensity range from' is {', '.join(sorted(ranges))}, which LoadData cannot do; "
            "choose 'Image metadata', or put LoadData in its place"
        )
    settings = dict(_LOADER_SETTINGS)
    groups = inputs.get("Groups")
    if groups and groups.value("Do you want to group your images?") == "Yes":
        chosen = [value for text, value in groups.settings if text == "Metadata category" and value != "None"]
        settings["Group images by metadata?"] = "Yes"
        settings["Select metadata tags for grouping"] = ",".join(chosen)
    return _module(LOADER, _LOADER_REVISION, settings)


def _loader_grouping(loader: PipelineModule) -> Tuple[str, ...]:
    if loader.value("Group images by metadata?") != "Yes":
        return ()
    tags = (loader.value("Select metadata tags for grouping") or "").split(",")
    return tuple(tag.strip() for tag in tags if tag.strip())


def _with_exporter(modules: Sequence[PipelineModule], changes: List[str]) -> List[PipelineModule]:
    """Return the modules with exactly one exporter, which writes all tables into the output folder."""
    exporters = [module for module in modules if module.enabled and module.name in (EXPORTER, DATABASE_EXPORTER)]
    if not exporters:
        raise ScreenError("the pipeline exports nothing; add ExportToSpreadsheet at its end")
    chosen = next((module for module in exporters if module.name == EXPORTER), exporters[-1])
    dropped = [module for module in exporters if module is not chosen]
    dropped += [module for module in modules if module.enabled and module.name == BATCH]
    changes.extend(f"{module} was left out; the screen merges the tables of ExportToSpreadsheet" for module in dropped)
    kept = [module for module in modules if module not in dropped]
    kept[kept.index(chosen)] = _adapted_exporter(chosen, changes)
    return kept


def _adapted_exporter(module: PipelineModule, changes: List[str]) -> PipelineModule:
    if module.name != EXPORTER or module.revision != _EXPORTER_REVISION:
        changes.append(f"{module} was replaced by an ExportToSpreadsheet of all measurements")
        return _module(EXPORTER, _EXPORTER_REVISION, _EXPORTER_SETTINGS)
    raw = tuple(
        f"{text}:{_TABLES[text]}" if text in _TABLES and value != _TABLES[text] else line
        for (text, value), line in zip(module.settings, module.raw)
    )
    changed = [new.partition(":")[0] for old, new in zip(module.raw, raw) if old != new]
    if changed:
        changes.append(f"{module} writes all measurements into the folder of its chunk ({', '.join(changed)} changed)")
    settings = tuple((line.partition(":")[0], line.partition(":")[2]) for line in raw)
    return replace(module, raw=raw, settings=settings)


def _module(name: str, revision: int, settings: Dict[str, str]) -> PipelineModule:
    return PipelineModule(
        name, 1, revision, True, tuple(settings.items()), tuple(f"{text}:{value}" for text, value in settings.items())
    )


def _check_output(module: PipelineModule) -> None:
    """Refuse a module that writes anywhere but into the output folder."""
    place = module.value(OUTPUT_SETTING)
    if place is None:
        return
    if not place.startswith(OUTPUT_FOLDER):
        raise ScreenError(
            f"{module}: {OUTPUT_SETTING!r} is {place!r}; a screen keeps only what is in {OUTPUT_FOLDER!r} or below"
        )
    if module.value("Create subfolders in the output folder?") == "Yes":
        raise ScreenError(f"{module}: folders as those of the images would lie outside the output; switch that off")
    for text, value in module.settings:
        folder = value.partition("|")[2] if text == OUTPUT_SETTING else value
        if ".." in re.split(r"[/\\|]", folder) or folder.startswith(("/", "~")):
            raise ScreenError(f"{module}: {text!r} is {value!r}, which leads out of the output folder; change it")


def used_models(modules: Sequence[PipelineModule]) -> Tuple[PlannedModel, ...]:
    """Find the models that a pipeline uses, each once, in the order of the modules.

    Parameters
    ----------
    modules : sequence of PipelineModule

    Raises
    ------
    ScreenError
        If a model folder is not given as an absolute path, or a model is missing, damaged or altered.
    """
    names: Dict[str, PipelineModule] = {}
    for module in modules:
        name = module.value("Select the model")
        folder = module.value("Model folder")
        if not module.enabled or name is None or folder is None:
            continue
        if name == "Folder":
            place, _, name = folder.partition("|")
            if place != ELSEWHERE or not name.startswith("/"):
                raise ScreenError(f"{module}: the model folder is {folder!r}; choose 'Elsewhere...' and a full path")
        names.setdefault(name, module)
    models = []
    for name, module in names.items():
        try:
            models.append(identify_model(name))
        except BundleError as error:
            raise ScreenError(f"{module}: {error}") from error
    return tuple(models)
