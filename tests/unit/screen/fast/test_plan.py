"""What the fast path refuses before any work."""

import dataclasses
import json

import pytest
from fast_folders import CONFIG, make_plate, plan, write_list
from screen_folders import make_screen, row

from nucdl_core import extras
from nucdl_core.config import SegmentConfig
from nucdl_core.errors import BundleError, ConfigError, NucDLError
from nucdl_core.screen.core.plan import ScreenError, ScreenLimits, read_chunks, read_plan
from nucdl_core.screen.fast.plan import choose_channel
from nucdl_core.screen.fast.settings import FastSettings, read_settings


@pytest.fixture
def plate(tmp_path):
    return make_plate(tmp_path / "plate")


def test_a_plan_holds_settings_model_and_chunks(plate, tmp_path):
    folder, made = plan(plate, tmp_path / "out", SegmentConfig(views="flips"), labels="none")
    assert read_plan(folder) == made
    assert [chunk.image_sets for chunk in read_chunks(folder)] == [2, 2, 1]
    settings = read_settings(folder)
    assert (settings.channel, settings.labels, settings.device, settings.batch) == ("DNA", "none", "cpu", 1)
    assert settings.config == SegmentConfig(views="flips", keep_probability=False)
    assert made.models[0].name == "nuclei_unet" and len(made.models[0].sha256) == 64


def test_planning_the_same_again_changes_nothing(plate, tmp_path):
    folder, made = plan(plate, tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    assert plan(plate, tmp_path / "out") == (folder, made)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == before


def test_a_run_with_other_settings_is_refused_with_what_differs(plate, tmp_path):
    plan(plate, tmp_path / "out")
    other = dataclasses.replace(CONFIG, diameter=30, views="all")
    with pytest.raises(ScreenError, match="diameter 24, not 30; views none, not all; labels tiff, not none; repeat"):
        plan(plate, tmp_path / "out", other, labels="none")
    with pytest.raises(ScreenError, match="begun with pixels 100000000, not 5; chunk size 2, not 3; repeat the former"):
        plan(plate, tmp_path / "out", limits=ScreenLimits(pixels=5), chunk_size=3)
    write_list(plate, *_without_last_row(plate))
    with pytest.raises(ScreenError, match="begun with another list of images; repeat the former command"):
        plan(plate, tmp_path / "out")


def _without_last_row(path):
    header, *rows = [line.split(",") for line in path.read_text().split()]
    return header, rows[:-1]


def test_another_model_is_refused(plate, tmp_path, tiny_bundle):
    plan(plate, tmp_path / "out", dataclasses.replace(CONFIG, model=str(tiny_bundle)))
    values = json.loads((tiny_bundle / "bundle.json").read_text())
    (tiny_bundle / "bundle.json").write_text(json.dumps({**values, "licence": "another"}))
    with pytest.raises(ScreenError, match="begun with another model"):
        plan(plate, tmp_path / "out", dataclasses.replace(CONFIG, model=str(tiny_bundle)))


def test_the_folder_of_a_screen_with_a_pipeline_is_refused(plate, tmp_path):
    make_screen(tmp_path / "out", [row(1)], [1])
    with pytest.raises(ScreenError, match="holds a screen of the pipeline p.cppipe; give a new folder"):
        plan(plate, tmp_path / "out")


def test_settings_that_were_altered_are_refused(plate, tmp_path):
    folder, _ = plan(plate, tmp_path / "out")
    for text in ("{}", "[]", '{"config": 1}', "[" * 100_000):
        folder.procedure.write_text(text)
        with pytest.raises(ScreenError, match=r"segmentation.json cannot be understood"):
            read_settings(folder)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda rows: rows.append(rows[0]), "there twice"),
        (lambda rows: rows[0].__setitem__(0, "gone.tif"), "1 image files are missing"),
        (lambda rows: rows[0].__setitem__(1, "s3://bucket"), "not on this machine"),
        (lambda rows: rows[0].pop(), "4 columns instead of 5"),
        (lambda rows: rows[0].__setitem__(3, "../up"), "would lead elsewhere"),
    ],
    ids=["twice", "missing", "remote", "cut", "upwards"],
)
def test_a_list_that_cannot_be_meant_is_refused_and_nothing_is_written(plate, tmp_path, change, reason):
    header, *rows = [line.split(",") for line in plate.read_text().split()]
    change(rows)
    write_list(plate, header, rows)
    with pytest.raises(ScreenError, match=reason):
        plan(plate, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_missing_images_can_be_allowed(plate, tmp_path):
    (plate.parent / "images" / "002_good.tif").unlink()
    assert plan(plate, tmp_path / "out", allow_missing=True)[1].images.image_sets == 5


def test_an_output_that_cannot_be_used_is_refused_first(plate, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").touch()
    with pytest.raises(ScreenError, match=r"holds 'notes.txt' and is not a screen"):
        plan(plate, tmp_path / "out")


def test_an_unknown_model_is_refused_and_nothing_is_written(plate, tmp_path):
    with pytest.raises(BundleError):
        plan(plate, tmp_path / "out", SegmentConfig(model="unknown"))
    assert not (tmp_path / "out").exists()


def test_zarr_without_its_package_is_refused_with_the_command_that_installs_it(plate, tmp_path, monkeypatch):
    monkeypatch.setattr(extras.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(NucDLError, match=r'pip install "nucdl\[zarr\]"'):
        plan(plate, tmp_path / "out", labels="zarr")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("wanted", "reason"), [(None, "the images DNA, RNA; choose"), ("ER", "no image 'ER', only DNA, RNA; choose")]
)
def test_the_channel_must_be_clear(wanted, reason):
    with pytest.raises(ScreenError, match=reason):
        choose_channel(("DNA", "RNA"), wanted)


def test_the_only_channel_needs_no_name():
    assert choose_channel(("DNA",), None) == choose_channel(("RNA", "DNA"), "DNA") == "DNA"


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"labels": "png"}, "labels is 'png'; give one of tiff, zarr, none"), ({"batch": 0}, "the batch is 0 images")],
)
def test_settings_out_of_range_are_refused(change, reason):
    with pytest.raises(ConfigError, match=reason):
        FastSettings(
            **{
                "config": CONFIG,
                "device": "cpu",
                "channel": "DNA",
                "labels": "tiff",
                "batch": 1,
                "number_format": "float32",
                **change,
            }
        )
