"""The engine in a process of its own, asked through pipes: one process for each process of CellProfiler."""

from __future__ import annotations

import atexit
import contextlib
import functools
import logging
import os
import subprocess
import threading
from collections import deque
from typing import Any, Callable, Deque, Optional

from _nucdl_errors import NucDLError, raised_there
from _nucdl_places import EnginePlace, environment_for_engine
from _nucdl_wire import PROTOCOL, Message, WireError, receive, send

LOGGER = logging.getLogger("nucdl_core.worker")
LONGEST_START = 300.0
"""Seconds; from a cold network drive a start takes up to a minute."""
LONGEST_END = 5.0
_TRIES = 2
_SHOWN_LINES = 8


class EngineGoneError(Exception):
    """The engine's process has ended without an answer."""


class RemoteEngine:
    """Has the methods of the engine's `EngineService`, each of which asks the process.

    It starts with the first question. If it dies it is started once more, and asked again.

    Parameters
    ----------
    place : EnginePlace
    """

    def __init__(self, place: EnginePlace) -> None:
        self._place = place
        self._lock = threading.RLock()
        self._process: Optional[EngineProcess] = None

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)
        return functools.partial(self._ask, name)

    def _ask(self, name: str, *given: Any, progress: Any = None, **named: Any) -> Any:
        call = {"name": name, "given": given, "named": named, "progress": progress is not None}
        with self._lock:
            for tries_left in reversed(range(_TRIES)):
                process = self._started()
                try:
                    return process.ask(call, progress)
                except EngineGoneError as error:
                    self._process = None
                    if not tries_left:
                        raise NucDLError(
                            f"the process of NucDL's engine has died twice in {name} ({error}); does the memory "
                            "suffice? Close other programs, take smaller images, or compute on the CPU"
                        ) from error
                    LOGGER.warning("the process of NucDL's engine has died in %s and is started again: %s", name, error)
        raise AssertionError

    def _started(self) -> EngineProcess:
        # A process that was forked off must not talk through the pipes of its parent.
        if self._process is None or self._process.broken or self._process.owner != os.getpid():
            self._process = EngineProcess(self._place)
        return self._process


class EngineProcess:
    """One process of the engine.

    Parameters
    ----------
    place : EnginePlace

    Attributes
    ----------
    owner : int
        The process that has started it.
    broken : bool
        Whether a question was given up before its answer had come.

    Raises
    ------
    NucDLError
        If it cannot be started, or is no engine that these modules understand.
    """

    def __init__(self, place: EnginePlace) -> None:
        self.owner = os.getpid()
        self._lines: Deque[str] = deque(maxlen=_SHOWN_LINES)
        self._busy = self.broken = False
        try:
            self._process = subprocess.Popen(
                place.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment_for_engine(),
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        except OSError as error:
            raise self._no_engine(place, error.strerror or str(error)) from error
        self._printed = threading.Thread(target=self._read_errors, daemon=True)
        self._printed.start()
        self._welcome(place)
        atexit.register(self.end)

    def _welcome(self, place: EnginePlace) -> None:
        """Wait until the process says that it is ready, and what it is."""
        patience = threading.Timer(LONGEST_START, self._process.kill)
        patience.daemon = True
        patience.start()
        try:
            message = self._next()
        except EngineGoneError as error:
            raise self._no_engine(place, str(error)) from error
        finally:
            patience.cancel()
        found = message.content["protocol"] if message.kind == "ready" else None
        if found != PROTOCOL:
            self.end()
            raise self._no_engine(place, f"it speaks version {found} of the language between both, not {PROTOCOL}")
        version, number = message.content["version"], message.content["process"]
        LOGGER.info("NucDL %s, named by %s, computes in the process %d", version, place.named_by, number)

    def _no_engine(self, place: EnginePlace, problem: str) -> Exception:
        error: Exception = NucDLError(
            f"{' '.join(place.command[:1])}, named by {place.named_by}, does not start NucDL's engine: {problem}. "
            "Install NucDL there again, and then the modules: 'nucdl plugins install FOLDER'"
        )
        return error

    def ask(self, call: Any, progress: Optional[Callable[[int, int], None]]) -> Any:
        """Ask a question and wait for the answer; tell about tiles and log on the way.

        Raises
        ------
        EngineGoneError
            If the process ends before.
        Exception
            What was raised there.
        """
        if self._busy:
            raise NucDLError("NucDL's engine is still computing; try again when it has finished")
        self._busy = True
        try:
            message = self._answer_to(call, progress)
        except BaseException:
            # Whoever interrupts this, by Ctrl+C for example, leaves an answer in the pipe, which the next would get.
            self.broken = True
            self._process.kill()
            raise
        finally:
            self._busy = False
        if message.kind == "error":
            raise raised_there(*(message.content[key] for key in ("class", "text", "trace")))
        return message.content

    def _answer_to(self, call: Any, progress: Optional[Callable[[int, int], None]]) -> Message:
        self._say(call)
        while True:
            message = self._next()
            if message.kind in ("answer", "error"):
                return message
            if message.kind == "progress" and progress is not None:
                progress(*message.content)

    def _say(self, call: Any) -> None:
        stream: Any = self._process.stdin
        try:
            send(stream, "call", call)
        except OSError as error:
            raise self._gone() from error

    def _next(self) -> Message:
        """Read the next message that is no line of the log."""
        stream: Any = self._process.stdout
        while True:
            try:
                message = receive(stream)
            except (WireError, OSError) as error:
                self._process.kill()
                raise self._gone(str(error)) from error
            if message is None:
                raise self._gone()
            if message.kind != "log":
                return message
            line = message.content
            logging.getLogger(line["logger"]).log(line["level"], "%s", line["text"])

    def _gone(self, reason: str = "") -> EngineGoneError:
        """Say how the process has ended, with the last lines that it has printed."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(LONGEST_END)
        self._printed.join(LONGEST_END)
        code = self._process.poll()
        how = f"ended by signal {-code}" if code is not None and code < 0 else f"ended with code {code}"
        return EngineGoneError("; ".join([*([reason] if reason else []), how, *self._lines]))

    def _read_errors(self) -> None:
        """Write what the process prints into the log; the last lines say why it died."""
        for line in self._process.stderr or ():
            text = line.decode("utf-8", "replace").rstrip()
            if text:
                self._lines.append(text)
                LOGGER.info("%s", text)

    def end(self) -> None:
        """End the process: it ends by itself when its input does."""
        if self.owner != os.getpid():
            return
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        try:
            self._process.wait(LONGEST_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
