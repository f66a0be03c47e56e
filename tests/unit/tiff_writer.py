"""A TIFF writer for tests that can also write what no program should."""

from __future__ import annotations

import struct

import numpy as np

FORMATS = {1: "B", 2: "s", 3: "H", 4: "I", 16: "Q"}


def directory(tags, position, order="<", big=False, next_offset=0):
    """Return the bytes of an image directory that starts at `position`; tags are {number: (type, values)}."""
    entry, offset, count, room = ("HHQ", "Q", "Q", 8) if big else ("HHI", "I", "H", 4)
    end = position + struct.calcsize("=" + count) + len(tags) * (20 if big else 12) + room
    entries, extra = b"", b""
    for number, (kind, values) in sorted(tags.items()):
        data = values if kind == 2 else struct.pack(f"{order}{len(values)}{FORMATS[kind]}", *values)
        if len(data) > room:
            pointer = struct.pack(order + offset, end + len(extra))
            extra += data
        else:
            pointer = data.ljust(room, b"\0")
        entries += struct.pack(order + entry, number, kind, len(values)) + pointer
    return struct.pack(order + count, len(tags)) + entries + struct.pack(order + offset, next_offset) + extra


def header(first, order="<", big=False):
    mark = b"II" if order == "<" else b"MM"
    if big:
        return mark + struct.pack(order + "HHHQ", 43, 8, 0, first)
    return mark + struct.pack(order + "HI", 42, first)


def tiff(segments, tags, order="<", big=False, next_offset=0):
    """Return a TIFF file of one image: header, segments, directory. Offsets and counts are added to `tags`."""
    start = 16 if big else 8
    offsets = (start + np.cumsum([0] + [len(part) for part in segments])).tolist()
    tiled = 322 in tags
    full = {273 + 51 * tiled: (4, offsets[:-1]), 279 + 46 * tiled: (4, [len(part) for part in segments])}
    full.update({number: (3, value) if isinstance(value, list) else value for number, value in tags.items()})
    body = header(offsets[-1], order, big) + b"".join(segments)
    return body + directory(full, offsets[-1], order, big, next_offset)


def grey(array, order="<", big=False, next_offset=0, **more):
    """Return an uncompressed TIFF file of one strip; `more` are tags named tNUMBER."""
    kind = {"u": 1, "i": 2, "f": 3}[array.dtype.kind]
    tags = {256: [array.shape[1]], 257: [array.shape[0]], 258: [8 * array.itemsize], 262: [1], 339: [kind]}
    tags.update({int(name[1:]): value for name, value in more.items()})
    data = array.astype(array.dtype.newbyteorder(order)).tobytes()
    return tiff([data], tags, order, big, next_offset)
