"""The image in the window of AnnotateNuclei: it paints what the workbench holds, and hands mouse and keys on to it.

Imported only where a window is opened, since wxPython need not be there.
"""

from __future__ import annotations

from typing import Any, Callable, List, Optional, Tuple

import wx

from nucdl_core.annotate.workbench import BOX, SPLIT, Workbench

_LINE_COLOURS = {SPLIT: (255, 80, 80)}
_LINE_COLOUR = (255, 230, 0)
_CROSS_COLOUR = (255, 230, 0)
# Length of the arms of the cross and of the gap in its middle, in window pixels.
_ARM, _GAP = 9, 3

_NAMES = {
    wx.WXK_RETURN: "Enter",
    wx.WXK_NUMPAD_ENTER: "Enter",
    wx.WXK_ESCAPE: "Escape",
    wx.WXK_TAB: "Tab",
    wx.WXK_SPACE: "Space",
    wx.WXK_DELETE: "Delete",
    wx.WXK_NUMPAD_DELETE: "Delete",
    wx.WXK_BACK: "Backspace",
    wx.WXK_UP: "Up",
    wx.WXK_DOWN: "Down",
    wx.WXK_LEFT: "Left",
    wx.WXK_RIGHT: "Right",
    wx.WXK_HOME: "Home",
    wx.WXK_PAGEUP: "PageUp",
    wx.WXK_PAGEDOWN: "PageDown",
    wx.WXK_NUMPAD_ADD: "+",
    wx.WXK_NUMPAD_SUBTRACT: "-",
}


def key_name(event: Any) -> Optional[str]:
    """Name a key that is no plain character, or is pressed with Ctrl, as the workbench does; None for other keys."""
    name = _NAMES.get(event.GetKeyCode())
    if name is None and event.ControlDown() and 32 < event.GetKeyCode() < 127:
        name = chr(event.GetKeyCode()).lower()
    if name is None:
        return None
    return ("Ctrl+" if event.ControlDown() else "") + ("Shift+" if event.ShiftDown() else "") + name


class Canvas(wx.Panel):
    """The image, with outlines, the cross and the line that is being drawn.

    Parameters
    ----------
    parent : wx.Window
    workbench : Workbench
    on_change : callable
        Called after anything that may have changed what is told beside the image.
    on_character : callable
        Called with each plain character that is typed.
    """

    def __init__(
        self, parent: Any, workbench: Workbench, on_change: Callable[[], None], on_character: Callable[[str], None]
    ) -> None:
        super().__init__(parent, style=wx.WANTS_CHARS, name="annotation canvas")
        self.SetBackgroundStyle(wx.BG_STYLE_PAINT)
        self.SetCursor(wx.Cursor(wx.CURSOR_CROSS))
        self.workbench, self._on_change, self._on_character = workbench, on_change, on_character
        self._bitmap: Any = None
        self._held: Optional[Tuple[int, int]] = None
        for binder, handler in (
            (wx.EVT_PAINT, self._paint),
            (wx.EVT_SIZE, self._resize),
            (wx.EVT_LEFT_DOWN, self._press),
            (wx.EVT_LEFT_DCLICK, self._press),
            (wx.EVT_LEFT_UP, self._release),
            (wx.EVT_RIGHT_DOWN, self._hold),
            (wx.EVT_RIGHT_UP, self._let_go),
            (wx.EVT_MIDDLE_DOWN, self._hold),
            (wx.EVT_MIDDLE_UP, self._let_go),
            (wx.EVT_MOTION, self._move),
            (wx.EVT_MOUSEWHEEL, self._scroll),
            (wx.EVT_CHAR, self._type),
            (wx.EVT_MOUSE_CAPTURE_LOST, self._lose),
        ):
            self.Bind(binder, handler)

    def update(self) -> None:
        """Paint anew, and let the rest of the window follow."""
        self._bitmap = None
        self.Refresh()
        self._on_change()

    def _paint(self, event: Any) -> None:
        dc = wx.AutoBufferedPaintDC(self)
        if self._bitmap is None:
            rendered = self.workbench.render()
            height, width = rendered.shape[:2]
            self._bitmap = wx.Bitmap.FromBuffer(width, height, rendered.tobytes())
        dc.DrawBitmap(self._bitmap, 0, 0)
        self._draw_line(dc)
        self._draw_cross(dc)

    def _place(self, position: Tuple[float, float]) -> Tuple[int, int]:
        y, x = self.workbench.view.to_window(*position)
        return round(x), round(y)

    def _draw_line(self, dc: Any) -> None:
        bench = self.workbench
        if not bench.path:
            return
        # A line that is drawn by keyboard goes on to the cross.
        points: List[Tuple[int, int]] = [self._place(position) for position in (*bench.path, bench.cursor)]
        dc.SetPen(wx.Pen(_LINE_COLOURS.get(bench.tool, _LINE_COLOUR), 2))
        dc.SetBrush(wx.TRANSPARENT_BRUSH)
        if bench.tool == BOX:
            (left, top), (right, bottom) = points[0], points[-1]
            dc.DrawRectangle(min(left, right), min(top, bottom), abs(right - left) + 1, abs(bottom - top) + 1)
            return
        dc.DrawLines(points)
        for x, y in points if len(points) < 12 else ():
            dc.DrawCircle(x, y, 3)

    def _draw_cross(self, dc: Any) -> None:
        x, y = self._place(self.workbench.cursor)
        for colour, width in (((0, 0, 0), 3), (_CROSS_COLOUR, 1)):
            dc.SetPen(wx.Pen(colour, width))
            for right, down in ((1, 0), (-1, 0), (0, 1), (0, -1)):
                dc.DrawLine(x + _GAP * right, y + _GAP * down, x + _ARM * right, y + _ARM * down)

    def _resize(self, event: Any) -> None:
        width, height = self.GetClientSize()
        self.workbench.resize((max(height, 1), max(width, 1)))
        self.update()

    def _press(self, event: Any) -> None:
        self.SetFocus()
        self._capture()
        self.workbench.press(event.GetY(), event.GetX())
        self.Refresh()

    def _release(self, event: Any) -> None:
        self._uncapture()
        self.workbench.release(event.ShiftDown())
        self.update()

    def _hold(self, event: Any) -> None:
        self._capture()
        self._held = (event.GetY(), event.GetX())

    def _let_go(self, event: Any) -> None:
        self._uncapture()
        self._held = None

    def _move(self, event: Any) -> None:
        y, x = event.GetY(), event.GetX()
        if self._held is not None:
            self.workbench.pan(y - self._held[0], x - self._held[1])
            self._held = (y, x)
            self.update()
        elif event.LeftIsDown():
            self.workbench.drag(y, x)
            self.Refresh()

    def _scroll(self, event: Any) -> None:
        self.workbench.scroll(event.GetWheelRotation() / max(event.GetWheelDelta(), 1), event.GetY(), event.GetX())
        self.update()

    def _type(self, event: Any) -> None:
        code = event.GetUnicodeKey()
        if code > 32:
            self._on_character(chr(code))

    def _capture(self) -> None:
        if not self.HasCapture():
            self.CaptureMouse()

    def _uncapture(self) -> None:
        if self.HasCapture():
            self.ReleaseMouse()

    def _lose(self, event: Any) -> None:
        self._held = None
        self.workbench.release()
        self.update()
