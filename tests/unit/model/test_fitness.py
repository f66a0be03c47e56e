"""What a model was made for, and where an image differs."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import edit_description

from nucdl_core.errors import ConfigError
from nucdl_core.files.reading import read_image
from nucdl_core.model.bundle import find_bundle, list_bundles, read_bundle, read_description, write_description
from nucdl_core.model.fitness import (
    ImageTraits,
    MadeFor,
    bits_of,
    describe_made_for,
    made_for,
    misfits,
    traits_of,
)
from nucdl_core.steps.polarity import looks_dark_on_bright

FITTING = ImageTraits(30.0, 16, False)


def field(nuclei, background, share=0.1):
    """An image of which a share of the pixels lies in nuclei."""
    image = np.full((100, 100), background, np.uint8)
    image[: int(100 * share)] = nuclei
    return image


def test_a_model_is_made_for_what_most_of_its_images_are_like():
    diameters = [*np.linspace(20, 40, 99), 400.0]
    made = made_for(diameters, ["uint16", np.uint8, np.dtype("uint16"), "float32"], "fluorescence")
    assert made.diameter_range == pytest.approx((21.0, 39.2), abs=0.2)
    assert (made.bits, made.modality) == ((8, 16), "fluorescence")


def test_sizes_that_crops_were_scaled_to_widen_the_range():
    assert made_for([20.0], [], "", scaled_to=(5.0, 160.0)) == MadeFor((5.0, 160.0))
    assert made_for([20.0], [], "", scaled_to=(25.0, 30.0)).diameter_range == (20.0, 30.0)


def test_what_a_model_was_made_for_is_a_sentence():
    whole = MadeFor((5.0, 42.5), (8, 16), "fluorescence")
    assert (
        describe_made_for(whole) == "Made for fluorescence images of 8 or 16 bits with typical nuclei of 5 to 42.5 px."
    )
    assert describe_made_for(MadeFor((5.0, 160.0))) == "Made for images with typical nuclei of 5 to 160 px."


@pytest.mark.parametrize("diameters", [[], [20.0, 0.0], [float("nan")], [float("inf")], [-3.0]])
def test_a_model_that_is_made_for_no_size_is_refused(diameters):
    with pytest.raises(ConfigError, match="give the median nucleus diameter of each image"):
        made_for(diameters, [], "")


@pytest.mark.parametrize("diameter_range", [(0.0, 10.0), (10.0, 5.0), (5.0, float("inf")), (float("nan"), 10.0)])
def test_a_range_that_holds_no_size_is_refused(diameter_range):
    with pytest.raises(ConfigError, match="give two positive numbers of pixels"):
        MadeFor(diameter_range)


def test_a_number_of_bits_that_is_not_positive_is_refused():
    with pytest.raises(ConfigError, match="0.* bits; give positive numbers"):
        MadeFor((10.0, 20.0), (8, 0))


@pytest.mark.parametrize(("dtype", "bits"), [("uint8", 8), (">u2", 16), ("int32", 32), ("float32", None)])
def test_bits_are_those_of_whole_numbers(dtype, bits):
    assert bits_of(dtype) == bits


def test_an_image_that_fits_gives_no_warning():
    assert misfits(MadeFor((10.0, 40.0), (8, 16), "fluorescence"), FITTING) == {}


@pytest.mark.parametrize(("diameter", "warned"), [(7.9, True), (8.1, False), (49.9, False), (50.1, True)])
def test_a_diameter_a_quarter_beyond_the_range_gives_a_warning(diameter, warned):
    found = misfits(MadeFor((10.0, 40.0)), replace(FITTING, diameter=diameter))
    assert list(found) == (["diameter_range"] if warned else [])
    if warned:
        assert f"{diameter:.3g} px across, but the model was made for 10 to 40 px" in found["diameter_range"]


def test_an_image_without_nuclei_has_no_size_that_could_be_wrong():
    assert misfits(MadeFor((10.0, 40.0)), replace(FITTING, diameter=float("nan"))) == {}


def test_other_bits_give_a_warning_where_both_are_known():
    sixteen = MadeFor((10.0, 40.0), (16,))
    warning = misfits(sixteen, replace(FITTING, bits=8))["bits"]
    assert "this image has 8 bits, but the model was made for images of 16 bits" in warning
    assert misfits(sixteen, replace(FITTING, bits=None)) == {}
    assert misfits(MadeFor((10.0, 40.0)), replace(FITTING, bits=8)) == {}


def test_dark_nuclei_give_a_warning_where_the_modality_is_known():
    dark = replace(FITTING, dark_nuclei=True)
    wanted = MadeFor((10.0, 40.0), modality="fluorescence")
    warning = misfits(wanted, dark)["modality"]
    assert "seem to be darker" in warning and "made for fluorescence images" in warning and "was inverted" in warning
    assert "is taken as it is" in misfits(wanted, dark, "bright")["modality"]
    assert misfits(MadeFor((10.0, 40.0)), dark) == {}


def test_a_model_that_does_not_say_what_it_was_made_for_warns_of_nothing():
    assert misfits(None, ImageTraits(9000.0, 32, True)) == {}


def test_many_bright_nuclei_are_not_taken_for_bright_ground():
    noise = np.random.default_rng(0).normal(0, 10, (100, 100))
    assert not looks_dark_on_bright(field(nuclei=220, background=40, share=0.5) + noise)


def test_only_pixels_inside_the_mask_say_whether_nuclei_are_dark():
    image = np.hstack([field(40, 220), np.zeros((100, 2000), np.uint8)])
    mask = np.zeros(image.shape, bool)
    assert not looks_dark_on_bright(image, mask)
    mask[:, :100] = True
    assert looks_dark_on_bright(image, mask) and not looks_dark_on_bright(image)


def test_traits_are_those_of_the_image_as_it_was_read():
    assert traits_of(field(40, 220), 12.5) == ImageTraits(12.5, 8, True)
    assert traits_of(field(220, 40).astype(np.float32), 12.5) == ImageTraits(12.5, None, False)


def test_what_a_model_was_made_for_is_kept_in_its_bundle(tiny_bundle):
    wanted = MadeFor((10.0, 40.0), (8,), "brightfield")
    assert read_description(tiny_bundle).made_for is None
    write_description(tiny_bundle, replace(read_description(tiny_bundle), made_for=wanted))
    assert read_bundle(tiny_bundle).description.made_for == wanted


def test_a_bundle_of_an_earlier_version_says_nothing_and_loads(tiny_bundle):
    edit_description(tiny_bundle, made_for=None)
    assert read_description(tiny_bundle).made_for is None


@pytest.mark.parametrize("name", list_bundles())
def test_a_bundled_model_says_what_it_was_made_for(name):
    made = read_description(find_bundle(name)).made_for
    assert (made.bits, made.modality) == ((8, 16), "fluorescence")
    assert made.diameter_range[0] < 6 and made.diameter_range[1] > 100


@pytest.mark.data
def test_real_fluorescence_images_are_never_called_dark_and_stained_tissue_nearly_always(real_images):
    import pandas as pd

    table = pd.read_csv(real_images / "train" / "index.csv").groupby("is_fluorescence").head(40)
    table["dark"] = [looks_dark_on_bright(read_image(real_images / "train" / "images" / f"{n}.png")) for n in table.id]
    assert not table[table.is_fluorescence == 1].dark.any()
    assert table[table.is_fluorescence == 0].dark.mean() > 0.9
