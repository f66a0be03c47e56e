"""The commands that list and check models, and that say where own models lie."""

from __future__ import annotations

from pathlib import Path
from typing import List, Set

import click

from nucdl_core.cli.words import FOLDER
from nucdl_core.config import DEVICES


@click.group()
def models() -> None:
    """List and check models, and say where your own lie."""


@models.command(name="list")
def list_command() -> None:
    """List the models that can be chosen by name.

    These are the bundled ones, then those in the folders of the environment variable NUCDL_MODELS, then those in the
    folders that 'nucdl models add' was told. Each such folder is a model, or a folder of models. A model is called what
    its folder is called; where several have the same name, the first one counts. Every file is verified. What cannot be
    used is listed at the end, with the reason.
    """
    from nucdl_core.errors import BundleError
    from nucdl_core.model.bundle import read_bundle
    from nucdl_core.model.card import in_one_line
    from nucdl_core.model.listing import BUNDLED, list_models
    from nucdl_core.model.places import model_places, problem_of, problem_of_preferences

    unusable: List[str] = []
    sentences: Set[str] = set()
    for model in list_models():
        try:
            if model.problem is not None:
                raise BundleError(model.problem)
            bundle = read_bundle(model.folder)
        except BundleError as error:
            unusable.append(f"{model.name}  {model.folder} ({model.named_by}): {error}")
            continue
        where = "" if model.named_by == BUNDLED else f"  ({model.folder})"
        told = in_one_line(bundle.description, sentences if where else ())
        click.echo(f"{model.name}  {bundle.sha256[:12]}  {told}{where}")
        if not where:
            sentences.add(bundle.description.description)
    problems = [f"cannot be used: {line}" for line in unusable]
    for folder in model_places():
        if (problem := problem_of(folder)) is not None:
            problems.append(f"no models in: {folder.folder} ({folder.named_by}): {problem}")
    if (problem := problem_of_preferences()) is not None:
        problems.append(f"cannot be used: {problem}")
    for line in problems:
        click.echo(line)


@models.command(name="add")
@click.argument("folder", type=FOLDER)
def add_command(folder: Path) -> None:
    """Offer the models in FOLDER by name, in all commands and in CellProfiler's window.

    FOLDER is a model, or a folder of models, to which more may come later. Only its path is remembered, in the folder
    of your account for settings. Where that does not last, as on many clusters, use the environment variable
    NUCDL_MODELS instead: it may name several folders, parted as on the PATH.
    """
    from nucdl_core.model.listing import list_models
    from nucdl_core.model.places import absolute_folder, add_model_folder, preferences_file

    added, folder = add_model_folder(folder), absolute_folder(folder)
    click.echo(f"{folder} {'is now' if added else 'was already'} named in {preferences_file()}")
    listed = [model for model in list_models() if folder in (model.folder, model.folder.parent)]
    for model in listed:
        click.echo(f"{model.name}: {model.problem or 'can be chosen by this name'}")
    if not listed:
        click.echo("there is no model in it yet")


@models.command(name="remove")
@click.argument("folder", type=FOLDER)
def remove_command(folder: Path) -> None:
    """Do not offer the models in FOLDER any more; the folder itself stays as it is."""
    from nucdl_core.model.places import absolute_folder, preferences_file, remove_model_folder

    remove_model_folder(folder)
    click.echo(f"{absolute_folder(folder)} is no longer named in {preferences_file()}")


@models.command(name="check")
@click.argument("bundle")
@click.option("--device", type=click.Choice(DEVICES), default="auto", show_default=True, help="Where to run its test.")
def check_command(bundle: str, device: str) -> None:
    """Verify every file of BUNDLE (a name or a folder) and run the model's own test."""
    from nucdl_core.model.bundle import find_bundle
    from nucdl_core.model.device import resolve_device
    from nucdl_core.model.loading import load_model

    folder = find_bundle(bundle)
    predictor = load_model(folder, resolve_device(device))
    difference = predictor.self_test(folder)
    click.echo(
        f"{bundle}: all files are unaltered; test output within {difference:.4f} of the expected "
        f"(allowed {predictor.description.tolerance})"
    )
