"""The folder of annotations."""

import contextlib
import multiprocessing

import numpy as np
import pandas as pd
import pytest
import tifffile
from filelock import FileLock

from nucdl_core.annotate import folder as folder_module
from nucdl_core.annotate.folder import DRAFT, FINISHED, AnnotationFolder, check_name, stored_image
from nucdl_core.annotate.session import Annotated
from nucdl_core.errors import AnnotationError, ImageError, NucDLError
from nucdl_core.exchange import read_annotations
from nucdl_core.files.reading import read_image
from nucdl_core.training.reading import read_annotated_images

IMAGE = np.random.default_rng(0).integers(0, 4000, (40, 50)).astype(np.uint16)
LABELS = np.zeros((40, 50), np.int32)
LABELS[5:15, 5:15], LABELS[20:30, 20:35] = 1, 2
IMAGE[LABELS > 0] += 10_000
CLASSES = {2: "mitotic"}
NAMES = ("interphase", "mitotic")


@pytest.fixture
def store(tmp_path):
    return AnnotationFolder(tmp_path / "annotations", NAMES)


def files(store):
    return sorted(
        str(path.relative_to(store.folder)) for path in store.folder.rglob("*") if path.is_file() and path.suffix
    )


FINISHED_FILES = ["images/a.tif", "masks/a.tif", "rois/a_RoiSet.zip"]
DRAFT_FILES = [f"drafts/{name}" for name in FINISHED_FILES]
LISTS = ["annotations.csv", "images.csv"]


def test_a_finished_image_is_loaded_as_it_was_saved(store):
    store.save("a", IMAGE, Annotated(LABELS, CLASSES), FINISHED)
    assert files(store) == sorted([*FINISHED_FILES, *LISTS])
    (labels, classes), state = store.load("a", IMAGE)
    assert np.array_equal(labels, LABELS)
    assert (classes, state, store.state("a")) == (CLASSES, FINISHED, FINISHED)
    assert np.array_equal(read_image(store.folder / "images/a.tif"), IMAGE)
    assert np.array_equal(read_annotations(store.folder / "rois", store.folder / "images")["a"], LABELS)


def test_training_takes_the_folder_as_it_is_and_sees_no_draft(store):
    store.save("a", IMAGE, Annotated(LABELS, CLASSES), FINISHED)
    store.save("b", IMAGE, Annotated(LABELS, {}), DRAFT)
    (source,) = read_annotated_images(store.folder)
    assert source.name == "a"
    assert np.array_equal(source.labels[0, 0].numpy() * source.foreground[0, 0].numpy(), LABELS)


def test_a_draft_lies_apart_and_finishing_it_moves_it(store):
    store.save("a", IMAGE, Annotated(LABELS, {}), DRAFT)
    assert files(store) == sorted([*DRAFT_FILES, *LISTS])
    assert store.load("a", IMAGE).state == DRAFT
    store.save("a", IMAGE, Annotated(LABELS, {}), FINISHED)
    assert files(store) == sorted([*FINISHED_FILES, *LISTS])
    store.save("a", IMAGE, Annotated(LABELS, {}), DRAFT)
    assert files(store) == sorted([*DRAFT_FILES, *LISTS])


@pytest.mark.parametrize("state", [DRAFT, FINISHED])
def test_killed_at_any_moment_nothing_is_lost_and_training_finds_each_image_with_its_mask(store, state, monkeypatch):
    before, after = Annotated(LABELS, {}), Annotated(np.where(LABELS == 1, 1, 0).astype(np.int32), {})
    other = DRAFT if state == FINISHED else FINISHED
    for moment in range(12):
        store.save("a", IMAGE, before, other)
        left = [moment]

        def dies(function, left=left):
            def step(*args, **options):
                if left[0] == 0:
                    raise KeyboardInterrupt
                left[0] -= 1
                return function(*args, **options)

            return step

        with monkeypatch.context() as patched:
            for name in ("write_grey", "write_labels", "write_table"):
                patched.setattr(folder_module, name, dies(getattr(folder_module, name)))
            patched.setattr("pathlib.Path.unlink", dies(folder_module.Path.unlink))
            with contextlib.suppress(KeyboardInterrupt):
                store.save("a", IMAGE, after, state)
        found = store.load("a", IMAGE).annotated.labels
        assert np.array_equal(found, LABELS) or np.array_equal(found, after.labels)
        finished = store.folder / "images/a.tif"
        assert not finished.exists() or (store.folder / "masks/a.tif").exists()


def test_a_run_that_was_killed_between_the_two_states_leaves_the_draft(store):
    store.save("a", IMAGE, Annotated(LABELS, {}), FINISHED)
    other = AnnotationFolder(store.folder / "drafts")
    other.save("a", IMAGE, Annotated(np.zeros_like(LABELS), {}), FINISHED)
    found = store.load("a", IMAGE)
    assert (found.state, found.annotated.labels.max()) == (DRAFT, 0)


def test_the_lists_hold_a_row_for_each_image_and_nucleus_and_are_renewed(store):
    store.save("b", IMAGE, Annotated(LABELS, CLASSES), DRAFT)
    store.save("a", IMAGE, Annotated(np.zeros_like(LABELS), {}), FINISHED)
    store.save("b", IMAGE, Annotated(LABELS, CLASSES), FINISHED)
    images = pd.read_csv(store.folder / "images.csv")
    assert images[["image", "state", "nuclei"]].values.tolist() == [["a", "finished", 0], ["b", "finished", 2]]
    nuclei = pd.read_csv(store.folder / "annotations.csv", keep_default_na=False)
    assert nuclei.values.tolist() == [
        ["b", "finished", 1, "", 9.5, 9.5, 100],
        ["b", "finished", 2, "mitotic", 27.0, 24.5, 150],
    ]


def test_names_of_images_that_are_numbers_stay_as_they_are_in_the_lists(store):
    for name in ("007", "7"):
        store.save(name, IMAGE, Annotated(LABELS, {}), FINISHED)
    assert pd.read_csv(store.folder / "images.csv", dtype=str)["image"].tolist() == ["007", "7"]


def test_groups_of_rois_follow_the_list_of_classes(store):
    from roifile import roiread

    store.save("a", IMAGE, Annotated(LABELS, CLASSES), FINISHED)
    assert [roi.group for roi in roiread(store.folder / "rois/a_RoiSet.zip")] == [0, 2]


def test_nothing_was_saved_where_nothing_was(store):
    assert store.load("a", IMAGE) is None
    assert store.state("a") is None


def test_another_image_of_the_same_name_is_refused(store):
    store.save("a", IMAGE, Annotated(LABELS, {}), DRAFT)
    with pytest.raises(AnnotationError, match="another image of the same name and would be overwritten"):
        store.save("a", IMAGE + 1, Annotated(LABELS, {}), FINISHED)
    with pytest.raises(AnnotationError, match="another image than the one that is called a now"):
        store.load("a", IMAGE + 1)
    with pytest.raises(AnnotationError, match="another image"):
        store.load("a", IMAGE[:20])


def test_a_label_image_alone_is_loaded_without_classes(store):
    (store.folder / "masks").mkdir(parents=True)
    tifffile.imwrite(store.folder / "masks/a.tif", LABELS.astype(np.uint16))
    assert store.load("a", IMAGE).annotated.classes == {}


def test_gaps_between_numbers_that_another_program_left_are_closed(store):
    store.save("a", IMAGE, Annotated(LABELS, CLASSES), FINISHED)
    tifffile.imwrite(store.folder / "masks/a.tif", np.where(LABELS == 2, 2, 0).astype(np.uint16))
    labels, classes = store.load("a", IMAGE).annotated
    assert (labels.max(), classes) == (1, {1: "mitotic"})


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["a", "a"], "the class a is listed twice"),
        (["\U0001f600"], "ROIs cannot keep"),
        (["a  b"], "cannot keep"),
        ([""], "'"),
    ],
)
def test_names_of_classes_that_cannot_be_kept_are_refused(tmp_path, names, reason):
    with pytest.raises(AnnotationError, match=reason):
        AnnotationFolder(tmp_path, names)


def test_a_class_that_is_not_in_the_list_is_refused_with_its_file(store):
    store.save("a", IMAGE, Annotated(LABELS, CLASSES), FINISHED)
    with pytest.raises(AnnotationError, match="a_RoiSet.zip: the class 'mitotic' is not among the classes"):
        AnnotationFolder(store.folder, ["interphase"]).load("a", IMAGE)


def test_a_damaged_set_and_a_damaged_list_are_named(store):
    store.save("a", IMAGE, Annotated(LABELS, CLASSES), FINISHED)
    (store.folder / "images.csv").write_text("something else\n1\n")
    with pytest.raises(NucDLError, match=r"images.csv: the list cannot be read"):
        store.save("a", IMAGE, Annotated(LABELS, CLASSES), DRAFT)
    assert store.state("a") == FINISHED
    (store.folder / "rois/a_RoiSet.zip").write_bytes(b"no archive")
    with pytest.raises(ImageError, match="a_RoiSet.zip: "):
        store.load("a", IMAGE)


@pytest.mark.parametrize("name", ["", " ", "a/b", "a\\b", ".a", "~a", "a~", "a_labels", "a:b", "a "])
def test_names_that_no_file_can_have_are_refused(name):
    with pytest.raises(AnnotationError, match="cannot be the name"):
        check_name(name)


def test_an_unknown_state_and_nuclei_of_another_shape_are_refused(store):
    with pytest.raises(AnnotationError, match="finished, draft, not 'perfect'"):
        store.save("a", IMAGE, Annotated(LABELS, {}), "perfect")
    with pytest.raises(AnnotationError, match="must have one shape"):
        store.save("a", IMAGE, Annotated(LABELS[:9], {}), DRAFT)


def test_a_lock_that_cannot_be_made_is_named(store):
    (store.folder / ".lock").mkdir(parents=True)
    with pytest.raises(NucDLError, match="annotations: cannot be written"):
        store.save("a", IMAGE, Annotated(LABELS, {}), DRAFT)


def test_a_window_that_saves_for_ever_is_told(store, monkeypatch):
    store.folder.mkdir()
    monkeypatch.setattr(folder_module, "_PATIENCE", 0.05)
    with FileLock(store.folder / ".lock"), pytest.raises(NucDLError, match="another window has been saving"):
        store.save("a", IMAGE, Annotated(LABELS, {}), DRAFT)


def test_what_cannot_be_removed_is_named(store):
    (store.folder / "drafts/masks/a.tif").mkdir(parents=True)
    with pytest.raises(NucDLError, match="a.tif: cannot be removed"):
        store.save("a", IMAGE, Annotated(LABELS, {}), FINISHED)


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NucDLError, match="file"):
        AnnotationFolder(tmp_path / "file").save("a", IMAGE, Annotated(LABELS, {}), DRAFT)


def save_many(folder, first):
    for number in range(first, first + 6):
        AnnotationFolder(folder).save(f"image{number}", IMAGE, Annotated(LABELS, {}), FINISHED)


def test_windows_that_save_at_the_same_time_lose_no_row(store):
    context = multiprocessing.get_context("spawn")
    runs = [context.Process(target=save_many, args=(store.folder, first)) for first in (0, 6)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert len(pd.read_csv(store.folder / "images.csv")) == 12


@pytest.mark.parametrize(("kind", "scale"), [(np.uint8, 255), (np.uint16, 65535), (np.uint16, 4095)])
def test_an_image_is_saved_with_the_numbers_of_its_file(kind, scale):
    numbers = np.random.default_rng(1).integers(0, scale + 1, (30, 30)).astype(kind)
    stored = stored_image((numbers / scale).astype(np.float32), scale)
    assert stored.dtype == kind
    assert np.array_equal(stored, numbers)


def test_an_image_that_was_computed_is_saved_in_floats_and_whole_numbers_as_they_are():
    computed = np.random.default_rng(1).random((30, 30), np.float32)
    assert stored_image(computed, 255).dtype == np.float32
    assert np.array_equal(stored_image(computed), computed)
    assert stored_image(IMAGE, 65535) is IMAGE
    with pytest.raises(ImageError, match="NaN"):
        stored_image(np.full((2, 2), np.nan, np.float32))
