"""Works through CellProfiler's window as a person would, and reports what it saw.

It runs in a process of its own: it starts the real CellProfiler, waits for its window, and then presses its buttons
step by step from inside its event loop. Each step first waits for what it needs, so nothing depends on the speed of
the machine. Usage: drive_window.py IMAGE PLATE REPOSITORY OUTPUT. PLATE is a folder with a load_data.csv for the
example pipelines. OUTPUT gets report.json and a picture of the screen for each module, also after a failure; the exit
status is 0 when all steps were done.
"""

import json
import os
import subprocess
import sys
import time
import traceback
from pathlib import Path

import matplotlib
import wx
import wx.grid
import wx.lib.buttons

POLL = 100
STEP_TIMEOUT = 240
SCREEN_MARGIN = 10
FIGURE_SHARE = 0.43
"""Part of the screen's width that the module's result gets; CellProfiler's own window gets the rest."""

MODULES = {
    "IdentifyNucleiDL": ("Object Processing", {"x_name": "DNA"}),
    "TTARefine": ("Object Processing", {"image_name": "DNA", "x_name": "Nuclei"}),
    "IdentifyPrimaryObjects": ("Object Processing", {"x_name": "DNA"}),
    "CompareNuclei": ("Measurement", {"first_name": "IdentifyPrimaryObjects", "second_name": "Nuclei"}),
}
"""The modules to add: where each is offered, and what to select in its settings."""


class Driver:
    """Takes steps, one after the other, each when its condition has come true.

    A message of CellProfiler's is a failure, unless `expects` says of its window that it is part of the work.
    """

    def __init__(self, steps, output, expects=lambda window: False):
        self.steps = steps
        self.output = output
        self.expects = expects
        self.condition = None
        self.deadline = 0.0

    def advance(self):
        """Take the next step if its time has come, and come back in a moment."""
        windows = [window for window in wx.GetTopLevelWindows() if is_message(window) and not self.expects(window)]
        messages = [window.GetTitle() for window in windows]
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
        if status:
            take_picture(self.output / "failure.png")
        (self.output / "report.json").write_text(json.dumps(report, indent=2))
        # Closing the window would ask whether to save the project, and its Java and worker threads outlive it.
        os._exit(status)


def is_message(window):
    return isinstance(window, wx.Dialog) and window.IsModal() and not isinstance(window, wx.GenericProgressDialog)


def work_through(frame, image, pipelines, output):
    """Add the image and the modules, run them in test mode, open the pipelines. Yields what to wait for."""
    yield frame.IsShownOnScreen
    screen = wx.Display(0).GetGeometry()
    left_width = int(screen.width * (1 - FIGURE_SHARE)) - SCREEN_MARGIN
    frame.SetSize(SCREEN_MARGIN, SCREEN_MARGIN, left_width, screen.height - 2 * SCREEN_MARGIN)
    width = screen.width - left_width - 3 * SCREEN_MARGIN
    place = (left_width + 2 * SCREEN_MARGIN, SCREEN_MARGIN, width, int(width * 0.95))
    frame.pipeline_controller.on_pathlist_drop_files(0, 0, [str(image)])
    yield lambda: len(frame.pipeline.file_list) == 1
    report = {"modules": {}, "pipelines": {}}
    for name in MODULES:
        report["modules"][name] = yield from add_module(frame, name, *MODULES[name])
    report["pipeline"] = [module.module_name for module in frame.pipeline.modules()]
    yield from press(frame, "Start Test Mode")
    yield frame.pipeline_controller.is_in_debug_mode
    for name in MODULES:
        report["modules"][name].update((yield from step(frame, name, place)))
        take_picture(output / f"{name}.png")
    for path in pipelines:
        report["pipelines"][path.stem] = yield from open_pipeline(frame, path)
    return report


def add_module(frame, name, category, selected):
    """Add a module of a category with the window's button and select in its settings what it needs."""
    yield from press(frame, "+")
    yield lambda: shown("AddModuleFrame")
    dialog = shown("AddModuleFrame")
    categories, modules = (found for found in descendants(dialog) if isinstance(found, wx.ListBox))
    choose(categories, category)
    offered = modules.GetStrings()
    choose(modules, name)
    yield from press(dialog, "+ Add to Pipeline")
    yield from press(dialog, "Done")
    yield lambda: module_named(frame, name) is not None and shown("AddModuleFrame") is None
    module = module_named(frame, name)
    frame.pipeline_list_view.select_one_module(module.module_num)
    labels = [setting.text for setting in module.visible_settings()]
    yield lambda: set(labels) <= set(texts(frame))
    for attribute, value in selected.items():
        setting = getattr(module, attribute)
        yield lambda setting=setting, value=value: value in drop_down_of(frame, setting).GetStrings()
        choose(drop_down_of(frame, setting), value)
        yield lambda setting=setting, value=value: setting.value == value
    settings = {setting.text: setting.value_text for setting in module.visible_settings()}
    return {"offered": list(offered), "settings": settings, "complaints": list(complaints(frame, module))}


def step(frame, name, place):
    """Run the next module in test mode, put its figure where it is seen, and tell what it shows."""
    yield from press(frame, "Step")
    yield lambda: figure_of(name)
    figure = figure_of(name)
    figure.SetSize(*place)
    module = module_named(frame, name)
    frame.pipeline_list_view.select_one_module(module.module_num)
    figure.Raise()
    yield after(2)
    return {"figure": figure.GetTitle(), "axes": len(figure.figure.axes), "table": table_of(figure)}


def open_pipeline(frame, path):
    """Open a pipeline file as File > Import > Pipeline from File does, and tell what the window lists."""
    frame.pipeline_controller.do_load_pipeline(str(path))
    yield lambda: len(listed(frame)) == len(frame.pipeline.modules()) > 0
    wrong = {module.module_name: list(complaints(frame, module)) for module in frame.pipeline.modules()}
    return {"listed": listed(frame), "complaints": {name: found for name, found in wrong.items() if found}}


def listed(frame):
    """The names of the modules that the window's list shows, without the grey ones of a list that has no use."""
    items = (control.items[position] for control, position in frame.pipeline_list_view.iter_list_items())
    return [item.module_name for item in items if not item.is_unavailable()]


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


def drop_down_of(window, setting):
    """The drop-down list of a setting."""
    control = wx.Window.FindWindowByName(str(setting.key()), window)
    boxes = [found for found in (control, *descendants(control)) if isinstance(found, wx.ComboBox)]
    return boxes[0]


def figure_of(name):
    """The figure that a module has drawn."""
    figures = (found for found in wx.GetTopLevelWindows() if type(found).__name__ == "Figure")
    return next((figure for figure in figures if figure.GetTitle().startswith(f"{name} #") and figure.IsShown()), None)


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
    """Write what is on the whole screen into a PNG file; CellProfiler's window stands still meanwhile."""
    subprocess.run(
        [sys.executable, Path(__file__).with_name("take_picture.py"), path], check=True, timeout=STEP_TIMEOUT
    )


def start_cellprofiler(folder, repository, output, make_driver):
    """Start CellProfiler with our plugins; `make_driver` gets its application once it has a window."""
    from cellprofiler_core import preferences

    preferences.set_telemetry(False)
    preferences.set_telemetry_prompt(False)
    matplotlib.use("WXAgg")
    from cellprofiler.__main__ import main as cellprofiler
    from cellprofiler.gui.app import App

    wait_for_events = App.MainLoop

    def main_loop(app):
        driver = make_driver(app)
        sys.excepthook = driver.fail
        wx.CallLater(POLL, driver.advance)
        return wait_for_events(app)

    App.MainLoop = main_loop
    plugins = f"--plugins-directory={repository / 'plugins'}"
    cellprofiler(["cellprofiler", plugins, "-i", str(folder), "-o", str(output)])


def main(image, plate, repository, output):
    pipelines = sorted((repository / "pipelines").glob("*.cppipe"))
    start_cellprofiler(
        plate, repository, output, lambda app: Driver(work_through(app.frame, image, pipelines, output), output)
    )


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
