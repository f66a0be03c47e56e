"""Runs that replace a folder and are killed at each of their steps."""

import multiprocessing
import os
import signal
import sys

from nucdl_core.files.writing import replaced_folder

# What a program does to files, as Python tells it before it is done.
DEEDS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir")


def fill(folder, files):
    """Write texts into files, which are named by their paths in the folder."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def replace_and_be_killed(target, files, step, done):
    """Replace a folder and be killed before deed number `step`; set `done` if there are not so many."""
    deeds = [0]

    def watch(event, arguments):
        if event in DEEDS and str(target.parent) in str(arguments[0]):
            deeds[0] += 1
            if deeds[0] == step:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    with replaced_folder(target) as folder:
        fill(folder, files)
    done.set()


def killed_runs(target, files, prepare):
    """Kill a run at each of its steps in turn; yields after each of them, and after the first that comes through."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["nucdl_core.files.writing", "filelock"])
    for step in range(1, 1000):
        prepare()
        done = context.Event()
        process = context.Process(target=replace_and_be_killed, args=(target, files, step, done))
        process.start()
        process.join()
        assert process.exitcode == (0 if done.is_set() else -signal.SIGKILL)
        yield step
        if done.is_set():
            assert step > 15
            return
