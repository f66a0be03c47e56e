"""The page about a training."""

import numpy as np
import pytest
from drawings import disks

from nucdl_core.errors import ConfigError
from nucdl_core.files.writing import write_labels, write_png
from nucdl_core.reports import page as pages
from nucdl_core.reports.data import NucleusCollector
from nucdl_core.reports.gallery import Pictures
from nucdl_core.reports.methods import Inputs, evaluate_methods, pair_methods
from nucdl_core.reports.training_page import MOST_PICTURES, TrainingPage, worst_images, write_training_page

LOG = [{"step": 2, "total": 0.5, "validation": 0.6}, {"step": 4, "total": 0.4, "validation": 0.7}]
PAGE = TrainingPage(
    name="mine",
    sentence="Use your model: <it> is better.",
    better=True,
    before="nuclei_unet",
    start=0.55,
    facts={"images": "3 taught, 6 judged"},
    notes=["Not compared with the classic pipeline."],
    curves={"run1": LOG, "run2": [{"step": 2, "total": 0.3}]},
)


@pytest.fixture
def judged(tmp_path):
    """Six images; the own model loses one more nucleus in each of them."""
    centres = [(10 + 20 * row, 10 + 20 * col) for row in range(3) for col in range(3)]
    inputs = Inputs(tmp_path / "truth", [("your model", tmp_path / "own"), ("nuclei_unet", tmp_path / "before")])
    images = {}
    for folder in ("truth", "own", "before", "images"):
        (tmp_path / folder).mkdir()
    for number in range(6):
        truth = disks((64, 64), centres, 7)
        own = np.where(truth > 9 - number, 0, truth).astype(np.int32)
        for folder, labels in (("truth", truth), ("own", own), ("before", truth)):
            write_labels(tmp_path / folder / f"image{number}_labels.tif", labels)
        images[f"image{number}"] = tmp_path / "images" / f"image{number}.png"
        write_png(images[f"image{number}"], (200 * (truth > 0)).astype(np.uint8))
    collector = NucleusCollector()
    return evaluate_methods(inputs, collector), collector.table(), Pictures(images, pair_methods(inputs))


def test_the_page_says_first_whether_to_use_the_model_and_needs_no_other_file(judged, tmp_path):
    write_training_page(tmp_path / "report.html", PAGE, *judged)
    text = (tmp_path / "report.html").read_text()
    assert text.index("Use your model: &lt;it&gt; is better.") < text.index("On 6 images that it did not learn from")
    assert 'class="verdict good"' in text
    for expected in ("3 taught, 6 judged", "Not compared with the classic pipeline.", "your model against nuclei_unet"):
        assert expected in text
    assert text.count("<figure>") == 3 + 2 * MOST_PICTURES
    assert 'src="http' not in text and text.count('src="data:image') == text.count("<img")


def test_the_images_on_which_the_own_model_is_worst_are_shown_first(judged):
    assert worst_images(judged[0], "your model") == ["image5", "image4", "image3", "image2"]


def test_without_the_libraries_of_reports_it_is_said_how_to_get_them(judged, tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "REPORT_LIBRARIES", ("jinja3",))
    with pytest.raises(ConfigError, match="a report needs jinja3"):
        write_training_page(tmp_path / "report.html", PAGE, *judged)
