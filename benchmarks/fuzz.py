"""Mutated image files through the strict reader: each must be refused or read, without crash, hang or other harm.

    .venv/bin/python benchmarks/fuzz.py --files 10000

Small sound TIFF and PNG files of all kinds that are read get one to four random changes each: flipped bits, extreme
numbers, parts that are cut, doubled, moved or overwritten, changed TIFF tags, PNG chunks with correct checksums. They
are read in a process of its own, with its memory limited, that reports everything it opens for writing, removes,
renames, starts or connects to. The same seed gives the same files; an offending file is kept.
"""

from __future__ import annotations

import hashlib
import io
import os
import random
import resource
import selectors
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from pathlib import Path

import click
import numpy as np
import tifffile
from PIL import Image

LIMIT_SECONDS = 10.0
MEMORY = 2 * 2**30
HARMFUL = ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.system")
HARMFUL += ("subprocess.Popen", "socket.connect", "os.exec", "os.posix_spawn", "os.fork", "shutil.", "urllib.Request")
EXTREMES = (0, 1, 2, 3, 7, 8, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def sound_files() -> list[tuple[str, bytes]]:
    """Small images in the formats that are read."""
    noise = np.random.default_rng(0).integers(0, 4096, (48, 40)).astype(np.uint16)
    blobs = (noise // 64 * 64).astype(np.uint16)
    kinds = {
        "plain": (noise, {}),
        "byte": (noise.astype(np.uint8), {}),
        "float": (noise.astype(np.float32) / 4096, {}),
        "int32": (noise.astype(np.int32), {}),
        "big_endian": (noise, {"byteorder": ">"}),
        "bigtiff": (noise, {"bigtiff": True}),
        "strips": (noise, {"rowsperstrip": 7}),
        "tiles": (noise, {"tile": (16, 16)}),
        "deflate": (blobs, {"compression": "zlib", "rowsperstrip": 9}),
        "deflate_predictor": (blobs, {"compression": "zlib", "predictor": True}),
        "deflate_tiles": (blobs, {"compression": "zlib", "tile": (16, 16)}),
        "rgb": (np.repeat(noise[..., None], 3, 2), {"photometric": "rgb"}),
    }
    files = []
    for name, (array, options) in kinds.items():
        stream = io.BytesIO()
        tifffile.imwrite(stream, array, **options)
        files.append((f"{name}.tif", stream.getvalue()))
    for name, mode, compression in (("lzw", "I;16", "tiff_lzw"), ("packbits", "L", "packbits"), ("bits", "1", None)):
        array = noise if mode == "I;16" else noise.astype(np.uint8)
        files.append((f"{name}.tif", _pillow(array, mode, "TIFF", compression=compression)))
    for name, mode in (("byte", "L"), ("word", "I;16"), ("bits", "1"), ("palette", "P"), ("rgb", "RGB")):
        array = noise if mode == "I;16" else noise.astype(np.uint8)
        files.append((f"{name}.png", _pillow(array, mode, "PNG")))
    return files


def _pillow(array: np.ndarray, mode: str, kind: str, **options: object) -> bytes:
    image, stream = Image.fromarray(array), io.BytesIO()
    image = image if image.mode.startswith("I") or mode == "L" else image.convert(mode)
    image.save(stream, kind, **options)
    return stream.getvalue()


def mutated(content: bytes, name: str, chance: random.Random) -> bytes:
    """Return a file with one to four changes."""
    data = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        if not data:
            break
        structural = change_tag if name.endswith(".tif") else change_chunk
        change = chance.choice([flip_bit, extreme_number, cut, double, move, overwrite, structural, structural])
        change(data, chance)
    return bytes(data)


def flip_bit(data: bytearray, chance: random.Random) -> None:
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def extreme_number(data: bytearray, chance: random.Random) -> None:
    """Put an extreme number somewhere, most often near the start."""
    size = chance.choice("BHIQ")
    width = struct.calcsize(size)
    place = chance.randrange(min(len(data), 400) if chance.random() < 0.7 else len(data))
    number = chance.choice(EXTREMES) & (256**width - 1)
    data[place : place + width] = struct.pack(chance.choice("<>") + size, number)


def cut(data: bytearray, chance: random.Random) -> None:
    place = chance.randrange(len(data))
    if chance.random() < 0.5:
        del data[place:]
    else:
        del data[place : place + chance.randint(1, 64)]


def double(data: bytearray, chance: random.Random) -> None:
    place = chance.randrange(len(data))
    data[place:place] = data[place : place + chance.randint(1, 200)]


def move(data: bytearray, chance: random.Random) -> None:
    start, length = chance.randrange(len(data)), chance.randint(1, 32)
    part = data[start : start + length]
    target = chance.randrange(len(data))
    data[target : target + len(part)] = part


def overwrite(data: bytearray, chance: random.Random) -> None:
    place, length = chance.randrange(len(data)), chance.randint(1, 100)
    filler = bytes([chance.choice((0, 255))]) * length if chance.random() < 0.5 else chance.randbytes(length)
    data[place : place + length] = filler


def change_tag(data: bytearray, chance: random.Random) -> None:
    """Change number, type, count or value of an entry of the first directory of a classic TIFF file, or its link."""
    if len(data) < 16 or data[:2] not in (b"II", b"MM"):
        return
    order = "<" if data[:2] == b"II" else ">"
    (start,) = struct.unpack_from(order + "I", data, 4)
    if start + 2 > len(data):
        return
    (entries,) = struct.unpack_from(order + "H", data, start)
    if not 0 < entries < 100 or start + 6 + 12 * entries > len(data):
        return
    entry = start + 2 + 12 * chance.randrange(entries)
    kind, place = chance.choice((("H", 0), ("H", 2), ("I", 4), ("I", 8), ("I", 8), ("H", 8)))
    number = chance.choice((*EXTREMES, start, len(data), chance.randrange(70_000))) & (256 ** struct.calcsize(kind) - 1)
    struct.pack_into(order + kind, data, entry + place, number)
    if chance.random() < 0.1:
        struct.pack_into(order + "I", data, start + 2 + 12 * entries, chance.choice((start, 8, len(data))))


def change_chunk(data: bytearray, chance: random.Random) -> None:
    """Change a chunk of a PNG file and set its checksum right."""
    places, place = [], 8
    while place + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        if place + 12 + length > len(data):
            break
        places.append((place, length))
        place += 12 + length
    if not places:
        return
    place, length = chance.choice(places)
    if length:
        flip_bit_at = place + 8 + chance.randrange(length)
        data[flip_bit_at] = chance.choice((0, 1, 255, data[flip_bit_at] ^ 1 << chance.randrange(8)))
    struct.pack_into(">I", data, place + 8 + length, zlib.crc32(data[place + 4 : place + 8 + length]))


def make_file(number: int, seed: int) -> tuple[str, bytes, bytes]:
    """Return name, content and sound original of one of the mutated files."""
    chance = random.Random(f"{seed} {number}")
    name, content = chance.choice(sound_files_once())
    return name, mutated(content, name, chance), content


_SOUND: list[tuple[str, bytes]] = []


def sound_files_once() -> list[tuple[str, bytes]]:
    if not _SOUND:
        _SOUND.extend(sound_files())
    return _SOUND


def read_all(first: int, last: int, seed: int, folder: Path) -> None:
    """In the child: read the files of a range of numbers, and print one line for each."""
    from nucdl_core.errors import ImageError
    from nucdl_core.files.reading import read_image
    from nucdl_core.screen.core.columns import ImageFile
    from nucdl_core.screen.core.inspection import inspect_file
    from nucdl_core.screen.core.plan import ScreenLimits

    limits, harm = ScreenLimits(read_seconds=LIMIT_SECONDS), []
    originals: dict[bytes, str] = {}
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))

    def digest(path: Path) -> str:
        array = read_image(path)
        return hashlib.sha256(f"{array.dtype} {array.shape}".encode() + array.tobytes()).hexdigest()

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        writes = event == "open" and bool(int(arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
        if watching and (writes or event.startswith(HARMFUL)):
            harm.append(f"{event} {arguments}"[:200])

    watching = False
    sys.addaudithook(watch)
    for number in range(first, last):
        name, content, original = make_file(number, seed)
        path = folder / name
        if original not in originals:
            path.write_bytes(original)
            originals[original] = digest(path)
        path.write_bytes(content)
        start, watching = time.perf_counter(), True
        try:
            inspect_file(ImageFile("DNA", path), limits)
            outcome = "identical" if digest(path) == originals[original] else "another image"
        except ImageError:
            outcome = "refused"
        except BaseException as error:  # noqa: BLE001  # whatever else is raised is what is looked for
            outcome = f"other error {type(error).__name__}: {error}"[:200].replace("\n", " ")
        watching = False
        outcome = f"harm {harm.pop()}" if harm else outcome
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(number, f"{time.perf_counter() - start:.4f}", memory, outcome, sep="\t", flush=True)


class Fuzzing:
    """The parent's side: starts children, reads their lines, and goes on after one that crashed or hangs."""

    def __init__(self, files: int, seed: int, kept: Path) -> None:
        self.files, self.seed, self.kept = files, seed, kept
        self.outcomes: Counter[str] = Counter()
        self.slowest, self.memory = 0.0, 0

    def run(self) -> None:
        first = 0
        while first < self.files:
            first = self._run_child(first)

    def _run_child(self, first: int) -> int:
        """Let one child read from a number on; return the number after the last that it read or died of."""
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, __file__, "--child", folder, str(first)]
            command += ["--files", str(self.files), "--seed", str(self.seed), "--keep", str(self.kept)]
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
                selector = selectors.DefaultSelector()
                selector.register(child.stdout, selectors.EVENT_READ)
                number, begun = first, False
                while selector.select(LIMIT_SECONDS * (3 if begun else 30)):
                    line, begun = child.stdout.readline().decode("utf-8", "replace"), True
                    if not line:
                        break
                    number = self._take(line) + 1
                    if number == self.files:
                        break
                else:
                    child.kill()
                    self._offend("hang", number)
                    return number + 1
            left = sorted(path.name for path in Path(folder).iterdir() if path.name not in dict(sound_files_once()))
            if left:
                self._offend(f"harm: left {left[0]}", number - 1)
            if child.returncode != 0:
                self._offend(f"crash with exit code {child.returncode}", number)
                return number + 1
            return number

    def _take(self, line: str) -> int:
        number, seconds, memory, outcome = line.rstrip("\n").split("\t", 3)
        self.slowest = max(self.slowest, float(seconds))
        self.memory = max(self.memory, int(memory))
        if outcome in ("refused", "identical", "another image"):
            self.outcomes[outcome] += 1
        else:
            self._offend(outcome, int(number))
        return int(number)

    def _offend(self, outcome: str, number: int) -> None:
        name, content, _ = make_file(number, self.seed)
        self.kept.mkdir(parents=True, exist_ok=True)
        (self.kept / f"{number}_{name}").write_bytes(content)
        self.outcomes["offence"] += 1
        click.echo(f"file {number} ({name}): {outcome}")


@click.command()
@click.option("--files", default=10_000, show_default=True, help="How many mutated files.")
@click.option("--seed", default=1, show_default=True, help="The same seed gives the same files.")
@click.option("--keep", type=click.Path(path_type=Path), default=Path("benchmark_output/fuzz"), show_default=True)
@click.option("--child", nargs=2, default=None, hidden=True)
def main(files: int, seed: int, keep: Path, child: tuple[str, str] | None) -> None:
    if child is not None:
        read_all(int(child[1]), files, seed, Path(child[0]))
        return
    from machine import describe_machine

    start = time.perf_counter()
    fuzzing = Fuzzing(files, seed, keep)
    fuzzing.run()
    click.echo(f"{' '.join(sys.argv)}\n{describe_machine()}\n")
    click.echo(
        "| files | refused | read as before | read as another image | offences | slowest, s | memory, MB | all, s |"
    )
    click.echo("|---|---|---|---|---|---|---|---|")
    found, seconds = fuzzing.outcomes, time.perf_counter() - start
    click.echo(
        f"| {sum(found.values())} | {found['refused']} | {found['identical']} | {found['another image']} | "
        f"{found['offence']} | {fuzzing.slowest:.2f} | {fuzzing.memory / 1024:.0f} | {seconds:.0f} |"
    )
    raise SystemExit(1 if found["offence"] else 0)


if __name__ == "__main__":
    main()
