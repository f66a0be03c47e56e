"""Examples in the help of the commands."""

import click
import pytest
from commands import nucdl

from nucdl_core.cli.examples import EXAMPLES
from nucdl_core.cli.main import main


def commands(group=main, before=()):
    for name, command in group.commands.items():
        yield (*before, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*before, name))


ALL = {" ".join(names): command for names, command in commands() if not command.hidden}


def test_every_command_has_examples_and_no_example_is_of_a_command_that_is_gone():
    assert set(ALL) == set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_use_options_that_there_are(name):
    for line in EXAMPLES[name]:
        program, *words = line.split()
        assert program == "nucdl" and words[: len(name.split())] == name.split()
        command, place = main, 0
        while isinstance(command, click.Group):
            command, place = command.commands[words[place]], place + 1
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known


def test_examples_stand_in_the_help_each_on_a_line_of_its_own():
    shown = [line.strip() for line in nucdl("segment", "--help").output.splitlines()]
    assert "Examples:" in shown and "nucdl segment images --output found" in shown
