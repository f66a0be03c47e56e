r"""Folders of images whose file names say what they show, turned into a list for LoadData.

A naming is a regular expression for the name of a file, or for its path below the folder where the expression holds
a slash. Its named groups become metadata; ``Channel`` tells the images of an image set apart. ``Plate`` is the name
of the folder where nothing else says it.

==============  =============================================================  ==================================
naming          file                                                           from
==============  =============================================================  ==================================
``yokogawa``    ``Plate_A01_T0001F001L01A01Z01C01.tif``                        CellVoyager CV7000, CV8000
``imagexpress`` ``Plate_A01_s1_w1.tif``, ``Plate_A01_s1_w1UUID.tif``           MetaXpress; also ``TimePoint_1/``
``operetta``    ``r01c01f01p01-ch1sk1fk1fl1.tiff``                             Harmony (Operetta, Opera Phenix)
``nucdl``       ``Plate_A01_s1_w1.tif``                                        ``nucdl simulate``
==============  =============================================================  ==================================
"""

from __future__ import annotations

import csv
import io
import os
import re
import string
from pathlib import Path
from typing import Dict, Iterable, Iterator, List, Mapping, Optional, Pattern, Sequence, Tuple

from nucdl_core.files.folders import IMAGE_SUFFIXES, LABEL_SUFFIX
from nucdl_core.screen.core.plan import ScreenError

_CHANNEL, _PLATE, _WELL = "Channel", "Plate", "Well"
NAMINGS = {
    "yokogawa": (
        r"(?:(?P<Plate>.+)_)?(?P<Well>[A-Z]{1,2}\d{2})_T(?P<Time>\d{4})F(?P<Site>\d{3,4})L\d{2}"
        r"A\d{2}Z(?P<Plane>\d{2})C(?P<Channel>\d{2})\.(?i:tiff?|png)"
    ),
    "imagexpress": (
        r"(?:(?:.*/)?TimePoint_(?P<Time>\d+)/|.*/)?"
        r"(?:(?P<Plate>[^/]+)_)?(?P<Well>[A-Z]{1,2}\d{2})(?:_s(?P<Site>\d+))?_w(?P<Channel>\d)"
        r"(?:[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})?\.(?i:tiff?)"
    ),
    "operetta": (
        r"r(?P<Row>\d{2})c(?P<Column>\d{2})f(?P<Site>\d{2,3})p(?P<Plane>\d{2})-ch(?P<Channel>\d+)"
        r"sk(?P<Time>\d+)fk\d+fl\d+\.(?i:tiff?)"
    ),
    "nucdl": r"(?P<Plate>.+)_(?P<Well>[A-Z]{1,2}\d{2})_s(?P<Site>\d+)_w(?P<Channel>\d)\.(?i:tiff?|png)",
}
SHOWN = 3
_CHANNEL_NUMBER = re.compile(r"(?i:w|c|ch|channel)?0*(\d+)")
_PART_OF_PLATE = re.compile(r"(?i:images|timepoint_\d+)")


def list_images(folder: Path, naming: str, names: Optional[Mapping[str, str]] = None) -> str:
    """Make LoadData's list of the images in a folder and the folders in it.

    Parameters
    ----------
    folder : Path
    naming : str
        One of `NAMINGS`, or a regular expression with the group ``Channel``.
    names : mapping of str to str, optional
        What a pipeline calls an image, such as "DNA", and which channel that is: "1", "01", "w1", "Channel1". Channels
        that are not among them keep their names.

    Returns
    -------
    str
        CSV with ``Image_FileName_CHANNEL`` and ``Image_PathName_CHANNEL`` for each channel ("Channel1" where it is a
        number) and ``Metadata_`` columns; image sets sorted by their metadata. Hidden and temporary files, thumbnails
        and label images are left out, links to folders are not followed.

    Raises
    ------
    ScreenError
        If the expression cannot be used, no image fits it, image files do not fit, two files are the same image, an
        image set lacks a channel, a channel that was named is not there, or the name of a file is not UTF-8.
    """
    pattern = _pattern(naming)
    found: Dict[Tuple[Tuple[str, str], ...], Dict[str, Path]] = {}
    misfits: List[Path] = []
    for path in _image_paths(folder):
        words = _words(pattern, path, folder)
        if words is None:
            misfits.append(path)
            continue
        channel = words.pop(_CHANNEL)
        images = found.setdefault(tuple(words.items()), {})
        if channel in images:
            raise ScreenError(f"{images[channel]} and {path} are the same image by their names; take one out")
        images[channel] = path
    _refuse_misfits(folder, naming, len(found), misfits)
    return _to_csv(found, names or {})


def _pattern(naming: str) -> Pattern[str]:
    try:
        pattern = re.compile(NAMINGS.get(naming, naming))
    except re.error as error:
        raise ScreenError(
            f"the naming {naming!r} is none of {', '.join(NAMINGS)}, and not a regular expression either ({error}); "
            "correct it"
        ) from error
    if _CHANNEL not in pattern.groupindex:
        raise ScreenError(
            f"the naming {naming!r} is none of {', '.join(NAMINGS)}, and as a regular expression it lacks the group "
            f"(?P<{_CHANNEL}>...), which tells the images of an image set apart; add it"
        )
    return pattern


def _image_paths(folder: Path) -> Iterator[Path]:
    """Yield the image files in a folder and below it, in the order of their names."""
    for place, folders, files in os.walk(folder, onerror=_refuse_folder):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "~")))
        for name in sorted(files):
            hidden = name.startswith((".", "~")) or name.endswith("~") or "_thumb" in name.lower()
            if hidden or not name.lower().endswith(IMAGE_SUFFIXES) or name.endswith(LABEL_SUFFIX):
                continue
            path = os.path.join(place, name)
            if any("\udc80" <= letter <= "\udcff" for letter in path):
                raise ScreenError(f"{path!a} is not UTF-8, which CellProfiler needs; rename the file or its folder")
            yield Path(path)


def _refuse_folder(error: OSError) -> None:
    raise ScreenError(f"{error.filename} cannot be read ({error.strerror}); check the folder") from error


def _words(pattern: Pattern[str], path: Path, folder: Path) -> Optional[Dict[str, str]]:
    """Return what the name of a file says, or None where it does not fit."""
    text = path.relative_to(folder).as_posix() if "/" in pattern.pattern else path.name
    match = pattern.fullmatch(text)
    if match is None or not match[_CHANNEL]:
        return None
    words = {name: value or "" for name, value in match.groupdict().items()}
    words[_PLATE] = words.get(_PLATE) or _plate_folder(path)
    if _WELL not in words and words.get("Row", "").isdecimal() and words.get("Column", "").isdecimal():
        words[_WELL] = _well_name(int(words["Row"]), int(words["Column"]))
    return words


def _plate_folder(path: Path) -> str:
    """Name the folder of an image, or the one above where that is only a part of a plate."""
    folder = path.absolute().parent
    while _PART_OF_PLATE.fullmatch(folder.name):
        folder = folder.parent
    return folder.name


def _well_name(row: int, column: int) -> str:
    """Name a well by row and column from 1: (1, 1) is A01, (27, 1) is AA01."""
    letters = string.ascii_uppercase
    first = letters[(row - 1) // 26 - 1] if row > 26 else ""
    return f"{first}{letters[(row - 1) % 26]}{column:02d}"


def _refuse_misfits(folder: Path, naming: str, fitting: int, misfits: List[Path]) -> None:
    examples = ", ".join(path.name for path in misfits[:SHOWN])
    if not fitting:
        raise ScreenError(f"{folder} has no image that fits the naming {naming!r}, but {examples or 'no image at all'}")
    if misfits:
        raise ScreenError(
            f"{len(misfits)} images in {folder} do not fit the naming {naming!r}, such as {examples}; "
            "move them elsewhere, or give a regular expression that fits all"
        )


def _to_csv(found: Dict[Tuple[Tuple[str, str], ...], Dict[str, Path]], given: Mapping[str, str]) -> str:
    channels = sorted({channel for images in found.values() for channel in images})
    called = name_channels(channels, given)
    names = [name for name, _ in next(iter(found))]
    for words, images in found.items():
        if len(images) < len(channels):
            lacking = ", ".join(sorted(set(channels) - set(images)))
            shown = ", ".join(f"{name} {value}" for name, value in words if value)
            raise ScreenError(f"the image set {shown} lacks the channel {lacking}; complete it or move it elsewhere")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_header([called[channel] for channel in channels], names))
    for words in sorted(found):
        files = (found[words][channel] for channel in channels)
        places = [part for file in files for part in (file.name, str(file.parent.absolute()))]
        writer.writerow([*places, *(value for _, value in words)])
    return text.getvalue()


def name_channels(channels: Sequence[str], given: Mapping[str, str]) -> Dict[str, str]:
    """Decide how the image of each channel is called.

    Parameters
    ----------
    channels : sequence of str
        As the names of the files have them.
    given : mapping
        See `list_images`.

    Returns
    -------
    dict of str to str
        Name by channel: the one that was given, otherwise "Channel1" where it is a number, or itself.

    Raises
    ------
    ScreenError
        If a channel that was named is not there or was named twice, or two channels would be called the same.
    """
    called = {channel: f"Channel{int(channel)}" if channel.isdecimal() else channel for channel in channels}
    usual, named = dict(called), set()
    for name, wanted in given.items():
        fitting = [channel for channel in channels if _is_channel(wanted, channel, usual[channel])]
        if len(fitting) != 1 or fitting[0] in named:
            raise ScreenError(
                f"the image {name} should be the channel {wanted!r}, but the names of the files have "
                f"{', '.join(usual.values())}; give each of them once at most, such as {name}={usual[channels[0]]}"
            )
        named.add(fitting[0])
        called[fitting[0]] = name
    if len(set(called.values())) < len(channels):
        raise ScreenError(f"two channels would be called the same: {', '.join(called.values())}; give them other names")
    return called


def _is_channel(wanted: str, channel: str, usual: str) -> bool:
    """Tell whether "w1", "ch1", "C01" or "1" means a channel that is called "01" in the names of the files."""
    if wanted.lower() in (channel.lower(), usual.lower()):
        return True
    match = _CHANNEL_NUMBER.fullmatch(wanted)
    return match is not None and channel.isdecimal() and int(match.group(1)) == int(channel)


def _header(channels: Iterable[str], names: Iterable[str]) -> List[str]:
    return [f"Image_{kind}_{name}" for name in channels for kind in ("FileName", "PathName")] + [
        f"Metadata_{name}" for name in names
    ]
