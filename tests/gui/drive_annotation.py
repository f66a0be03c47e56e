"""Annotates images in CellProfiler's window as a person would, with mouse and keyboard, and reports what it saw.

See drive_window.py, whose steps it shares. Usage: drive_annotation.py FOLDER REPOSITORY OUTPUT. FOLDER holds the images
and, as truth.npy, the nuclei of the first one. Mouse and keyboard are those of the screen: the events come from X11.
"""

import sys
from pathlib import Path

import numpy as np
import wx
from drive_window import (
    SCREEN_MARGIN,
    Driver,
    add_module,
    after,
    figure_of,
    is_message,
    module_named,
    press,
    start_cellprofiler,
    table_of,
    take_picture,
)
from PIL import Image
from scipy import ndimage

PAUSE = 0.06
SPLIT_STEP = 3.0
DETAIL = 120
"""Half the side of a picture of one nucleus, in pixels of the screen."""
FOUND = "Nuclei"
COMPLETE = "Analysis complete"


class Person:
    """A mouse and a keyboard at the annotation window; each method yields what to wait for."""

    def __init__(self):
        self.window = None
        self.device = wx.UIActionSimulator()

    @property
    def bench(self):
        return self.window.workbench

    @property
    def session(self):
        return self.window.session

    def sit_down(self):
        """Wait until the window is open, and give it the keyboard."""
        yield annotation_window
        self.window = annotation_window()
        yield after(1)
        self.window.Raise()
        self.window.canvas.SetFocus()
        yield after(0.3)

    def point(self, row, col):
        """Move the mouse to a position in the image."""
        y, x = self.bench.view.to_window(row, col)
        self.device.MouseMove(self.window.canvas.ClientToScreen(wx.Point(round(x), round(y))))
        yield after(PAUSE)

    def click(self, row, col, shift=False):
        yield from self.point(row, col)
        if shift:
            self.device.KeyDown(wx.WXK_SHIFT)
            yield after(PAUSE)
        self.device.MouseClick()
        yield after(PAUSE)
        if shift:
            self.device.KeyUp(wx.WXK_SHIFT)
            yield after(PAUSE)

    def draw(self, path, button=wx.MOUSE_BTN_LEFT, before_release=lambda: None):
        """Drag the mouse along positions in the image."""
        view = self.bench.view
        yield from self.point(*path[0])
        self.device.MouseDown(button)
        yield after(PAUSE)
        for row, col in path[1:]:
            y, x = view.to_window(row, col)
            self.device.MouseMove(self.window.canvas.ClientToScreen(wx.Point(round(x), round(y))))
            yield after(0.02)
        yield after(PAUSE)
        before_release()
        self.device.MouseUp(button)
        yield after(PAUSE)

    def type(self, *keys):
        """Press keys: a character, a number of wx, or a pair of one and its modifier."""
        for key in keys:
            key, modifier = key if isinstance(key, tuple) else (key, wx.MOD_NONE)
            self.device.Char(ord(key) if isinstance(key, str) else key, modifier)
            yield after(PAUSE)

    def photograph(self, path, middle=None):
        """Write a picture of the window, or of what lies around a position in the image."""
        area = self.window.GetScreenRect()
        box = (area.left, area.top, area.right + 1, area.bottom + 1)
        if middle is not None:
            y, x = self.bench.view.to_window(*middle)
            place = self.window.canvas.ClientToScreen(wx.Point(round(x), round(y)))
            box = (place.x - DETAIL, place.y - DETAIL, place.x + DETAIL, place.y + DETAIL)
        take_picture(path)
        with Image.open(path) as screen:
            screen.convert("RGB").crop(box).save(path)

    def told(self):
        """What the window says."""
        return self.window.message.GetLabel()


def annotation_window():
    windows = (window for window in wx.GetTopLevelWindows() if type(window).__name__ == "AnnotationWindow")
    return next((window for window in windows if window.IsShownOnScreen()), None)


def is_part_of_the_work(window):
    return type(window).__name__ == "AnnotationWindow" or window.GetTitle() in (COMPLETE, "AnnotateNuclei")


def work_through(frame, images, repository, output):
    """Annotate two images: the first in test mode and again, the second in a run. Yields what to wait for."""
    yield frame.IsShownOnScreen
    area = wx.Display(0).GetGeometry()
    frame.SetSize(SCREEN_MARGIN, SCREEN_MARGIN, area.width // 2, area.height - 2 * SCREEN_MARGIN)
    frame.pipeline_controller.on_pathlist_drop_files(0, 0, sorted(map(str, images.glob("*.tif"))))
    yield lambda: len(frame.pipeline.file_list) == 2
    report = {}
    yield from add_module(frame, "IdentifyNucleiDL", "Object Processing", {"x_name": "DNA"})
    report["offered"] = yield from add_module(frame, "AnnotateNuclei", "Object Processing", {"x_name": "DNA"})
    yield from set_up(frame, output)
    truth, person = np.load(images / "truth.npy"), Person()
    yield from open_in_test_mode(frame, person)
    report["first"] = yield from annotate_first(person, truth, output)
    yield lambda: figure_of("AnnotateNuclei")
    report["table"] = table_of(figure_of("AnnotateNuclei"))
    yield from press(frame, "Exit Test Mode")
    yield after(1)
    yield from open_in_test_mode(frame, person)
    report["again"] = yield from look_again(person, output)
    yield from press(frame, "Exit Test Mode")
    yield after(1)
    report["run"] = yield from run_all(frame, person)
    return report


def set_up(frame, output):
    """Choose in the settings of the module what to begin with, where to save, and the classes."""
    module = module_named(frame, "AnnotateNuclei")
    module.wants_start.value = True
    module.start_name.value = FOUND
    module.folder.value = f"Elsewhere...|{output / 'annotations'}"
    module.classes.value = "interphase, mitotic"
    frame.pipeline.edit_module(module.module_num, False)
    frame.pipeline_list_view.select_one_module(module.module_num)
    yield after(1)


def open_in_test_mode(frame, person):
    """Step through the pipeline in test mode until the annotation window is open."""
    yield from press(frame, "Start Test Mode")
    yield frame.pipeline_controller.is_in_debug_mode
    yield from press(frame, "Step")
    yield lambda: figure_of("IdentifyNucleiDL")
    yield from press(frame, "Step")
    yield from person.sit_down()


def annotate_first(person, truth, output):
    """Use every tool once on the first image."""
    session, seen = person.session, {"found": person.session.count}
    missing = nuclei_without_objects(truth, session.labels)
    lost = truth == truth[middle_of(session.labels == central_nucleus(session.labels, 1))]
    seen.update((yield from draw_first(person, lost, output)))
    seen.update((yield from change_nuclei(person, output)))
    yield from person.type(wx.WXK_TAB, "1", wx.WXK_TAB, "1", wx.WXK_TAB, "1", "f", "l")
    yield from person.draw(around(truth == missing[0]))
    person.photograph(output / "window.png")
    yield from person.type(wx.WXK_RETURN)
    yield from person.type("s", ("S", wx.MOD_CONTROL))
    seen["after_saving"] = person.told()
    seen["draft"] = sorted(files_in(output / "annotations"))
    yield from person.type((wx.WXK_RETURN, wx.MOD_CONTROL))
    yield lambda: annotation_window() is None
    seen["finished"] = sorted(files_in(output / "annotations"))
    seen["nuclei"], seen["classes"] = session.count, session.classes
    return seen


def draw_first(person, mask, output):
    """Delete a nucleus and draw it roughly; look at the contour, move it, accept it, and give it a class."""
    session, seen = person.session, {}
    middle = middle_of(mask)
    yield from person.click(*middle)
    yield from person.type(wx.WXK_DELETE, "+", "+")
    seen["left"] = session.count
    yield from person.draw(around(mask), before_release=lambda: person.photograph(output / "line.png", middle))
    seen["told"] = person.told()
    seen["overlap"] = overlap(session.candidate.placed, mask)
    person.photograph(output / "contour.png", middle)
    yield from person.type("]", "]", "[")
    seen["offset"] = session.candidate.offset
    yield from person.type(wx.WXK_RETURN)
    seen["accepted"] = session.count
    yield from person.type("2", wx.WXK_ESCAPE)
    seen["class"] = session.classes.get(max(session.numbers))
    person.photograph(output / "accepted.png", middle)
    yield from person.type("f")
    return seen


def change_nuclei(person, output):
    """Split, merge, delete, undo, draw by keyboard, zoom and pan."""
    session, seen = person.session, {}
    number = central_nucleus(session.labels, 0)
    rows, cols = np.nonzero(session.labels == number)
    row, col = middle_of(session.labels == number)
    before = session.count
    yield from person.click(row, col)
    seen["selected"] = list(session.selection) == [number]
    yield from person.type("+", "+", "s")
    line = [(rows.min() - 4 + step, col) for step in np.arange(0, np.ptp(rows) + 9, SPLIT_STEP)]
    yield from person.draw(line, before_release=lambda: person.photograph(output / "cut.png", (row, col)))
    seen["split"] = session.count - before
    person.photograph(output / "split.png", (row, col))
    middle = 0.25 * np.ptp(cols)
    yield from person.click(row, col - middle)
    yield from person.click(row, col + middle, shift=True)
    seen["both_selected"] = len(session.selection)
    yield from person.type("m")
    seen["merged"] = session.count - before
    person.photograph(output / "merged.png", (row, col))
    yield from person.type(wx.WXK_DELETE)
    seen["deleted"] = session.count - before
    yield from person.type("u")
    seen["undone"] = session.count - before
    yield from person.type("b")
    seen.update((yield from by_keyboard(person)))
    zoom = person.bench.view.zoom
    yield from person.type("+", "+", "+", "+")
    seen["zoomed"] = person.bench.view.zoom / zoom
    start = person.bench.view
    yield from person.draw([start.to_image(200, 200), start.to_image(230, 260)], wx.MOUSE_BTN_RIGHT)
    seen["panned"] = [round(float(part), 1) for part in person.bench.view.to_window(start.row, start.col)]
    yield from person.type(wx.WXK_TAB, "h")
    seen["hidden"] = person.bench.hidden
    yield from person.type("h", "f")
    return seen


def by_keyboard(person):
    """Box the nucleus below the cross again by keyboard alone: delete it, move the cross, set two corners."""
    session, bench = person.session, person.bench
    yield from person.type(wx.WXK_ESCAPE, wx.WXK_TAB)
    mask, row, col = session.mask_of(session.selection[0])
    count = session.count
    yield from person.type(wx.WXK_DELETE)
    yield from walk(person, row - 3, col - 3)
    yield from person.type(wx.WXK_SPACE)
    yield from walk(person, row + mask.shape[0] + 3, col + mask.shape[1] + 3)
    yield from person.type(wx.WXK_SPACE)
    pending = session.candidate is not None
    yield from person.type(wx.WXK_RETURN)
    return {"by_keyboard": pending and session.count == count, "cross": [round(part, 1) for part in bench.cursor]}


def walk(person, row, col):
    """Move the cross with the arrows."""
    for axis, (back, ahead) in enumerate(((wx.WXK_UP, wx.WXK_DOWN), (wx.WXK_LEFT, wx.WXK_RIGHT))):
        distance = round((row, col)[axis] - person.bench.cursor[axis])
        key = ahead if distance > 0 else back
        yield from person.type(*[(key, wx.MOD_SHIFT)] * (abs(distance) // 10), *[key] * (abs(distance) % 10))


def look_again(person, output):
    """See that the window opens with what was saved, and that no change is lost unasked."""
    seen = {"nuclei": person.session.count, "classes": person.session.classes, "state": person.window.answer["state"]}
    yield from person.type("p")
    yield from person.type(wx.WXK_TAB, "2", ("Q", wx.MOD_CONTROL))
    yield after(1)
    take_picture(output / "question.png")
    yield from person.type(wx.WXK_ESCAPE)
    yield after(0.5)
    seen["goes_back"] = annotation_window() is not None
    images = output / "annotations" / "images.csv"
    content = images.read_text()
    images.write_text("no list")
    yield from person.type(("D", wx.MOD_CONTROL))
    yield after(1)
    take_picture(output / "problem.png")
    yield from person.type(wx.WXK_RETURN)
    yield after(0.5)
    images.write_text(content)
    seen["stays"] = annotation_window() is not None and person.session.changed
    yield from person.type("u", ("Q", wx.MOD_CONTROL))
    yield lambda: annotation_window() is None
    seen["finished"] = sorted(files_in(output / "annotations"))
    return seen


def run_all(frame, person):
    """Run the pipeline in worker processes: only the second image is shown, and is kept as a draft."""
    yield from press(frame, "Analyze Images")
    yield from person.sit_down()
    name = person.window._data["name"]
    yield from person.type(wx.WXK_TAB, "1", ("D", wx.MOD_CONTROL))
    yield lambda: annotation_window() is None
    yield lambda: any(is_message(window) for window in wx.GetTopLevelWindows())
    return {"name": name, "message": [window.GetTitle() for window in wx.GetTopLevelWindows() if is_message(window)]}


def files_in(folder):
    return (str(path.relative_to(folder)) for path in folder.rglob("*.*") if path.is_file() and path.suffix)


def nuclei_without_objects(truth, labels):
    """Numbers of the true nuclei that no object covers, the largest of those that stand alone first."""
    sizes, covered = np.bincount(truth.ravel()), np.bincount(truth[labels > 0], minlength=truth.max() + 1)
    missing = [number for number in range(1, truth.max() + 1) if covered[number] == 0]

    def stands_alone(number):
        near = ndimage.binary_dilation(truth == number, iterations=6)
        return not ((truth > 0) & (truth != number) & near).any()

    return sorted(missing, key=lambda number: (stands_alone(number), sizes[number]), reverse=True)


def around(mask, margin=3):
    """A rough line around a nucleus, wider than it."""
    rows, cols = np.nonzero(mask)
    row, col, high, wide = rows.mean(), cols.mean(), np.ptp(rows) / 2 + margin, np.ptp(cols) / 2 + margin
    angles = np.linspace(0, 2 * np.pi, 33)
    # No hand draws an ellipse.
    reach = 1 + 0.07 * np.sin(3 * angles) + 0.04 * np.cos(5 * angles)
    return list(zip(row + high * reach * np.sin(angles), col + wide * reach * np.cos(angles)))


def middle_of(mask):
    """The (row, col) of a pixel in the middle of a nucleus."""
    rows, cols = np.nonzero(mask)
    return round(rows.mean()), round(cols.mean())


def central_nucleus(labels, place):
    """Number of the round nucleus nearest to the middle of the image, or of one of the next (`place`)."""
    found = []
    for number in np.unique(labels)[1:]:
        rows, cols = np.nonzero(labels == number)
        is_round = len(rows) / ((np.ptp(rows) + 1) * (np.ptp(cols) + 1)) > 0.74
        distance = np.hypot(rows.mean() - labels.shape[0] / 2, cols.mean() - labels.shape[1] / 2)
        found.append((not is_round, distance, int(number)))
    return sorted(found)[place][2]


def overlap(placed, mask):
    found = np.zeros_like(mask)
    found[placed.row : placed.row + placed.mask.shape[0], placed.col : placed.col + placed.mask.shape[1]] = placed.mask
    return float((found & mask).sum() / (found | mask).sum())


if __name__ == "__main__":
    images, repository, output = map(Path, sys.argv[1:])
    start_cellprofiler(
        images,
        repository,
        output,
        lambda app: Driver(work_through(app.frame, images, repository, output), output, is_part_of_the_work),
    )
