"""Which images of a study teach, judge and test."""

import pytest

from nucdl_core.config import from_mapping
from nucdl_core.errors import ConfigError
from nucdl_core.study.design import StudyCell, StudyDesign
from nucdl_core.study.images import POOL_PART, VALIDATION_PART, StudyImage, images_for, kinds_in, part_images
from nucdl_core.study.results import TEST_PART

DESIGN = from_mapping(
    StudyDesign,
    {
        "name": "tiny",
        "networks": {"unet": {"architecture": "unet"}},
        "grids": {"it": {"network": ["unet"]}},
        "test_images": 5,
        "validation_images": 2,
    },
)
KINDS = {"large": [f"l{number}" for number in range(40)], "small": ["s1", "s2", "s3"]}


def images():
    parts = part_images(KINDS, DESIGN)
    return {name: StudyImage(kind, parts[name], "") for kind, names in KINDS.items() for name in names}


def count(kind, part):
    return sum((image.kind, image.part) == (kind, part) for image in images().values())


def test_each_kind_has_images_of_each_part_and_no_more_than_the_study_says():
    assert [count("large", part) for part in (TEST_PART, VALIDATION_PART, POOL_PART)] == [5, 2, 33]
    assert [count("small", part) for part in (TEST_PART, VALIDATION_PART, POOL_PART)] == [1, 1, 1]


def test_the_parts_depend_on_the_names_alone():
    again = part_images({kind: names[::-1] for kind, names in KINDS.items()}, DESIGN)
    assert again == {name: image.part for name, image in images().items()}


def test_the_kind_with_the_most_images_comes_first():
    assert kinds_in(images()) == ["large", "small"]


def test_images_come_from_each_kind_in_turn():
    chosen = images_for(StudyCell("unet", images=3), images(), POOL_PART)
    assert [name[0] for name in chosen] == ["l", "s", "l"]
    assert len(images_for(StudyCell("unet"), images(), POOL_PART)) == 34


def test_each_replicate_learns_from_other_images_and_is_judged_by_the_same():
    first, second = (StudyCell("unet", kinds=("large",), images=5, replicate=number) for number in (0, 1))
    assert set(images_for(first, images(), POOL_PART)) != set(images_for(second, images(), POOL_PART))
    assert set(images_for(first, images(), VALIDATION_PART)) == set(images_for(second, images(), VALIDATION_PART))


def test_more_images_hold_the_fewer_ones():
    few, many = (images_for(StudyCell("unet", images=number), images(), POOL_PART) for number in (4, 8))
    assert many[:4] == few


def test_only_images_of_the_kinds_judge():
    assert all(
        name.startswith("s") for name in images_for(StudyCell("unet", kinds=("small",)), images(), VALIDATION_PART)
    )


def test_a_kind_without_images_is_refused_with_those_that_there_are():
    with pytest.raises(ConfigError, match="no images of the kind huge; the kinds are large, small"):
        images_for(StudyCell("unet", kinds=("huge",)), images(), POOL_PART)


def test_more_images_than_there_are_are_refused():
    with pytest.raises(ConfigError, match="is to learn from 2 images, but only 1"):
        images_for(StudyCell("unet", kinds=("small",), images=2), images(), POOL_PART)
