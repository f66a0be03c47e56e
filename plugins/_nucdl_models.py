"""What the modules show of models: the list to choose from, the card of the chosen one, and where it does not fit."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any, Callable, List, Optional

import _nucdl_engine as engine
from _nucdl_errors import NucDLError
from _nucdl_markdown import to_html
from cellprofiler_core.setting.choice import Choice

if TYPE_CHECKING:
    from _nucdl_images import GreyImage
    from cellprofiler_core.pipeline import Pipeline

    from nucdl_core.arrays import Labels
    from nucdl_core.model.doubt import Doubt

MODEL_FOLDER = "Folder"
"""The choice of a model by its folder; `nucdl screen` looks for this word in a pipeline."""


class ModelChoice(Choice):
    """The choice of a model: the list is made anew whenever it is shown, so that a new model needs no restart."""

    def get_choices(self) -> List[str]:
        """List the bundled models, own ones, and the choice of a folder."""
        return [*(name for name in engine.offered_models() if name != MODEL_FOLDER), MODEL_FOLDER]

    def test_valid(self, pipeline: Pipeline) -> None:
        """Accept any name: the module says of an unknown one where it was looked for, and what to do."""


def card_html(model: str) -> str:
    """Return the card of a model as a part of an HTML page, or in words why there is none.

    Parameters
    ----------
    model : str
        Name or folder, as of the engine's `find_bundle`.
    """
    problem = engine.engine_problem()
    if problem is not None:
        return f"<p>{html.escape(problem)}</p>"
    try:
        card = engine.engine().card(model)
        return f"<p><i>{html.escape(card.folder)}</i></p><p>{html.escape(card.made_for)}</p>{to_html(card.text)}"
    except NucDLError as error:
        return f"<p>{html.escape(str(error))}</p>"


def show_card(model_name: Callable[[], str]) -> None:
    """Show the card of the model that is chosen now in a window of its own; only a person in the window asks for it."""
    import wx
    from cellprofiler.gui.htmldialog import HTMLDialog

    page = f"<html><body>{card_html(model_name())}</body></html>"
    dialog = HTMLDialog(wx.GetApp().GetTopWindow(), "The chosen model", page)
    dialog.SetSize(dialog.FromDIP(wx.Size(760, 600)))
    dialog.CentreOnParent()
    dialog.Show()


def warnings_about(image: GreyImage, model: str, diameter: float, polarity: str) -> List[str]:
    """Say in sentences where an image differs from those that a model was made for.

    Parameters
    ----------
    image : GreyImage
        CellProfiler has scaled its pixels; the greatest value that its file could hold, where it is known, tells the
        bits.
    model : str
        Name or folder, as of the engine's `find_bundle`.
    diameter : float
        Typical nucleus diameter in pixels, NaN where there is none.
    polarity : str
        What nuclei are taken for, of the engine's `POLARITIES`.

    Returns
    -------
    list of str
    """
    bits = bits_of_scale(image.source.scale)
    return engine.engine().warnings_about(image.pixels, image.mask, bits, model, (diameter, polarity))


def doubt_about(image: GreyImage, labels: Labels, diameter: float, model: str) -> Doubt:
    """Say how far an image cannot be trusted, by all nuclei that were found (H, W); see the engine's `doubt_about`."""
    return engine.engine().doubt_about(image.pixels, labels, diameter, model, image.mask)


def bits_of_scale(scale: Any) -> Optional[int]:
    """Return the bits of the file that CellProfiler read an image from: 8, 16 or 32.

    Parameters
    ----------
    scale : number or None
        The greatest value that the image could have in its file, such as 255, as CellProfiler remembers it. 4095, of a
        camera with 12 bits, means 16, as they are stored.

    Returns
    -------
    int or None
        None where CellProfiler does not know it, and for a file of floats, of which the scale is 1.
    """
    if scale is None or not scale > 1:
        return None
    return next((bits for bits in (8, 16, 32) if scale <= 2**bits), None)
