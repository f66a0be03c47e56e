"""nucdl adapt."""

import pytest
from adaptations import make_images, make_small
from commands import nucdl

from nucdl_core.adaptation import conclusion
from nucdl_core.training.verdict import Verdict


@pytest.fixture
def start(tiny_bundle):
    (tiny_bundle / "README.md").write_text("# The model before")
    return tiny_bundle


@pytest.mark.parametrize("better, place", [(True, "is in"), (False, "is kept apart, in")])
def test_one_line_says_whether_to_use_the_model_and_another_where_it_is(tmp_path, start, monkeypatch, better, place):
    make_small(monkeypatch)
    monkeypatch.setattr(conclusion, "judge", lambda *arguments: Verdict(better, "Plainly said."))
    images = make_images(tmp_path / "own")
    options = ("--masks", tmp_path / "own" / "masks", "--model", start, "--output", tmp_path / "mine")
    result = nucdl("adapt", images, *options, "--workers", 0, "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert "Plainly said.\n" in result.output
    assert f"The adapted model {place} {tmp_path / 'mine'}" in result.output
    assert (tmp_path / "mine_adaptation" / "report.html").is_file()
    assert (tmp_path / "mine").exists() == better


def test_too_few_images_are_refused_in_one_line_before_anything_is_written(tmp_path):
    images = make_images(tmp_path / "own", count=4)
    result = nucdl("adapt", images, "--output", tmp_path / "mine")
    assert result.exit_code != 0
    assert "4 images came; at least 5 are needed" in result.output and "Traceback" not in result.output
    assert not (tmp_path / "mine_adaptation").exists()


def test_a_share_that_cannot_be_is_refused(tmp_path):
    images = make_images(tmp_path / "own", count=1)
    result = nucdl("adapt", images, "--output", tmp_path / "mine", "--share", "1.5")
    assert result.exit_code != 0 and "share is 1.5" in result.output


def test_an_interrupted_adaptation_says_how_to_go_on(tmp_path, monkeypatch):
    def stop(request):
        raise KeyboardInterrupt

    monkeypatch.setattr("nucdl_core.adaptation.adapt.adapt", stop)
    result = nucdl("adapt", make_images(tmp_path / "own", count=1), "--output", tmp_path / "mine")
    assert result.exit_code == 1 and "the same command goes on with it" in result.output
