"""The engine's process: it answers the questions of one process of CellProfiler, and ends when that does."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
import traceback
from typing import Any, BinaryIO, Dict, Optional

from nucdl_core import __version__
from nucdl_core.large import zeros
from nucdl_core.worker.service import EngineService
from nucdl_core.worker.wire import PROTOCOL, Message, WireError, receive, send

_LOGGER = logging.getLogger(__name__)


class Replies:
    """The stream of what is told; several threads may log while one computes."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._lock = stream, threading.Lock()

    def send(self, kind: str, content: Any) -> None:
        """Tell something."""
        with self._lock:
            send(self._stream, kind, content)


class SentLog(logging.Handler):
    """Lines of the log, which CellProfiler's process writes into its own."""

    def __init__(self, replies: Replies) -> None:
        super().__init__(logging.INFO)
        self._replies = replies

    def emit(self, record: logging.LogRecord) -> None:
        """Send one line."""
        # Where nobody reads any more, this process is about to end.
        with contextlib.suppress(OSError):
            text = self.format(record)
            self._replies.send("log", {"level": record.levelno, "logger": record.name, "text": text})


def serve(requests: BinaryIO, answers: BinaryIO, service: Optional[EngineService] = None) -> None:
    """Answer one question after the other until there are no more.

    Parameters
    ----------
    requests, answers : binary files
        See `wire`: of each question ("call") the name of a method of `EngineService` and its arguments; of each answer
        ("answer") what the method returns, or ("error") the class and the text of what it raised.
    service : EngineService, optional
    """
    replies = Replies(answers)
    log = SentLog(replies)
    logging.getLogger().addHandler(log)
    asked: queue.Queue[Optional[Message]] = queue.Queue()
    # CellProfiler may end while this computes: whoever waits for its questions learns that at once.
    threading.Thread(target=_listen, args=(requests, asked), daemon=True).start()
    try:
        replies.send("ready", {"protocol": PROTOCOL, "version": __version__, "process": os.getpid()})
        while (message := asked.get()) is not None:
            answer = _answer(message.content, service or EngineService(), replies)
            try:
                replies.send(*answer)
            except WireError as error:
                replies.send("error", _described(error))
    finally:
        logging.getLogger().removeHandler(log)


def _listen(requests: BinaryIO, asked: queue.Queue[Optional[Message]]) -> None:
    try:
        while (message := receive(requests, zeros)) is not None:
            asked.put(message)
    except (WireError, OSError) as error:
        _LOGGER.warning("a question could not be read: %s", error)
    asked.put(None)
    _leave()


def _leave() -> None:
    """End the process, whatever it is computing for nobody."""
    os._exit(0)


def _answer(call: Any, service: EngineService, replies: Replies) -> Message:
    arguments: Dict[str, Any] = call["named"]
    if call["progress"]:
        arguments["progress"] = lambda done, count: replies.send("progress", [done, count])
    # Whatever goes wrong is told, and raised where the question was asked.
    try:
        if call["name"].startswith("_"):
            raise AttributeError(f"{call['name']!r} is no question")
        return Message("answer", getattr(service, call["name"])(*call["given"], **arguments))
    except Exception as error:  # noqa: BLE001
        return Message("error", _described(error))


def _described(error: Exception) -> Dict[str, str]:
    trace = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    return {"class": type(error).__name__, "text": str(error), "trace": trace}
