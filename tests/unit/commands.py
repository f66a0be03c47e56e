"""The command nucdl, run in this process."""

from click.testing import CliRunner

from nucdl_core.cli.main import main


def nucdl(*arguments):
    """Run a command; return what click tells of it: exit code and output."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])
