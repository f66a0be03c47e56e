"""The command that adapts a model to images that nobody annotated."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Tuple

import click

from nucdl_core.cli.words import EXISTING, EXISTING_FOLDER, FOLDER
from nucdl_core.config import DEFAULT_MODEL, DEVICES


@click.command(name="adapt")
@click.argument("images", nargs=-1, required=True, type=EXISTING)
@click.option("--output", type=FOLDER, required=True, help="Folder of the new model; its name is the model's.")
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help="Name or folder of the model to adapt.")
@click.option("--masks", type=EXISTING, default=None, help="Annotations of some of the images: they judge then.")
@click.option("--data", type=EXISTING_FOLDER, default=None, help="Folder with images and masks it learnt from before.")
@click.option(
    "--painter",
    type=click.Choice(("simulator", "pix2pix")),
    default="simulator",
    show_default=True,
    help="How new images are made.",
)
@click.option("--share", default=0.5, show_default=True, help="Of what is learnt from, the share that is synthetic.")
@click.option("--max-minutes", type=float, default=None, help="How long it may take.")
@click.option("--device", type=click.Choice(DEVICES), default="auto", show_default=True, help="Where to compute.")
@click.option("--workers", type=click.IntRange(min=0), default=1, show_default=True, help="Processes that make crops.")
def adapt_command(images: Tuple[Path, ...], output: Path, share: float, **settings: Any) -> None:
    """Adapt a model to images that nobody annotated.

    From five images and fifty nuclei on. New images with known nuclei are made which look like yours, and the model
    learns from them. Whether it became better is judged without truth, by a rule whose error rate is known, or by the
    images that you annotated (--masks). What came of it is said in one line and on a page
    (OUTPUT_adaptation/report.html); a model that is not clearly better is kept apart. If it is stopped, the same
    command goes on with it.
    """
    from nucdl_core.adaptation.adapt import adapt
    from nucdl_core.adaptation.request import AdaptRequest
    from nucdl_core.adaptation.teaching import TeachConfig

    request = AdaptRequest(images, output, teaching=TeachConfig(share=share), **settings)
    try:
        adapted = adapt(request)
    except KeyboardInterrupt as error:
        raise click.ClickException("stopped; the same command goes on with it") from error
    click.echo("\n".join([adapted.verdict.sentence, *adapted.notes]))
    place = "is in" if adapted.verdict.better else "is kept apart, in"
    click.echo(
        f"The adapted model {place} {adapted.model}; use it with --model {adapted.model}. Look at {adapted.page}"
    )
