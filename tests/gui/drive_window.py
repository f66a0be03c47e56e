"""Works through CellProfiler's window as a person would, and reports what it saw.

It runs in a process of its own: it starts the real CellProfiler, waits for its window, and then presses its buttons
step by step from inside its event loop. Each step first waits for what it needs, so nothing depends on the speed of
the machine. Usage: drive_window.py IMAGE MODULE PLUGINS OUTPUT. OUTPUT gets report.json and window.png, also after a
failure; the exit status is 0 when all steps were done.
"""

import json
import os
import sys
import time
import traceback
from pathlib import Path

import matplotlib
import wx
import wx.grid
import wx.lib.buttons

POLL = 100
STEP_TIMEOUT = 120
SCREEN_MARGIN = 10
FIGURE_SHARE = 0.43
"""Part of the screen's width that the module's result gets; CellProfiler's own window gets the rest."""


class Driver:
    """Takes steps, one after the other, each when its condition has come true."""

    def __init__(self, steps, output):
        self.steps = steps
        self.output = output
        self.condition = None
        self.deadline = 0.0

    def advance(self):
        """Take the next step if its time has come, and come back in a moment."""
        messages = [window.GetTitle() for window in wx.GetTopLevelWindows() if is_message(window)]
        if messages:
            raise RuntimeError(f"CellProfiler shows a message: {messages}")
        if self.condition is None or self.condition():
            try:
                self.condition = next(self.steps)
            except StopIteration as end:
                self.leave(end.value, 0)
            self.deadline = time.monotonic() + STEP_TIMEOUT
        elif time.monotonic() > self.deadline:
            raise TimeoutError(f"waited {STEP_TIMEOUT} s in vain at line {self.steps.gi_frame.f_lineno}")
        wx.CallLater(POLL, self.advance)

    def fail(self, *error):
        """Report an error, of ours or of CellProfiler's, that no one caught: the hook of wxPython's event loop."""
        self.leave({"failure": "".join(traceback.format_exception(*error))}, 1)

    def leave(self, report, status):
        take_picture(self.output / "window.png")
        (self.output / "report.json").write_text(json.dumps(report, indent=2))
        # Closing the window would ask whether to save the project, and its Java and worker threads outlive it.
        os._exit(status)


def is_message(window):
    return isinstance(window, wx.Dialog) and window.IsModal() and not isinstance(window, wx.GenericProgressDialog)


def work_through(frame, image, name):
    """Add the image and the module, look at the settings, run the module in test mode. Yields what to wait for."""
    yield frame.IsShownOnScreen
    screen = wx.Display(0).GetGeometry()
    left_width = int(screen.width * (1 - FIGURE_SHARE)) - SCREEN_MARGIN
    frame.SetSize(SCREEN_MARGIN, SCREEN_MARGIN, left_width, screen.height - 2 * SCREEN_MARGIN)
    frame.pipeline_controller.on_pathlist_drop_files(0, 0, [str(image)])
    yield lambda: len(frame.pipeline.file_list) == 1

    yield from press(frame, "+")
    yield lambda: shown("AddModuleFrame")
    dialog = shown("AddModuleFrame")
    categories, modules = (found for found in descendants(dialog) if isinstance(found, wx.ListBox))
    choose(categories, "Object Processing")
    offered = modules.GetStrings()
    choose(modules, name)
    yield from press(dialog, "+ Add to Pipeline")
    yield from press(dialog, "Done")
    yield lambda: module_named(frame, name) is not None
    module = module_named(frame, name)
    frame.pipeline_list_view.select_one_module(module.module_num)
    labels = [setting.text for setting in module.visible_settings()]
    yield lambda: set(labels) <= set(texts(frame))
    yield lambda: drop_downs_with(frame, "DNA")
    choose(drop_downs_with(frame, "DNA")[0], "DNA")
    yield lambda: module.x_name.value == "DNA"
    settings = {setting.text: setting.value_text for setting in module.visible_settings()}

    yield from press(frame, "Start Test Mode")
    yield frame.pipeline_controller.is_in_debug_mode
    yield from press(frame, "Step")
    yield lambda: shown("Figure")
    figure = shown("Figure")
    width = screen.width - left_width - 3 * SCREEN_MARGIN
    figure.SetSize(left_width + 2 * SCREEN_MARGIN, SCREEN_MARGIN, width, int(width * 0.95))
    yield after(2)
    return {
        "offered": list(offered),
        "pipeline": [module.module_name for module in frame.pipeline.modules()],
        "settings": settings,
        "complaints": list(complaints(frame, module)),
        "figure": figure.GetTitle(),
        "axes": len(figure.figure.axes),
        "table": table_of(figure),
    }


def module_named(frame, name):
    return next((module for module in frame.pipeline.modules() if module.module_name == name), None)


def complaints(frame, module):
    """What CellProfiler would mark the module as wrong for."""
    from cellprofiler_core.setting import ValidationError

    try:
        module.test_valid(frame.pipeline)
    except ValidationError as error:
        yield str(error)


def table_of(figure):
    """What the table in the module's figure says."""
    (grid,) = [found for found in descendants(figure) if isinstance(found, wx.grid.Grid)]
    return {grid.GetRowLabelValue(row): grid.GetCellValue(row, 0) for row in range(grid.GetNumberRows())}


def after(seconds):
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end


def descendants(window):
    for child in window.GetChildren():
        yield child
        yield from descendants(child)


def texts(window):
    """The texts that are shown in a window, without the line breaks that fit them into it."""
    labels = [found for found in descendants(window) if isinstance(found, wx.StaticText) and found.IsShownOnScreen()]
    return [" ".join(label.GetLabel().split()) for label in labels]


def drop_downs_with(window, entry):
    boxes = [found for found in descendants(window) if isinstance(found, wx.ComboBox) and found.IsShownOnScreen()]
    return [box for box in boxes if entry in box.GetStrings()]


def shown(kind):
    """The first window of that class that is on the screen."""
    windows = (
        window for window in wx.GetTopLevelWindows() if type(window).__name__ == kind and window.IsShownOnScreen()
    )
    return next(windows, None)


def press(window, label):
    """Press the button with that label as soon as it can be pressed."""
    yield lambda: enabled_buttons(window, label)
    (button,) = enabled_buttons(window, label)
    wx.PostEvent(button, command(wx.EVT_BUTTON, button))


def enabled_buttons(window, label):
    buttons = [found for found in descendants(window) if isinstance(found, (wx.Button, wx.lib.buttons.GenButton))]
    return [found for found in buttons if found.GetLabel() == label and found.IsShownOnScreen() and found.IsEnabled()]


def choose(control, text):
    """Click an entry of a list or of a drop-down."""
    control.SetStringSelection(text)
    binder = wx.EVT_COMBOBOX if isinstance(control, wx.ComboBox) else wx.EVT_LISTBOX
    control.GetEventHandler().ProcessEvent(command(binder, control))


def command(binder, window):
    event = wx.CommandEvent(binder.typeId, window.GetId())
    event.SetEventObject(window)
    return event


def take_picture(path):
    """Write what is on the whole screen into a PNG file."""
    screen = wx.ScreenDC()
    size = screen.GetSize()
    bitmap = wx.Bitmap(size.width, size.height)
    memory = wx.MemoryDC(bitmap)
    memory.Blit(0, 0, size.width, size.height, screen, 0, 0)
    memory.SelectObject(wx.NullBitmap)
    bitmap.SaveFile(str(path), wx.BITMAP_TYPE_PNG)


def main(image, name, plugins, output):
    from cellprofiler_core import preferences

    preferences.set_telemetry(False)
    preferences.set_telemetry_prompt(False)
    matplotlib.use("WXAgg")
    from cellprofiler.__main__ import main as cellprofiler
    from cellprofiler.gui.app import App

    wait_for_events = App.MainLoop

    def main_loop(app):
        driver = Driver(work_through(app.frame, image, name), output)
        sys.excepthook = driver.fail
        wx.CallLater(POLL, driver.advance)
        return wait_for_events(app)

    App.MainLoop = main_loop
    cellprofiler(["cellprofiler", f"--plugins-directory={plugins}", "-o", str(output)])


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
