"""What is written of an image beside its label image."""

import numpy as np
import pandas as pd
import pytest
import tifffile
from drawings import field
from PIL import Image

from nucdl_core.batch.extra_outputs import NOTHING_MORE, OBJECT_KINDS, ExtraOutputs
from nucdl_core.batch.measurements import measurement_columns
from nucdl_core.batch.outputs import OutputWriter, finish_nuclei
from nucdl_core.batch.segment_files import OBJECT_COLUMNS, object_table, segment_files
from nucdl_core.config import SegmentConfig
from nucdl_core.errors import ConfigError
from nucdl_core.exchange.annotations import read_annotations
from nucdl_core.results import Segmentation

IMAGE, TRUTH = field()
PROBABILITY = (TRUTH > 0).astype(np.float32) / 2
FOUND = Segmentation(TRUTH, np.linspace(0, 1, TRUTH.max()).astype(np.float32), PROBABILITY, 24.0)


def written(folder, **wanted):
    writer = OutputWriter(folder, ExtraOutputs(**wanted))
    writer.add("one", IMAGE, FOUND)
    writer.finish()
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_nothing_is_written_that_is_not_wanted(tmp_path):
    assert written(tmp_path) == []


def test_an_overlay_shows_the_outlines_in_colour(tmp_path):
    assert written(tmp_path, overlay=True) == ["one_overlay.png"]
    picture = np.asarray(Image.open(tmp_path / "one_overlay.png")).astype(int)
    coloured = np.ptp(picture, axis=2) > 0
    assert coloured.any() and not coloured[TRUTH == 0].any()


def test_probabilities_fill_sixteen_bits(tmp_path):
    assert written(tmp_path, probability=True) == ["one_probability.tif"]
    assert sorted(set(tifffile.imread(tmp_path / "one_probability.tif").ravel())) == [0, 32768]


@pytest.mark.parametrize("wanted", [{"rois": True}, *({"objects_as": (kind,)} for kind in ("stack", "geojson"))])
def test_other_programs_get_the_same_nuclei(tmp_path, wanted):
    (name,) = written(tmp_path, **wanted)
    tifffile.imwrite(tmp_path / "one.tif", IMAGE)
    (labels,) = read_annotations(tmp_path / name, tmp_path).values()
    assert np.array_equal(labels, TRUTH)


def test_masks_and_boxes_have_an_entry_for_each_nucleus(tmp_path):
    names = written(tmp_path, objects_as=("masks", "boxes"))
    assert len([name for name in names if name.startswith("one/masks/")]) == TRUTH.max()
    assert len(pd.read_csv(tmp_path / "boxes.csv")) == TRUTH.max()


def test_nuclei_that_a_rule_leaves_out_are_gone_from_labels_and_table():
    table = object_table(FOUND, 1, "one.tif")
    found, kept = finish_nuclei(FOUND, table, IMAGE, ExtraOutputs(keep="confidence >= 0.5"))
    assert found.count == len(kept) == (FOUND.scores >= 0.5).sum()
    assert kept["ObjectNumber"].tolist() == list(range(1, found.count + 1))
    assert list(kept.columns) == list(OBJECT_COLUMNS)
    assert found.labels.max() == found.count and set(np.unique(TRUTH[found.labels > 0])) < set(
        range(1, TRUTH.max() + 1)
    )


def test_measures_stand_behind_the_other_columns():
    table = object_table(FOUND, 1, "one.tif")
    found, wide = finish_nuclei(FOUND, table, IMAGE, ExtraOutputs(measure=True))
    assert found is FOUND and list(wide.columns) == [*OBJECT_COLUMNS, *measurement_columns()]
    assert finish_nuclei(FOUND, table, IMAGE, NOTHING_MORE) == (FOUND, table)


@pytest.mark.parametrize("wanted, reason", [({"keep": "big"}, "big"), ({"objects_as": ("svg",)}, "svg")])
def test_what_cannot_be_written_is_refused_before_any_work(wanted, reason):
    with pytest.raises(ConfigError, match=reason):
        ExtraOutputs(**wanted)


def test_files_of_a_folder_get_all_that_is_wanted(tmp_path):
    for name, image in (("a", IMAGE), ("b", np.zeros((64, 64), np.uint8))):
        tifffile.imwrite(tmp_path / f"{name}.tif", image)
    outputs = ExtraOutputs(True, True, True, OBJECT_KINDS, True, "area > 50")
    records = segment_files(
        [tmp_path / "a.tif", tmp_path / "b.tif"], tmp_path / "out", SegmentConfig(), outputs=outputs
    )
    assert records[0].nuclei > 5 and [record.error for record in records] == [None, None]
    table = pd.read_csv(tmp_path / "out" / "objects.csv")
    assert len(table) == records[0].nuclei and table["AreaShape_Area"].min() > 50
    assert set(measurement_columns()) <= set(table.columns)
    for name in ("a", "b"):
        for ending in ("_overlay.png", "_probability.tif", "_RoiSet.zip", "_stack.tif", ".geojson"):
            assert (tmp_path / "out" / f"{name}{ending}").is_file()
    assert len(list((tmp_path / "out" / "a" / "masks").iterdir())) == records[0].nuclei


def test_images_without_nuclei_alone_have_all_columns(tmp_path):
    tifffile.imwrite(tmp_path / "b.tif", np.zeros((64, 64), np.uint8))
    segment_files([tmp_path / "b.tif"], tmp_path / "out", SegmentConfig(), outputs=ExtraOutputs(measure=True))
    table = pd.read_csv(tmp_path / "out" / "objects.csv")
    assert list(table.columns) == [*OBJECT_COLUMNS, *measurement_columns()] and table.empty
