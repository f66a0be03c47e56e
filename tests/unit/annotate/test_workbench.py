"""What mouse and keyboard do."""

from pathlib import Path

import numpy as np
import pytest

from nucdl_core.annotate.session import AnnotationSession
from nucdl_core.annotate.suggest import Guide
from nucdl_core.annotate.view import PALETTE, Viewport
from nucdl_core.annotate.workbench import KEY_TABLE, Workbench

SHAPE = (60, 90)
LABELS = np.zeros(SHAPE, np.int32)
LABELS[10:20, 10:20], LABELS[10:20, 20:30], LABELS[30:50, 40:60] = 1, 2, 3
TRUTH = np.zeros(SHAPE, bool)
TRUTH[34:46, 5:17] = True
LIKELY = TRUTH.astype(np.float32)
ZOOM = 4


def made(names=("interphase", "mitotic"), probability=LIKELY, labels=LABELS):
    guide = Guide(np.zeros(SHAPE, np.uint8), probability)
    bench = Workbench(AnnotationSession(labels, guide, names=names), (SHAPE[0] * ZOOM, SHAPE[1] * ZOOM))
    bench.view = Viewport(0, 0, ZOOM)
    return bench


@pytest.fixture
def bench():
    return made()


def draw(bench, *places, add=False):
    """Draw with the mouse along positions in the image."""
    (row, col), *others = places
    bench.press(row * ZOOM, col * ZOOM)
    for row, col in others:
        bench.drag(row * ZOOM, col * ZOOM)
    bench.release(add)


def keys(bench, *names):
    return [bench.key(name) for name in names]


AROUND = ((32, 3), (32, 19), (48, 19), (48, 3))


def test_a_line_drawn_with_the_mouse_becomes_a_nucleus_by_enter(bench):
    draw(bench, *AROUND)
    assert bench.message == "Contour by the model. Enter accepts it, [ ] move it, Esc drops it."
    assert bench.path == []
    keys(bench, "Enter")
    assert np.array_equal(bench.session.labels == 4, TRUTH)
    assert bench.message == "Accepted: nucleus 4."


def test_a_box_is_drawn_from_corner_to_corner(bench):
    keys(bench, "b")
    draw(bench, (32, 3), (40, 10), (48, 19))
    assert bench.session.candidate is not None
    assert bench.session.accept() == 4


def test_lines_boxes_and_cuts_are_drawn_with_the_keyboard_alone(bench):
    bench.cursor = (32.0, 3.0)
    keys(bench, "b", "Space")
    assert bench.message.startswith("Corner 1")
    keys(bench, "Shift+Down", "Shift+Right", *["Down"] * 6, *["Right"] * 6, "Space", "Enter")
    assert bench.session.count == 4
    bench.cursor = (25.0, 50.0)
    keys(bench, "s", "Space", *["Shift+Down"] * 3, "Space", "Enter")
    assert (bench.session.count, bench.message) == (5, "Split: 1 more nucleus.")
    bench.cursor = (2.0, 60.0)
    keys(bench, "l", "a", "a", "Space", "Shift+Right", "Space", "Shift+Down", "Space", "Enter", "Enter")
    assert bench.session.count == 6


def test_a_click_selects_the_nucleus_below_it_and_with_shift_several(bench):
    draw(bench, (15, 15))
    assert (bench.session.selection, bench.message) == ((1,), "Nucleus 1.")
    draw(bench, (15, 25), (15.5, 25.5), add=True)
    assert bench.session.selection == (1, 2)
    assert bench.message.startswith("2 nuclei are selected")
    keys(bench, "m")
    assert bench.message == "Merged: nucleus 1."
    draw(bench, (1, 1))
    assert bench.message == "Nothing is selected."


def test_enter_selects_the_nucleus_below_the_cross(bench):
    bench.cursor = (15.5, 15.5)
    keys(bench, "Enter")
    bench.cursor = (15.5, 25.5)
    keys(bench, "Shift+Enter")
    assert bench.session.selection == (1, 2)


def test_a_click_on_a_pending_contour_accepts_and_selects_it(bench):
    draw(bench, *AROUND)
    draw(bench, (40, 10))
    assert bench.session.selection == (4,)


def test_tab_goes_from_nucleus_to_nucleus_and_brings_each_into_view(bench):
    bench.view = Viewport(0, 0, 0.5)
    bench.size = (20, 20)
    keys(bench, "Shift+Tab")
    assert bench.session.selection == (3,)
    y, x = bench.view.to_window(*bench.cursor)
    assert 0 < y < 20
    assert 0 < x < 20
    assert bench.view.zoom == 1
    assert bench.session.number_at(*bench.cursor) == 3
    keys(bench, "Tab")
    assert bench.session.selection == (1,)


def test_outlines_move_by_brackets(bench):
    keys(bench, "Tab", "[", "[")
    assert bench.message == "Moved inwards by 1 pixels. Enter accepts it, Esc drops it."
    keys(bench, "]", "]")
    assert bench.message == "As it was."
    keys(bench, "]", "Enter")
    assert (bench.session.labels == 1).sum() > 100


def test_redrawing_deleting_and_undoing_by_keys(bench):
    keys(bench, "Tab", "s", "r")
    assert (bench.tool, bench.message) == ("line", "Draw nucleus 1 again.")
    draw(bench, *AROUND)
    keys(bench, "r")
    assert bench.message == "Draw the pending contour again."
    keys(bench, "Enter")
    assert (bench.session.count, bench.session.number_at(40, 10)) == (3, 1)
    keys(bench, "Delete")
    assert bench.message == "1 nucleus deleted. U brings back."
    keys(bench, "u", "Ctrl+z")
    assert np.array_equal(bench.session.labels, LABELS)
    keys(bench, "u")
    assert bench.message == "There is nothing to undo."
    keys(bench, "y", "Ctrl+y", "Ctrl+Shift+z")
    assert bench.message == "There is nothing to do again."
    assert bench.session.count == 2


def test_escape_drops_the_line_then_the_contour_then_the_selection(bench):
    keys(bench, "Tab", "Space", "Escape")
    assert bench.message == "The line is dropped."
    draw(bench, *AROUND)
    keys(bench, "Escape")
    assert (bench.session.candidate, bench.session.selection) == (None, (1,))
    keys(bench, "Escape", "Escape")
    assert bench.message == "There is nothing to drop."


def test_digits_give_classes(bench):
    keys(bench, "2")
    assert bench.message == "Class of what is drawn next: mitotic."
    keys(bench, "Tab", "1")
    assert bench.message == "Class: interphase."
    keys(bench, "Tab", "Shift+Tab")
    assert bench.message == "Nucleus 1, class interphase."
    assert bench.class_counts() == {"interphase": 1, "mitotic": 0, "": 2}
    keys(bench, "0")
    assert bench.session.classes == {}
    keys(bench, "9")
    assert (bench.is_problem, bench.message) == (True, "There is no class 9 (1 interphase, 2 mitotic).")


def test_what_is_impossible_is_told_and_changes_nothing(bench):
    keys(bench, "Delete")
    assert bench.is_problem
    assert bench.message.startswith("No nucleus is selected")
    keys(bench, "s")
    assert not bench.is_problem
    draw(bench, (1, 1), (5, 5))
    assert bench.message.startswith("The line parts no nucleus")
    assert np.array_equal(bench.session.labels, LABELS)


def test_the_cross_stays_in_the_image_and_in_view(bench):
    bench.view = Viewport(0, 0, 16.0)
    keys(bench, *["Shift+Right"] * 20, *["Shift+Up"] * 20)
    assert bench.cursor == (0, 90)
    assert 0 <= bench.view.to_window(*bench.cursor)[1] <= bench.size[1]


def test_keys_and_wheel_zoom_and_keys_and_mouse_move_the_image(bench):
    bench.cursor = (20.0, 20.0)
    place = bench.view.to_window(20, 20)
    keys(bench, "+", "=")
    assert bench.view.zoom > ZOOM
    assert bench.view.to_window(20, 20) == pytest.approx(place)
    keys(bench, "-", "-")
    assert bench.view.zoom == pytest.approx(ZOOM)
    bench.scroll(2, 0, 0)
    assert bench.view.zoom > ZOOM
    bench.pan(10, 20)
    keys(bench, "Ctrl+Left")
    assert bench.view.to_window(0, 0) == pytest.approx((10, 80))
    keys(bench, "f")
    for corner in ((0, 0), SHAPE):
        assert all(0 < place < side for place, side in zip(bench.view.to_window(*corner), bench.size))


def test_a_window_that_grows_keeps_the_middle_in_the_middle(bench):
    before = bench.view.to_image(120, 180)
    bench.resize((300, 500))
    assert bench.view.to_image(150, 250) == pytest.approx(before)


def test_outlines_are_hidden_brightness_and_probability_changed(bench):
    assert bench.render().max() > 0
    keys(bench, "h")
    assert bench.render().max() == 0
    keys(bench, "p")
    assert bench.render().max() == 255
    keys(bench, "p", ".", ".")
    assert bench.gamma == pytest.approx(0.64)
    keys(bench, *[","] * 30)
    assert bench.gamma == 3
    without = made(probability=None)
    keys(without, "p")
    assert without.is_problem


def test_classes_decide_the_colours_where_there_are_any(bench):
    keys(bench, "Tab", "2", "Escape")
    assert (bench.render() == PALETTE[1]).all(axis=2).any()
    assert not (made(names=()).render() == PALETTE[3]).all(axis=2).any()


def test_saving_and_closing_are_left_to_the_window_and_other_keys_do_nothing(bench):
    assert keys(bench, "Ctrl+Enter", "Ctrl+d", "Ctrl+s", "Ctrl+q") == ["finish", "keep_draft", "save", "stop"]
    assert keys(bench, "q", "Ctrl+a", "F5") == [None, None, None]
    assert keys(bench, "l", "Left", "Ctrl+Up", "3") == ["", "", "", ""]


def test_moving_the_mouse_without_a_button_draws_nothing(bench):
    bench.drag(10, 10)
    bench.release()
    assert bench.path == []


def test_the_documentation_lists_the_same_keys():
    page = (Path(__file__).resolve().parents[3] / "docs" / "annotating.md").read_text(encoding="utf-8")
    rows = [
        f"| **{group}** | |\n" + "".join(f"| {keys_of} | {what} |\n" for keys_of, what in rows)
        for group, rows in KEY_TABLE
    ]
    assert "".join(rows) in page


def test_every_letter_and_sign_of_the_legend_does_something(bench):
    texts = [text.replace("  ", ",") for _, rows in KEY_TABLE for text, _ in rows]
    named = [part.strip() for text in texts for part in text.split(",")]
    single = [name.lower() for name in named if len(name) == 1]
    assert len(single) > 12
    assert None not in keys(bench, *single)
