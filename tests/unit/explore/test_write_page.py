"""The page of a trial, its table and its pipelines."""

import pandas as pd
import pytest
from drawings import field

from nucdl_core.errors import ConfigError
from nucdl_core.explore.trial import Sample, try_variants
from nucdl_core.explore.variants import Grid, Variant
from nucdl_core.explore.write_page import TryRequest, verdict, write_trial
from nucdl_core.files.writing import write_labels


@pytest.fixture(scope="module")
def tried(tmp_path_factory):
    """A trial with three ways of NucDL and one of another tool, and these ways."""
    folder = tmp_path_factory.mktemp("other")
    image, truth = field()
    write_labels(folder / "a_labels.tif", truth)
    variants = [*Grid(treatments=("none", "median3", "mean9")).variants(), Variant("<other>", folder=folder)]
    return try_variants([Sample(folder / "a.tif", lambda: image)], variants), variants


def test_the_page_holds_pictures_commands_and_pipelines_and_needs_no_other_file(tried, tmp_path):
    request = TryRequest(tmp_path / "page.html", ["my images"], {"images": "1"}, ["a note"])
    ranked = write_trial(request, *tried)
    page = request.output.read_text(encoding="utf-8")
    assert page.count("data:image/jpeg") == 1 + len(ranked) and 'src="data:' in page and "http" not in page
    assert "nucdl segment &#39;my images&#39; --output nuclei --preprocess median3" in page
    assert page.count('download="') == 2 and "no module of its own that does the same as mean 9 x 9" in page
    assert "&lt;other&gt;" in page and "<other>" not in page and "a note" in page
    pipelines = sorted(path.name[3:] for path in (tmp_path / "page_files" / "pipelines").iterdir())
    assert pipelines == ["image_as_it_is_nuclei_unet.cppipe", "median_3_x_3_nuclei_unet.cppipe"]
    table = pd.read_csv(tmp_path / "page_files" / "variants.csv")
    assert list(table["rank"]) == [1, 2, 3, 4] and table["mean_f1"].isna().all() and (table["nuclei"] > 0).all()


def test_a_former_page_is_replaced(tried, tmp_path):
    request = TryRequest(tmp_path / "page.html", [], {})
    write_trial(request, *tried)
    trial, variants = tried
    write_trial(request, trial, variants[:1])
    assert len(list((tmp_path / "page_files" / "pipelines").iterdir())) == 1


def test_the_page_is_an_html_file(tmp_path):
    with pytest.raises(ConfigError, match=r"page\.pdf: the page is an HTML file"):
        TryRequest(tmp_path / "page.pdf", [], {})


def test_the_verdict_says_whether_anything_has_to_be_changed(tried):
    trial, variants = tried
    plain, _, blurred = (next(each for each in trial.ranked(variants) if each.number == number) for number in (0, 1, 2))
    assert verdict([plain, blurred]).endswith("nothing has to be changed.")
    assert "keep them unless the outlines say otherwise" in verdict([blurred, plain])
    assert verdict([blurred]).endswith(f"({'score'} {blurred.order:.3f}).")
