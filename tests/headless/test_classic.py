"""The classic pipeline on a folder of images, in the real CellProfiler."""

from nucdl_core.cellprofiler.classic import classic_nuclei
from nucdl_core.files.reading import read_labels
from nucdl_core.scores.matching import image_scores
from nucdl_core.simulate.plate import simulate_plate


def test_the_classic_pipeline_finds_the_nuclei_of_each_image_of_a_folder(tmp_path):
    simulate_plate(tmp_path, fields=2, size=(200, 240), seed=3)
    found = classic_nuclei(tmp_path / "images")
    assert sorted(found) == sorted(path.stem for path in (tmp_path / "images").iterdir())
    for name, labels in found.items():
        truth = read_labels(tmp_path / "labels" / f"{name}_labels.tif")
        assert labels.shape == truth.shape
        assert image_scores(truth, labels)["f1_0.50"] > 0.5
