"""The command that collects what a computer without internet needs."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import click

from nucdl_core.cli.words import EXISTING_FILE, FOLDER


@click.command(name="bundle-offline")
@click.argument("folder", type=FOLDER)
@click.option("--wheel", type=EXISTING_FILE, required=True, help="NucDL's wheel, as 'make wheel' leaves it.")
@click.option("--extras", default="", help="Extras of NucDL, such as 'report,screen,maskrcnn'.")
@click.option("--index", default=None, help="Where PyTorch is, such as https://download.pytorch.org/whl/cpu.")
@click.option("--snakemake", is_flag=True, help="Also what screens by CellProfiler need (Python 3.11 or later).")
def bundle_command(folder: Path, wheel: Path, extras: str, index: Optional[str], snakemake: bool) -> None:
    """Collect in FOLDER all that installs NucDL on a computer without internet.

    Both computers need the same system and the same version of Python. On the other one: sh FOLDER/install.sh TARGET.
    """
    from nucdl_core.cellprofiler.offline import OfflineBundle, collect_wheels

    count, megabytes = collect_wheels(OfflineBundle(folder, wheel, extras, index, snakemake))
    click.echo(
        f"{count} wheels, {megabytes:.0f} MB, are in {folder}; on the other computer: sh {folder}/install.sh TARGET"
    )
