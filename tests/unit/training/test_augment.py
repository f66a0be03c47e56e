"""Changes of intensity."""

import numpy as np
import pytest
from drawings import disks

from nucdl_core.training.augment import augment_intensity


@pytest.mark.parametrize("seed", range(10))
def test_changed_intensities_stay_bounded(seed):
    rng = np.random.default_rng(seed)
    labels = disks((48, 48), [(20, 20)], 9)
    changed = augment_intensity((labels > 0).astype(np.float32), labels, rng)
    assert changed.dtype == np.float32
    assert np.isfinite(changed).all()
    assert np.abs(changed).max() < 50
