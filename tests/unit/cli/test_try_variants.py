"""nucdl try."""

import pandas as pd
import pytest
from commands import nucdl
from drawings import field

from nucdl_core.files.writing import write_grey, write_labels

FEW = ("--preprocess", "none,median3", "--model", "nuclei_unet")


@pytest.fixture
def folder(tmp_path):
    """Nine images and masks of eight of them."""
    image, truth = field()
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    for number in range(9):
        write_grey(tmp_path / "images" / f"{number}.tif", image[number:])
        if number:
            write_labels(tmp_path / "masks" / f"{number}_labels.tif", truth[number:])
    return tmp_path


def test_some_of_the_images_are_tried_and_the_best_way_named(folder):
    result = nucdl("try", folder / "images", *FEW, "--images", 2, "--output", folder / "page.html")
    assert result.exit_code == 0, result.output
    assert "2 ways to find nuclei on 2 of 9, evenly chosen images" in result.output and "best: " in result.output
    table = pd.read_csv(folder / "page_files" / "variants.csv")
    assert len(table) == 4 and (folder / "page.html").stat().st_size > 10_000


def test_with_masks_the_f1_sorts_and_images_without_one_are_left_out(folder):
    other = ("--labels", f"truth={folder / 'masks'}")
    given = ("--masks", folder / "masks", *other, "--images", 99, "--output", folder / "page.html")
    result = nucdl("try", folder / "images", "--preprocess", "mean9", "--model", "nuclei_unet", *given)
    assert result.exit_code == 0, result.output
    assert "best: truth (1.000)" in result.output
    assert len(pd.read_csv(folder / "page_files" / "variants.csv")) == 2 * 8


def test_an_image_that_cannot_be_used_is_named_and_the_exit_code_is_3(folder):
    (folder / "images" / "0.tif").write_bytes(b"no image")
    result = nucdl(
        "try", folder / "images", *FEW[2:], "--preprocess", "none", "--output", folder / "page.html", "--images", 9
    )
    assert result.exit_code == 3 and "failed: " in result.output and "0.tif" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--diameter", ",".join(map(str, range(10, 30)))), "these are 480 combinations"),
        (("--diameter", "large"), "diameter is 'large'; give numbers or 'auto'"),
        (("--preprocess", "sharpen"), "'sharpen' is no treatment"),
        (("--views", "many"), "views is 'many'"),
        (("--model", "nowhere"), "nowhere"),
        (("--images", "0"), "images is 0; give at least 1"),
        (("--labels", "a=MASKS", "--labels", "a=MASKS"), "two folders of label images have the same name"),
        (("--masks", "IMAGES", "--preprocess", "none"), "none of the images has a mask"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_computed(folder, arguments, message):
    empty = folder / "empty"
    empty.mkdir()
    write_labels(empty / "other_labels.tif", field()[1])
    words = [word.replace("MASKS", str(folder / "masks")).replace("IMAGES", str(empty)) for word in arguments]
    models = [] if "--model" in words else ["--model", "nuclei_unet,nuclei_maskrcnn"]
    result = nucdl("try", folder / "images", *models, *words, "--output", folder / "page.html")
    assert result.exit_code == 1 and message in result.output and not (folder / "page.html").exists()
