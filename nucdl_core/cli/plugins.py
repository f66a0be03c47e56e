"""The commands that bring the plugins to CellProfiler."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import click

from nucdl_core.cli.words import FOLDER


@click.group()
def plugins() -> None:
    """Bring NucDL's modules to CellProfiler."""


@plugins.command(name="install")
@click.argument("folder", type=FOLDER, required=False)
@click.option("--into-cellprofiler", is_flag=True, help="Set the folder in CellProfiler's preferences of this account.")
def install_command(folder: Optional[Path], into_cellprofiler: bool) -> None:
    """Copy the modules into FOLDER, for a CellProfiler that stays as it is.

    CellProfiler's Python needs neither NucDL nor PyTorch then: the modules start this engine. Its place is written
    beside them, into nucdl_engine.json. Pipelines to start from and the recipes of trainings come along. Without FOLDER
    a folder of your account is taken. Repeat this after each update of NucDL.
    """
    from nucdl_core.cellprofiler.preferences import set_plugin_folder
    from nucdl_core.cellprofiler.supplied import account_folder, copy_plugins

    copied = copy_plugins(account_folder() if folder is None else folder.absolute())
    click.echo(f"{copied.files} files of the modules are in {copied.folder}")
    click.echo(f"They start {copied.engine}")
    if into_cellprofiler:
        path, before = set_plugin_folder(copied.folder)
        click.echo(f"CellProfiler's plugins directory is set in {path}" + (f"; it was {before}" if before else ""))
        click.echo("A window of CellProfiler that is open now does not know it: close it, and start it again.")
    else:
        click.echo("In CellProfiler's window set it under File > Preferences, Plugins directory; then start it again.")
    click.echo(f"Without a window: cellprofiler -c -r -p PIPELINE --plugins-directory {copied.folder}")
    click.echo(f"Screens: nucdl screen run PIPELINE --plugins {copied.folder} ...")
