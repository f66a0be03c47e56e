"""From what the user gives to a plan; CellProfiler's part has a stand-in, tests/headless has the real one."""

import dataclasses
import os
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from nucdl_core.cli.main import main
from nucdl_core.errors import ConfigError, NucDLError
from nucdl_core.screen.cellprofiler import planner
from nucdl_core.screen.cellprofiler.planner import PlanRequest, choose_grouping, chunk_size, plan_screen
from nucdl_core.screen.cellprofiler.preflight import Preflight
from nucdl_core.screen.core import new_screen
from nucdl_core.screen.core.plan import Costs, ScreenError, ScreenFolder, read_chunks, read_plan, read_rows

REPOSITORY = Path(__file__).resolve().parents[4]
CLASSIC = REPOSITORY / "pipelines" / "classic_basic.cppipe"
GOOD = Preflight(("Nuclei",), ("DNA", "DNAView"), ())


@pytest.fixture
def cellprofiler(monkeypatch):
    """Put a stand-in for CellProfiler's answer; change its `found` in a test, its `asked` counts the questions."""

    class StandIn:
        found = GOOD
        asked = 0

        def __call__(self, modules, list_start, plugins):
            self.asked += 1
            self.list_start, self.plugins = list_start, plugins
            return self.found

    stand_in = StandIn()
    monkeypatch.setattr(planner, "check_pipeline", stand_in)
    return stand_in


@pytest.fixture
def request_(tmp_path, cellprofiler):
    """Ten image sets of two plates."""
    rows = ["Image_FileName_DNA,Image_PathName_DNA,Metadata_Plate"]
    for number in range(10):
        (tmp_path / f"{number}.tif").touch()
        rows.append(f"{number}.tif,,P{number % 2}")
    (tmp_path / "list.csv").write_text("\n".join(rows) + "\n")
    return PlanRequest(CLASSIC, tmp_path / "screen", tmp_path / "list.csv", chunk_size=4)


def contents(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_plan_is_written_with_its_chunks_and_the_pipeline(request_, cellprofiler):
    plan = plan_screen(request_)
    folder = ScreenFolder(request_.output)
    assert read_plan(folder) == plan
    assert (plan.chunks, plan.chunk_size, plan.images.image_sets, plan.grouping) == (3, 4, 10, ())
    assert (plan.procedure.tables, plan.procedure.channels) == (("Nuclei",), ("DNA",))
    assert plan.procedure.steps[0] == "LoadData"
    assert [chunk.image_sets for chunk in read_chunks(folder)] == [4, 3, 3]
    files = [row["Image_FileName_DNA"] for chunk in read_chunks(folder) for row in read_rows(folder.chunk_csv(chunk))]
    assert files == [f"{number}.tif" for number in range(10)]
    assert (
        cellprofiler.list_start
        == "\n".join(folder.chunk_csv(read_chunks(folder)[0]).read_text().split("\n")[:2]) + "\n"
    )
    assert planner.parse_pipeline(folder.procedure) == planner.parse_pipeline(CLASSIC)


def test_planning_the_same_screen_again_changes_nothing(request_):
    plan = plan_screen(request_)
    before = contents(request_.output)
    assert plan_screen(request_) == plan
    assert contents(request_.output) == before


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"chunk_size": 5}, "chunk_size, chunks"),
        ({"grouping": ("Plate",)}, "grouping"),
        ({"pipeline": "deep"}, "pipeline, models"),
    ],
)
def test_the_folder_of_another_screen_is_refused_with_the_difference(request_, change, named):
    plan_screen(request_)
    if "pipeline" in change:
        change = {"pipeline": REPOSITORY / "pipelines" / "deep.cppipe"}
    with pytest.raises(ScreenError, match=f"holds another screen, which differs in {named}"):
        plan_screen(dataclasses.replace(request_, **change))


def test_groups_are_kept_whole(request_):
    plan = plan_screen(dataclasses.replace(request_, grouping=("Plate",)))
    folder = ScreenFolder(request_.output)
    plates = [{row["Metadata_Plate"] for row in read_rows(folder.chunk_csv(chunk))} for chunk in read_chunks(folder)]
    assert (plan.grouping, plates) == (("Plate",), [{"P0"}, {"P1"}])


def test_a_model_of_the_pipeline_is_in_the_plan(request_):
    deep = dataclasses.replace(request_, pipeline=REPOSITORY / "pipelines" / "deep.cppipe")
    (model,) = plan_screen(deep).models
    assert model.name == "nuclei_unet" and len(model.sha256) == 64


def test_a_pipeline_that_combines_all_image_sets_is_refused_unless_they_are_in_one_chunk(request_, cellprofiler):
    cellprofiler.found = dataclasses.replace(GOOD, aggregating=("CorrectIlluminationCalculate",))
    with pytest.raises(ScreenError, match="CorrectIlluminationCalculate combines all image sets"):
        plan_screen(request_)
    assert not request_.output.exists()
    assert plan_screen(dataclasses.replace(request_, chunk_size=10)).chunks == 1


def test_a_folder_of_images_with_a_naming_takes_the_place_of_a_list(tmp_path, cellprofiler):
    images = tmp_path / "images"
    images.mkdir()
    for well in ("A01", "A02"):
        (images / f"P_{well}_s1_w1.tif").touch()
    plan = plan_screen(PlanRequest(CLASSIC, tmp_path / "screen", images=images, naming="nucdl"))
    assert plan.images.columns[:2] == ("Image_FileName_Channel1", "Image_PathName_Channel1")
    assert plan.images.image_sets == 2


@pytest.mark.parametrize("given", [{}, {"csv": Path("a"), "images": Path("b"), "naming": "x"}])
def test_the_image_sets_are_given_in_one_way(given):
    with pytest.raises(ConfigError, match="either by --csv or by --images with --naming, and not by both"):
        PlanRequest(CLASSIC, Path("out"), **given)


@pytest.mark.parametrize("given", [{"images": Path("b")}, {"csv": Path("a"), "naming": "x"}])
def test_a_folder_of_images_and_a_naming_belong_together(given):
    with pytest.raises(ConfigError, match="belong together"):
        PlanRequest(CLASSIC, Path("out"), **given)


def test_an_output_that_is_a_file_or_holds_other_things_is_refused_before_anything(request_, cellprofiler):
    request_.output.write_text("mine")
    with pytest.raises(ScreenError, match="is a file"):
        plan_screen(request_)
    request_.output.unlink()
    request_.output.mkdir()
    (request_.output / "thesis.txt").touch()
    with pytest.raises(ScreenError, match="holds 'thesis.txt' and is not a screen"):
        plan_screen(request_)
    assert cellprofiler.asked == 0


def test_an_output_that_cannot_be_written_is_refused_before_anything(request_, cellprofiler, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(ScreenError, match="cannot be written"):
        plan_screen(request_)
    assert cellprofiler.asked == 0


@pytest.fixture
def read_only_disk(tmp_path):
    """A disk that can only be read, where one can be mounted."""
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", place], capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def test_a_read_only_disk_is_refused(request_, cellprofiler, read_only_disk):
    with pytest.raises(ScreenError, match="cannot be written; give another folder"):
        plan_screen(dataclasses.replace(request_, output=read_only_disk / "screen"))
    assert cellprofiler.asked == 0


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder in which nobody can write")
def test_a_folder_in_which_nobody_can_write_is_refused(request_):
    with pytest.raises(NucDLError, match="cannot be (written|made)"):
        plan_screen(dataclasses.replace(request_, output=Path("/proc/screen")))


def test_a_planning_that_was_interrupted_is_done_again(request_, monkeypatch):
    def fail(*arguments):
        raise NucDLError("the disk is full")

    monkeypatch.setattr(new_screen, "write_plan", fail)
    with pytest.raises(NucDLError, match="the disk is full"):
        plan_screen(request_)
    (request_.output / "chunks" / "000099.csv").touch()
    monkeypatch.undo()
    monkeypatch.setattr(planner, "check_pipeline", lambda *arguments: GOOD)
    plan_screen(request_)
    assert not (request_.output / "chunks" / "000099.csv").exists()
    assert read_plan(ScreenFolder(request_.output)).chunks == 3


def test_folders_that_look_like_an_interrupted_planning_but_are_not_are_left_alone(request_):
    (request_.output / "chunks").mkdir(parents=True)
    with pytest.raises(ScreenError, match="holds 'chunks' and is not a screen"):
        plan_screen(request_)


@pytest.mark.parametrize(
    ("wanted", "of_pipeline", "chosen"),
    [
        (None, (), ()),
        (None, ("Plate",), ("Plate",)),
        (("Well",), (), ("Well",)),
        (("Plate",), ("Plate", "Well"), ("Plate",)),
    ],
)
def test_chunks_keep_the_groups_of_the_pipeline_whole(wanted, of_pipeline, chosen):
    assert choose_grouping(wanted, of_pipeline) == chosen


def test_chunks_that_cut_the_groups_of_the_pipeline_are_refused():
    with pytest.raises(ScreenError, match="groups by Plate, chunks of Plate,Well would cut its groups"):
        choose_grouping(("Plate", "Well"), ("Plate",))


@pytest.mark.parametrize(
    ("costs", "image_sets", "size"),
    [(Costs(8, 1), 3456, 158), (Costs(8, 1), 100, 100), (Costs(5, 0.25), 1_000_000, 381), (Costs(1, 100), 7, 1)],
)
def test_the_start_takes_at_most_a_twentieth_of_the_time(costs, image_sets, size):
    assert chunk_size(costs, image_sets) == size
    smallest = image_sets // -(-image_sets // size)
    if image_sets > 19 * costs.start_seconds / costs.image_set_seconds:
        assert costs.start_seconds <= 0.05 * (costs.start_seconds + smallest * costs.image_set_seconds)


@pytest.mark.parametrize(
    ("image_sets", "cores", "size"), [(96, 2, 48), (96, 8, 12), (96, 64, 8), (7, 8, 7), (3456, 8, 158)]
)
def test_no_core_is_left_idle_unless_starting_takes_longer_than_working(image_sets, cores, size):
    assert chunk_size(Costs(8, 1), image_sets, cores) == size


def test_a_screen_that_is_planned_keeps_its_chunks_on_a_computer_with_other_cores(request_):
    here = dataclasses.replace(request_, chunk_size=None, costs=Costs(1, 1), cores=2)
    assert plan_screen(here).chunks == 2
    assert plan_screen(dataclasses.replace(here, cores=5)).chunks == 2


def test_image_sets_that_are_combined_stay_in_one_chunk_whatever_the_cores(request_, cellprofiler):
    cellprofiler.found = dataclasses.replace(GOOD, aggregating=("CorrectIlluminationCalculate",))
    assert plan_screen(dataclasses.replace(request_, chunk_size=None, costs=Costs(1, 1), cores=5)).chunks == 1


def test_the_command_plans_and_tells_what_was_changed(request_):
    request_.output.mkdir()
    arguments = [str(CLASSIC), "--csv", str(request_.csv), "--output", str(request_.output), "--chunk-size", "4"]
    limits = ["--max-pixels", "1000", "--image-set-seconds", "7", "--memory", "100", "--colour", "--costs", "4,0.5"]
    result = CliRunner().invoke(main, ["screen", "plan", *arguments, *limits, "--group", "Plate"])
    assert result.exit_code == 0, result.output
    assert "10 image sets in 2 chunks of about 4" in result.output
    plan = read_plan(ScreenFolder(request_.output))
    assert (plan.limits.pixels, plan.limits.seconds, plan.limits.memory_mb, plan.limits.colour) == (1000, 7, 100, True)
    assert (plan.costs, plan.grouping) == (Costs(4, 0.5), ("Plate",))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--costs", "4"], "give two numbers"),
        (["--costs", "four,1"], "give two numbers"),
        (["--group", "Plate,Plate"], "give different names"),
        (["--group", "Plate,"], "give different names"),
        (["--group", "Row"], "no column Metadata_Row to group by"),
        (["--image-set-seconds", "0"], "the limit seconds is 0"),
    ],
)
def test_options_that_cannot_be_meant_end_in_one_line(request_, options, reason):
    arguments = ["screen", "plan", str(CLASSIC), "--csv", str(request_.csv), "--output", str(request_.output), *options]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert reason in result.output and result.output.count("\n") == 1
    assert not request_.output.exists()


def test_names_of_channels_without_a_folder_of_images_are_refused(request_):
    with pytest.raises(ConfigError, match="--channel goes with --images"):
        dataclasses.replace(request_, channels={"DNA": "w1"})


def test_a_pipeline_whose_images_are_called_otherwise_is_refused_with_how_to_name_them(request_, monkeypatch, tmp_path):
    def misses(*_):
        raise ScreenError("module 2, IdentifyNucleiDL: 'Select the input image': DNA not in Channel1")

    monkeypatch.setattr(planner, "check_pipeline", misses)
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "P_A01_s1_w1.tif").touch()
    request = PlanRequest(CLASSIC, request_.output, images=tmp_path / "images", naming="nucdl")
    with pytest.raises(ScreenError, match="called Channel1; say which is which, for example --channel DNA=Channel1"):
        plan_screen(request)
