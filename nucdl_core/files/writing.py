"""Writing results completely: a file or folder is made beside its place and moved there once all of it is on disk."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
import shutil
import uuid
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Callable, Dict, Iterator, Optional

import numpy as np

from nucdl_core.arrays import AnyArray, Labels
from nucdl_core.errors import ImageError, NucDLError
from nucdl_core.files.folders import PathLike
from nucdl_core.large import is_large, let_go

if TYPE_CHECKING:
    import pandas as pd
    from filelock import FileLock

# Side of the tiles of a large label image, in pixels.
TILE = 512
# While a folder is replaced, these lie in a hidden folder beside it: what is being written, what is replaced, what may
# be deleted, and the lock of the run that does it.
_NEW, _OLD, _WASTE, _LOCK = "new", "old", "waste", "lock"
_BUSY = "{}: another run is writing this folder; wait until it has ended, or name another folder"
# On a disk that cannot lock files, newer versions of the library would take the mere existence of the file for the
# lock, which a killed process leaves behind.
_LOCK_OPTIONS: Dict[str, Any] = {"fallback_to_soft": False}


def file_sha256(path: PathLike) -> str:
    """Return the sha256 of a file's bytes as 64 hexadecimal digits, in bounded memory.

    Raises
    ------
    NucDLError
        If the file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as stream:
            while block := stream.read(2**20):
                digest.update(block)
    except OSError as error:
        raise NucDLError(f"{path}: cannot be read ({error.strerror}); check the name and the disk") from error
    return digest.hexdigest()


def make_folder(folder: PathLike) -> None:
    """Make a folder for results where it does not exist.

    Parameters
    ----------
    folder : str or path

    Raises
    ------
    NucDLError
        If it cannot be made.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NucDLError(f"{folder}: the folder cannot be made ({error.strerror}); name another one") from error


def write_labels(path: PathLike, labels: Labels) -> None:
    """Write a label image as a Deflate-compressed TIFF file.

    Parameters
    ----------
    path : str or path
        In an existing folder; an existing file is replaced.
    labels : int32 array (H, W)
        Written as uint16, or as uint32 where a number is above 65,535; a large one in tiles.

    Raises
    ------
    ImageError
        If the array is no label image or has no pixels.
    NucDLError
        If the file cannot be written.
    """
    # Imported late, so that a process that only watches others needs little memory.
    import tifffile

    from nucdl_core.labels import as_labels, highest

    checked = as_labels(labels)
    if checked.size == 0:
        raise ImageError(f"{path}: a label image of shape {checked.shape} has no pixels and cannot be written")
    kind = "<u2" if highest(checked) <= np.iinfo(np.uint16).max else "<u4"
    options: Dict[str, Any] = {"byteorder": "<", "photometric": "minisblack", "compression": "zlib", "metadata": None}
    stored: Any
    if is_large(checked.nbytes):
        stored = _tiles(checked, kind)
        options.update(shape=checked.shape, dtype=kind, tile=(TILE, TILE))
    else:
        stored = checked.astype(kind)
    write_atomically(path, lambda stream: tifffile.imwrite(stream, stored, **options))


def _tiles(labels: Labels, kind: str) -> Iterator[AnyArray]:
    """Cut a large label image into the tiles of a TIFF file, so that no copy of the whole is in memory."""
    height, width = labels.shape
    for row in range(0, height, TILE):
        for col in range(0, width, TILE):
            part = labels[row : row + TILE, col : col + TILE]
            tile = np.zeros((TILE, TILE), kind)
            tile[: part.shape[0], : part.shape[1]] = part
            yield tile
        let_go(labels)


def write_grey(path: PathLike, image: AnyArray, compression: Optional[str] = "zlib") -> None:
    """Write a grey image as a TIFF file.

    Parameters
    ----------
    path : str or path
        In an existing folder; an existing file is replaced.
    image : array (H, W)
        Of a type that TIFF knows.
    compression : str, optional
        See `tifffile.imwrite`; None stores the pixels as they are.

    Raises
    ------
    NucDLError
        If the file cannot be written.
    """
    import tifffile

    options: Dict[str, Any] = {"photometric": "minisblack", "compression": compression, "metadata": None}
    write_atomically(path, lambda stream: tifffile.imwrite(stream, image, **options))


def write_png(path: PathLike, rgb: AnyArray) -> None:
    """Write a picture as a PNG file.

    Parameters
    ----------
    path : str or path
        In an existing folder; an existing file is replaced.
    rgb : uint8 array (H, W, 3) or (H, W)
        Red, green and blue, or grey.

    Raises
    ------
    ImageError
        If the array has another type or shape.
    NucDLError
        If the file cannot be written.
    """
    from PIL import Image

    if rgb.dtype != np.uint8 or rgb.size == 0 or not (rgb.ndim == 2 or (rgb.ndim == 3 and rgb.shape[2] == 3)):
        raise ImageError(f"{path}: a PNG picture is uint8 (H, W, 3) or (H, W), not {rgb.dtype} {rgb.shape}")
    write_atomically(path, lambda stream: Image.fromarray(np.ascontiguousarray(rgb)).save(stream, "PNG"))


def write_json(path: PathLike, content: Any) -> None:
    """Write an object as a JSON file.

    Parameters
    ----------
    path : str or path
        In an existing folder; an existing file is replaced.
    content : dict, list, str, number, bool, None, path, numpy number or array
        Numbers that JSON does not know (NaN, infinity) become null.

    Raises
    ------
    TypeError
        If the object holds something else.
    NucDLError
        If the file cannot be written.
    """
    text = json.dumps(_plain(content), indent=2, allow_nan=False) + "\n"
    write_atomically(path, lambda stream: stream.write(text.encode("ascii")))


def _plain(content: Any) -> Any:
    """Replace what the json module does not know."""
    if isinstance(content, dict):
        return {str(key): _plain(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_plain(value) for value in content]
    if isinstance(content, (np.ndarray, np.generic)):
        return _plain(content.tolist())
    if isinstance(content, os.PathLike):
        return os.fspath(content)
    if isinstance(content, float) and not math.isfinite(content):
        return None
    return content


def write_table(path: PathLike, table: pd.DataFrame) -> None:
    """Write a table as a CSV file in UTF-8 with a header line and without row names.

    Parameters
    ----------
    path : str or path
        In an existing folder; an existing file is replaced.
    table : pandas.DataFrame

    Raises
    ------
    NucDLError
        If the file cannot be written.
    """
    # File names that are not UTF-8 keep their bytes.
    text = table.to_csv(index=False, lineterminator="\n").encode("utf-8", "surrogateescape")
    write_atomically(path, lambda stream: stream.write(text))


def write_atomically(path: PathLike, fill: Callable[[IO[bytes]], object]) -> None:
    """Let `fill` write a new file beside `path` and move it there once it is complete and on the disk.

    Parameters
    ----------
    path : str or path
        In an existing folder; an existing file is replaced.
    fill : callable
        Called with the binary stream to write to.

    Raises
    ------
    NucDLError
        If the file cannot be written; `path` is as it was then.
    """
    target = Path(path)
    # A short name of its own: the target's name may already be as long as names can be.
    temporary = target.parent / f".{uuid.uuid4().hex}.tmp"
    try:
        with temporary.open("xb") as stream:
            fill(stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, target)
    except OSError as error:
        raise NucDLError(f"{path}: cannot be written ({error.strerror}); check the folder and the disk") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def write_bytes(path: PathLike, content: bytes) -> None:
    """Write a file; see `write_atomically`."""
    write_atomically(path, lambda stream: stream.write(content))


@contextlib.contextmanager
def replaced_folder(target: PathLike, is_replaced: Callable[[Path], bool] = lambda path: True) -> Iterator[Path]:
    """Let a block fill a new folder, which takes the place of `target` once the block has ended without an error.

    Until then `target` stays as it is. The new folder and the old one lie in a hidden folder beside it, which the
    next run removes if this one is killed. Killed between moving the old folder away and moving the new one there, a
    run leaves no `target` for that moment: the next run, or `restore_folder`, brings the old one back.

    Parameters
    ----------
    target : str or path
        Folder to make or to replace; missing parents are made.
    is_replaced : callable
        Called with the path, relative to `target`, of each file and folder in it. What it returns False for is kept,
        unless the new folder holds something of that name. Without it everything is replaced.

    Yields
    ------
    Path
        The new folder, empty, on the same disk.

    Raises
    ------
    NucDLError
        Before the block: if `target` is a file, a mounted disk or the current folder, another run is replacing it, or
        the folder beside it cannot be made. After it: if the new folder cannot be moved; `target` is as it was then.
    """
    final = Path(os.path.realpath(target))
    with _named(final):
        _refuse_what_cannot_move(final)
    with _workshop(final) as workshop:
        new, old = workshop / _NEW, workshop / _OLD
        with _named(final):
            new.mkdir()
        yield new
        with _named(final):
            _keep_others(final, new, is_replaced)
            for path in (*new.rglob("*"), new):
                _sync(path)
            if final.exists():
                os.rename(final, old)
            os.rename(new, final)
            _sync(final.parent)


def restore_folder(target: PathLike) -> None:
    """Bring back the folder that a run was replacing when it was killed, if there is no folder now.

    Parameters
    ----------
    target : str or path
        As of `replaced_folder`.

    Raises
    ------
    NucDLError
        If it cannot be brought back, or another run is replacing it.
    """
    final = Path(os.path.realpath(target))
    if not final.exists() and (_workshop_of(final) / _OLD).exists():
        with _workshop(final):
            pass


def _workshop_of(final: Path) -> Path:
    return final.with_name(f".{final.name}.replacing")


@contextlib.contextmanager
def _workshop(final: Path) -> Iterator[Path]:
    """Lock the hidden folder beside a folder, and clear it of what killed runs left there; remove it in the end."""
    # Imported late, so that a process that only watches others needs little memory.
    from filelock import FileLock, Timeout

    workshop = _workshop_of(final)
    lock = FileLock(workshop / _LOCK, **_LOCK_OPTIONS)
    with _named(final):
        try:
            workshop.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
        except NotImplementedError as error:
            raise OSError(errno.ENOSYS, "the disk cannot lock files") from error
        except (Timeout, FileNotFoundError, FileExistsError):
            raise NucDLError(_BUSY.format(final)) from None
        if not _is_on_its_file(lock):
            lock.release()
            raise NucDLError(_BUSY.format(final))
    try:
        with _named(final):
            _clear(final, workshop)
        try:
            yield workshop
        finally:
            with _named(final):
                _clear(final, workshop)
            shutil.rmtree(workshop, ignore_errors=True)
    finally:
        lock.release()


def _is_on_its_file(lock: FileLock) -> bool:
    """Tell whether a lock is on the file that is there, and not on one that another run removed after it was opened."""
    # The library has no public way to ask for the file that it has opened.
    opened = lock._context.lock_file_fd
    try:
        return opened is not None and os.path.samestat(os.fstat(opened), os.stat(lock.lock_file))
    except FileNotFoundError:
        return False


def _clear(final: Path, workshop: Path) -> None:
    """Bring the old folder back if no other has taken its place, and delete what else a run has left."""
    old, waste = workshop / _OLD, workshop / _WASTE
    for leftover in (workshop / _NEW, waste):
        shutil.rmtree(leftover, ignore_errors=True)
    if old.exists():
        # An old folder that is deleted in part must not be taken for a whole one.
        os.rename(old, waste if final.exists() else final)
        shutil.rmtree(waste, ignore_errors=True)


def _refuse_what_cannot_move(final: Path) -> None:
    if final.is_file():
        raise NucDLError(f"{final} is a file; name a folder")
    if final.exists() and os.path.ismount(final):
        raise NucDLError(f"{final} is a mounted disk or folder, which cannot be replaced; name a folder in it")
    here = Path.cwd()
    if final in (here, *here.parents):
        raise NucDLError(f"{final} is the folder that this command runs in; go to another one, or name a folder in it")


def _keep_others(old: Path, new: Path, is_replaced: Callable[[Path], bool]) -> None:
    """Keep in a new folder what it does not replace of the old one, by hard links where the disk allows them."""
    for path in sorted(old.rglob("*")):
        part = path.relative_to(old)
        folder = path.is_dir() and not path.is_symlink()
        if (new / part).exists() or is_replaced(part):
            continue
        if folder:
            (new / part).mkdir(parents=True)
            continue
        (new / part).parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, new / part, follow_symlinks=False)
        except OSError:
            shutil.copy2(path, new / part, follow_symlinks=False)


def _sync(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    if path.is_symlink():
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _named(folder: Path) -> Iterator[None]:
    """Turn an error of the system, while a folder is replaced, into one that names the folder."""
    try:
        yield
    except OSError as error:
        raise NucDLError(f"{folder}: cannot be replaced ({error.strerror}); check the folder and the disk") from error
