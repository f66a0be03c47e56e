"""Which images teach and which judge."""

import pytest

from nucdl_core.errors import ImageError
from nucdl_core.training.split import choose_validation, group_weights, is_validation, parts_of

NAMES = [f"image{number}" for number in range(1000)]


def test_the_split_depends_on_the_name_alone():
    chosen = [name for name in NAMES if is_validation(name, 8)]
    assert 90 < len(chosen) < 160
    assert chosen == [name for name in NAMES if is_validation(name, 8)]


@pytest.mark.parametrize("count", [2, 3, 8, 23])
def test_of_few_images_each_half_teaches_once_and_judges_once(count):
    names = sorted(NAMES[:count])
    first, second = parts_of(dict.fromkeys(names, ""))
    assert (first.training, first.validation) == (second.validation, second.training)
    assert sorted(first.training + first.validation) == names
    assert len(first.validation) == count // 2


@pytest.mark.parametrize("count, judges", [(24, 6), (25, 6), (40, 10)])
def test_a_quarter_of_the_images_judges(count, judges):
    (part,) = parts_of(dict.fromkeys(NAMES[:count], ""))
    assert len(part.validation) == judges
    assert sorted(part.training + part.validation) == sorted(NAMES[:count])


def test_the_order_of_the_images_does_not_change_the_split():
    assert parts_of(dict.fromkeys(NAMES[:9], "")) == parts_of(dict.fromkeys(NAMES[8::-1], ""))


def test_a_person_can_say_how_many_images_judge():
    (part,) = parts_of(dict.fromkeys(NAMES[:2], ""), 1)
    assert (len(part.training), len(part.validation)) == (1, 1)
    assert len(parts_of(dict.fromkeys(NAMES[:9], ""), 5)[0].validation) == 5


def test_one_image_is_refused():
    with pytest.raises(ImageError, match="1 annotated image came; at least 2 are needed"):
        parts_of({"a": ""})


@pytest.mark.parametrize("count", [0, 3, 4])
def test_an_image_is_left_to_learn_from(count):
    with pytest.raises(ImageError, match=f"{count} of 3 annotated images are to judge"):
        choose_validation(dict.fromkeys(NAMES[:3], ""), count)


def test_every_group_judges_before_one_judges_twice():
    groups = dict.fromkeys(NAMES[:20], "large")
    groups.update({"x1": "small", "x2": "small"})
    chosen = choose_validation(groups, 3)
    assert sorted(groups[name] for name in chosen) == ["large", "large", "small"]


def test_the_only_image_of_a_group_teaches():
    groups = {"a": "rare", "b": "usual", "c": "usual", "d": "usual"}
    assert "a" not in choose_validation(groups, 2)


def test_where_each_image_is_a_group_of_its_own_some_judge_all_the_same():
    assert len(choose_validation({name: name for name in NAMES[:6]}, 2)) == 2


def test_each_group_weighs_the_same():
    assert group_weights(["a", "b", "b"]) == [0.5, 0.25, 0.25]
