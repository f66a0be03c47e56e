"""A CellProfiler module that fails in the way that a file tells it, for tests of screens.

The variable NUCDL_TEST_FAULTS names a JSON file: by the name of an image's file, or "post_run", one of the words of
`FAULTS`.
"""

import ctypes
import json
import os
import signal
import sys
import time
from pathlib import Path

from cellprofiler_core.module import Module
from cellprofiler_core.setting.subscriber import ImageSubscriber


def raise_error():
    raise ValueError("this image was told to fail")


def exhaust_memory():
    hoard = []
    while True:
        hoard.append(bytearray(b"1" * (64 << 20)))


def hang():
    while True:
        time.sleep(1)


FAULTS = {
    "raise": raise_error,
    "exit": lambda: sys.exit(0),
    "segfault": lambda: ctypes.string_at(0),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "memory": exhaust_memory,
    "hang": hang,
}


class FailOnDemand(Module):
    module_name = "FailOnDemand"
    category = "Image Processing"
    variable_revision_number = 1

    def create_settings(self):
        self.image_name = ImageSubscriber("Select the input image", "None")

    def settings(self):
        return [self.image_name]

    def visible_settings(self):
        return [self.image_name]

    def run(self, workspace):
        self.fail(workspace.image_set.get_image(self.image_name.value).file_name)

    def post_run(self, workspace):
        self.fail("post_run")

    @staticmethod
    def fail(name):
        path = os.environ.get("NUCDL_TEST_FAULTS")
        fault = json.loads(Path(path).read_text()).get(name) if path else None
        if fault:
            FAULTS[fault]()


fail_on_demand = FailOnDemand
