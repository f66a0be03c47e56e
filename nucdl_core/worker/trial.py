"""Whether the engine's process can be started as CellProfiler's modules start it."""

from __future__ import annotations

import subprocess
import time
from typing import Any, Sequence

from nucdl_core.errors import NucDLError
from nucdl_core.worker.wire import WireError, receive, send

_PATIENCE = 60.0


def try_process(command: Sequence[str]) -> float:
    """Start the engine's process, ask it for the models, and let it end.

    Parameters
    ----------
    command : sequence of str
        What starts it.

    Returns
    -------
    float
        Seconds until the answer.

    Raises
    ------
    NucDLError
        If it does not start, answer and end.
    """
    start = time.perf_counter()
    try:
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            incoming: Any = process.stdout
            outgoing: Any = process.stdin
            ready = receive(incoming)
            if ready is not None:
                send(outgoing, "call", {"name": "offered_models", "given": [], "named": {}, "progress": False})
            answer = None if ready is None else receive(incoming)
            seconds = time.perf_counter() - start
            outgoing.close()
            process.wait(_PATIENCE)
    except (OSError, WireError, subprocess.TimeoutExpired) as error:
        raise NucDLError(f"{command[0]} does not serve CellProfiler's modules: {error}; install NucDL again") from error
    if answer is None or answer.kind != "answer":
        raise NucDLError(f"{command[0]} does not serve CellProfiler's modules; install NucDL again")
    return seconds
