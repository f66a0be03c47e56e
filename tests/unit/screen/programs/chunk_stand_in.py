"""Stands in for the Python that runs `python -m nucdl_core.screen.chunk`: publishes the chunk as if it had been run.

    chunk_stand_in.py COMMAND -m MODULE OUTPUT NUMBER --marker FILE OTHERS...

OTHERS are written into the file "arguments" beside COMMAND.
"""

import sys
from pathlib import Path

UNIT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(UNIT), str(UNIT.parents[1])]


def main(command, _, module, output, number, marker_option, marker, *others):
    from screen_folders import finish_chunk

    from nucdl_core.screen.core.plan import ScreenFolder, read_chunks, read_plan

    folder = ScreenFolder(Path(output))
    finish_chunk(folder, read_plan(folder), read_chunks(folder)[int(number) - 1])
    Path(command).with_name("arguments").write_text(" ".join([module, *others]))
    Path(marker).parent.mkdir(exist_ok=True)
    Path(marker).touch()


if __name__ == "__main__":
    main(*sys.argv[1:])
