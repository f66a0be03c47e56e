"""The commands that list and check models."""

from __future__ import annotations

import click

from nucdl_core.config import DEVICES


@click.group()
def models() -> None:
    """List and check models."""


@models.command(name="list")
def list_models() -> None:
    """List the bundled models."""
    from nucdl_core.model.bundle import find_bundle, list_bundles, read_bundle

    for name in list_bundles():
        bundle = read_bundle(find_bundle(name))
        click.echo(f"{name}  {bundle.sha256[:12]}  {bundle.description.description}")


@models.command(name="check")
@click.argument("bundle")
@click.option("--device", type=click.Choice(DEVICES), default="auto", show_default=True, help="Where to run its test.")
def check_bundle(bundle: str, device: str) -> None:
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
