"""LoadData's lists: checked row by row before the work, and cut into chunks, in little memory however long they are.

Of each row only its place in the file, a hash of its images and the number of its group are kept: 28 bytes.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import mmap
import os
import stat
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Dict, Iterable, Iterator, List, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from nucdl_core.files.folders import IMAGE_SUFFIXES
from nucdl_core.files.writing import file_sha256, write_atomically
from nucdl_core.screen.core.columns import (
    METADATA,
    ImageColumns,
    ImageFile,
    check_metadata,
    files_of_image_set,
    image_columns,
    metadata_names,
)
from nucdl_core.screen.core.plan import Chunk, ScreenError, ScreenFolder

READABLE_SUFFIXES = (*IMAGE_SUFFIXES, ".npy")
MOST_MISSING_SHOWN = 3


@dataclass(frozen=True)
class ImageList:
    """A list that was checked.

    Attributes
    ----------
    path : Path
    sha256 : str
    header : tuple of str
        Its columns.
    images : tuple of ImageColumns
    starts, ends : int64 array (N,)
        Bytes of the file between which each row lies.
    groups : int32 array (N,)
        Number of each row's group in the order of their first rows; zeros without grouping.
    missing : int
        How many image files do not exist, where that is allowed.
    """

    path: Path
    sha256: str
    header: Tuple[str, ...]
    images: Tuple[ImageColumns, ...]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    groups: NDArray[np.int32]
    missing: int = 0

    @property
    def columns(self) -> Tuple[str, ...]:
        """Columns of the chunks' lists: those of the list, and folders where it had none."""
        added = [image.path_column for image in self.images if image.file and not image.path]
        return (*self.header, *added)

    @property
    def channels(self) -> Tuple[str, ...]:
        """Names of the images."""
        return tuple(image.name for image in self.images if not image.objects)


class _Lines:
    """Decodes the lines of a file for the csv module, and knows how far it has come and the hash of all."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()
        self.position = 0

    def __iter__(self) -> Iterator[str]:
        for number, line in enumerate(self._stream, start=1):
            self._digest.update(line)
            self.position += len(line)
            if b"\0" in line:
                raise ScreenError(f"line {number} holds a zero byte: the file is damaged or not saved as CSV in UTF-8")
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()


def scan_list(path: Path, grouping: Sequence[str] = (), allow_missing: bool = False) -> ImageList:
    """Check a list from its first to its last row.

    Parameters
    ----------
    path : Path
        CSV in UTF-8 with a header; relative folders start from the list's own.
    grouping : sequence of str
        Metadata whose groups are to be told apart, without ``Metadata_``.
    allow_missing : bool
        Count image files that do not exist, instead of refusing them.

    Returns
    -------
    ImageList

    Raises
    ------
    ScreenError
        If the list cannot be read, is empty, cut off or has no images, a row is there twice, has another number of
        columns, a remote or missing image or one that cannot be read strictly, metadata that lead out of the folder
        of the results, or the grouping is not in the list.
    """
    try:
        with path.open("rb") as stream:
            return _scan(path, _Lines(stream), grouping, allow_missing)
    except ScreenError as error:
        raise ScreenError(f"{path}: {error}") from error
    except UnicodeDecodeError as error:
        raise ScreenError(f"{path}: it is not in UTF-8 ({error}); save it as CSV in UTF-8") from error
    except csv.Error as error:
        raise ScreenError(f"{path}: a row is cut or its quotes are wrong ({error}); save it again as CSV") from error
    except OSError as error:
        raise ScreenError(f"{path}: it cannot be read ({error.strerror}); check the name") from error


def _scan(path: Path, lines: _Lines, grouping: Sequence[str], allow_missing: bool) -> ImageList:
    reader = csv.reader(iter(lines), strict=True)
    header = tuple(next(reader, ()))
    if not header:
        raise ScreenError("the list is empty; write a header and one row for each image set")
    for sign, name in ((";", "semicolons"), ("\t", "tabs")):
        if len(header) == 1 and sign in header[0]:
            raise ScreenError(f"its columns are parted by {name}; save it as CSV with commas")
    row_check = _RowCheck(header, grouping, path.parent.absolute(), allow_missing)
    starts, ends, groups, hashes = array("q"), array("q"), array("i"), array("Q")
    start = lines.position
    for record in reader:
        if record:  # CellProfiler leaves out empty lines, too.
            identity, group = row_check(record, reader.line_num)
            starts.append(start)
            ends.append(lines.position)
            groups.append(group)
            hashes.append(identity)
        start = lines.position
    if not starts:
        raise ScreenError("the list has a header but no rows; add one row for each image set")
    _refuse_doubles(np.frombuffer(hashes, np.uint64))
    row_check.refuse_missing()
    return ImageList(
        path=path,
        sha256=lines.sha256,
        header=header,
        images=row_check.images,
        starts=np.frombuffer(starts, np.int64),
        ends=np.frombuffer(ends, np.int64),
        groups=np.frombuffer(groups, np.int32),
        missing=row_check.missing_count,
    )


class _RowCheck:
    """Checks the rows of one list and remembers what it needs of the earlier ones: groups and missing files."""

    def __init__(self, header: Tuple[str, ...], grouping: Sequence[str], base: Path, allow_missing: bool) -> None:
        self.images = image_columns(header)
        self.missing_count = 0
        self._header, self._base, self._allow_missing = header, base, allow_missing
        self._metadata = [(place, name) for place, name in enumerate(header) if name.startswith(METADATA)]
        self._missing: List[str] = []
        self._groups: Dict[Tuple[str, ...], int] = {}
        absent = sorted(set(grouping) - set(metadata_names(header)))
        if absent:
            raise ScreenError(
                f"there is no column {METADATA}{absent[0]} to group by; "
                f"the list has the metadata {', '.join(metadata_names(header)) or 'none'}"
            )
        self._group_places = [header.index(METADATA + name) for name in grouping]

    def __call__(self, record: List[str], line: int) -> Tuple[int, int]:
        """Return the hash of a row's images and the number of its group."""
        try:
            if len(record) != len(self._header):
                raise ScreenError(f"it has {len(record)} columns instead of {len(self._header)}; is the file cut off?")
            for place, name in self._metadata:
                check_metadata(name, record[place])
            files = files_of_image_set(dict(zip(self._header, record)), self.images, self._base)
            for file in files:
                self._check_file(file, line)
        except ScreenError as error:
            raise ScreenError(f"line {line}: {error}") from error
        key = tuple(record[place] for place in self._group_places)
        return _identity(files), self._groups.setdefault(key, len(self._groups))

    def _check_file(self, file: ImageFile, line: int) -> None:
        if file.path.suffix.lower() not in READABLE_SUFFIXES:
            raise ScreenError(
                f"{file.path} cannot be checked, only {', '.join(READABLE_SUFFIXES)} can; export it as TIFF"
            )
        try:
            there = stat.S_ISREG(os.stat(file.path).st_mode)
        except OSError:
            there = False
        if not there:
            self.missing_count += 1
            if len(self._missing) < MOST_MISSING_SHOWN:
                self._missing.append(f"{file.path} (line {line})")

    def refuse_missing(self) -> None:
        """Raise a `ScreenError` for image files that do not exist, unless that is allowed."""
        if self.missing_count and not self._allow_missing:
            raise ScreenError(
                f"{self.missing_count} image files are missing, such as {', '.join(self._missing)}; "
                "correct the list, or let them fail with --allow-missing"
            )


def _identity(files: Sequence[ImageFile]) -> int:
    """Hash the images of an image set to 64 bits; among a million the risk of a false alarm is 1 to 30 million."""
    text = "\0".join(f"{file.path}\0{file.page}" for file in files)
    digest = hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def _refuse_doubles(hashes: NDArray[np.uint64]) -> None:
    order = np.argsort(hashes, kind="stable")
    same = np.flatnonzero(hashes[order][1:] == hashes[order][:-1])
    if len(same):
        first, second = sorted((int(order[same[0]]) + 1, int(order[same[0] + 1]) + 1))
        raise ScreenError(
            f"{len(same)} image sets are there twice, such as number {first}, which is also number {second}; "
            "take the copies out"
        )


def cut_into_chunks(groups: NDArray[np.int32], grouped: bool, size: int) -> Tuple[NDArray[np.int64], List[Chunk]]:
    """Decide which image sets make up which chunk.

    Parameters
    ----------
    groups : int32 array (N,)
        Number of each image set's group.
    grouped : bool
        Whether groups are kept whole; otherwise chunks are even.
    size : int
        Most image sets of a chunk; a larger group is a chunk by itself.

    Returns
    -------
    int64 array (N,)
        The image sets (from 0) in the order of their global numbers: as in the list, but groups together, in the
        order of their first image sets.
    list of Chunk
    """
    total = len(groups)
    if grouped:
        order = np.argsort(groups, kind="stable").astype(np.int64)
        lengths = _fill(np.bincount(groups), size)
    else:
        order = np.arange(total, dtype=np.int64)
        count = -(-total // size)
        lengths = [total // count + (number < total % count) for number in range(count)]
    firsts = np.concatenate([[0], np.cumsum(lengths)])
    chunks = [Chunk(number, int(firsts[number - 1]) + 1, length) for number, length in enumerate(lengths, start=1)]
    return order, chunks


def _fill(group_sizes: NDArray[np.int64], size: int) -> List[int]:
    """Put whole groups into chunks, one after the other."""
    lengths = [0]
    for group in map(int, group_sizes):
        if lengths[-1] and lengths[-1] + group > size:
            lengths.append(0)
        lengths[-1] += group
    return lengths


def write_chunks(images: ImageList, order: NDArray[np.int64], chunks: Sequence[Chunk], folder: ScreenFolder) -> None:
    """Write the list of each chunk, with absolute folders, and the table of the chunks.

    Parameters
    ----------
    images : ImageList
        Its file must be as it was when it was checked.
    order, chunks
        See `cut_into_chunks`.
    folder : ScreenFolder
        Its folder `chunks` must exist.

    Raises
    ------
    ScreenError
        If the list was changed meanwhile.
    NucDLError
        If a file cannot be written.
    """
    with _content(images) as content:
        for chunk in chunks:
            first = chunk.first_image_number - 1
            rows = (_output_row(images, content, place) for place in order[first : first + chunk.image_sets])
            _write_csv(folder.chunk_csv(chunk), images.columns, rows)
    table = ((str(chunk.number), str(chunk.first_image_number), str(chunk.image_sets)) for chunk in chunks)
    _write_csv(folder.chunk_list, ("chunk", "first_image_number", "image_sets"), table)


def list_start(images: ImageList) -> str:
    """Return the header and the first row as a chunk's list has them: what tells CellProfiler which images there are.

    Raises
    ------
    ScreenError
        If the list was changed meanwhile.
    """
    with _content(images) as content:
        return _csv_text(images.columns, [_output_row(images, content, 0)])


@contextlib.contextmanager
def _content(images: ImageList) -> Iterator[mmap.mmap]:
    """Open the list again, and refuse it if it is another one now."""
    try:
        with images.path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
            yield content
        changed = file_sha256(images.path) != images.sha256
    except (OSError, ValueError, csv.Error):
        changed = True
    if changed:
        raise ScreenError(f"{images.path} was changed while it was read; plan again")


def _output_row(images: ImageList, content: mmap.mmap, place: int) -> List[str]:
    """Read one row again, and make its folders absolute."""
    text = content[images.starts[place] : images.ends[place]].decode("utf-8")
    records = [record for record in csv.reader([text], strict=True) if record]
    if len(records) != 1 or len(records[0]) != len(images.header):
        raise ScreenError(f"{images.path} was changed while it was read; plan again")
    row = dict(zip(images.header, records[0]))
    base = images.path.parent.absolute()
    for image in images.images:
        if image.file:
            folder = row[image.path] if image.path else ""
            if not folder.lower().startswith("file:"):
                row[image.path_column] = os.path.normpath(os.path.join(base, folder))
    return [row.get(name, "") for name in images.columns]


def _csv_text(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    content = _csv_text(header, rows).encode("utf-8")
    write_atomically(path, lambda stream: stream.write(content))
