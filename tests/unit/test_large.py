"""Large images: arrays in temporary files, and work strip by strip that gives what work at once gives."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from drawings import disks

from nucdl_core import labels as lb
from nucdl_core import large, segment
from nucdl_core.config import SegmentConfig
from nucdl_core.errors import ImageError
from nucdl_core.files import reading as files
from nucdl_core.files import writing
from nucdl_core.model.map_predictor import MapPredictor
from nucdl_core.results import Segmentation
from nucdl_core.segment import Job
from nucdl_core.steps import filters, normalize, scales
from nucdl_core.steps.instances import Decision, MapPrediction, Maps
from nucdl_core.steps.normalize import NormalizedImage

SHAPE = (40, 60)
RNG = np.random.default_rng(0)
NUCLEI = disks(SHAPE, [(r, c) for r in range(3, 40, 9) for c in range(3, 60, 9)], 4)
OTHERS = disks(SHAPE, [(15, 15), (30, 45)], 9)
MASK = disks(SHAPE, [(20, 30)], 19) > 0
# Nuclei begin in the first row of one and end in the last row of the other.
LOWER, UPPER = (np.repeat(rows[:, None], 60, axis=1) for rows in (np.arange(40) >= 17, np.arange(40) <= 25))
VALUES = RNG.random(SHAPE, np.float32)
STRICT = SegmentConfig(minimum_diameter=7, discard_border=True)


def found(labels, diameter):
    count = int(labels.max())
    return Segmentation(labels, np.linspace(0.5, 1, count, dtype=np.float32), VALUES, diameter)


def in_parts(monkeypatch, pixels=130, file_bytes=500):
    monkeypatch.setattr(large, "STRIP_PIXELS", pixels)
    monkeypatch.setattr(large, "FILE_BYTES", file_bytes)


def lies_in_a_file(array):
    while isinstance(array, np.ndarray):
        array = array.base
    return isinstance(array, large._Mapping)


@pytest.mark.parametrize("size, in_file", [(10, False), (11, True)])
def test_only_a_large_array_lies_in_a_file(monkeypatch, size, in_file):
    monkeypatch.setattr(large, "FILE_BYTES", 40)
    array = large.zeros((1, size), np.int32)
    assert array.dtype == np.int32 and not array.any()
    assert lies_in_a_file(array) == in_file


def test_numbers_stay_when_their_memory_is_given_back(monkeypatch):
    in_parts(monkeypatch)
    array = large.zeros(SHAPE, np.float32)
    array[:] = VALUES
    large.let_go(array[3:5])
    assert np.array_equal(array, VALUES)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells how much of a file is in memory")
def test_what_is_let_go_takes_no_memory():
    def mapped():
        lines = Path("/proc/self/status").read_text().splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith(("RssFile", "RssShmem"))) * 1024

    array = large.zeros((1, large.FILE_BYTES + 1), np.uint8)
    array[:] = 1
    before = mapped()
    large.let_go(array)
    assert before - mapped() > 0.9 * large.FILE_BYTES


def test_changes_to_the_memory_of_others_are_not_undone(tmp_path):
    np.save(tmp_path / "array.npy", np.zeros(5))
    array = np.load(tmp_path / "array.npy", mmap_mode="c")
    array[:] = 7
    large.let_go(array)
    assert array.tolist() == [7] * 5


def test_the_file_has_no_name_that_could_be_left_behind(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    in_parts(monkeypatch)
    assert lies_in_a_file(large.zeros(SHAPE, np.int32))
    assert not list(tmp_path.iterdir())


def test_without_room_on_the_disk_an_array_stays_in_memory_and_the_log_says_what_to_do(monkeypatch, caplog):
    def refuse(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(large, "reserve", refuse)
    in_parts(monkeypatch)
    array = large.zeros(SHAPE, np.int32)
    assert array.shape == SHAPE and not lies_in_a_file(array)
    assert "No space left on device" in caplog.text and "TMPDIR" in caplog.text


@pytest.mark.parametrize("promised", [True, False])
def test_a_file_gets_its_size_whether_or_not_the_system_promises_the_room(monkeypatch, promised):
    if not promised:
        monkeypatch.delattr(os, "posix_fallocate", raising=False)
    with tempfile.TemporaryFile() as file:
        large.reserve(file.fileno(), 5000)
        assert os.fstat(file.fileno()).st_size == 5000


def test_strips_show_all_rows_of_all_arrays_once(monkeypatch):
    in_parts(monkeypatch, pixels=125)
    seen = list(large.strips(NUCLEI, VALUES))
    assert len(seen) == 20
    for array, parts in zip((NUCLEI, VALUES), zip(*seen)):
        assert np.array_equal(np.concatenate(parts), array)


def written(labels):
    with tempfile.TemporaryDirectory() as folder:
        writing.write_labels(Path(folder, "a.tif"), labels)
        return files.read_labels(Path(folder, "a.tif"))


def joined(typical, other):
    both = scales.combine(typical, other)
    return both.labels, both.scores, both.probability


def filtered():
    nuclei = filters.filter_nuclei(found(NUCLEI, 8.0), STRICT, MASK)
    return nuclei.segmentation.labels, nuclei.small_removed, nuclei.border_excluded, nuclei.inside_excluded


WORK = {
    "areas": lambda: lb.areas(NUCLEI),
    "centroids": lambda: lb.centroids(NUCLEI),
    "border": lambda: lb.touches_border(NUCLEI),
    "border of a mask": lambda: lb.touches_border(NUCLEI, MASK),
    "border above": lambda: lb.touches_border(NUCLEI, LOWER),
    "border beneath": lambda: lb.touches_border(NUCLEI, UPPER),
    "relabel": lambda: lb.relabel(np.where(NUCLEI % 3 == 1, 0, NUCLEI)),
    "scores": lambda: lb.mean_inside(np.round(VALUES, 2), NUCLEI),
    "larger nuclei": lambda: joined(found(NUCLEI, 8.0), found(OTHERS, 18.0)),
    "smaller nuclei": lambda: joined(found(OTHERS, 18.0), found(NUCLEI, 8.0)),
    "filters": filtered,
    "intensities": lambda: normalize.intensity_range(VALUES, MASK),
    "16-bit file": lambda: written(NUCLEI),
    "32-bit file": lambda: written(np.where(NUCLEI > 0, NUCLEI + 70_000, 0).astype(np.int32)),
}


@pytest.mark.parametrize("work", WORK)
@pytest.mark.parametrize("pixels", [1, 130, 1000])
def test_strip_by_strip_comes_out_what_comes_out_at_once(monkeypatch, work, pixels):
    monkeypatch.setattr(normalize, "SAMPLED_PIXELS", 50)
    whole = WORK[work]()
    in_parts(monkeypatch, pixels)
    parts = WORK[work]()
    for one, other in zip(*(result if isinstance(result, tuple) else (result,) for result in (whole, parts))):
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_a_hole_in_the_last_strip_is_seen(monkeypatch):
    in_parts(monkeypatch)
    image = VALUES.copy()
    image[-1, -1] = np.nan
    with pytest.raises(ImageError, match="NaN or infinite"):
        normalize.check_image(image)


class Threshold(MapPredictor):
    """Stands for a network that sees at the image's own scale: the foreground is the image."""

    tile_sides, whole_pixels, halo = (256,), 0, 32

    def __init__(self):
        self.stride, self.device = 8, "cpu"
        decision = Decision("three_class", 0.5, 0.5, 0.1, 0.1)
        known = {"canonical_diameter": 24.0, "decision": decision, "rescaled": True, "contour_offset": 0.0}
        self.description = SimpleNamespace(**known)

    def predict(self, image, diameter, views):
        zero = np.zeros_like(image)
        maps = Maps(np.clip(image, 0, 1), zero, zero, zero)
        return MapPrediction([maps], maps, maps.foreground, 1.0)


def field(side, centre):
    """Disks of 20 px as a 16-bit image, normalized part by part; each 32 x 32 px have one around `centre`."""
    block = sum(disks((32, 32), [(row, col)], 10) for row in (centre, centre - 32) for col in (centre, centre - 32))
    return NormalizedImage((np.tile(block, (side // 32, side // 32)) * 1000).astype(np.uint16), None, (0.0, 1000.0))


def test_tiles_that_would_be_huge_are_made_smaller_and_give_the_same(monkeypatch):
    image, tiles = field(256, 16), []
    whole = segment.segment_tiles(Job(image, Threshold(), STRICT), 24.0, 256)
    monkeypatch.setattr("nucdl_core.model.predictor.LARGEST_TILE", 160)
    small = segment.segment_tiles(Job(image, Threshold(), STRICT, lambda done, count: tiles.append(count)), 24.0, 256)
    assert tiles == [9] * 9
    assert whole.count == small.count == 64
    assert np.array_equal(whole.labels > 0, small.labels > 0)


def test_a_large_image_is_segmented_and_written_in_less_memory_than_its_label_image(monkeypatch, tmp_path):
    image = field(2048, 32)
    in_parts(monkeypatch, pixels=100_000, file_bytes=2**20)
    config = SegmentConfig(diameter=24.0, minimum_diameter=5.0, discard_border=True, keep_probability=False)
    tracemalloc.start()
    try:
        everything = segment.segment_normalized(Job(image, Threshold(), config))
        kept = filters.filter_nuclei(everything, config).segmentation
        lb.centroids(kept.labels)
        writing.write_labels(tmp_path / "labels.tif", kept.labels)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (everything.count, kept.count) == (65 * 65, 63 * 63)
    assert peak < 0.5 * kept.labels.nbytes
