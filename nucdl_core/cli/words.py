"""What the commands share: kinds of arguments, and how a run ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Collection, Tuple

import click

from nucdl_core.errors import ConfigError, NucDLError

SOME_FAILED = 3
"""Exit code of a run that finished, but not with every image."""
NOT_FINISHED = 4
"""Exit code of a screen that did not finish."""
LOG_FORMAT = "%(levelname)s %(message)s"

FOLDER = click.Path(file_okay=False, path_type=Path)
EXISTING = click.Path(exists=True, path_type=Path)
EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
EXISTING_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


class Commands(click.Group):
    """A group of commands that shows the engine's errors as one clear line and exits with 1."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except NucDLError as error:
            raise click.ClickException(str(error)) from error


def height_and_width(text: str) -> Tuple[int, int]:
    """Read the size of an image in pixels, such as ``520x696``.

    Raises
    ------
    ConfigError
    """
    height, _, width = text.lower().partition("x")
    if not (height.isdecimal() and width.isdecimal() and int(height) > 0 and int(width) > 0):
        raise ConfigError(f"size is {text!r}; give height x width in pixels, such as 520x696")
    return int(height), int(width)


def exit_with_failures(reasons: Collection[str]) -> None:
    """List the images that failed, if any, and end with `SOME_FAILED` then."""
    for reason in reasons:
        click.echo(f"failed: {reason}", err=True)
    if reasons:
        raise SystemExit(SOME_FAILED)
