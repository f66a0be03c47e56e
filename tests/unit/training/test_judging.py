"""Validation images and what methods found in them."""

from drawings import annotated_disks

from nucdl_core.training.judging import Judging
from nucdl_core.training.sources import truth_of


def test_a_label_image_that_was_being_written_when_a_training_was_killed_is_passed_over(tmp_path):
    source = annotated_disks()
    judging = Judging(tmp_path, [source])
    judging.add("other", {source.name: truth_of(source)})
    (judging.methods["other"] / ".0123.tmp").write_bytes(b"II")
    assert judging.scores("other") == {source.name: 1.0}
