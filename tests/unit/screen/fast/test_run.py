"""The fast path from a list to merged tables: the same bytes however it is run, stopped or killed."""

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import CancelledError
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from conftest import edit_description
from fast_folders import CONFIG, make_plate, merged_bytes, plan, run, write_list
from screen_folders import PROGRAMS

from nucdl_core.batch.extra_outputs import NOTHING_MORE, ExtraOutputs
from nucdl_core.batch.measurements import measurement_columns
from nucdl_core.errors import BundleError, ConfigError, NucDLError, OutOfMemoryError
from nucdl_core.files.reading import read_labels
from nucdl_core.model.predictor import Predictor
from nucdl_core.screen.core.finish import merge_again
from nucdl_core.screen.core.image_list import scan_list
from nucdl_core.screen.core.plan import FieldLimits, ScreenLimits, read_chunks
from nucdl_core.screen.core.process import StopRequest
from nucdl_core.screen.core.publish import is_published
from nucdl_core.screen.core.work import private_folders, read_error
from nucdl_core.screen.fast import images as fast_images
from nucdl_core.screen.fast import run as fast_run
from nucdl_core.screen.fast.culprits import Culprit, add_culprits
from nucdl_core.screen.fast.images import ImageSet, ImageWork
from nucdl_core.screen.fast.run import Workers, choose_threads, run_fast, try_image_set
from nucdl_core.screen.fast.settings import FastSettings, read_settings

FIRST, SECOND, THIRD = (ImageSet(number, {}, Path(), Path()) for number in (1, 2, 3))


pytestmark = pytest.mark.usefixtures("no_figures")


@pytest.fixture
def plate(tmp_path):
    return make_plate(tmp_path / "plate")


def test_every_nucleus_gets_a_row_and_every_image_a_label_image(tmp_path):
    path = make_plate(tmp_path / "plate", ["good", "black", "cut", "good"])
    told = []
    folder, end = run(path, tmp_path / "out", progress=told.append)
    assert (end.succeeded, end.failed, sum(told)) == (3, 1, 4)
    images = pd.read_csv(folder.merged / "Image.csv", dtype={"Metadata_Site": str}).set_index("ImageNumber")
    nuclei = pd.read_csv(folder.merged / "Nuclei.csv")
    assert list(images.index) == [1, 2, 4]
    assert list(images["FileName_DNA"]) == ["001_good.tif", "002_black.tif", "004_good.tif"]
    assert list(images["Metadata_Site"]) == ["01", "02", "02"]
    assert list(images["Count_Nuclei"]) == [(nuclei["ImageNumber"] == number).sum() for number in (1, 2, 4)]
    assert images["Count_Nuclei"][1] > 3 and images["Count_Nuclei"][2] == 0
    for number, image in images.iterrows():
        labels = read_labels(Path(image["ObjectsPathName_Nuclei"]) / image["ObjectsFileName_Nuclei"])
        areas = np.bincount(labels.ravel())[1:]
        assert list(areas) == list(nuclei.loc[nuclei["ImageNumber"] == number, "AreaShape_Area"])


def test_pictures_rois_and_measures_come_as_of_single_files_when_they_are_wanted(tmp_path):
    wanted = ExtraOutputs(overlay=True, probability=True, rois=True, objects_as=("geojson",), measure=True)
    path = make_plate(tmp_path / "plate", ["good", "black"])
    folder, end = run(path, tmp_path / "out", outputs=wanted)
    assert (end.succeeded, end.failed) == (2, 0)
    table = pd.read_csv(folder.merged / "Nuclei.csv")
    assert set(measurement_columns("DNA")) <= set(table.columns) and table["AreaShape_Solidity"].notna().all()
    names = {path.name for path in folder.results.rglob("00000*")}
    for ending in ("_labels.tif", "_overlay.png", "_probability.tif", "_RoiSet.zip", ".geojson"):
        assert {f"000001_001_good{ending}", f"000002_002_black{ending}"} <= names


def test_nuclei_that_a_rule_leaves_out_are_not_counted(tmp_path):
    path = make_plate(tmp_path / "plate", ["good"])
    everything, _ = run(path, tmp_path / "all")
    fewer, _ = run(path, tmp_path / "few", outputs=ExtraOutputs(keep="x > 60"))
    table = pd.read_csv(everything.merged / "Nuclei.csv")
    right = int((table["Location_Center_X"] > 60).sum())
    assert 0 < right < len(table)
    assert len(pd.read_csv(fewer.merged / "Nuclei.csv")) == right
    assert pd.read_csv(fewer.merged / "Image.csv")["Count_Nuclei"].tolist() == [right]


def test_a_plan_without_extra_outputs_is_written_as_before(tmp_path):
    folder, _ = plan(make_plate(tmp_path / "plate", ["good"]), tmp_path / "out")
    assert "outputs" not in json.loads(folder.procedure.read_text())
    assert read_settings(folder).outputs == NOTHING_MORE


def test_boxes_of_a_list_are_refused_with_what_to_take_instead(tmp_path):
    with pytest.raises(ConfigError, match="give --measure instead of --objects-as boxes"):
        plan(tmp_path / "list.csv", tmp_path / "out", outputs=ExtraOutputs(objects_as=("boxes",)))


def test_an_image_that_cannot_be_read_is_named_and_has_no_rows(tmp_path):
    path = make_plate(tmp_path / "plate", ["cut", "good", "black"])
    folder, _ = run(path, tmp_path / "out")
    (failed,) = pd.read_csv(folder.merged / "failed_image_sets.csv").to_dict("records")
    assert (failed["ImageNumber"], failed["Step"], failed["Metadata_Well"]) == (1, "reading images", "A01")
    assert "001_cut.tif" in failed["Files"] and failed["Reason"].startswith("DNA: ")
    inspection = pd.read_csv(folder.merged / "inspection.csv", keep_default_na=False)
    assert list(zip(inspection["ImageNumber"], inspection["flags"])) == [(2, ""), (3, "empty")]
    told = json.loads((folder.merged / "run_report.json").read_text())
    assert (told["succeeded"], told["failed"], told["pipeline"]) == (2, 1, "segmentation.json")
    assert [well["empty"] for well in told["wells"]] == [0, 1]
    assert "cellprofiler" not in told["versions"]


def test_images_unlike_those_that_the_model_was_made_for_are_flagged(tmp_path, tiny_bundle):
    edit_description(tiny_bundle, made_for={"diameter_range": [100, 200], "bits": [32], "modality": "fluorescence"})
    config = dataclasses.replace(CONFIG, model=str(tiny_bundle))
    folder, _ = run(make_plate(tmp_path / "plate", ["good", "black"]), tmp_path / "out", config=config)
    flags = pd.read_csv(folder.merged / "inspection.csv", keep_default_na=False)["flags"]
    unlike = "diameter_range_unlike_model;bits_unlike_model"
    assert list(flags) == [unlike, f"empty;{unlike}"]


def test_a_plate_of_which_nothing_can_be_read_ends_with_failures(tmp_path):
    folder, end = run(make_plate(tmp_path / "plate", ["cut", "cut"]), tmp_path / "out")
    assert (end.succeeded, end.failed) == (0, 2)
    assert not (folder.merged / "Image.csv").exists()


def test_the_bytes_do_not_depend_on_workers(plate, tmp_path):
    alone, _ = run(plate, tmp_path / "out", workers=1)
    expected = merged_bytes(alone)
    labels = {path.name: path.read_bytes() for path in alone.results.rglob("*.tif")}
    alone.root.rename(tmp_path / "alone")
    overlapped, _ = run(plate, tmp_path / "out", workers=3)
    assert merged_bytes(overlapped) == expected
    assert {path.name: path.read_bytes() for path in overlapped.results.rglob("*.tif")} == labels
    assert len(labels) == 5


def test_images_of_one_batch_give_the_nuclei_that_each_gives_alone(plate, tmp_path):
    options = {"labels": "none", "chunk_size": 5}
    alone, _ = run(plate, tmp_path / "alone", **options)
    batch, _ = run(plate, tmp_path / "batch", workers=2, batch=3, **options)
    one, other = (pd.read_csv(folder.merged / "Nuclei.csv") for folder in (alone, batch))
    assert list(one["ImageNumber"]) == list(other["ImageNumber"])
    np.testing.assert_allclose(one["AreaShape_Area"], other["AreaShape_Area"], rtol=0.02)
    np.testing.assert_allclose(one["NucDL_Confidence"], other["NucDL_Confidence"], atol=0.01)


def test_a_batch_with_a_broken_image_is_done_without_it(tmp_path):
    path = make_plate(tmp_path / "plate", ["good", "cut", "good"])
    _, end = run(path, tmp_path / "out", batch=3, chunk_size=3)
    assert (end.succeeded, end.failed) == (2, 1)


def test_a_killed_run_is_finished_by_the_same_call_with_the_same_bytes(plate, tmp_path, monkeypatch):
    calm, _ = run(plate, tmp_path / "out")
    expected = merged_bytes(calm)
    calm.root.rename(tmp_path / "calm")
    program = [sys.executable, PROGRAMS / "killed_after_images.py", "4", plate, tmp_path / "out"]
    killed = subprocess.run(program, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    folder, made = plan(plate, tmp_path / "out")
    assert not folder.merged.exists()
    finished = [chunk for chunk in read_chunks(folder) if is_published(folder.result(chunk), chunk)]
    done = []
    monkeypatch.setattr(fast_images, "do_image_set", _remember(fast_images.do_image_set, done))
    run_fast(folder, made, 2)
    assert merged_bytes(folder) == expected
    assert len(done) == 5 - sum(chunk.image_sets for chunk in finished)
    assert not private_folders(folder)


def _remember(function, done):
    def remembering(image, *arguments):
        done.append(image.image_number)
        return function(image, *arguments)

    return remembering


def test_a_stopped_run_leaves_nothing_half_done_and_goes_on(plate, tmp_path):
    folder, made = plan(plate, tmp_path / "out")
    with pytest.raises(StopRequest):
        run_fast(folder, made, 1, lambda count: count and os.kill(os.getpid(), signal.SIGTERM))
    assert not private_folders(folder)
    assert not folder.merged.exists()
    assert run_fast(folder, made, 1).succeeded == 5


def workers_of(count, batch=1, **options):
    settings = FastSettings(CONFIG, "cpu", "DNA", "none", batch, "int8")
    return Workers(ImageWork(settings, ScreenLimits(), threading.Lock(), **options), count)


def test_nobody_writes_into_the_folder_of_a_chunk_any_more_when_it_is_given_up(monkeypatch):
    begun, go, ended = threading.Event(), threading.Event(), threading.Event()

    def do(images, *_):
        if images == [SECOND]:
            begun.set()
            go.wait()
            ended.set()
        return images

    monkeypatch.setattr(fast_run, "do_batch", do)
    with contextlib.closing(workers_of(2)) as workers:
        work = workers.work([FIRST, SECOND, THIRD])
        assert next(work) == FIRST
        begun.wait()
        closing = threading.Thread(target=work.close)
        closing.start()
        closing.join(0.1)
        waits = closing.is_alive()
        go.set()
        closing.join()
        assert waits and ended.is_set()


def test_after_a_stop_no_further_image_set_is_taken_up(monkeypatch):
    monkeypatch.setattr(fast_run, "do_batch", lambda images, *_: images)
    with contextlib.closing(workers_of(1)) as workers:
        assert list(workers.work([FIRST])) == [FIRST]
        workers.stopped.set()
        with pytest.raises(CancelledError):
            list(workers.work([SECOND]))


def test_whoever_watches_is_told_which_image_sets_are_begun_and_ended_but_for_those_that_are_left_out(monkeypatch):
    told, culprit = [], dataclasses.replace(SECOND, culprit=Culprit("why"))

    def do(images, *_):
        if images[0] == THIRD:
            raise ZeroDivisionError
        return images

    monkeypatch.setattr(fast_run, "do_batch", do)
    with contextlib.closing(workers_of(1, batch=2, tell=lambda *each: told.append(each[:2]))) as workers:
        list(workers.work([FIRST, culprit]))
        with pytest.raises(ZeroDivisionError):
            list(workers.work([THIRD]))
    assert told == [("begin", [1]), ("end", [1]), ("begin", [3]), ("end", [3])]


def test_a_culprit_is_not_touched_but_named(plate, tmp_path):
    folder, made = plan(plate, tmp_path / "out")
    folder.work.mkdir(exist_ok=True)
    add_culprits(folder, {2: Culprit("why")})
    (plate.parent / "images" / "002_good.tif").unlink()
    end = run_fast(folder, made, 1)
    assert (end.succeeded, end.failed) == (4, 1)
    (failed,) = pd.read_csv(folder.merged / "failed_image_sets.csv").to_dict("records")
    assert (failed["ImageNumber"], failed["Step"], failed["Reason"]) == (2, "segmentation", "why")
    assert list(pd.read_csv(folder.merged / "inspection.csv")["ImageNumber"]) == [1, 3, 4, 5]


def test_a_culprit_whose_file_took_too_long_to_read_fails_at_reading(plate, tmp_path):
    folder, made = plan(plate, tmp_path / "out")
    folder.work.mkdir(exist_ok=True)
    add_culprits(folder, {2: Culprit("DNA: x.tif: reading takes more than 60 s", reading=True)})
    assert run_fast(folder, made, 1).failed == 1
    (failed,) = pd.read_csv(folder.merged / "failed_image_sets.csv", keep_default_na=False).to_dict("records")
    assert (failed["ImageNumber"], failed["Step"], failed["Module"]) == (2, "reading images", "")
    assert failed["Reason"] == "DNA: x.tif: reading takes more than 60 s"


def test_whoever_watches_is_told_which_file_is_read(plate, tmp_path):
    told = []
    folder, made = plan(plate, tmp_path / "out")
    run_fast(folder, made, 1, tell=lambda *each: told.append(each))
    path = plate.parent / "images" / "004_good.tif"
    at = told.index(("begin", [4], ""))
    assert told[at + 1 : at + 4] == [("read", [4], f"DNA: {path}"), ("was read", [4]), ("end", [4])]


def test_an_image_set_can_be_tried_alone_and_leaves_nothing(plate, tmp_path):
    folder, _ = plan(plate, tmp_path / "out")
    told, before = [], sorted(folder.root.rglob("*"))
    try_image_set(folder, 4, lambda *each: told.append(each[:2]))
    assert told == [("begin", [4]), ("read", [4]), ("was read", [4]), ("end", [4])]
    assert sorted(folder.root.rglob("*")) == before


def test_a_model_that_fails_its_own_test_is_no_fault_of_an_image(plate, tmp_path, monkeypatch):
    def fail(*_):
        raise BundleError("the model's output differs")

    folder, _ = plan(plate, tmp_path / "out")
    monkeypatch.setattr(Predictor, "self_test", fail)
    told = []
    with pytest.raises(BundleError):
        try_image_set(folder, 4, lambda *each: told.append(each))
    assert not told


def test_a_full_disk_is_no_fault_of_an_image_and_ends_the_run(plate, tmp_path, monkeypatch):
    def fail(path, labels):
        raise NucDLError(f"{path}: cannot be written (No space left on device)")

    with monkeypatch.context() as patch:
        patch.setattr(fast_images, "write_label_image", fail)
        folder, end = run(plate, tmp_path / "out", workers=2)
    assert end.merged is None
    assert end.unfinished and all("No space left" in reason for reason in end.unfinished.values())
    assert "No space left" in read_error(folder, next(iter(end.unfinished)))
    assert not folder.results.exists()
    assert run(plate, tmp_path / "out")[1].succeeded == 5


@pytest.mark.parametrize("error", [OutOfMemoryError("too little free memory"), MemoryError()])
def test_an_image_for_which_the_memory_does_not_suffice_is_named(plate, tmp_path, monkeypatch, error):
    real = fast_images.segment_unfiltered

    def short(pixels, *arguments, **options):
        if pixels.shape == (9, 9):
            raise error
        return real(pixels, *arguments, **options)

    tifffile.imwrite(plate.parent / "images" / "001_good.tif", np.zeros((9, 9), np.uint8))
    monkeypatch.setattr(fast_images, "segment_unfiltered", short)
    folder, end = run(plate, tmp_path / "out")
    assert (end.succeeded, end.failed) == (4, 1)
    (failed,) = pd.read_csv(folder.merged / "failed_image_sets.csv").to_dict("records")
    assert (failed["ImageNumber"], failed["Step"]) == (1, "segmentation")
    assert failed["Reason"] == (str(error) or "MemoryError")


def test_an_error_that_nobody_foresaw_ends_the_run(plate, tmp_path, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(fast_images, "segment_unfiltered", broken)
    with pytest.raises(ZeroDivisionError):
        run(plate, tmp_path / "out", workers=2)


def test_a_damaged_chunk_is_done_again(plate, tmp_path):
    folder, _ = run(plate, tmp_path / "out")
    expected = merged_bytes(folder)
    (folder.results / "000002" / "Nuclei.csv").write_text("")
    run(plate, tmp_path / "out")
    assert merged_bytes(folder) == expected


def test_a_chunk_list_that_was_altered_is_refused(plate, tmp_path):
    folder, made = plan(plate, tmp_path / "out")
    lines = (folder.chunks / "000001.csv").read_text().splitlines(keepends=True)
    (folder.chunks / "000001.csv").write_text("".join(lines[:-1]))
    end = run_fast(folder, made, 1)
    assert "000001.csv was altered" in end.unfinished["000001"]


def test_failed_image_sets_are_done_again_on_request(tmp_path):
    path = make_plate(tmp_path / "plate", ["good", "cut", "good"])
    folder, _ = run(path, tmp_path / "out")
    images = path.parent / "images"
    (images / "002_cut.tif").write_bytes((images / "001_good.tif").read_bytes())
    made = plan(path, tmp_path / "out")[1]
    assert run_fast(folder, made, 1).failed == 1
    assert run_fast(folder, made, 1, retry_failed=True).failed == 0


def test_the_channel_is_chosen_and_the_other_images_are_named_for_later(plate, tmp_path):
    header, *rows = [line.split(",") for line in plate.read_text().split()]
    several = [[*each, rows[0][0], "images", "0"] for each in rows[1:3]]
    write_list(plate, [*header, "Image_FileName_RNA", "Image_PathName_RNA", "Frame_RNA"], several)
    folder, _ = run(plate, tmp_path / "out", channel="DNA")
    images = pd.read_csv(folder.merged / "Image.csv")
    assert list(images["FileName_RNA"]) == ["001_good.tif"] * 2
    assert set(images.columns) >= {"PathName_RNA", "Frame_RNA", "Height_DNA", "Width_DNA", "NucDL_Diameter"}
    again = scan_list(folder.merged / "Image.csv")
    assert again.channels == ("DNA", "RNA")
    assert [image.name for image in again.images if image.objects] == ["Nuclei"]


def test_several_views_add_their_agreement(plate, tmp_path):
    folder, _ = run(plate, tmp_path / "out", config=dataclasses.replace(CONFIG, views="flips"))
    assert pd.read_csv(folder.merged / "Nuclei.csv")["NucDL_Agreement"].between(0, 1).all()


def test_the_report_of_a_finished_run_can_be_made_again(plate, tmp_path):
    folder, end = run(plate, tmp_path / "out", labels="none")
    expected = merged_bytes(folder)
    assert merge_again(folder).succeeded == end.succeeded
    assert merged_bytes(folder) == expected


@pytest.mark.parametrize(
    ("device", "workers", "expected"),
    [("cpu", None, (2, 4)), ("cpu", 1, (1, 8)), ("cuda", None, (3, 2)), ("cuda", 2, (2, 4)), ("cpu", 9, (9, 1))],
)
def test_as_many_workers_as_cores_share_the_threads_of_the_network(monkeypatch, device, workers, expected):
    monkeypatch.setattr(fast_run, "count_cores", lambda: 2)
    monkeypatch.setattr(fast_run.torch, "get_num_threads", lambda: 8)
    threads = choose_threads(device, workers)
    assert (threads.workers, threads.of_network) == expected


def test_the_tables_say_which_nuclei_are_micronuclei_and_how_far_images_are_doubted(plate, tmp_path):
    folder, _ = run(plate, tmp_path / "out")
    images = pd.read_csv(folder.merged / "Image.csv")
    assert images["NucDL_Doubt"].between(0, 1).all() and "NucDL_DoubtReason" in images
    assert set(pd.read_csv(folder.merged / "Nuclei.csv")["NucDL_Micronucleus"]) <= {0, 1}
    report = json.loads((folder.merged / "run_report.json").read_text())
    assert report["doubtful"] == sum(report["doubts"].values()) == (images["NucDL_Doubt"] >= 0.5).sum()


def test_empty_fields_are_left_out_on_request_listed_and_counted(tmp_path):
    path = make_plate(tmp_path / "plate", ["good", "black", "cut", "good"])
    limits = ScreenLimits(fields=FieldLimits(skip_empty=True))
    folder, end = run(path, tmp_path / "out", limits=limits)
    assert (end.succeeded, end.failed, end.left_out) == (2, 2, 1)
    listed = pd.read_csv(folder.merged / "failed_image_sets.csv").set_index("ImageNumber")
    assert listed.loc[2, ["Step", "Reason"]].tolist() == ["left out", "empty: all pixels are 0"]
    assert listed.loc[3, "Step"] == "reading images"
    assert json.loads((folder.merged / "run_report.json").read_text())["left_out"] == 1
    assert list(pd.read_csv(folder.merged / "Image.csv")["ImageNumber"]) == [1, 4]


def test_images_of_another_kind_are_left_out_on_request(tmp_path, monkeypatch):
    monkeypatch.setattr(fast_images, "misfits", lambda *_: ("modality",))
    path = make_plate(tmp_path / "plate", ["good"] * 2)
    _, end = run(path, tmp_path / "all")
    assert (end.succeeded, end.left_out) == (2, 0)
    _, end = run(path, tmp_path / "out", limits=ScreenLimits(fields=FieldLimits(skip_other_kinds=True)))
    assert (end.succeeded, end.left_out) == (0, 2)


def test_a_folder_that_an_earlier_version_began_with_larger_chunks_goes_on(tmp_path, plate):
    folder, _ = plan(plate, tmp_path / "out", chunk_size=5)
    again, made = plan(plate, tmp_path / "out", chunk_size=None)
    assert (again, made.chunk_size) == (folder, 5)
