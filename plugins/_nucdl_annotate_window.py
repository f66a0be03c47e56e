"""The window of AnnotateNuclei: the image, what is selected, the classes, all keys, and what is saved.

Imported only where a window is opened, since wxPython need not be there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple

import wx
from _nucdl_annotate_canvas import Canvas, key_name

from nucdl_core.annotate.folder import DRAFT, FINISHED, AnnotationFolder
from nucdl_core.annotate.session import Annotated, AnnotationSession
from nucdl_core.annotate.suggest import Guide
from nucdl_core.annotate.view import NO_CLASS, PALETTE
from nucdl_core.annotate.workbench import (
    ASSIST_WORDS,
    FINISH,
    KEEP_DRAFT,
    KEY_TABLE,
    SAVE,
    STOP,
    TOOL_WORDS,
    Workbench,
)
from nucdl_core.errors import NucDLError

if TYPE_CHECKING:
    from _nucdl_annotate import Plain

# Of the screen that the window takes at first.
_SHARE = 0.92
_SIDE_WIDTH = 310
_GAP = 8
_SMALL = 0.9
_PROBLEM, _PLAIN = (255, 150, 120), (235, 235, 235)
_DARK, _DIM, _TITLE = (44, 46, 54), (180, 184, 194), (255, 200, 90)
_STATES = {"": "not saved yet", DRAFT: "saved as a draft", FINISHED: "saved as finished"}
_STATE_OF = {FINISH: FINISHED, KEEP_DRAFT: DRAFT}
_BUTTONS = ((FINISH, "Finished\nCtrl+Enter"), (KEEP_DRAFT, "Keep as draft\nCtrl+D"), (STOP, "Close\nCtrl+Q"))


def annotate_in_window(data: Plain, place: Tuple[str, List[str]], offset: float, title: str) -> Plain:
    """Show an image in a window until a person closes it.

    Parameters
    ----------
    data : Plain
        See `_nucdl_annotate.window_data`.
    place : (str, list of str)
        The folder in which annotations are saved, and the names of the classes.
    offset : float
        Pixels by which suggested contours are moved outwards.
    title : str
        Of the window.

    Returns
    -------
    Plain
        ``labels`` (int32 array (H, W)), ``class_numbers``, ``class_names`` and ``state`` of what was saved last, or of
        what was given where nothing was; ``stop`` tells whether the person wants no further image.
    """
    guide = Guide(data["image"], data.get("probability"), data.get("nuclei"), data.get("threshold", 0.5))
    classes = dict(zip((int(number) for number in data["class_numbers"]), data["class_names"]))
    store = AnnotationFolder(*place)
    session = AnnotationSession(data["labels"], guide, classes, store.names, offset)
    with AnnotationWindow(session, store, data, title) as window:
        window.ShowModal()
        return window.answer


class AnnotationWindow(wx.Dialog):
    """The window; see `annotate_in_window`.

    Attributes
    ----------
    answer : Plain
        What is sent back when it closes.
    """

    def __init__(self, session: AnnotationSession, store: AnnotationFolder, data: Plain, title: str) -> None:
        area = wx.Display(0).GetClientArea()
        style = wx.DEFAULT_DIALOG_STYLE | wx.RESIZE_BORDER | wx.MAXIMIZE_BOX
        super().__init__(None, title=title, style=style, size=(int(area.width * _SHARE), int(area.height * _SHARE)))
        self.session, self._store, self._data = session, store, data
        self.answer: Dict[str, Any] = {
            **{key: data[key] for key in ("labels", "class_numbers", "class_names", "state")},
            "stop": True,
        }
        self.workbench = Workbench(session, (600, 800))
        self.canvas = Canvas(self, self.workbench, self.tell, self.do_key)
        self.side = wx.ScrolledWindow(self, size=(_SIDE_WIDTH, -1))
        self.side.SetScrollRate(0, 10)
        self.message = wx.StaticText(self, style=wx.ST_NO_AUTORESIZE)
        self._labels: Dict[str, Any] = {}
        self._lay_out()
        self.Bind(wx.EVT_CHAR_HOOK, self._hook)
        self.Bind(wx.EVT_CLOSE, lambda event: self.do_key("Ctrl+q"))
        self.Layout()
        self.CentreOnScreen()
        self.canvas.SetFocus()
        wx.CallAfter(self._begin)

    def _begin(self) -> None:
        """Show the whole image, once the window has its size."""
        if self:
            self.workbench.key("f")
            self.workbench.message = "Drag the mouse roughly around a nucleus, or press Tab to go through those found."
            self.canvas.SetFocus()
            self.canvas.update()

    # What lies where

    def _lay_out(self) -> None:
        self.SetBackgroundColour(_DARK)
        self.side.SetBackgroundColour(_DARK)
        column = wx.BoxSizer(wx.VERTICAL)
        column.Add(self._told(), 0, wx.EXPAND | wx.ALL, _GAP)
        if self.session.names:
            column.Add(self._class_list(), 0, wx.EXPAND | wx.LEFT | wx.RIGHT | wx.BOTTOM, _GAP)
        column.Add(self._legend(), 0, wx.EXPAND | wx.LEFT | wx.RIGHT, _GAP)
        self.side.SetSizer(column)
        right = wx.BoxSizer(wx.VERTICAL)
        right.Add(self.side, 1, wx.EXPAND)
        right.Add(self._buttons(), 0, wx.EXPAND | wx.ALL, _GAP)
        upper = wx.BoxSizer(wx.HORIZONTAL)
        upper.Add(self.canvas, 1, wx.EXPAND)
        upper.Add(right, 0, wx.EXPAND)
        whole = wx.BoxSizer(wx.VERTICAL)
        whole.Add(upper, 1, wx.EXPAND)
        self.message.SetFont(self.GetFont().Bold())
        whole.Add(self.message, 0, wx.EXPAND | wx.ALL, _GAP)
        self.SetSizer(whole)

    def _text(self, text: str, colour: Any = _PLAIN, bold: bool = False) -> Any:
        label = wx.StaticText(self.side, label=text)
        label.SetForegroundColour(colour)
        # A little smaller than usual, so that all keys are seen at once.
        font = label.GetFont().Scaled(_SMALL)
        label.SetFont(font.Bold() if bold else font)
        return label

    def _told(self) -> Any:
        """Make the lines about the image and the present state of work."""
        grid = wx.FlexGridSizer(2, 1, 10)
        for name in ("Image", "State", "Nuclei", "Selected", "Tool", "Contours by", "New nuclei"):
            if name == "New nuclei" and not self.session.names:
                continue
            self._labels[name] = self._text("")
            grid.Add(self._text(name, _DIM))
            grid.Add(self._labels[name])
        return grid

    def _class_list(self) -> Any:
        """Make the list of classes: digit, colour, name and number of nuclei."""
        grid = wx.FlexGridSizer(4, 3, 8)
        for place, name in enumerate((*self.session.names, ""), start=1):
            patch = wx.Panel(self.side, size=(14, 14))
            patch.SetBackgroundColour(PALETTE[(place - 1) % len(PALETTE)] if name else NO_CLASS)
            self._labels[f"class {name}"] = self._text("")
            grid.Add(self._text(f"{place if name else 0}", _DIM))
            grid.Add(patch, 0, wx.ALIGN_CENTER_VERTICAL)
            grid.Add(self._text(name or "no class"))
            grid.Add(self._labels[f"class {name}"])
        return grid

    def _legend(self) -> Any:
        """Make the list of all keys."""
        grid = wx.FlexGridSizer(2, 0, 10)
        for group, rows in KEY_TABLE:
            grid.Add(self._text(group, _TITLE, bold=True), 0, wx.TOP, 4)
            grid.AddSpacer(0)
            for keys, meaning in rows:
                grid.Add(self._text(keys))
                grid.Add(self._text(meaning, _DIM))
        return grid

    def _buttons(self) -> Any:
        row = wx.BoxSizer(wx.HORIZONTAL)
        for command, label in _BUTTONS:
            button = wx.Button(self, label=label)
            button.Bind(wx.EVT_BUTTON, lambda event, command=command: self.do(command))
            row.Add(button, 1, wx.LEFT if row.GetItemCount() else 0, 4)
        return row

    # What is told

    def tell(self) -> None:
        """Show the state of work beside the image, and the message below it."""
        if not self._labels:
            # The image gets its size before the rest is there.
            return
        bench, session = self.workbench, self.session
        selection = session.selection
        told = {
            "Image": str(self._data["name"]),
            "State": _STATES[self.answer["state"]] + (", changed" if session.changed else ""),
            "Nuclei": f"{session.count}" + (" and a pending contour" if session.candidate else ""),
            "Selected": ", ".join(map(str, selection[:6])) + (" ..." if len(selection) > 6 else "") or "none",
            "Tool": TOOL_WORDS[bench.tool],
            "Contours by": ASSIST_WORDS[session.assist],
        }
        if session.names:
            told["New nuclei"] = session.new_class or "no class"
            told.update({f"class {name}": f"{count}" for name, count in bench.class_counts().items()})
        for name, text in told.items():
            if self._labels[name].GetLabel() != text:
                self._labels[name].SetLabel(text)
        self.message.SetForegroundColour(_PROBLEM if bench.is_problem else _PLAIN)
        self.message.SetLabel(bench.message.replace("&", "&&"))

    # Keys and commands

    def _hook(self, event: Any) -> None:
        name = key_name(event)
        if name is None:
            event.Skip()
        else:
            self.do_key(name)

    def do_key(self, name: str) -> None:
        """Do what a key stands for."""
        command = self.workbench.key(name.lower() if len(name) == 1 else name)
        if command:
            self.do(command)
        elif command is not None:
            self.canvas.update()

    def do(self, command: str) -> None:
        """Save, or close the window."""
        if command == SAVE:
            self._save(DRAFT)
        elif command in _STATE_OF:
            if self._save(_STATE_OF[command]):
                self._close(stop=False)
        elif command == STOP and self._may_close():
            self._close(stop=True)
        if self:
            self.canvas.SetFocus()
            self.canvas.update()

    def _save(self, state: str) -> bool:
        """Save the annotation; what went wrong is shown, and nothing is lost."""
        annotated = self.session.result()
        try:
            self._store.save(self._data["name"], self._data["image"], annotated, state)
        except NucDLError as error:
            wx.MessageBox(f"The annotation is not saved. {error}", "AnnotateNuclei", wx.OK | wx.ICON_ERROR, self)
            return False
        withdrawn = self.answer["state"] == FINISHED and state == DRAFT
        self.session.mark_saved()
        self._keep(annotated, state)
        self.workbench.message = f"Saved as a draft in {self._store.folder}." + (
            " The image does not count as finished any more." if withdrawn else ""
        )
        self.workbench.is_problem = False
        return True

    def _keep(self, annotated: Annotated, state: str) -> None:
        self.answer.update(
            labels=annotated.labels,
            class_numbers=list(annotated.classes),
            class_names=list(annotated.classes.values()),
            state=state,
        )

    def _may_close(self) -> bool:
        """Ask what becomes of changes that are not saved."""
        if not self.session.changed:
            return True
        withdrawn = " The image does not count as finished then." if self.answer["state"] == FINISHED else ""
        question = wx.MessageDialog(
            self,
            f"There are changes that are not saved. Keep them as a draft?{withdrawn}",
            "AnnotateNuclei",
            wx.YES_NO | wx.CANCEL | wx.ICON_QUESTION,
        )
        question.SetYesNoCancelLabels("Keep as draft", "Discard", "Go back")
        with question:
            chosen: Optional[int] = question.ShowModal()
        return chosen == wx.ID_NO or (chosen == wx.ID_YES and self._save(DRAFT))

    def _close(self, stop: bool) -> None:
        self.answer["stop"] = stop
        self.EndModal(wx.ID_OK)
