import numpy as np
import pytest
from conftest import disks
from scipy import ndimage

from nucdl_core.config import SegmentConfig
from nucdl_core.errors import BundleError, ImageError
from nucdl_core.metrics import image_scores
from nucdl_core.segment import segment, segment_unfiltered


def field(radius=12, dtype=np.uint16, peak=3000, shape=(160, 240)):
    """Blurred disks with a little noise, and their truth."""
    step = 3 * radius
    centres = [(r, c) for r in range(step, shape[0] - radius, step) for c in range(step, shape[1] - radius, step)]
    truth = disks(shape, centres, radius)
    noise = np.random.default_rng(0).normal(0, 0.02, shape)
    image = 0.1 + ndimage.gaussian_filter((truth > 0).astype(float), 1) * 0.8 + noise
    return (np.clip(image, 0, 1) * peak).astype(dtype), truth


@pytest.mark.parametrize("dtype, peak", [(np.uint8, 255), (np.uint16, 4095), (np.uint16, 300), (np.float32, 1.0)])
def test_disks_are_found_in_every_number_format(dtype, peak):
    image, truth = field(dtype=dtype, peak=peak)
    found = segment(image)
    assert found.count == truth.max()
    assert image_scores(truth, found.labels)["mean_f1"] > 0.7
    assert found.diameter == pytest.approx(24, rel=0.25)


def test_a_given_diameter_is_used_and_reported():
    assert segment(field()[0], SegmentConfig(diameter=20)).diameter == 20


@pytest.mark.parametrize("value", [0, 9])
def test_a_flat_image_holds_no_nuclei(value):
    found = segment(np.full((80, 90), value, np.uint8))
    assert found.count == 0
    assert found.labels.shape == (80, 90)
    assert np.isnan(found.diameter)


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (5, 3)])
def test_images_smaller_than_the_network_give_a_result(shape):
    assert segment(np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)).labels.shape == shape


def test_nothing_is_found_outside_the_mask():
    image, truth = field()
    mask = np.zeros(image.shape, bool)
    mask[:, :130] = True
    found = segment(image, mask=mask)
    assert 0 < found.count < truth.max()
    assert not found.labels[:, 130:].any()
    assert not found.probability[:, 130:].any()


def test_size_and_border_filters_apply():
    image, _ = field()
    everything = segment_unfiltered(image)
    assert segment(image, SegmentConfig(minimum_diameter=60)).count == 0
    assert segment(image, SegmentConfig(discard_border=True)).count <= everything.count


def test_a_higher_threshold_gives_tighter_outlines():
    image, _ = field()
    wide, tight = (segment(image, SegmentConfig(probability_threshold=value)) for value in (0.2, 0.8))
    assert (tight.labels > 0).sum() < (wide.labels > 0).sum()


def test_the_same_image_gives_the_same_result():
    image, _ = field()
    assert (segment(image).labels == segment(image).labels).all()


def test_the_image_is_not_modified():
    image, _ = field()
    before = image.copy()
    segment(image, mask=image > 400)
    assert (image == before).all()


@pytest.mark.parametrize(
    "image, reason",
    [
        (np.zeros((4, 4, 3), np.uint8), r"shape \(4, 4, 3\) came"),
        (np.zeros((0, 4), np.uint8), r"shape \(0, 4\) came"),
        (np.zeros((4, 4), complex), "type complex128 came"),
        (np.zeros((4, 4), bool), "type bool came"),
        (np.array([[1, np.nan]]), "NaN or infinite"),
        (np.array([[1, np.inf]]), "NaN or infinite"),
    ],
)
def test_what_is_not_a_grey_image_is_refused_with_the_reason(image, reason):
    with pytest.raises(ImageError, match=reason):
        segment(image)


def test_a_mask_of_another_shape_is_refused():
    with pytest.raises(ImageError, match="both must have the same shape"):
        segment(np.zeros((4, 4), np.uint8), mask=np.ones((4, 5), bool))


def test_an_unknown_model_is_refused():
    with pytest.raises(BundleError, match="neither a bundled model"):
        segment(np.zeros((4, 4), np.uint8), SegmentConfig(model="unknown"))
