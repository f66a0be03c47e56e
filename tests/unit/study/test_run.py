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
from nucdl_core.model.loading import load_model
from nucdl_core.screen.cellprofiler.snakemake import EngineOptions
from nucdl_core.simulate.field import FieldConfig
from nucdl_core.simulate.image import simulate_field
from nucdl_core.study import run
from nucdl_core.study.design import STUDY_PRESETS, StudyDesign, read_design
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
from nucdl_core.study.run import check_study, collect, run_study
from nucdl_core.study.teach import teach

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
    sources = survey(design, [data])
    plan = make_plan(design, sources)
    keep_plan(folder, plan)
    copy_study_images(folder, plan, sources, [data])
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
    assert [source.name for source in read] == names[::-1]
    assert {source.group for source in read} == {"64x80", "80x64"}
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
    with pytest.raises(ConfigError, match="holds something else than a study"):
        keep_plan(StudyFolder(data), make_plan(design, survey(design, [data])))


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
