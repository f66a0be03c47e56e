"""Stands in for the process of the fast path: two chunks of two image sets, at which it does what a test wants.

    worker_stand_in.py CASE TASK PIPE

CASE is the name of a class here. Four workers are at the image sets one after the other, each still at the former one.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

COUNT = 4


class Calm:
    """Nothing happens."""

    def __init__(self, task, pipe):
        self.pipe, self.alone, self.workers = pipe, task["alone"], task["workers"] or 4
        self.root = Path(task["request"]["output"])
        culprits = self.root / "work" / "blamed.json"
        self.left_out = [int(number) for number in json.loads(culprits.read_text())] if culprits.exists() else []
        with open(self.root / "tasks", "a") as tasks:
            tasks.write(f"{self.alone} {self.workers} {task['retry_failed']}\n")

    def tell(self, word, *numbers, image=""):
        os.write(self.pipe, (json.dumps([word, numbers, image]) + "\n").encode())

    def start(self):
        pass

    def work(self, number):
        pass

    def run(self):
        self.start()
        if self.alone:
            self.tell("begin", self.alone)
            self.work(self.alone)
            self.tell("end", self.alone)
            return
        self.tell("workers", self.workers)
        for number in range(1, COUNT + 1):
            if number not in self.left_out:
                self.tell("begin", number)
            if number > 1 and number - 1 not in self.left_out:
                self.tell("end", number - 1)
            if number not in self.left_out:
                self.work(number)


def die(number=signal.SIGSEGV):
    os.kill(os.getpid(), number)


class SomeFailed(Calm):
    def start(self):
        sys.exit(3)


class Stopped(Calm):
    def start(self):
        sys.exit(128 + signal.SIGTERM)


class CrashesAt3(Calm):
    def work(self, number):
        if number == 3:
            die()


class CrashesAt4While1IsOpen(Calm):
    """The process dies at the first image set, and 4 is open as well, of which it dies even alone."""

    def work(self, number):
        if not self.alone and 4 not in self.left_out:
            self.tell("begin", 4)
            die()
        if number == 4:
            die()


class LeavesNothingOut(CrashesAt3):
    def start(self):
        self.left_out = []


class CrashesAt2And4(Calm):
    def work(self, number):
        if number in (2, 4):
            die(signal.SIGABRT)


class HangsAt2(Calm):
    def work(self, number):
        if number == 2:
            time.sleep(1000)


class HangsAt2WhileOthersGoOn(Calm):
    """Another image set is open at any time, but never for long."""

    def work(self, number):
        if number != 2:
            return
        if not self.alone:
            self.tell("begin", 9)
        while True:
            if not self.alone:
                self.tell("begin", 10)
                self.tell("end", 9)
                time.sleep(0.01)
                self.tell("begin", 9)
                self.tell("end", 10)


class ReadsFor(Calm):
    """The file of 2 takes for ever; that of 3 is read meanwhile, but not for long."""

    def work(self, number):
        self.tell("read", number, image=f"DNA: /{number}.tif")
        if number == 2:
            self.tell("begin", 3)
            while True:
                self.tell("read", 3, image="DNA: /3.tif")
                time.sleep(0.01)
                self.tell("was read", 3)
        self.tell("was read", number)


class CrashesAt3AndReadsItForEverAlone(Calm):
    def work(self, number):
        if number == 3:
            if not self.alone:
                die()
            self.tell("read", 3, image="DNA: /3.tif")
            time.sleep(1000)


class SwellsAt2(Calm):
    def work(self, number):
        if number == 2:
            held = bytearray(b"1" * 200_000_000)
            time.sleep(1000)
            del held


class TooManyWorkersAt2(Calm):
    def work(self, number):
        if not self.alone and self.workers > 1 and number == 2:
            die(signal.SIGKILL)


class CrashesAt3UnlessAlone(Calm):
    def work(self, number):
        if not self.alone and number == 3:
            die()


class CrashesAt3WithAChunkEachTime(Calm):
    """Each time a chunk is finished before; in the end it goes well."""

    def work(self, number):
        places = self.root / "results"
        count = len(list(places.glob("*"))) + 1
        if number == 3 and not self.alone and count <= 4:
            (places / str(count)).mkdir(parents=True)
            die()


class DiesAtTheStart(Calm):
    def start(self):
        die()


class DiesAtTheStartAlone(CrashesAt3):
    def start(self):
        if self.alone:
            die()


class CannotTryAlone(CrashesAt3):
    def start(self):
        if self.alone:
            sys.exit(1)


class NeverBeginsAlone(CrashesAt3):
    def start(self):
        if self.alone:
            time.sleep(1000)


class DiskErrorAt3(Calm):
    def work(self, number):
        if number == 3:
            die(signal.SIGBUS)


class CrashesAt3AndTakesTheFolderAway(CrashesAt3):
    def work(self, number):
        if number == 3 and self.alone:
            (self.root / "work").rmdir()
        super().work(number)


class LeavesSomething(Calm):
    """A private folder is there when the process that watches is asked to stop, or killed."""

    number = signal.SIGTERM

    def work(self, number):
        (self.root / "work" / "000001-0123456789ab").mkdir(parents=True)
        os.kill(os.getppid(), self.number)
        time.sleep(1000)


class LeavesSomethingAndKills(LeavesSomething):
    number = signal.SIGKILL


if __name__ == "__main__":
    globals()[sys.argv[1]](json.loads(sys.argv[2]), int(sys.argv[3])).run()
