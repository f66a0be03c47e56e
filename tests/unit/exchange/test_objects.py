"""The common form of annotations."""

import numpy as np
import pytest

from nucdl_core.errors import ImageError
from nucdl_core.exchange import objects as ob
from nucdl_core.exchange.objects import AnnotatedObject, AnnotatedObjects, ObjectCollector, PlacedMask, trimmed

SQUARE = PlacedMask(np.ones((2, 2), bool), 1, 1)


def test_objects_keep_their_numbers_and_others_get_the_next_ones():
    collector = ObjectCollector("x", (9, 9))
    for number in (None, 5, 5, 0, 2):
        collector.add(SQUARE, number)
    found = collector.finish()
    assert [each.number for each in found.objects] == [6, 5, 7, 8, 2]
    assert found.notes == ("1 objects have the number of another one and get a new one (5)",)


def test_an_object_without_pixels_is_left_out_and_told():
    collector = ObjectCollector("x", (9, 9))
    collector.add(trimmed(np.zeros((3, 3), bool)), 4)
    assert collector.finish().objects == ()
    assert collector.finish().notes == ("1 objects have no pixel and are left out (4)",)


def test_a_note_names_the_first_objects_only():
    notes = ob.NoteBook()
    for name in "abcdefg":
        notes.add("objects are odd", name)
    assert notes.sentences() == ("7 objects are odd (a, b, c, d, e, ...)",)


def test_masks_that_would_fill_the_memory_are_refused(monkeypatch):
    monkeypatch.setattr(ob, "MAX_MASK_PIXELS", 7)
    collector = ObjectCollector("x", (9, 9))
    collector.add(SQUARE)
    with pytest.raises(ImageError, match="cover more than 7 pixels"):
        collector.add(SQUARE)
    far = PlacedMask(np.ones((1, 1), bool), 8, 8)
    with pytest.raises(ImageError, match="too far apart"):
        ob.joined([SQUARE, far])


def test_numbers_that_run_out_are_an_error():
    collector = ObjectCollector("x", (9, 9))
    collector.add(SQUARE, ob.HIGHEST_NUMBER)
    collector.add(SQUARE)
    with pytest.raises(ImageError, match="is left for an object"):
        collector.finish()


def test_an_object_that_is_hidden_by_smaller_ones_is_told():
    large, left, right = np.ones((2, 4), bool), np.ones((2, 2), bool), np.ones((2, 2), bool)
    found = [PlacedMask(large, 0, 0), PlacedMask(left, 0, 0), PlacedMask(right, 0, 2)]
    objects = tuple(AnnotatedObject(number, placed) for number, placed in enumerate(found, start=1))
    made = ob.label_image(AnnotatedObjects("x", (2, 4), objects))
    assert made.labels.tolist() == [[2, 2, 3, 3]] * 2
    assert made.hidden == (1,)
    assert made.shared == 8
    assert "1 objects lie wholly under smaller ones and are lost (1)" in made.sentences()


def test_of_objects_of_one_size_the_last_one_is_on_top():
    objects = tuple(AnnotatedObject(number, SQUARE) for number in (3, 1))
    assert ob.label_image(AnnotatedObjects("x", (4, 4), objects)).labels[1, 1] == 1


def test_layers_are_as_many_as_objects_lie_on_each_other():
    beside = PlacedMask(np.ones((2, 2), bool), 1, 3)
    objects = tuple(AnnotatedObject(n, placed) for n, placed in enumerate((SQUARE, SQUARE, beside, SQUARE), start=1))
    found = ob.layers(AnnotatedObjects("x", (4, 6), objects))
    assert [np.unique(layer).tolist() for layer in found] == [[0, 1, 3], [0, 2], [0, 4]]


def test_pieces_are_joined():
    placed = ob.joined([SQUARE, PlacedMask(np.ones((1, 1), bool), 4, 0), trimmed(np.zeros((0, 0), bool))])
    assert (placed.row, placed.col) == (1, 0)
    assert placed.mask.astype(int).tolist() == [[0, 1, 1], [0, 1, 1], [0, 0, 0], [1, 0, 0]]
    assert ob.joined([]).mask.size == 0
