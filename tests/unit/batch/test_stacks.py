"""Files with several channels, planes, time points or series."""

import io

import numpy as np
import pandas as pd
import pytest
import tifffile
from drawings import field

from nucdl_core.batch.plane_choice import PlaneChoice
from nucdl_core.batch.segment_files import segment_files
from nucdl_core.batch.stacks import images_in, series_of
from nucdl_core.config import SegmentConfig
from nucdl_core.errors import ConfigError, ImageError

STACK = np.arange(2 * 3 * 4 * 8 * 9, dtype=np.uint16).reshape(2, 3, 4, 8, 9)
"""Time points, planes, channels, rows and columns."""
WAYS = {"imagej": {"imagej": True}, "ome": {"ome": True}}


def save(path, array, axes, **options):
    tifffile.imwrite(path, array, metadata={"axes": axes}, **options)
    return path


def read_all(path, **choice):
    return [(name.name, read()) for name, read in images_in(path, PlaneChoice(**choice))]


@pytest.fixture(params=WAYS)
def stack(request, tmp_path):
    return save(tmp_path / "stack.tif", STACK, "TZCYX", **WAYS[request.param])


def test_axes_are_read_from_the_file(stack):
    (series,) = series_of(stack)
    assert series.pages.shape == (2, 4, 3)
    assert series.told() == (
        "4 channels: --channel 1 to 4; 3 planes: --plane 1 to 3, max, sum, median or focus; 2 time points, each an "
        "image of its own"
    )


def test_a_stack_without_a_choice_is_refused_with_what_there_is_to_choose_from(stack):
    with pytest.raises(ImageError, match=r"stack.tif: the file holds 4 channels: --channel 1 to 4; 3 planes: --plane"):
        read_all(stack)
    with pytest.raises(ImageError, match="choose"):
        read_all(stack, channel=1)


def test_channel_and_plane_are_counted_from_1_and_time_points_are_images_of_their_own(stack):
    (first, image), (second, later) = read_all(stack, channel=2, plane="3")
    assert (first, second) == ("stack_t1.tif", "stack_t2.tif")
    assert np.array_equal(image, STACK[0, 2, 1]) and np.array_equal(later, STACK[1, 2, 1])


@pytest.mark.parametrize("plane, made", [("max", np.max), ("sum", np.sum), ("median", np.median)])
def test_planes_become_one(stack, plane, made):
    (_, image), _ = read_all(stack, channel=4, plane=plane)
    assert np.array_equal(image, made(STACK[0, :, 3].astype(np.float32), axis=0))


def test_the_sharpest_plane_is_found(tmp_path):
    sharp = np.indices((32, 32)).sum(axis=0) % 2 * 100
    blurred = np.indices((32, 32))[0] * 6
    path = save(tmp_path / "a.tif", np.stack([blurred, sharp, blurred]).astype(np.uint8), "ZYX", imagej=True)
    ((name, image),) = read_all(path, plane="focus")
    assert name == "a.tif" and np.array_equal(image, sharp)


@pytest.mark.parametrize(
    "choice, reason",
    [
        ({"channel": 5, "plane": "1"}, "no channel 5; the file holds 4"),
        ({"channel": 1, "plane": "4"}, "no plane 4; the file holds 3"),
        ({"channel": 1, "plane": "1", "series": 2}, "no series 2; the file holds 1"),
    ],
)
def test_what_is_not_there_is_refused_with_what_there_is(stack, choice, reason):
    with pytest.raises(ImageError, match=reason):
        read_all(stack, **choice)


@pytest.mark.parametrize("choice, reason", [({"plane": "best"}, "plane is 'best'"), ({"channel": 0}, "from 1")])
def test_a_choice_that_cannot_be_is_refused(choice, reason):
    with pytest.raises(ConfigError, match=reason):
        PlaneChoice(**choice)


def test_several_series_are_refused_unless_one_is_chosen(tmp_path):
    with tifffile.TiffWriter(tmp_path / "two.tif") as writer:
        for number in (1, 2):
            writer.write(np.full((8 * number, 9), number, np.uint8), photometric="minisblack")
    with pytest.raises(ImageError, match="2 series of images; choose one: --series 1 to 2"):
        read_all(tmp_path / "two.tif")
    ((_, image),) = read_all(tmp_path / "two.tif", series=2)
    assert image.shape == (16, 9) and image[0, 0] == 2


def test_pages_without_a_description_are_planes(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", STACK[0, :, 0], photometric="minisblack", metadata=None)
    with pytest.raises(ImageError, match="3 planes: --plane 1 to 3"):
        read_all(tmp_path / "a.tif")
    ((_, image),) = read_all(tmp_path / "a.tif", plane="2")
    assert np.array_equal(image, STACK[0, 1, 0])


def test_a_stack_in_one_piece_says_how_to_export_it(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", STACK[0, :, 0], imagej=True, truncate=True)
    with pytest.raises(ImageError, match=r"a.tif: the file describes 3 planes and holds 1 pages"):
        read_all(tmp_path / "a.tif", plane="2")


OME_OF_TWO_FILES = """<?xml version="1.0"?>
<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:{own}">
<Image ID="Image:0">
<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint16" SizeX="9" SizeY="8" SizeC="2" SizeZ="1" SizeT="1">
<Channel ID="Channel:0:0"/><Channel ID="Channel:0:1"/>
<TiffData FirstC="0" IFD="0" PlaneCount="1">
<UUID FileName="c0.ome.tif">urn:uuid:00000000-0000-0000-0000-000000000000</UUID></TiffData>
<TiffData FirstC="1" IFD="0" PlaneCount="1">
<UUID FileName="c1.ome.tif">urn:uuid:00000000-0000-0000-0000-000000000001</UUID></TiffData>
</Pixels></Image></OME>"""


def test_a_file_of_a_set_of_ome_files_is_its_own_page_and_never_that_of_its_neighbour(tmp_path):
    for number in (0, 1):
        text = OME_OF_TWO_FILES.format(own=f"00000000-0000-0000-0000-00000000000{number}")
        array = np.full((8, 9), number + 1, np.uint16)
        tifffile.imwrite(tmp_path / f"c{number}.ome.tif", array, description=text, metadata=None)
    for number in (0, 1):
        ((_, image),) = read_all(tmp_path / f"c{number}.ome.tif")
        assert (image == number + 1).all()
    with pytest.raises(ImageError, match="there is no channel 2; the file holds 1"):
        read_all(tmp_path / "c0.ome.tif", channel=2)


@pytest.mark.parametrize("content", [b"", b"no picture", b"II*\0" + bytes(9)])
def test_a_file_that_cannot_be_read_is_refused_as_ever_when_it_is_read(tmp_path, content):
    (tmp_path / "a.tif").write_bytes(content)
    ((name, read),) = images_in(tmp_path / "a.tif")
    assert name == tmp_path / "a.tif"
    with pytest.raises(ImageError, match="a.tif"):
        read()


def test_a_grey_picture_of_another_format_is_one_image(tmp_path):
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(STACK[0, 0, 0].astype(np.uint8)).save(stream, "png")
    (tmp_path / "a.png").write_bytes(stream.getvalue())
    ((name, image),) = read_all(tmp_path / "a.png")
    assert name == "a.png" and image.shape == (8, 9)


def test_each_time_point_is_segmented_and_named(tmp_path):
    image = field()[0]
    movie = np.stack([np.stack([image // 9, image]), np.stack([image // 9, np.roll(image, 7, axis=1)])])
    save(tmp_path / "movie.tif", movie, "TCYX", imagej=True)
    records = segment_files([tmp_path / "movie.tif"], tmp_path / "out", SegmentConfig(), choice=PlaneChoice(channel=2))
    assert [record.nuclei for record in records] == [24, 24]
    names = ["movie_t1_labels.tif", "movie_t2_labels.tif"]
    assert sorted(path.name for path in (tmp_path / "out").glob("*_labels.tif")) == names
    table = pd.read_csv(tmp_path / "out" / "objects.csv")
    assert table["FileName"].unique().tolist() == ["movie_t1.tif", "movie_t2.tif"]


def test_a_stack_without_a_choice_fails_alone(tmp_path):
    save(tmp_path / "movie.tif", STACK, "TZCYX", imagej=True)
    tifffile.imwrite(tmp_path / "plain.tif", field()[0])
    files = [tmp_path / "movie.tif", tmp_path / "plain.tif"]
    stack, plain = segment_files(files, tmp_path / "out", SegmentConfig())
    assert "--channel 1 to 4" in stack.error and plain.nuclei == 24
