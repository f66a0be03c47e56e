"""Stands in for CellProfiler: does to each image set what the name of its file says.

    cellprofiler_stand_in.py COMMAND [options of CellProfiler]

Beside COMMAND lie notes for tests: "late" makes it fail after the last image set, "once" remembers that it was killed.
"""

import csv
import os
import signal
import sys
import time
from pathlib import Path


def say(*words):
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def finish(given, note, code):
    Path(given["-d"]).write_text(f"{note}\n")
    sys.exit(code)


def kill(number=signal.SIGKILL):
    os.kill(os.getpid(), number)


def do(number, row, rows, notes):
    """Do an image set; return whether a module raised an error."""
    word = row["Image_FileName_DNA"][4:-4]
    if word == "segfault":
        kill(signal.SIGSEGV)
    if word == "exit":
        sys.exit(0)
    if word == "hang":
        time.sleep(1000)
    if word == "full":
        say("OSError: [Errno 28] No space left on device")
        sys.exit(1)
    if word == "lost":
        say("Error detected during run of module Find\nRuntimeError: CUDA error: unspecified launch failure")
        say(f"Image # {number}, module Find # 2: CPU_time = 0")
        sys.exit(255)
    if word == "crowd" and len(rows) > 1:
        kill()
    if word == "once" and not (notes / "once").exists():
        (notes / "once").touch()
        kill()
    if word == "change":
        with open(os.path.join(row["Image_PathName_DNA"], row["Image_FileName_DNA"]), "ab") as image:
            image.write(b"more")
    if word == "raise":
        say("Error detected during run of module Find\nTraceback\nValueError: it is raise")
    return word == "raise"


def write_tables(output, rows):
    counts = [int(row["Image_FileName_DNA"][:3]) * 7 % 5 for row in rows]
    image = ["Count_Nuclei,FileName_DNA,ImageNumber,ModuleError_02Find,ExecutionTime_02Find"]
    nuclei = ["ImageNumber,ObjectNumber,AreaShape_Area"]
    for number, (row, count) in enumerate(zip(rows, counts), start=1):
        image.append(f"{count},{row['Image_FileName_DNA']},{number},0,0.25")
        nuclei += [f"{number},{nucleus},50" for nucleus in range(1, count + 1)]
    (output / "Image.csv").write_text("\n".join(image) + "\n")
    (output / "Nuclei.csv").write_text("\n".join(nuclei) + "\n")


def main():
    notes, options = Path(sys.argv[1]).parent, sys.argv[2:]
    given = dict(zip(options, options[1:]))
    with open(given["--data-file"], newline="") as stream:
        rows = list(csv.DictReader(stream))
    for number, row in enumerate(rows, start=1):
        say(f"Image # {number}, module LoadData # 1: CPU_time = 0")
        failed = do(number, row, rows, notes)
        say(f"Image # {number}, module Find # 2: CPU_time = 0")
        if failed and "--always-continue" not in options:
            finish(given, "Failure", 255)
        say(f"Image # {number}, module ExportToSpreadsheet # 3: CPU_time = 0")
    if (notes / "late").exists():
        say("ValueError: too late")
        finish(given, "Failure", 255)
    write_tables(Path(given["-o"]), rows)
    finish(given, "Complete", 0)


if __name__ == "__main__":
    main()
