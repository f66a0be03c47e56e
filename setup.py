"""Puts the plugins, pipelines and training recipes into the wheel; all else about the package is in setup.cfg."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).resolve().parent


class WithSuppliedFiles(build_py):
    """Copies what `nucdl plugins install` hands out; an editable installation takes it from the repository."""

    def run(self):
        """Build as usual, then copy."""
        super().run()
        if getattr(self, "editable_mode", False):
            return
        for name in ("plugins", "pipelines", "training"):
            target = Path(self.build_lib, "nucdl_core", "supplied", name)
            # What an earlier build left must not come back.
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(HERE / name, target, ignore=shutil.ignore_patterns("__pycache__", "nucdl_engine.json"))


setup(cmdclass={"build_py": WithSuppliedFiles})
