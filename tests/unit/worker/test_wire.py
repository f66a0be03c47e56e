"""Messages between the modules and the engine's process: what arrives is what was sent, and nothing else is taken."""

import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest

from nucdl_core.results import Found
from nucdl_core.worker import wire
from nucdl_core.worker.wire import WireError, receive, send

REPOSITORY = Path(__file__).resolve().parents[3]


class Pair(NamedTuple):
    labels: object
    classes: object


def arrived(content):
    stream = io.BytesIO()
    send(stream, "call", content)
    stream.seek(0)
    message = receive(stream)
    assert message.kind == "call"
    assert stream.read() == b""
    return message.content


def message(text, mark=b"NuDL"):
    return io.BytesIO(wire._HEAD.pack(mark, len(text)) + text)


def test_the_file_of_the_modules_is_that_of_the_engine():
    of_modules = (REPOSITORY / "plugins" / "_nucdl_wire.py").read_text(encoding="utf-8")
    assert of_modules == Path(wire.__file__).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "value", [None, True, 3, -0.5, float("inf"), "Zelle ü\n", [], [1, [2, "x"]], {}, {1: "a", "b": [2]}]
)
def test_plain_values_arrive_as_they_were(value):
    assert arrived(value) == value


def test_numbers_of_numpy_become_numbers_and_paths_become_texts():
    assert arrived([np.float32(0.5), np.int64(3), Path("/a/b")]) == [0.5, 3, "/a/b"]


@pytest.mark.parametrize("kind", ["bool", "uint8", "int8", "uint16", "int32", "int64", "uint64", "float32", "float64"])
@pytest.mark.parametrize("shape", [(), (0,), (0, 4), (3, 5), (2, 3, 4)])
def test_arrays_arrive_with_their_kind_and_shape(kind, shape):
    array = (np.arange(int(np.prod(shape))) % 2).reshape(shape).astype(kind)
    got = arrived(array)
    assert got.dtype == array.dtype
    assert got.shape == shape
    np.testing.assert_array_equal(got, array)


@pytest.mark.parametrize("numbers", [[0, 255], [0, 256], [0, 65535], [0, 65536], [-1, 3], [0, 2**31 - 1]])
def test_labels_arrive_with_their_numbers_however_few_bytes_they_take(numbers):
    got = arrived(np.array([numbers], np.int32))
    assert got.dtype == np.int32
    assert got.tolist() == [numbers]


def test_small_numbers_take_a_quarter_of_their_bytes():
    stream = io.BytesIO()
    send(stream, "answer", np.ones((100, 100), np.int32))
    assert 10_000 < len(stream.getvalue()) < 10_300


def test_views_that_are_not_in_one_piece_arrive():
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    np.testing.assert_array_equal(arrived(array.T), array.T)
    np.testing.assert_array_equal(arrived(array[:, ::2]), array[:, ::2])


def test_an_array_that_comes_twice_goes_once_and_stays_one():
    array = np.ones((4, 4), np.float32)
    first, second = arrived([array, array])
    assert first is second


def test_of_an_object_its_fields_and_properties_arrive():
    labels = np.array([[0, 1]], np.int32)
    found = Found(labels, np.array([1]), np.ones((1, 2), np.float32))
    got = arrived({"found": found, "pair": Pair(labels, {1: "mitotic"})})
    assert got["found"].areas.tolist() == [1]
    assert got["found"].scores is None
    assert got["pair"].classes == {1: "mitotic"}
    assert arrived(SimpleNamespace(a=1)).a == 1


@pytest.mark.parametrize("value", [object(), {1, 2}, b"bytes", np.array(["text"]), np.array([object()])])
def test_what_cannot_be_sent_is_refused_before_anything_is_written(value):
    stream = io.BytesIO()
    with pytest.raises(WireError, match="cannot be sent"):
        send(stream, "call", [np.ones(3), value])
    assert stream.getvalue() == b""


def test_the_end_of_the_stream_is_no_message():
    assert receive(io.BytesIO()) is None


@pytest.mark.parametrize("end", [5, 20, -1])
def test_a_message_that_breaks_off_is_refused(end):
    stream = io.BytesIO()
    send(stream, "call", np.ones((3, 3)))
    with pytest.raises(WireError):
        receive(io.BytesIO(stream.getvalue()[:end]))


def test_what_another_program_prints_is_refused():
    with pytest.raises(WireError, match="no message of NucDL"):
        receive(io.BytesIO(b"Usage: nucdl [OPTIONS] COMMAND"))
    with pytest.raises(WireError, match="announced"):
        receive(io.BytesIO(wire._HEAD.pack(b"NuDL", 2**40)))


def test_arrays_of_objects_are_not_taken():
    text = {"kind": "call", "content": {"array": 0}, "arrays": [{"shape": [1], "type": "|O", "sent": "|O"}]}
    with pytest.raises(WireError, match="object"):
        receive(message(json.dumps(text).encode()))
