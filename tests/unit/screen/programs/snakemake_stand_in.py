"""Stands in for Snakemake: tells a version, or does what it is told to.

    snakemake_stand_in.py COMMAND [options of Snakemake]

Beside COMMAND lies a file "told": one line of words, of which the first says what to do.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

UNIT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(UNIT), str(UNIT.parents[1])]


def finish_all(options):
    """Publish the missing chunks, as their jobs would."""
    from screen_folders import finish_chunk

    from nucdl_core.screen.core.plan import ScreenFolder, read_chunks, read_plan

    given = json.loads(Path(options["--configfile"]).read_text())
    folder = ScreenFolder(Path(given["output"]))
    for chunk in read_chunks(folder):
        if chunk.name in given["missing"]:
            finish_chunk(folder, read_plan(folder), chunk)


def main():
    command, options = Path(sys.argv[1]), dict(zip(sys.argv[2:], sys.argv[3:]))
    what, *words = (command.parent / "told").read_text().split(maxsplit=1)
    if "--version" in sys.argv:
        sys.stdout.write(f"{words[0] if what == 'version' else '9.27.1'}\n")
    elif what == "finish":
        finish_all(options)
    elif what == "fail":
        sys.stdout.write("".join(words) + "\n")
        sys.exit(1)
    else:
        note = command.parent / "note"
        stops = {"stop": lambda *_: (note.touch(), sys.exit()), "stay": signal.SIG_IGN}
        signal.signal(signal.SIGINT, stops[what])
        os.kill(int(words[0]), signal.SIGTERM)
        time.sleep(1000)


if __name__ == "__main__":
    main()
