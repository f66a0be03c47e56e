"""A study from simulated images to its report."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
import tifffile
from real_snakemake import need_snakemake

from nucdl_core.config import from_mapping
from nucdl_core.errors import BundleError, ConfigError, ImageError
from nucdl_core.model.bundle import find_bundle, read_bundle
from nucdl_core.model.loading import load_model
from nucdl_core.screen.cellprofiler.snakemake import EngineOptions
from nucdl_core.screen.core.plan import ScreenError
from nucdl_core.simulate.field import FieldConfig
from nucdl_core.simulate.image import simulate_field
from nucdl_core.steps.instances import Decision
from nucdl_core.study import run
from nucdl_core.study.design import STUDY_PRESETS, StudyCell, StudyDesign, read_design
from nucdl_core.study.engine import run_trainings
from nucdl_core.study.folder import (
    StudyFolder,
    copy_study_images,
    keep_plan,
    make_plan,
    read_images,
    read_study_plan,
    survey,
)
from nucdl_core.study.images import POOL_PART, images_for
from nucdl_core.study.job import job_program
from nucdl_core.study.page import write_study_report
from nucdl_core.study.results import TEST_PART
from nucdl_core.study.run import check_study, collect, run_study, with_absolute_paths
from nucdl_core.study.teach import first_decision, teach

SHAPES = {"a": (64, 80), "b": (80, 64)}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two kinds of simulated images, told by their shape."""
    folder = tmp_path_factory.mktemp("study")
    for kind in ("images", "masks"):
        (folder / kind).mkdir()
    for seed, (letter, shape) in enumerate((letter, shape) for letter, shape in SHAPES.items() for _ in range(5)):
        field = simulate_field(FieldConfig(size=shape, diameter=16, count=8), np.random.default_rng(seed))
        tifffile.imwrite(folder / "images" / f"{letter}{seed}.tif", field.image)
        tifffile.imwrite(folder / "masks" / f"{letter}{seed}.tif", field.labels.astype(np.uint16))
    return folder


@pytest.fixture
def design():
    return dataclasses.replace(
        read_design("smoke"), replicates=1, grids={"networks": {"network": ["unet", "unet_three_class"]}}
    )


@pytest.fixture
def begun(data, design, tmp_path):
    folder = StudyFolder(tmp_path / "out")
    surveyed = survey(design, [data])
    plan = make_plan(design, surveyed)
    keep_plan(folder, plan)
    copy_study_images(folder, plan, surveyed)
    return folder, plan


def run_here(folder, design, missing, options, progress=int):
    """Do the trainings one after the other, as Snakemake would on one core."""
    for name in missing:
        job_program([str(folder.root), name])
        progress(1)


def test_a_study_keeps_a_copy_of_its_images_and_reads_those_that_it_needs(begun, data):
    folder, plan = begun
    names = [name for name, image in plan.images.items() if image.part == TEST_PART]
    kept, own = (sorted(path.name for path in (place / "images").iterdir()) for place in (folder.data, data))
    assert kept == own
    read = read_images(folder, names[::-1])
    assert set(read) == set(names)
    assert {source.group for source in read.values()} == {"64x80", "80x64"}
    assert read_study_plan(folder) == plan


def test_a_training_is_taught_scored_and_not_repeated(begun):
    folder, _ = begun
    teach(folder, "unet-images_2-r0")
    own = folder.training("unet-images_2-r0")
    scores, views = pd.read_csv(own / "scores.csv"), pd.read_csv(own / "views.csv")
    assert set(scores.part) == {"test", "training"}
    assert set(scores.kind) == {"64x80", "80x64"}
    assert len(scores[scores.part == "training"]) == 2
    assert views.step.tolist() == [3, 6]
    assert {"none", "flips"} <= set(views)
    result = json.loads((own / "result.json").read_text())
    assert result["taught_images"] == 2 and result["parameters"] > 0 and result["steps"] in (3, 6)
    load_model(own / "model", "cpu").self_test(own / "model")
    before = (own / "scores.csv").stat().st_mtime_ns
    teach(folder, "unet-images_2-r0")
    assert (own / "scores.csv").stat().st_mtime_ns == before


def test_a_training_that_was_stopped_goes_on(begun, monkeypatch):
    folder, _ = begun
    name = "unet-images_2-r0"
    with monkeypatch.context() as patched:
        patched.setattr("nucdl_core.study.teach.make_bundle", lambda *_: pytest.fail("stopped here"))
        with pytest.raises(BaseException, match="stopped here"):
            teach(folder, name)
    log = folder.training(name) / "log.jsonl"
    before = log.read_text()
    assert not folder.is_finished(name)
    teach(folder, name)
    assert log.read_text() == before
    assert folder.is_finished(name)


def test_a_failed_training_is_named_and_the_others_are_done(data, design, tmp_path, monkeypatch):
    def fail(folder, name, device):
        if name.startswith("unet_three"):
            raise ValueError("no luck")
        teach(folder, name, device)

    monkeypatch.setattr(run, "run_trainings", run_here)
    with monkeypatch.context() as patched:
        patched.setattr("nucdl_core.study.teach.teach", fail)
        end = run_study(design, [data], tmp_path / "out", EngineOptions())
    assert end.failed == {"unet_three_class-images_2-r0": "ValueError: no luck"}
    assert end.finished == 1
    assert "no luck" in end.report.read_text()
    # The same command tries it again, and leaves the others as they are.
    again = run_study(design, [data], tmp_path / "out", EngineOptions())
    assert (again.finished, again.failed) == (2, {})


def test_the_smoke_preset_runs_to_its_report(data, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "run_trainings", run_here)
    told = []
    end = run_study(
        read_design("smoke"), [data], tmp_path / "out", EngineOptions(), progress=lambda *counts: told.append(counts)
    )
    assert end.failed == {}
    assert told and {count for _, count in told} == {end.finished}
    summary = pd.read_csv(tmp_path / "out" / "summary.csv")
    assert set(summary.grid) == {"networks", "training images", "kinds"}
    page = end.report.read_text()
    assert "unet_three_class" in page and "training images" in page


def test_what_came_of_trainings_is_put_together(begun):
    folder, plan = begun
    teach(folder, "unet-images_2-r0")
    results = collect(folder, plan)
    rows = results.trainings.set_index("training")
    assert rows.failed["unet-images_2-r0"] == ""
    assert "did not end" in rows.failed["unet_three_class-images_2-r0"]
    assert results.grids == {"networks": ["unet-images_2-r0", "unet_three_class-images_2-r0"]}
    assert set(results.scores.training) == set(results.views.training) == {"unet-images_2-r0"}


def test_a_study_with_another_configuration_is_refused(begun, data, design):
    folder, _ = begun
    with pytest.raises(ConfigError, match=r"begun with another configuration or other images \(looks\)"):
        other = dataclasses.replace(design, looks=3)
        keep_plan(folder, make_plan(other, survey(other, [data])))


def test_a_folder_with_something_else_is_refused(data, design):
    before = sorted(path.name for path in data.iterdir())
    with pytest.raises(ConfigError, match="holds something else than a study"):
        run_study(design, [data], data, EngineOptions())
    assert sorted(path.name for path in data.iterdir()) == before


def test_a_study_that_was_killed_while_it_began_begins_again(design, data, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "run_trainings", run_here)
    (tmp_path / "out" / "work").mkdir(parents=True)
    (tmp_path / "out" / ".study.json.tmp").touch()
    assert run_study(design, [data], tmp_path / "out", EngineOptions()).failed == {}


def test_images_of_a_folder_do_not_take_the_place_of_those_of_another(design, data, tmp_path):
    """The second folder has an image without annotation that is called as one of the first."""
    second = tmp_path / "second"
    for kind in ("images", "masks"):
        (second / kind).mkdir(parents=True)
    for seed in range(3):
        field = simulate_field(FieldConfig(size=(64, 80), diameter=16, count=8), np.random.default_rng(90 + seed))
        tifffile.imwrite(second / "images" / f"c{seed}.tif", field.image)
        tifffile.imwrite(second / "masks" / f"c{seed}.tif", field.labels.astype(np.uint16))
    tifffile.imwrite(second / "images" / "a0.tif", np.full((64, 80), 9, np.uint16))
    folder, surveyed = StudyFolder(tmp_path / "out"), survey(design, [data, second])
    plan = make_plan(design, surveyed)
    keep_plan(folder, plan)
    copy_study_images(folder, plan, surveyed)
    kept, own = (tifffile.imread(place / "images" / "a0.tif") for place in (folder.data, data))
    assert np.array_equal(kept, own)
    assert (folder.data / "images" / "c0.tif").is_file()


def planned(data, **changes):
    values = json.loads((STUDY_PRESETS / "smoke.json").read_text())
    design = from_mapping(StudyDesign, {**values, **changes})
    return make_plan(design, survey(design, [data]))


def test_more_than_200_trainings_are_refused_unless_they_are_meant(data):
    plan = planned(data, replicates=201, grids={"it": {"network": ["unet"]}})
    with pytest.raises(ConfigError, match="the grids make 201 trainings, more than 200; say --yes"):
        check_study(plan, many=False)
    check_study(plan, many=True)


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({"grids": {"it": {"kinds": ["huge"]}}}, "there are no images of the kind huge; the kinds are"),
        ({"grids": {"it": {"images": [50]}}}, "is to learn from 50 images, but only"),
        ({"grids": {"it": {"augmentation": ["blurr"]}}}, "augmentation is 'blurr'"),
        ({"grids": {"it": {"regions": [-3]}}}, "regions is -3"),
        (
            {"grids": {"it": {"network": ["unet_three_class"], "start": ["nuclei_unet"]}}},
            "shares no part|has the shape",
        ),
        ({"grids": {"it": {"network": ["unet"], "start": ["pretrained"]}}}, "its settings name none"),
        ({"grids": {"it": {"network": ["unet"], "start": ["nowhere"]}}}, "model 'nowhere' is neither"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_is(data, changes, reason):
    with pytest.raises(Exception, match=reason):
        check_study(planned(data, **changes), many=False)


def test_only_the_kinds_with_the_most_images_take_part_where_a_study_says_so(data):
    assert {image.kind for image in planned(data).images.values()} == {"64x80", "80x64"}
    assert {image.kind for image in planned(data, most_kinds=1).images.values()} == {"64x80"}


def test_trainings_that_want_more_images_than_there_are_are_left_out_and_named(data, caplog):
    plan = planned(data, grids={"it": {"network": ["unet"], "images": [1, 50]}}, replicates=1)
    check_study(plan, many=False)
    assert list(plan.trainings()) == ["unet-images_1-r0"]
    assert "left out, since too few images may teach: unet-images_50-r0" in caplog.text


def test_images_without_an_index_count_as_of_the_modality_that_is_wanted(data):
    assert len(planned(data, modality="fluorescence").images) == 10


def test_kinds_that_are_too_small_are_named(design, data, tmp_path, caplog):
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
        for path in (data / kind).iterdir():
            if path.stem[0] == "a" or path.stem == "b5":
                (tmp_path / kind / path.name).write_bytes(path.read_bytes())
    survey(design, [tmp_path])
    assert "kinds with fewer than 3 images are left out: 80x64 (1)" in caplog.text


def test_a_network_that_is_taught_further_begins_with_the_decision_that_it_had(design):
    usual, further = (
        first_decision(design.config(StudyCell("unet", start=start))) for start in ("chance", "nuclei_unet")
    )
    assert usual == Decision()
    assert further == read_bundle(find_bundle("nuclei_unet")).description.decision


def test_paths_mean_the_same_in_the_folder_of_the_study(design, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    weights = {"file": "weights.pth", "sha256": "0" * 64}
    changed = dataclasses.replace(
        design,
        networks={"unet": {"architecture": "unet_resnet34", "pretrained": weights, "companion": "mine"}},
        grids={"it": {"network": ["unet"], "start": ["chance", "mine"]}},
    )
    made = with_absolute_paths(changed)
    assert made.networks["unet"]["pretrained"]["file"] == str(tmp_path / "weights.pth")
    assert made.networks["unet"]["companion"] == str(tmp_path / "mine")
    assert made.grids["it"]["start"] == ["chance", str(tmp_path / "mine")]


def test_kinds_with_names_that_programs_take_for_nothing_keep_their_scores(begun):
    folder, plan = begun
    teach(folder, "unet-images_2-r0")
    path = folder.training("unet-images_2-r0") / "scores.csv"
    table = pd.read_csv(path)
    table["kind"] = "NA"
    table.to_csv(path, index=False)
    assert set(collect(folder, plan).scores.kind) == {"NA"}


def test_where_snakemake_itself_fails_its_last_words_are_told(begun, design, monkeypatch, tmp_path):
    folder, plan = begun
    broken = tmp_path / "snakemake"
    broken.write_text('#!/bin/sh\n[ "$1" = --version ] && echo 9.1 && exit\necho no such profile\nexit 2\n')
    broken.chmod(0o755)
    monkeypatch.setenv("NUCDL_SNAKEMAKE", str(broken))
    with pytest.raises(ScreenError, match="ended with code 2 without any training: no such profile; see"):
        run_trainings(folder, plan.design, list(plan.trainings()), EngineOptions(cores=1))


def test_a_network_that_this_version_lacks_is_refused(data):
    with pytest.raises(BundleError, match="architecture 'vit' is not known"):
        check_study(planned(data, networks={"v": {"architecture": "vit"}}, grids={"it": {"images": [1]}}), many=False)


def test_where_every_training_failed_there_is_a_page_that_says_so(begun):
    folder, plan = begun
    write_study_report(collect(folder, plan), folder.root, "It")
    assert "did not end" in (folder.root / "report.html").read_text()


def test_images_without_a_kind_that_has_enough_are_refused(data, design, tmp_path):
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
        for name in ("a0", "b5"):
            (tmp_path / kind / f"{name}.tif").write_bytes((data / kind / f"{name}.tif").read_bytes())
    with pytest.raises(ImageError, match="2 annotated images came, and no kind has 3"):
        survey(design, [tmp_path])
    with pytest.raises(ImageError, match="a second image is called"):
        survey(design, [data, data])


def test_a_gpu_that_is_not_there_is_refused(data, design, tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(Exception, match="cuda|GPU"):
        run_study(design, [data], tmp_path / "out", EngineOptions(gpus=1))
    assert not (tmp_path / "out").exists()


def test_the_images_of_a_training_are_those_of_its_kinds(begun):
    _, plan = begun
    cell = dataclasses.replace(next(iter(plan.trainings().values())), kinds=("64x80",))
    assert all(plan.images[name].kind == "64x80" for name in images_for(cell, plan.images, POOL_PART))


def test_snakemake_runs_the_trainings_and_a_second_run_finds_nothing_to_do(data, design, tmp_path):
    need_snakemake()
    small = dataclasses.replace(design, grids={"it": {"network": ["unet"]}})
    end = run_study(small, [data], tmp_path / "out", EngineOptions(cores=1))
    assert (end.finished, end.failed) == (1, {})
    result = tmp_path / "out" / "trainings" / "unet-images_2-r0" / "result.json"
    before = result.stat().st_mtime_ns
    assert run_study(small, [data], tmp_path / "out", EngineOptions(cores=1)).finished == 1
    assert result.stat().st_mtime_ns == before
