"""The command ``nucdl``: its commands, each in a file of its group."""

from __future__ import annotations

import logging

import click

from nucdl_core import __version__
from nucdl_core.cli.adapt import adapt_command
from nucdl_core.cli.bundle_offline import bundle_command
from nucdl_core.cli.convert import convert_command
from nucdl_core.cli.demo import demo_command
from nucdl_core.cli.doctor import doctor_command
from nucdl_core.cli.evaluate import evaluate_command, report_command
from nucdl_core.cli.examples import give_examples
from nucdl_core.cli.models import models
from nucdl_core.cli.plugins import plugins
from nucdl_core.cli.screen import screen
from nucdl_core.cli.segment import refine_command, segment_command
from nucdl_core.cli.simulate import simulate_command
from nucdl_core.cli.study import study_command
from nucdl_core.cli.synthesize import synthesize_command
from nucdl_core.cli.train import train_command, tune_command
from nucdl_core.cli.try_variants import try_command
from nucdl_core.cli.words import LOG_FORMAT, Commands
from nucdl_core.cli.worker import serve_command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="nucdl")
@click.option("--verbose", is_flag=True, help="Show what is being done.")
def main(verbose: bool) -> None:
    """Find cell nuclei in fluorescence images with deep learning."""
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, format=LOG_FORMAT)


for _command in (
    segment_command,
    try_command,
    refine_command,
    convert_command,
    evaluate_command,
    report_command,
    screen,
    models,
    plugins,
    train_command,
    adapt_command,
    tune_command,
    study_command,
    simulate_command,
    synthesize_command,
    demo_command,
    doctor_command,
    bundle_command,
    serve_command,
):
    main.add_command(_command)
give_examples(main)
