"""The engine's process: it answers, tells what went wrong, and ends with whoever asked."""

import io
import logging
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from nucdl_core.errors import ImageError
from nucdl_core.worker import serve
from nucdl_core.worker.wire import receive, send

START = [sys.executable, "-c", "from nucdl_core.cli.main import main; main()", "worker"]


class Service:
    """Answers in place of the engine."""

    def double(self, array):
        logging.getLogger("nucdl_core.made_up").warning("doubling %d numbers", array.size)
        return array * 2

    def refuse(self):
        raise ImageError("the image is too dark")

    def tiles(self, progress):
        progress(1, 2)
        return "done"

    def not_to_be_sent(self):
        return object()

    def _private(self):
        return 1


@pytest.fixture
def ask(monkeypatch):
    """Return a function that serves questions and gives the messages after the first one."""
    ended = threading.Event()
    monkeypatch.setattr(serve, "_leave", ended.set)

    def serve_calls(*calls):
        requests, answers = io.BytesIO(), io.BytesIO()
        for name, *given in calls:
            send(requests, "call", {"name": name, "given": given, "named": {}, "progress": name == "tiles"})
        requests.seek(0)
        serve.serve(requests, answers, Service())
        answers.seek(0)
        messages = list(iter(lambda: receive(answers), None))
        assert messages[0].kind == "ready"
        assert messages[0].content["process"] == os.getpid()
        assert ended.wait(10)
        return messages[1:]

    return serve_calls


def test_answers_come_in_the_order_of_the_questions_with_the_lines_of_the_log_before_them(ask):
    line, first, _, second = ask(("double", np.array([2])), ("double", np.array([1, 2])))
    assert line.content == {"level": 30, "logger": "nucdl_core.made_up", "text": "doubling 1 numbers"}
    assert (first.kind, first.content.tolist()) == ("answer", [4])
    assert second.content.tolist() == [2, 4]


def test_an_error_tells_its_class_its_text_and_where_it_came_from(ask):
    (told,) = ask(("refuse",))
    assert told.kind == "error"
    assert (told.content["class"], told.content["text"]) == ("ImageError", "the image is too dark")
    assert "in refuse" in told.content["trace"]


def test_how_far_it_is_comes_before_the_answer(ask):
    told, answer = ask(("tiles",))
    assert (told.kind, told.content) == ("progress", [1, 2])
    assert answer.content == "done"


@pytest.mark.parametrize("name", ["_private", "__class__", "unknown"])
def test_only_questions_are_answered(ask, name):
    (told,) = ask((name,))
    assert told.content["class"] == "AttributeError"


def test_an_answer_that_cannot_be_sent_is_an_error_and_the_next_question_is_answered(ask):
    error, answer = ask(("not_to_be_sent",), ("tiles",))[0::2]
    assert error.content["class"] == "WireError"
    assert answer.content == "done"


def test_the_command_serves_until_its_input_ends_and_is_not_among_the_commands_that_people_see():
    with subprocess.Popen(START, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert receive(process.stdout).kind == "ready"
        send(process.stdin, "call", {"name": "preset_values", "given": ["best"], "named": {}, "progress": False})
        assert receive(process.stdout).content == {"views": "all"}
        process.stdin.close()
        assert process.wait(60) == 0
    shown = subprocess.run([*START[:-1], "--help"], capture_output=True, text=True, check=True).stdout
    assert "worker" not in shown
