"""OME-Zarr, CZI and ND2: which planes a file has, and each as an image; what is refused, and how."""

import json
import os
import shutil
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from nucdl_core.batch.plane_choice import PlaneChoice
from nucdl_core.batch.stacks import images_in, series_of
from nucdl_core.errors import ImageError
from nucdl_core.extras import lacking
from nucdl_core.files import containers
from nucdl_core.files.containers import readable_containers
from nucdl_core.files.folders import image_files

STACK = np.arange(1, 2 * 4 * 3 * 8 * 9 + 1, dtype=np.uint16).reshape(2, 4, 3, 8, 9)
"""Time points, channels, planes, rows and columns."""
AXES = "tczyx"


def read_all(path, **choice):
    return [(name.name, read()) for name, read in images_in(path, PlaneChoice(**choice))]


def write_image(folder, array=STACK, axes=AXES, **options):
    zarr = pytest.importorskip("zarr")
    group = zarr.open_group(str(folder), mode="w")
    chunks = (1,) * (array.ndim - 2) + (4, 5)
    group.create_dataset("0", data=array, chunks=chunks, dimension_separator="/", **options)
    group.create_dataset("1", data=array[..., ::2, ::2], chunks=chunks, dimension_separator="/")
    described = [{"name": axis} for axis in axes] if axes else None
    levels = [{"path": "0"}, {"path": "1"}]
    scales = {"version": "0.4", "datasets": levels, **({"axes": described} if described else {})}
    group.attrs["multiscales"] = [scales]
    return folder


def write_plate(folder, fields=("0", "1")):
    zarr = pytest.importorskip("zarr")
    plate = zarr.open_group(str(folder), mode="w")
    wells = ["A/1", "B/12"]
    plate.attrs["plate"] = {"wells": [{"path": well} for well in wells]}
    for number, well in enumerate(wells):
        group = plate.create_group(well)
        group.attrs["well"] = {"images": [{"path": field} for field in fields]}
        for field in fields:
            write_image(folder / well / field, STACK[0, 0, :1] + 1000 * number + 100 * int(field), "zyx")
    return folder


def test_axes_and_the_full_resolution_of_an_ome_zarr_are_read(tmp_path):
    path = write_image(tmp_path / "a.ome.zarr")
    (series,) = series_of(path)
    assert series.pages.shape == (2, 4, 3)
    (first, image), (second, later) = read_all(path, channel=2, plane="3")
    assert (first, second) == ("a.ome_t1.zarr", "a.ome_t2.zarr")
    assert np.array_equal(image, STACK[0, 1, 2]) and np.array_equal(later, STACK[1, 1, 2])
    (_, highest), _ = read_all(path, channel=4, plane="max")
    assert np.array_equal(highest, STACK[0, 3].max(axis=0))


def test_axes_in_another_order_and_of_older_versions_are_understood(tmp_path):
    path = write_image(tmp_path / "a.zarr", np.moveaxis(STACK[0], 0, 1), "zcyx")
    ((name, image),) = read_all(path, channel=4, plane="2")
    assert name == "a.zarr" and np.array_equal(image, STACK[0, 3, 1])
    assert np.array_equal(
        read_all(write_image(tmp_path / "b.zarr", axes=""), channel=1, plane="1")[1][1], STACK[1, 0, 0]
    )


def test_a_plane_alone_needs_no_choice(tmp_path):
    ((name, image),) = read_all(write_image(tmp_path / "a.zarr", STACK[0, 0, 0], "yx"))
    assert name == "a.zarr" and np.array_equal(image, STACK[0, 0, 0])


def test_each_field_of_a_plate_is_an_image_named_by_its_well(tmp_path):
    found = read_all(write_plate(tmp_path / "screen.zarr"))
    assert [name for name, _ in found] == [
        "screen_A01_f0.zarr", "screen_A01_f1.zarr", "screen_B12_f0.zarr", "screen_B12_f1.zarr"
    ]  # fmt: skip
    assert [image[0, 0] for _, image in found] == [1, 101, 1001, 1101]
    assert [name for name, _ in read_all(tmp_path / "screen.zarr" / "A" / "1")] == ["1_f0.zarr", "1_f1.zarr"]


def test_images_of_bioformats2raw_are_series(tmp_path):
    zarr = pytest.importorskip("zarr")
    zarr.open_group(str(tmp_path / "a.zarr"), mode="w").attrs["bioformats2raw.layout"] = 3
    for number in range(11):
        write_image(tmp_path / "a.zarr" / str(number), STACK[0, 0, :1] + number, "zyx")
    with pytest.raises(ImageError, match="11 series of images; choose one: --series 1 to 11"):
        read_all(tmp_path / "a.zarr")
    ((_, image),) = read_all(tmp_path / "a.zarr", series=11)
    assert image[0, 0] == 1 + 10


def test_an_ome_zarr_without_a_choice_is_refused_with_what_there_is(tmp_path):
    with pytest.raises(ImageError, match=r"a.zarr: the file holds 4 channels: --channel 1 to 4; 3 planes: --plane"):
        read_all(write_image(tmp_path / "a.zarr"))


def describe(folder, **attributes):
    (folder / ".zattrs").write_text(json.dumps(attributes), encoding="utf-8")


@pytest.mark.parametrize(
    "break_it, reason",
    [
        (lambda path: shutil.rmtree(path / "0" / "0"), "no pixel of this plane is stored"),
        (lambda path: (path / "0" / ".zarray").unlink(), "pixels of the full resolution are missing"),
        (lambda path: (path / ".zattrs").unlink(), r"there is no .zattrs in .*a.zarr; name an OME-Zarr"),
        (lambda path: (path / ".zattrs").write_text("{"), "cannot be read .*damaged or cut off"),
        (lambda path: (path / ".zattrs").write_text("[]"), "holds no description"),
        (lambda path: describe(path, other=1), "does not say that it is an image"),
        (lambda path: describe(path, multiscales=[]), "damaged or cut off"),
        (lambda path: describe(path, multiscales=[{"datasets": [{"path": "../b"}]}]), "leads out of the OME-Zarr"),
        (lambda path: describe(path, multiscales=[{"datasets": [{"path": "0"}], "axes": ["y", "x"]}]), "axes are yx"),
        (lambda path: (path / "zarr.json").write_text("{}"), "OME-Zarr 0.5 or later .* write version 0.4"),
        (lambda path: (path / "0" / "0" / "0" / "0" / "0" / "0").write_bytes(b"abc"), "damaged or cut off"),
    ],
)  # fmt: skip
def test_an_ome_zarr_that_is_not_whole_is_refused(tmp_path, break_it, reason):
    path = write_image(tmp_path / "a.zarr")
    break_it(path)
    with pytest.raises(ImageError, match=f"a.zarr: .*{reason}|a.zarr.*{reason}"):
        read_all(path, channel=1, plane="1")


def test_a_part_that_is_not_stored_is_filled_and_told(tmp_path, caplog):
    path = write_image(tmp_path / "a.zarr", STACK[0, 0, 0], "yx", fill_value=7)
    os.remove(path / "0" / "1" / "1")
    ((_, image),) = read_all(path)
    assert (image[4:, 5:] == 7).all() and np.array_equal(image[:4], STACK[0, 0, 0, :4])
    assert "1 of 4 parts are not stored and taken for 7" in caplog.text


def test_other_axes_than_time_channel_and_plane_are_refused(tmp_path):
    with pytest.raises(ImageError, match="the axis a is none of t, c and z"):
        read_all(write_image(tmp_path / "a.zarr", STACK[0, 0], "ayx"))


def test_numbers_that_are_no_intensities_are_refused(tmp_path):
    with pytest.raises(ImageError, match="the numbers are complex64"):
        read_all(write_image(tmp_path / "a.zarr", STACK[0, 0, 0].astype(np.complex64), "yx"))


@pytest.mark.parametrize("suffix, extra", [(".czi", "czi"), (".nd2", "nd2"), (".zarr", "zarr")])
def test_what_is_not_installed_is_refused_with_the_line_that_installs_it(tmp_path, monkeypatch, suffix, extra):
    monkeypatch.setattr(containers, "lacking", lambda extra: ["package"])
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"anything")
    with pytest.raises(ImageError, match=rf'{path}: .* is read by .*: pip install "nucdl\[{extra}\]"; or export'):
        read_all(path)
    assert readable_containers() == ()


def test_in_folders_they_are_listed_where_they_can_be_read_and_named_where_not(tmp_path, caplog):
    write_image(tmp_path / "b.zarr")
    for name in ("a.tif", "c.nd2", "d.stk"):
        (tmp_path / name).touch()
    listed = image_files([tmp_path], more=(".zarr",), recursive=True)
    assert [file.name for file in listed] == ["a.tif", "b.zarr"]
    assert "2 files are left out, since they cannot be read (c.nd2, d.stk); nucdl segment reads .nd2" in caplog.text
    assert 'with pip install "nucdl[nd2]"; export them as TIFF' in caplog.text
    assert image_files([tmp_path / "b.zarr"]) == [tmp_path / "b.zarr"]


@pytest.fixture
def czi():
    return pytest.importorskip("pylibCZIrw.czi")


def write_czi(czi, path, planes, **options):
    with czi.create_czi(str(path)) as file:
        for place, pixels in planes:
            file.write(pixels, plane=place, **options)
    return path


def test_a_czi_is_read_plane_by_plane(czi, tmp_path):
    planes = [({"T": t, "C": c, "Z": z}, STACK[t, c, z]) for t in range(2) for c in range(4) for z in range(3)]
    path = write_czi(czi, tmp_path / "a.czi", planes)
    (series,) = series_of(path)
    assert series.pages.shape == (2, 4, 3)
    (first, image), (_, later) = read_all(path, channel=2, plane="3")
    assert first == "a_t1.czi" and image.dtype == np.uint16
    assert np.array_equal(image, STACK[0, 1, 2]) and np.array_equal(later, STACK[1, 1, 2])


def test_scenes_of_a_czi_are_series(czi, tmp_path):
    with czi.create_czi(str(tmp_path / "a.czi")) as file:
        file.write(STACK[0, 0, 0], plane={"C": 0}, scene=0)
        file.write(STACK[0, 0, 1, :5], plane={"C": 0}, scene=1, location=(500, 100))
    with pytest.raises(ImageError, match="2 series of images"):
        read_all(tmp_path / "a.czi")
    ((_, image),) = read_all(tmp_path / "a.czi", series=2)
    assert np.array_equal(image, STACK[0, 0, 1, :5])


def test_a_czi_in_colour_becomes_grey_as_other_images(czi, tmp_path):
    colours = np.zeros((8, 9, 3), np.uint8) + np.array([30, 60, 90], np.uint8)
    ((_, image),) = read_all(write_czi(czi, tmp_path / "a.czi", [({"C": 0}, colours)]))
    assert image.dtype == np.float32 and (image == 60).all()


def test_a_czi_that_is_damaged_or_lacks_a_plane_is_refused(czi, tmp_path):
    planes = [({"C": 0, "Z": 0}, STACK[0, 0, 0]), ({"C": 1, "Z": 1}, STACK[0, 0, 1])]
    path = write_czi(czi, tmp_path / "a.czi", planes)
    with pytest.raises(ImageError, match="a.czi: no pixel of this plane is stored"):
        read_all(path, channel=1, plane="2")
    (tmp_path / "b.czi").write_bytes(path.read_bytes()[:3000])
    (tmp_path / "c.czi").write_bytes(b"no CZI file")
    for name in ("b.czi", "c.czi"):
        with pytest.raises(ImageError, match=f"{name}: .*damaged or cut off"):
            read_all(tmp_path / name, channel=1, plane="1")


class Frames:
    """A file as the package nd2 gives it: frames of all channels, by time and plane."""

    is_rgb, dtype = False, np.dtype(np.uint16)

    def __init__(self, path):
        self.sizes = {"T": 2, "P": 2, "Z": 3, "C": 4, "Y": 8, "X": 9}
        self.loop_indices = [{"T": t, "P": p, "Z": z} for t in range(2) for p in range(2) for z in range(3)]

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def read_frame(self, number):
        place = self.loop_indices[number]
        return STACK[place["T"], :, place["Z"]] * (place["P"] == 1)


def test_positions_of_an_nd2_are_series_and_its_axes_those_of_the_file(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "nd2", types.SimpleNamespace(ND2File=Frames, __spec__=object()))
    (tmp_path / "a.nd2").touch()
    assert [each.pages.shape for each in series_of(tmp_path / "a.nd2")] == [(2, 4, 3)] * 2
    _, (name, later) = read_all(tmp_path / "a.nd2", series=2, channel=4, plane="3")
    assert name == "a_t2.nd2" and np.array_equal(later, STACK[1, 3, 2])
    with pytest.raises(ImageError, match="a.nd2: no pixel of this plane is stored"):
        read_all(tmp_path / "a.nd2", series=1, channel=4, plane="3")


REAL_ND2 = Path(__file__).resolve().parents[4] / "shared" / "data" / "formats" / "cluster.nd2"


@pytest.mark.data
@pytest.mark.skipif(bool(lacking("nd2")) or not REAL_ND2.exists(), reason="needs nd2 and ../shared/data/formats")
def test_a_file_of_a_nikon_microscope_is_read(tmp_path):
    (series,) = series_of(REAL_ND2)
    assert series.pages.shape == (3, 2, 10)
    images = read_all(REAL_ND2, channel=1, plane="5")
    assert [image.shape for _, image in images] == [(31, 38)] * 3 and len({image.sum() for _, image in images}) == 3
    (tmp_path / "cut.nd2").write_bytes(REAL_ND2.read_bytes()[:200_000])
    with pytest.raises(ImageError, match="cut.nd2: .*damaged or cut off"):
        read_all(tmp_path / "cut.nd2", channel=1, plane="5")
