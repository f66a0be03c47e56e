"""The command that says what is there, and what to do about what is not."""

from __future__ import annotations

import click


@click.command(name="doctor")
def doctor_command() -> None:
    """Say what NucDL needs, what of it is here, and what to do about the rest.

    A few seconds: a simulated image is segmented. What is optional may be missing. The exit code is 1 if nuclei cannot
    be found, or nothing can be written.
    """
    from nucdl_core.cli.doctor_checks import BAD, examine

    bad = False
    for finding in examine():
        click.echo(f"{finding.state:8} {finding.name:13} {finding.told}")
        bad = bad or finding.state == BAD
    if bad:
        raise SystemExit(1)
