"""The hidden command that CellProfiler's modules start where the engine is installed beside CellProfiler."""

from __future__ import annotations

import click


@click.command(name="worker", hidden=True)
def serve_command() -> None:
    """Serve CellProfiler's modules, which start this by themselves, through standard input and output."""
    import importlib.util
    import logging
    import os
    import signal
    import sys

    from nucdl_core.worker.serve import serve

    missing = [name for name in ("torch", "safetensors") if importlib.util.find_spec(name) is None]
    if missing:
        raise click.ClickException(f"No module named {missing[0]!r} in {sys.executable}")
    # What a library prints must not come between the messages; it appears where errors do.
    requests, answers = os.dup(0), os.dup(1)
    os.dup2(2, 1)
    if sys.platform == "win32":
        import msvcrt

        for each in (requests, answers):
            msvcrt.setmode(each, os.O_BINARY)
    # Ctrl+C is for CellProfiler, which ends this by closing the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
    root.setLevel(logging.INFO)
    logging.captureWarnings(True)
    with os.fdopen(requests, "rb") as incoming, os.fdopen(answers, "wb") as outgoing:
        serve(incoming, outgoing)
