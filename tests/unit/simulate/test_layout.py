"""Where nuclei lie."""

from __future__ import annotations

import numpy as np
from clean_fields import make
from scipy import ndimage


def test_without_clusters_nuclei_keep_a_gap():
    labels = make(count=25, size=(300, 300), overlap=0.5).labels
    assert ndimage.label(labels, np.ones((3, 3)))[1] == labels.max() == 25


def test_in_clusters_nuclei_touch():
    labels = make(count=20, size=(260, 260), cluster_probability=0.9, overlap=0.1).labels
    assert ndimage.label(labels, np.ones((3, 3)))[1] < 0.6 * labels.max()


def test_patchy_fields_leave_parts_empty():
    def most_in_a_quarter(patchiness):
        field = make(count=40, diameter=6, size=(160, 160), patchiness=patchiness, seed=1)
        return max(int((field.labels[r : r + 80, c : c + 80] > 0).sum()) for r in (0, 80) for c in (0, 80))

    assert most_in_a_quarter(1.0) > 1.3 * most_in_a_quarter(0.0)
