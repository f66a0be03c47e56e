"""The options that limit what one image set may cost, for every command that does whole screens."""

from __future__ import annotations

from typing import Any, Callable, Mapping, Tuple, TypeVar

import click

from nucdl_core.screen.core.plan import ScreenLimits

Command = TypeVar("Command", bound=Callable[..., Any])

_POSITIVE = click.IntRange(min=1)
LIMIT_OPTIONS: Tuple[Tuple[str, str, Mapping[str, Any], str], ...] = (
    ("colour", "--colour", {"is_flag": True}, "Images may be in colour."),
    ("pixels", "--max-pixels", {"type": _POSITIVE}, "Pixels of the largest image  [{:,}]."),
    ("read_seconds", "--read-seconds", {"type": float}, "Time limit for reading one image file  [{:g}]."),
    ("seconds", "--image-set-seconds", {"type": float}, "Time limit of one image set  [{:g}]."),
    ("memory_mb", "--memory", {"type": _POSITIVE}, "MiB of memory of a process with all that it starts  [{:g}]."),
)
"""Attribute of `ScreenLimits`, option, what click is told of it, and help with the place of its default."""


def limit_options(condition: str = "") -> Callable[[Command], Command]:
    """Return what gives a command the options; a condition stands before the help of each."""

    def add(command: Command) -> Command:
        for name, option, kind, words in reversed(LIMIT_OPTIONS):
            text = condition + words.format(getattr(ScreenLimits, name))
            command = click.option(option, _parameter(name), default=None, help=text, **kind)(command)
        return command

    return add


def _parameter(name: str) -> str:
    return f"limit_{name}"


def limits_given(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the limits among the values of a command's options that were given, by their names in `ScreenLimits`."""
    found = {name: options[_parameter(name)] for name, *_ in LIMIT_OPTIONS}
    return {name: value for name, value in found.items() if value is not None and value is not False}


def limits_of(options: Mapping[str, Any]) -> ScreenLimits:
    """Make the limits from the values of a command's options.

    Raises
    ------
    ConfigError
        If one of them is not above 0.
    """
    return ScreenLimits(**limits_given(options))


def option_of_limit(name: str) -> str:
    """Return the option that sets an attribute of `ScreenLimits`."""
    return next(option for attribute, option, *_ in LIMIT_OPTIONS if attribute == name)
