"""What mouse and keyboard do to the annotation of an image: tools, the cross, the view, messages. It knows no window.

A window hands it mouse positions in window pixels and names of keys, and paints what it holds.
"""

from __future__ import annotations

from collections import Counter
from typing import Callable, Dict, List, Optional, Tuple

import numpy as np
from numpy.typing import NDArray

from nucdl_core.annotate.drawing import inside_box, inside_line
from nucdl_core.annotate.session import AnnotationSession
from nucdl_core.annotate.suggest import AS_DRAWN, BY_INTENSITY, BY_MODEL
from nucdl_core.annotate.view import Overlay, Rendered, Viewport, colours_of, intensity_limits, picture
from nucdl_core.errors import AnnotationError
from nucdl_core.exchange.objects import PlacedMask

LINE, BOX, SPLIT = "line", "box", "split"
TOOL_WORDS = {LINE: "Line", BOX: "Box", SPLIT: "Split"}
ASSIST_WORDS = {BY_MODEL: "the model", BY_INTENSITY: "the intensities", AS_DRAWN: "your line alone"}

FINISH, KEEP_DRAFT, SAVE, STOP = "finish", "keep_draft", "save", "stop"
FOR_THE_WINDOW = (FINISH, KEEP_DRAFT, SAVE, STOP)
"""Commands that `Workbench.key` hands back: a window saves and closes itself."""

Table = Tuple[Tuple[str, Tuple[Tuple[str, str], ...]], ...]
KEY_TABLE: Table = (
    (
        "Draw",
        (
            ("L, B", "line, or box, around a nucleus"),
            ("S", "split: a line across a nucleus"),
            ("A", "contour by model, intensities, line"),
            ("Arrows", "move the cross (Shift: far)"),
            ("Space", "set a corner at the cross"),
            ("Enter", "close the line"),
        ),
    ),
    (
        "Pending contour",
        (
            ("Enter", "accept"),
            ("Esc", "drop"),
            ("[  ]", "move inwards, outwards"),
            ("draw again", "redraw"),
        ),
    ),
    (
        "Nuclei",
        (
            ("Click, Enter", "select (Shift: several)"),
            ("Tab", "select the next (Shift: previous)"),
            ("Delete", "delete"),
            ("R", "redraw with the next line"),
            ("[  ]", "move the outline"),
            ("M", "merge the selected"),
            ("1 - 9, 0", "class, no class"),
            ("U, Y", "undo, redo (Ctrl+Z, Ctrl+Y)"),
        ),
    ),
    (
        "View",
        (
            ("Wheel, +  -", "zoom"),
            ("Right button", "drag the image (Ctrl+arrows)"),
            ("F", "whole image"),
            ("H, P", "hide outlines, show probability"),
            (",  .", "darker, brighter"),
        ),
    ),
    (
        "Save",
        (
            ("Ctrl+S", "save a draft and stay"),
            ("Ctrl+Enter", "finished: save and go on"),
            ("Ctrl+D", "save a draft and go on"),
            ("Ctrl+Q", "close, and stop the run"),
        ),
    ),
)
"""All keys, in groups, as a legend shows them: the keys, and what they do."""

# A press and release of the mouse within so many window pixels is a click.
_CLICK = 4
_FAR = 10
_ZOOM_STEP = 1.25
_PAN_STEP = 60
_GAMMA_STEP = 0.8
_GAMMAS = (0.1, 3.0)
# A nucleus that is selected by keyboard is shown at least so large.
_READABLE = 1.0
# A line around a nucleus at the border of the image leaves the image, but not the window.
_MARGIN = 0.03


class Workbench:
    """The annotation of one image with tools, a cross that the keyboard moves, and a view.

    Parameters
    ----------
    session : AnnotationSession
    size : (int, int)
        Height and width of the window in pixels.

    Attributes
    ----------
    view : Viewport
    cursor : (float, float)
        The cross: (row, col) in image pixels.
    tool : str
        ``"line"``, ``"box"`` or ``"split"``.
    path : list of (float, float)
        What is being drawn: (row, col) of its corners.
    message : str
        What a person should know now.
    is_problem : bool
        Whether the message tells why something was not done.
    """

    def __init__(self, session: AnnotationSession, size: Tuple[int, int]) -> None:
        self.session, self.size = session, size
        self.view = Viewport.whole(session.shape, size, _MARGIN)
        self.cursor = (session.shape[0] // 2 + 0.5, session.shape[1] // 2 + 0.5)
        self.tool = LINE
        self.path: List[Tuple[float, float]] = []
        self.hidden = self.shows_probability = False
        self.gamma = 1.0
        self.message, self.is_problem = "Draw a rough line around a nucleus.", False
        self._dragging = False
        self._limits = intensity_limits(session.guide.image)

    # Mouse

    def press(self, y: float, x: float) -> None:
        """Begin to draw at a place in the window."""
        self._dragging = True
        self.cursor = self.view.to_image(y, x)
        self.path = [self.cursor]

    def drag(self, y: float, x: float) -> None:
        """Draw on to a place in the window."""
        if self._dragging:
            self.cursor = self.view.to_image(y, x)
            self.path = [self.path[0], self.cursor] if self.tool == BOX else [*self.path, self.cursor]

    def release(self, add: bool = False) -> None:
        """End what is drawn: where the mouse has hardly moved, select the nucleus there; `add` it to the others."""
        if not self._dragging:
            return
        self._dragging = False
        if np.ptp(np.array(self.path), axis=0).max() * self.view.zoom < _CLICK:
            self.path = []
            self._attempt(lambda: self._select_here(add))
        else:
            self._attempt(self._complete)

    def scroll(self, steps: float, y: float, x: float) -> None:
        """Zoom around a place in the window."""
        self.view = self.view.zoomed(_ZOOM_STEP**steps, y, x)

    def pan(self, y: float, x: float) -> None:
        """Move the image by window pixels."""
        self.view = self.view.panned(y, x)

    def resize(self, size: Tuple[int, int]) -> None:
        """Take another size of the window (height, width); the middle of what is shown stays in the middle."""
        old, self.size = self.size, size
        self.view = self.view.panned((size[0] - old[0]) / 2, (size[1] - old[1]) / 2)

    # Keyboard

    def key(self, name: str) -> Optional[str]:
        """Do what a key stands for.

        Parameters
        ----------
        name : str
            Such as ``"a"``, ``"Enter"``, ``"Shift+Tab"`` or ``"Ctrl+Left"``; letters are small.

        Returns
        -------
        str or None
            One of `FOR_THE_WINDOW`, empty for a key that does something else, None for one that does nothing.
        """
        if name in _WINDOW_KEYS:
            return _WINDOW_KEYS[name]
        if name in _MOVES:
            self._move_cursor(*_MOVES[name])
            return ""
        if name in _PANS:
            self.pan(*_PANS[name])
            return ""
        if name.isdecimal() and len(name) == 1:
            self._attempt(lambda: self._classify(int(name)))
            return ""
        action = _ACTIONS.get(name)
        if action is None:
            return None
        self._attempt(lambda: action(self))
        return ""

    def _attempt(self, action: Callable[[], str]) -> None:
        """Do something and keep what is to be told about it; an impossible wish is a message, not an error."""
        try:
            self.message, self.is_problem = action(), False
        except AnnotationError as error:
            self.message, self.is_problem = str(error)[:1].upper() + str(error)[1:] + ".", True

    def _move_cursor(self, row: int, col: int) -> None:
        limits = self.session.shape
        place = (self.cursor[0] + row, self.cursor[1] + col)
        self.cursor = (float(np.clip(place[0], 0, limits[0])), float(np.clip(place[1], 0, limits[1])))
        self.view = self.view.showing(*self.cursor, self.size, margin=0.02)

    def _take(self, tool: str) -> str:
        self.tool, self.path = tool, []
        return {
            LINE: "Draw a rough line around a nucleus.",
            BOX: "Draw a box around a nucleus.",
            SPLIT: "Draw a line across a nucleus, from background to background.",
        }[tool]

    def _corner(self) -> str:
        self.path.append(self.cursor)
        if self.tool == BOX and len(self.path) == 2:
            return self._complete()
        return f"Corner {len(self.path)}: move the cross, Space sets the next one, Enter closes the line, Esc drops it."

    def _complete(self) -> str:
        """Do with what was drawn what the tool does."""
        path, self.path = self.path, []
        session = self.session
        if self.tool == SPLIT:
            count = session.split(path)
            return f"Split: {count} more {'nucleus' if count == 1 else 'nuclei'}."
        drawn = inside_box(path[0], path[-1], session.shape) if self.tool == BOX else inside_line(path, session.shape)
        found = session.draw(drawn)
        return f"Contour by {ASSIST_WORDS[found.source]}. Enter accepts it, [ ] move it, Esc drops it."

    def _enter(self, add: bool = False) -> str:
        if self.path:
            return self._complete()
        if self.session.candidate is not None:
            return f"Accepted: nucleus {self.session.accept()}."
        return self._select_here(add)

    def _escape(self) -> str:
        if self.path:
            self.path = []
            return "The line is dropped."
        return "Dropped." if self.session.discard() else "There is nothing to drop."

    def _select_here(self, add: bool) -> str:
        self.session.accept()
        self.session.select(self.session.number_at(*self.cursor), add)
        return self._told_selection()

    def _step(self, step: int) -> str:
        selection = self.session.select_next(step)
        if selection:
            self.look_at(self.session.mask_of(selection[-1]))
        return self._told_selection()

    def look_at(self, placed: PlacedMask) -> None:
        """Bring the cross to the middle of a nucleus, and that into view."""
        mask, row, col = placed
        rows, cols = np.nonzero(mask)
        # The middle pixel of a nucleus lies inside of it, its centre of mass need not.
        middle = int(np.argmin((rows - rows.mean()) ** 2 + (cols - cols.mean()) ** 2))
        self.cursor = (row + float(rows[middle]) + 0.5, col + float(cols[middle]) + 0.5)
        if self.view.zoom < _READABLE:
            self.view = self.view.zoomed(_READABLE / self.view.zoom, *self.view.to_window(*self.cursor))
        self.view = self.view.showing(*self.cursor, self.size)

    def _told_selection(self) -> str:
        selection, classes = self.session.selection, self.session.classes
        if not selection:
            return "Nothing is selected."
        if len(selection) > 1:
            return f"{len(selection)} nuclei are selected. M merges them, Delete deletes them."
        name = classes.get(selection[0])
        return f"Nucleus {selection[0]}" + (f", class {name}." if name else ".")

    def _delete(self) -> str:
        count = self.session.delete()
        return f"{count} {'nucleus' if count == 1 else 'nuclei'} deleted. U brings back."

    def _redraw(self) -> str:
        number = self.session.redraw()
        self.tool = LINE if self.tool == SPLIT else self.tool
        return f"Draw nucleus {number} again." if number else "Draw the pending contour again."

    def _offset(self, steps: int) -> str:
        offset = self.session.move_outline(steps)
        where = "outwards" if offset > 0 else "inwards"
        return f"Moved {where} by {abs(offset):g} pixels. Enter accepts it, Esc drops it." if offset else "As it was."

    def _merge(self) -> str:
        return f"Merged: nucleus {self.session.merge()}."

    def _classify(self, place: int) -> str:
        names = self.session.names
        if place > len(names):
            known = ", ".join(f"{number} {name}" for number, name in enumerate(names, start=1)) or "none is set"
            raise AnnotationError(f"there is no class {place} ({known})")
        name = names[place - 1] if place else ""
        of_selection = self.session.selection or self.session.candidate is not None
        self.session.classify(name)
        return f"{'Class' if of_selection else 'Class of what is drawn next'}: {name or 'none'}."

    def _undo(self) -> str:
        self.path = []
        return "Undone." if self.session.undo() else "There is nothing to undo."

    def _redo(self) -> str:
        return "Done again." if self.session.redo() else "There is nothing to do again."

    def _next_assist(self) -> str:
        return f"Contours by {ASSIST_WORDS[self.session.next_assist()]}."

    def _zoom(self, steps: int) -> str:
        self.view = self.view.showing(*self.cursor, self.size, margin=0)
        self.scroll(steps, *self.view.to_window(*self.cursor))
        return f"Zoom {100 * self.view.zoom:.0f} %."

    def _fit(self) -> str:
        self.view = Viewport.whole(self.session.shape, self.size, _MARGIN)
        return "Whole image."

    def _hide(self) -> str:
        self.hidden = not self.hidden
        return "Outlines are hidden; H shows them." if self.hidden else "Outlines are shown."

    def _show_probability(self) -> str:
        if self.session.guide.probability is None:
            raise AnnotationError("there is no probability map: no model is used")
        self.shows_probability = not self.shows_probability
        return "The model's probability; P goes back." if self.shows_probability else "The image."

    def _brighten(self, steps: int) -> str:
        self.gamma = float(np.clip(self.gamma * _GAMMA_STEP**steps, *_GAMMAS))
        return f"Brightness: gamma {self.gamma:.2f}."

    # What is shown

    def render(self) -> Rendered:
        """Draw what the window shows, without the cross and the line that is being drawn: uint8 array (h, w, 3)."""
        session = self.session
        image, limits = session.guide.image, self._limits
        if self.shows_probability and session.guide.probability is not None:
            image, limits = session.guide.probability, (0.0, 1.0)
        candidate = session.candidate
        overlay = Overlay(
            session.labels,
            colours_of(session.highest, self.class_places() if session.names else None),
            session.selection,
            candidate.placed if candidate else None,
            self.hidden,
        )
        return picture(image, limits, overlay, self.view, self.size, self.gamma)

    def class_places(self) -> NDArray[np.int64]:
        """Return the place of each nucleus's class in the list, from 1, and 0 for none: int64 array (N,)."""
        place_of = {name: place for place, name in enumerate(self.session.names, start=1)}
        places = np.zeros(self.session.highest, np.int64)
        for number, name in self.session.classes.items():
            places[number - 1] = place_of[name]
        return places

    def class_counts(self) -> Dict[str, int]:
        """Count the nuclei of each class, in the order of the list; what has none is counted under an empty name."""
        given = Counter(self.session.classes.values())
        return {**{name: given[name] for name in self.session.names}, "": self.session.count - sum(given.values())}


_WINDOW_KEYS = {"Ctrl+Enter": FINISH, "Ctrl+d": KEEP_DRAFT, "Ctrl+s": SAVE, "Ctrl+q": STOP}
_STEPS = {"Up": (-1, 0), "Down": (1, 0), "Left": (0, -1), "Right": (0, 1)}
_MOVES = {
    **_STEPS,
    **{f"Shift+{name}": (row * _FAR, col * _FAR) for name, (row, col) in _STEPS.items()},
}
_PANS = {f"Ctrl+{name}": (-row * _PAN_STEP, -col * _PAN_STEP) for name, (row, col) in _STEPS.items()}
_ACTIONS: Dict[str, Callable[[Workbench], str]] = {
    "l": lambda bench: bench._take(LINE),
    "b": lambda bench: bench._take(BOX),
    "s": lambda bench: bench._take(SPLIT),
    "a": Workbench._next_assist,
    "Space": Workbench._corner,
    "Enter": Workbench._enter,
    "Shift+Enter": lambda bench: bench._enter(add=True),
    "Escape": Workbench._escape,
    "Tab": lambda bench: bench._step(1),
    "Shift+Tab": lambda bench: bench._step(-1),
    "Delete": Workbench._delete,
    "Backspace": Workbench._delete,
    "r": Workbench._redraw,
    "[": lambda bench: bench._offset(-1),
    "]": lambda bench: bench._offset(1),
    # Brackets are hard to reach on some keyboards.
    "PageDown": lambda bench: bench._offset(-1),
    "PageUp": lambda bench: bench._offset(1),
    "m": Workbench._merge,
    "u": Workbench._undo,
    "Ctrl+z": Workbench._undo,
    "y": Workbench._redo,
    "Ctrl+y": Workbench._redo,
    "Ctrl+Shift+z": Workbench._redo,
    "+": lambda bench: bench._zoom(1),
    "=": lambda bench: bench._zoom(1),
    "-": lambda bench: bench._zoom(-1),
    "f": Workbench._fit,
    "Home": Workbench._fit,
    "h": Workbench._hide,
    "p": Workbench._show_probability,
    ",": lambda bench: bench._brighten(-1),
    ".": lambda bench: bench._brighten(1),
}
