"""Folders of images made from annotated ones."""

import json

import numpy as np
import pytest
import tifffile
from commands import nucdl
from drawings import disks, field

from nucdl_core.adaptation.translation import TranslationConfig
from nucdl_core.batch.synthesize_files import MARKER, SynthesisConfig, synthesize_files
from nucdl_core.errors import ConfigError, ImageError
from nucdl_core.files.reading import read_image, read_labels
from nucdl_core.training.reading import read_annotated_images


@pytest.fixture
def data(tmp_path):
    """Two annotated images of 16 bits."""
    for name in ("images", "masks"):
        (tmp_path / "data" / name).mkdir(parents=True)
    for number in range(2):
        image, truth = field(radius=9 + number)
        tifffile.imwrite(tmp_path / "data" / "images" / f"field{number}.tif", image)
        tifffile.imwrite(tmp_path / "data" / "masks" / f"field{number}.tif", truth.astype(np.uint16))
    return tmp_path / "data"


def make(data, output, **settings):
    return synthesize_files(data / "images", data / "masks", output, SynthesisConfig(**{"count": 2, **settings}))


@pytest.mark.parametrize("mode", ["artificial", "simulated", "pix2pix"])
def test_each_mode_makes_images_and_masks_that_training_reads(data, tmp_path, mode):
    nuclei = make(data, tmp_path / "new", mode=mode, translation=TranslationConfig(epochs=1, width=4))
    sources = read_annotated_images(tmp_path / "new")
    assert [source.name for source in sources] == [f"{mode}_0001", f"{mode}_0002"]
    assert sum(len(source.sizes) - 1 for source in sources) == nuclei > 4
    assert read_image(tmp_path / "new" / "images" / f"{mode}_0001.tif").dtype == np.uint16
    assert json.loads((tmp_path / "new" / MARKER).read_text())["mode"] == mode


@pytest.mark.parametrize("mode", ["artificial", "simulated"])
def test_nuclei_are_where_the_images_are_bright(data, tmp_path, mode):
    make(data, tmp_path / "new", mode=mode)
    for file in (tmp_path / "new" / "images").iterdir():
        image, labels = read_image(file), read_labels(tmp_path / "new" / "masks" / file.name)
        assert image[labels > 0].mean() > 1.5 * image[labels == 0].mean()


def test_the_same_seed_makes_the_same_files_and_an_older_folder_is_replaced(data, tmp_path):
    make(data, tmp_path / "new", count=3)
    first = read_image(tmp_path / "new" / "images" / "artificial_0001.tif")
    (tmp_path / "new" / "notes.txt").write_text("mine")
    make(data, tmp_path / "new", count=1)
    assert np.array_equal(read_image(tmp_path / "new" / "images" / "artificial_0001.tif"), first)
    assert [file.name for file in (tmp_path / "new" / "images").iterdir()] == ["artificial_0001.tif"]
    assert (tmp_path / "new" / "notes.txt").read_text() == "mine"
    make(data, tmp_path / "new", seed=1)
    assert not np.array_equal(read_image(tmp_path / "new" / "images" / "artificial_0001.tif"), first)


def test_a_pix2pix_of_other_images_is_not_taken(data, tmp_path):
    settings = {"mode": "pix2pix", "translation": TranslationConfig(epochs=1, width=4), "count": 1}
    for _ in range(2):
        make(data, tmp_path / "new", **settings)
    assert len(list((tmp_path / "new_pix2pix").iterdir())) == 1
    tifffile.imwrite(data / "images" / "field0.tif", field(radius=9, peak=900)[0])
    make(data, tmp_path / "new", **settings)
    assert len(list((tmp_path / "new_pix2pix").iterdir())) == 2


def test_a_folder_with_other_files_is_refused_before_anything_is_read(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "mine.tif").write_text("x")
    with pytest.raises(ConfigError, match="holds something else than synthetic images"):
        synthesize_files(tmp_path / "none", tmp_path / "none", tmp_path / "images", SynthesisConfig())


def test_images_whose_nuclei_say_nothing_cannot_be_simulated(tmp_path):
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    labels = disks((60, 60), [(30, 30)], 8)
    tifffile.imwrite(tmp_path / "images" / "one.tif", (labels * 50 + 1).astype(np.uint8))
    tifffile.imwrite(tmp_path / "masks" / "one.tif", labels.astype(np.uint16))
    with pytest.raises(ImageError, match="three nuclei that lie wholly inside"):
        make(tmp_path, tmp_path / "new", mode="simulated")


@pytest.mark.parametrize("setting", [{"mode": "painted"}, {"count": 0}, {"seed": -1}])
def test_settings_out_of_range_are_refused_by_name(setting):
    with pytest.raises(ConfigError, match=next(iter(setting))):
        SynthesisConfig(**setting)


def test_the_command_makes_a_grid_that_is_asked_for(data, tmp_path):
    folders = ("--images", data / "images", "--masks", data / "masks", "--output", tmp_path / "new")
    result = nucdl("synthesize", *folders, "--count", 1, "--grid", "5x5", "--overlap", 0)
    assert result.exit_code == 0, result.output
    assert "1 images with" in result.output
    settings = json.loads((tmp_path / "new" / MARKER).read_text())["artificial"]
    assert settings["grid"] == [5, 5] and settings["overlap"] == 0


@pytest.mark.parametrize(
    "options, text",
    [
        (("--grid", "3by3"), "rows x columns"),
        (("--grid", "0x3"), "grid is"),
        (("--overlap", 2), "overlap is 2"),
        (("--count", 0), "count is 0"),
    ],
)
def test_wrong_options_are_one_clear_line(data, tmp_path, options, text):
    folders = ("--images", data / "images", "--masks", data / "masks", "--output", tmp_path / "new")
    result = nucdl("synthesize", *folders, *options)
    assert result.exit_code == 1 and text in result.output and len(result.output.splitlines()) == 1
    assert not (tmp_path / "new").exists()
