"""AnnotateNuclei in the real cellprofiler command: saved annotations are handed on, and nothing else is."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nucdl_core.annotate.folder import DRAFT, FINISHED, AnnotationFolder
from nucdl_core.annotate.session import Annotated
from nucdl_core.cellprofiler.headless import HeadlessError, check_tables
from nucdl_core.files.reading import read_image, read_labels

REPOSITORY = Path(__file__).resolve().parents[2]
MODULE = """AnnotateNuclei:[module_num:2|svn_version:'Unknown'|variable_revision_number:1|show_window:False|notes:[]|\
batch_state:array([], dtype=uint8)|enabled:True|wants_pause:False]
    Select the input image:DNA
    Name the annotated nuclei:Nuclei
    Start with objects of an earlier module?:No
    Select the objects to start with:None
    Folder of annotations:Elsewhere...|{folder}
    Name of the saved files:
    Classes of nuclei:interphase, mitotic
    Open finished images again in a run?:No
    Suggest contours with a model?:Yes
    Select the model:nuclei_unet
    Model folder:Elsewhere...|
    Move outlines outwards by (pixels):0.0
    Compute on:Automatic

"""


@pytest.fixture
def annotated(plate, tmp_path):
    """Return a function that saves the truth of the plate as annotations, each image in the given state."""
    store = AnnotationFolder(tmp_path / "annotations", ["interphase", "mitotic"])

    def save(*states):
        for path, state in zip(sorted((plate / "images").glob("*.tif*")), states):
            labels = read_labels(plate / "labels" / f"{path.stem}_labels.tif")
            store.save(path.stem, read_image(path), Annotated(labels, {1: "mitotic", 2: "interphase"}), state)
        return store.folder

    return save


@pytest.fixture
def run_annotated(changed_pipeline, run_pipeline):
    """Return a function that runs the deep pipeline with annotations in the place of the network."""

    def run(folder):
        text = (REPOSITORY / "pipelines" / "deep.cppipe").read_text(encoding="utf-8")
        (block,) = re.findall(r"IdentifyNucleiDL:.*?\n\n", text, re.DOTALL)
        return run_pipeline(changed_pipeline("deep", (block, MODULE.format(folder=folder))))

    return run


def test_finished_annotations_become_measured_objects_with_their_classes(annotated, run_annotated, plate):
    output = run_annotated(annotated(FINISHED, FINISHED))
    images = check_tables(output, 2, ["Nuclei"])
    assert images["NucDL_Finished_Nuclei"].tolist() == [1, 1]
    nuclei = pd.read_csv(output / "Nuclei.csv")
    for row in images.itertuples():
        truth = read_labels(plate / "labels" / f"{Path(row.FileName_DNA).stem}_labels.tif")
        of_image = nuclei[nuclei["ImageNumber"] == row.ImageNumber]
        np.testing.assert_array_equal(of_image["AreaShape_Area"], np.bincount(truth.ravel())[1:])
        assert of_image["NucDL_Class"].tolist() == [2, 1] + [0] * (len(of_image) - 2)


@pytest.mark.parametrize(("states", "words"), [((FINISHED,), "has no annotation"), ((FINISHED, DRAFT), "only a draft")])
def test_an_image_that_is_not_finished_stops_the_run_and_is_named(annotated, run_annotated, states, words):
    with pytest.raises(HeadlessError, match=words):
        run_annotated(annotated(*states))
