"""What goes through the pipes between CellProfiler's modules and the engine's process: messages of plain values.

This file is in the repository twice, word for word: as ``nucdl_core/worker/wire.py`` and as ``plugins/_nucdl_wire.py``,
since CellProfiler's Python cannot import the engine where this is needed. It needs numpy alone.

A message is its length, a text (JSON) and the bytes of its arrays, one after the other. It can hold numbers, texts,
None, lists, mappings, arrays of numbers, and objects, of which the attributes arrive. No code is in it: what comes from
another program can be wrong, but nothing of it is run.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import os
import struct
from types import SimpleNamespace
from typing import Any, BinaryIO, Callable, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

PROTOCOL = 1
"""Raised with each change after which older modules and a newer engine would misunderstand each other."""
_HEAD = struct.Struct("<4sQ")
_MARK = b"NuDL"
_LONGEST_TEXT = 2**28
_KINDS = "biuf"
_SMALLER = (np.uint8, np.uint16)
# What the modules do not ask for: large, or made from the rest.
_NOT_SENT = ("measured", "regions", "border_excluded", "inside_excluded")

MakeArray = Callable[[Tuple[int, ...], Any], Any]


class WireError(Exception):
    """Something else than a message came."""


class Message(NamedTuple):
    """What is sent.

    Attributes
    ----------
    kind : str
        "ready", "call", "answer", "error", "log" or "progress".
    content : any
    """

    kind: str
    content: Any


def send(stream: BinaryIO, kind: str, content: Any) -> None:
    """Write a message into a stream.

    Raises
    ------
    WireError
        If something in `content` cannot be sent.
    OSError
        If nobody reads the stream any more.
    """
    arrays: Dict[int, Any] = {}
    plain = _plain(content, arrays)
    packed = [_packed(array) for _, array in arrays.values()]
    described = [{"shape": array.shape, "type": array.dtype.str, "sent": sent.dtype.str} for array, sent in packed]
    text = json.dumps({"kind": kind, "content": plain, "arrays": described}).encode("utf-8")
    for part in (_HEAD.pack(_MARK, len(text)), text, *(sent.reshape(-1).view(np.uint8) for _, sent in packed)):
        _write_all(stream, memoryview(part))
    stream.flush()


def receive(stream: BinaryIO, make_array: MakeArray = np.empty) -> Optional[Message]:
    """Read a message from a stream.

    Parameters
    ----------
    stream : binary file
    make_array : callable
        Makes the arrays from their shape and type.

    Returns
    -------
    Message or None
        None at the end of the stream. Objects arrive as ``SimpleNamespace``, tuples as lists.

    Raises
    ------
    WireError
        If something else came, or the message breaks off.
    """
    head = stream.read(_HEAD.size)
    if not head:
        return None
    if len(head) < _HEAD.size or not head.startswith(_MARK):
        raise WireError(f"{head!r} came, which is no message of NucDL")
    length = _HEAD.unpack(head)[1]
    if length > _LONGEST_TEXT:
        raise WireError(f"a text of {length} bytes was announced")
    text = bytearray(length)
    _read_all(stream, memoryview(text))
    sent = json.loads(text.decode("utf-8"))
    arrays = [_read_array(stream, each, make_array) for each in sent["arrays"]]
    return Message(sent["kind"], _restored(sent["content"], arrays))


def _plain(value: Any, arrays: Dict[int, Any]) -> Any:
    """Say a value in JSON's terms; arrays are kept apart by their identity, so that one that comes twice goes once."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in _KINDS:
            raise WireError(f"an array of {value.dtype} cannot be sent")
        number, _ = arrays.setdefault(id(value), (len(arrays), value))
        return {"array": number}
    if isinstance(value, dict):
        return {"map": [[_plain(key, arrays), _plain(each, arrays)] for key, each in value.items()]}
    kind: Any = type(value)
    names = tuple(vars(value)) if kind is SimpleNamespace else _attributes(kind)
    if names:
        return {"object": {name: _plain(getattr(value, name), arrays) for name in names}}
    if isinstance(value, (list, tuple)):
        return [_plain(each, arrays) for each in value]
    raise WireError(f"{type(value).__name__} cannot be sent")


@functools.cache
def _attributes(kind: Any) -> Tuple[str, ...]:
    """Name what is sent of an object: the fields of a dataclass or a named tuple, and its properties."""
    if dataclasses.is_dataclass(kind):
        fields = [field.name for field in dataclasses.fields(kind)]
    else:
        fields = list(getattr(kind, "_fields", ()))
    if not fields:
        return ()
    properties = [name for name in dir(kind) if isinstance(getattr(kind, name), (property, functools.cached_property))]
    return tuple(name for name in dict.fromkeys([*fields, *properties]) if name not in _NOT_SENT)


def _packed(array: Any) -> Tuple[Any, Any]:
    """Return an array, and what is sent for it: whole numbers in the smallest kind that holds them, half the way."""
    if array.dtype.kind not in "iu" or array.dtype.itemsize == 1 or not array.size or array.min() < 0:
        return array, np.ascontiguousarray(array)
    highest = array.max()
    kind = next((each for each in _SMALLER if highest <= np.iinfo(each).max), array.dtype)
    return array, np.ascontiguousarray(array, kind if np.dtype(kind).itemsize < array.dtype.itemsize else array.dtype)


def _restored(value: Any, arrays: List[Any]) -> Any:
    if isinstance(value, list):
        return [_restored(each, arrays) for each in value]
    if not isinstance(value, dict):
        return value
    ((tag, content),) = value.items()
    if tag == "array":
        return arrays[content]
    if tag == "map":
        return {key: _restored(each, arrays) for key, each in content}
    return SimpleNamespace(**{name: _restored(each, arrays) for name, each in content.items()})


def _read_array(stream: BinaryIO, described: Dict[str, Any], make_array: MakeArray) -> Any:
    shape, kind, sent = tuple(described["shape"]), np.dtype(described["type"]), np.dtype(described["sent"])
    if kind.kind not in _KINDS or sent.kind not in _KINDS:
        raise WireError(f"an array of {kind} was announced")
    array = make_array(shape, sent)
    if math.prod(shape):
        _read_all(stream, memoryview(array.reshape(-1).view(np.uint8)))
    return array if kind == sent else array.astype(kind)


def _read_all(stream: BinaryIO, into: memoryview) -> None:
    done = 0
    while done < len(into):
        count = stream.readinto(into[done:])  # type: ignore[attr-defined]
        if not count:
            raise WireError(f"a message broke off after {done} of {len(into)} bytes")
        done += count


def _write_all(stream: BinaryIO, data: memoryview) -> None:
    done = 0
    while done < len(data):
        done += stream.write(data[done:])
