import numpy as np
import pytest

from nucdl_core.steps.tiling import tiles


@pytest.mark.parametrize("shape", [(1, 1), (7, 30), (64, 64), (100, 65)])
def test_cores_cover_every_pixel_once(shape):
    covered = np.zeros(shape, int)
    for tile in tiles(shape, 32, 5):
        covered[tile.core] += 1
    assert (covered == 1).all()


def test_the_inner_window_of_the_outer_one_is_the_core():
    image = np.arange(90 * 70).reshape(90, 70)
    for tile in tiles(image.shape, 32, 9):
        assert (image[tile.outer][tile.inner] == image[tile.core]).all()
        assert max(image[tile.core].shape) <= 32


def test_the_halo_ends_at_the_image_border():
    first = next(iter(tiles((64, 32), 32, 9)))
    assert first.outer == (slice(0, 41), slice(0, 32))


def test_cores_begin_at_multiples_of_the_step():
    cores = [tile.core[0] for tile in tiles((100, 8), 30, 8, step=8)]
    assert [core.start for core in cores] == [0, 24, 48, 72]
    assert cores[-1].stop == 100
