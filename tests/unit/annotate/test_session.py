"""The annotation of one image while a person works at it."""

import numpy as np
import pytest

from nucdl_core.annotate.drawing import inside_box
from nucdl_core.annotate.session import AnnotationSession
from nucdl_core.annotate.suggest import AS_DRAWN, BY_INTENSITY, BY_MODEL, Guide
from nucdl_core.errors import AnnotationError

SHAPE = (60, 90)
LABELS = np.zeros(SHAPE, np.int32)
LABELS[10:20, 10:20] = 1
LABELS[10:20, 20:30] = 2
LABELS[30:50, 40:60] = 5
TRUTH = np.zeros(SHAPE, bool)
TRUTH[34:46, 5:17] = True
TRUTH[5:15, 70:80] = True
FIRST_BOX = inside_box((32, 3), (48, 19), SHAPE)
SECOND_BOX = inside_box((3, 68), (17, 82), SHAPE)


def made(**options):
    guide = options.pop("guide", Guide(np.zeros(SHAPE, np.uint8), TRUTH.astype(np.float32)))
    return AnnotationSession(LABELS, guide, names=("interphase", "mitotic"), **options)


@pytest.fixture
def session():
    return made()


def test_a_drawn_contour_waits_until_it_is_accepted(session):
    assert session.draw(FIRST_BOX).source == BY_MODEL
    assert (session.count, session.changed) == (3, True)
    assert session.accept() == 6
    assert np.array_equal(session.labels == 6, TRUTH & (np.arange(90) < 50))
    assert (session.count, session.selection, session.candidate) == (4, (6,), None)


def test_the_labels_that_were_given_are_never_changed(session):
    before = LABELS.copy()
    session.draw(FIRST_BOX)
    session.accept()
    session.select(1)
    session.delete()
    assert np.array_equal(LABELS, before)


def test_drawing_elsewhere_accepts_what_is_pending_and_drawing_over_it_takes_its_place(session):
    session.draw(FIRST_BOX)
    session.draw(SECOND_BOX)
    assert session.count == 4
    session.draw(SECOND_BOX)
    session.accept()
    assert session.count == 5


def test_a_new_contour_leaves_other_nuclei_as_they_are(session):
    session.assist = AS_DRAWN
    session.draw(inside_box((8, 5), (22, 15), SHAPE))
    session.accept()
    assert (session.labels == 1).sum() == 100
    with pytest.raises(AnnotationError, match="belongs to another nucleus"):
        session.draw(inside_box((12, 12), (18, 18), SHAPE))


def test_a_nucleus_is_redrawn_with_its_number_and_class(session):
    session.select(5)
    session.classify("mitotic")
    assert session.redraw() == session.redrawn == 5
    session.assist = AS_DRAWN
    session.draw(inside_box((30, 40), (40, 70), SHAPE))
    session.accept()
    assert session.redrawn == 0
    assert ((session.labels == 5).sum(), session.classes, session.count) == (300, {5: "mitotic"}, 3)
    session.undo()
    assert (session.labels == 5).sum() == 400


def test_a_contour_that_is_redrawn_takes_the_place_of_the_same_nucleus(session):
    session.select(1)
    session.redraw()
    session.draw(FIRST_BOX)
    session.draw(FIRST_BOX)
    assert session.accept() == 1
    assert session.count == 3


def test_the_outline_of_a_nucleus_moves_in_steps_that_start_from_what_it_was(session):
    session.select(5)
    assert [session.move_outline(step) for step in (1, 1, -2, -2)] == [0.5, 1.0, 0.0, -1.0]
    assert session.candidate.placed.mask.shape == (18, 18)
    session.move_outline(2)
    session.accept()
    assert np.array_equal(session.labels, LABELS)


def test_an_outline_does_not_move_into_a_touching_nucleus_nor_vanish(session):
    session.select(1)
    session.move_outline(6)
    session.accept()
    assert (session.labels == 2).sum() == 100
    session.select(2)
    with pytest.raises(AnnotationError, match="nothing is left of the nucleus"):
        session.move_outline(-20)


def test_suggested_contours_start_with_the_offset_that_was_set_but_drawn_ones_do_not():
    session = made(offset=1.0)
    assert session.draw(FIRST_BOX).placed.mask.shape == (14, 14)
    session.discard()
    session.assist = AS_DRAWN
    assert session.draw(FIRST_BOX).placed.mask.shape == (16, 16)


def test_nuclei_are_selected_by_place_by_order_and_several_at_once(session):
    assert (session.number_at(10.0, 19.9), session.number_at(10.0, 20.0), session.number_at(-1, 5)) == (1, 2, 0)
    assert session.select(1) == (1,)
    assert session.select(5, add=True) == (1, 5)
    assert session.select(1, add=True) == (5,)
    assert session.select(0) == ()
    assert [session.select_next() for _ in range(4)] == [(1,), (2,), (5,), (1,)]
    assert session.select_next(-1) == (5,)
    session.select(0)
    assert session.select_next(-1) == (5,)


def test_in_an_image_without_nuclei_there_is_none_to_select():
    session = AnnotationSession(np.zeros(SHAPE, np.int32), Guide(np.zeros(SHAPE, np.uint8)))
    assert session.select_next() == ()
    assert session.result().labels.max() == 0


def test_deleting_takes_what_is_pending_first_then_all_that_is_selected(session):
    session.draw(FIRST_BOX)
    assert session.delete() == 1
    assert session.count == 3
    session.select(1)
    session.select(5, add=True)
    assert session.delete() == 2
    assert (np.unique(session.labels).tolist(), session.selection) == ([0, 2], ())
    session.undo()
    assert np.array_equal(session.labels, LABELS)


def test_deleting_a_nucleus_whose_outline_is_being_moved_deletes_the_nucleus(session):
    session.select(5)
    session.move_outline(1)
    session.delete()
    assert 5 not in session.labels


def test_a_line_parts_the_nuclei_it_crosses_and_the_parts_keep_the_class(session):
    session.select(5)
    session.classify("mitotic")
    session.select(0)
    assert session.split([(15, 5), (15, 35)]) == 2
    assert session.split([(25, 47), (55, 47)]) == 1
    assert session.count == 6
    assert session.classes == {5: "mitotic", 8: "mitotic"}
    assert (session.labels == 5).sum() > (session.labels == 8).sum()
    session.undo()
    session.undo()
    assert np.array_equal(session.labels, LABELS)


def test_where_a_crossed_nucleus_is_selected_only_that_one_is_parted(session):
    session.select(2)
    assert session.split([(15, 5), (15, 35)]) == 1
    assert (session.labels == 1).sum() == 100


def test_a_line_that_parts_nothing_is_refused(session):
    with pytest.raises(AnnotationError, match="parts no nucleus"):
        session.split([(0, 0), (5, 5)])


def test_merged_nuclei_have_the_class_of_the_largest(session):
    session.select(2)
    session.classify("mitotic")
    session.select(1, add=True)
    assert session.merge() == 1
    assert ((session.labels == 1).sum(), session.classes, session.selection) == (200, {}, (1,))
    session.undo()
    assert session.classes == {2: "mitotic"}
    session.select(1)
    session.split([(8, 12), (22, 12)])
    session.select(1)
    session.select(2, add=True)
    assert session.merge() == 1
    assert session.classes == {1: "mitotic"}


def test_a_class_goes_to_what_is_selected_or_else_to_what_is_drawn_next(session):
    session.classify("mitotic")
    session.draw(FIRST_BOX)
    session.accept()
    assert session.classes == {6: "mitotic"}
    session.classify("")
    assert session.classes == {}
    session.undo()
    assert session.classes == {6: "mitotic"}
    session.select(1)
    session.classify("interphase")
    assert session.classes == {6: "mitotic", 1: "interphase"}
    with pytest.raises(AnnotationError, match=r"'dead' is not among the classes \(interphase, mitotic\)"):
        session.classify("dead")


def test_every_change_is_undone_and_done_again(session):
    stages = [session.labels.copy()]
    for act in (
        lambda: session.draw(FIRST_BOX) and session.accept(),
        lambda: session.split([(25, 47), (55, 47)]),
        lambda: session.select(1) and session.select(2, add=True) and session.merge(),
        lambda: session.select(5) and session.delete(),
    ):
        act()
        stages.append(session.labels.copy())
    for stage in stages[-2::-1]:
        assert session.undo()
        assert np.array_equal(session.labels, stage)
    assert not session.undo()
    for stage in stages[1:]:
        assert session.redo()
        assert np.array_equal(session.labels, stage)
    assert not session.redo()


def test_undo_drops_a_pending_contour_first_and_a_new_change_ends_redo(session):
    session.draw(FIRST_BOX)
    assert session.undo()
    assert (session.candidate, session.count) == (None, 3)
    session.select(1)
    session.delete()
    session.undo()
    session.select(2)
    session.delete()
    assert not session.redo()


def test_what_is_known_of_each_nucleus_follows_all_changes(session):
    actions = [
        lambda: session.draw(FIRST_BOX) and session.accept(),
        lambda: session.split([(25, 47), (55, 47)]),
        lambda: session.select(1) and session.select(2, add=True) and session.merge(),
        lambda: session.select(5) and session.move_outline(4) and session.accept(),
        lambda: session.delete(),
        *[session.undo] * 5,
        *[session.redo] * 5,
    ]
    for act in actions:
        act()
        present = np.unique(session.labels)[1:].tolist()
        assert session.numbers == present
        assert session.highest >= max(present)
        for number in present:
            placed = session.mask_of(number)
            again = np.zeros(SHAPE, bool)
            again[placed.row :, placed.col :][: placed.mask.shape[0], : placed.mask.shape[1]] = placed.mask
            assert np.array_equal(again, session.labels == number)


def test_it_is_known_whether_anything_is_unsaved(session):
    assert not session.changed
    session.select(1)
    assert not session.changed
    session.delete()
    assert session.changed
    session.mark_saved()
    assert not session.changed
    session.undo()
    assert session.changed
    session.select(2)
    session.delete()
    assert session.changed


def test_discarding_drops_what_is_pending_then_a_redrawing_then_the_selection(session):
    session.select(5)
    session.redraw()
    session.draw(FIRST_BOX)
    assert session.discard()
    assert (session.candidate, session.selection) == (None, (5,))
    session.redraw()
    assert session.discard()
    assert session.discard()
    assert session.selection == ()
    assert not session.discard()


def test_the_result_is_numbered_without_gaps_and_holds_what_is_pending(session):
    session.select(5)
    session.classify("mitotic")
    session.draw(FIRST_BOX)
    labels, classes = session.result()
    assert np.unique(labels).tolist() == [0, 1, 2, 3, 4]
    assert classes == {3: "mitotic"}
    assert labels[40, 10] == 4


def test_the_kinds_of_help_take_turns_and_without_a_model_there_are_two(session):
    assert [session.next_assist() for _ in range(3)] == [BY_INTENSITY, AS_DRAWN, BY_MODEL]
    without = made(guide=Guide(np.zeros(SHAPE, np.uint8)))
    assert without.assist == BY_INTENSITY
    assert [without.next_assist() for _ in range(2)] == [AS_DRAWN, BY_INTENSITY]


@pytest.mark.parametrize("action", ["delete", "redraw"])
def test_without_a_selection_nothing_can_be_changed(session, action):
    with pytest.raises(AnnotationError, match="no nucleus is selected"):
        getattr(session, action)()


def test_one_nucleus_at_a_time_is_redrawn(session):
    session.select(1)
    session.select(2, add=True)
    with pytest.raises(AnnotationError, match="2 nuclei are selected, one at a time can be redrawn"):
        session.redraw()


def test_what_does_not_belong_together_is_refused():
    with pytest.raises(AnnotationError, match=r"nuclei are \(60, 90\), their image is \(3, 3\)"):
        AnnotationSession(LABELS, Guide(np.zeros((3, 3), np.uint8)))
    with pytest.raises(AnnotationError, match="'dead' is not among the classes"):
        made(classes={1: "dead"})
