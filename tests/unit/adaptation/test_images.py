"""Images that a model is to be adapted to."""

import numpy as np
import pytest
import tifffile
from conftest import untrained_map_model
from drawings import disks, field

from nucdl_core.adaptation.images import PlainImage, read_plain_images, seen_images
from nucdl_core.errors import ImageError


@pytest.fixture
def folder(tmp_path):
    image, _ = field()
    for number in range(5):
        tifffile.imwrite(tmp_path / f"field{number}.tif", image)
    return tmp_path


def test_images_keep_their_grey_values_and_names(folder):
    images = read_plain_images([folder])
    assert [image.name for image in images] == [f"field{number}" for number in range(5)]
    assert np.array_equal(images[0].image, field()[0])


def test_fewer_than_five_images_are_refused(folder):
    (folder / "field0.tif").unlink()
    with pytest.raises(ImageError, match="4 images came; at least 5 are needed"):
        read_plain_images([folder])


def test_a_flat_image_is_refused_by_name(folder):
    tifffile.imwrite(folder / "flat.tif", np.full((20, 20), 7, np.uint8))
    with pytest.raises(ImageError, match=r"flat\.tif is 7 everywhere"):
        read_plain_images([folder])


def test_bright_and_dark_nuclei_together_are_refused_with_the_names(folder):
    image, _ = field()
    tifffile.imwrite(folder / "odd.tif", image.max() - image)
    with pytest.raises(ImageError, match=r"1 of 6 images seem to show dark nuclei \(odd\.tif\)"):
        read_plain_images([folder])


def test_where_all_nuclei_are_dark_images_are_inverted(folder):
    image, truth = field()
    for number in range(5):
        tifffile.imwrite(folder / f"field{number}.tif", image.max() - image)
    bright = read_plain_images([folder])[0].image
    assert bright[truth > 0].mean() > bright[truth == 0].mean()


def test_annotated_nuclei_count_before_those_that_the_model_finds():
    image, truth = field(radius=6)
    (seen,) = seen_images([PlainImage("one", image)], untrained_map_model(), {"one": truth})
    assert np.array_equal(seen.labels, truth)
    assert seen.appearance.diameter == pytest.approx(12, abs=1)


def test_too_few_nuclei_are_refused_with_their_number():
    labels = disks((80, 80), [(20, 20), (20, 60), (60, 20)], 8)
    image = labels * 50.0 + 3
    with pytest.raises(ImageError, match="3 nuclei were found in 1 images; at least 50"):
        seen_images([PlainImage("one", image)], untrained_map_model(), {"one": labels})


def test_nuclei_that_the_model_finds_are_taken_without_annotation(monkeypatch):
    image, truth = field(radius=6)
    monkeypatch.setattr("nucdl_core.adaptation.images.find_nuclei_in", lambda normal, predictor: truth)
    (seen,) = seen_images([PlainImage("one", image)], untrained_map_model())
    assert np.array_equal(seen.labels, truth)
