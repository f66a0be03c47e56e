"""The networks of pix2pix."""

import pytest
import torch

from nucdl_core.adaptation.pix2pix import GENERATOR_STEP, Discriminator, Generator, Pix2Pix


@pytest.mark.parametrize("shape", [(GENERATOR_STEP, GENERATOR_STEP), (2 * GENERATOR_STEP, 3 * GENERATOR_STEP)])
def test_the_generator_gives_an_image_of_the_size_of_its_maps(shape):
    image = Generator(2, 4)(torch.zeros(1, 2, *shape))
    assert image.shape == (1, 1, *shape)
    assert image.abs().max() <= 1


def test_the_discriminator_sees_patches_of_70_px():
    discriminator = Discriminator(2, 4).eval()
    maps, image = torch.zeros(1, 1, 128, 128), torch.zeros(1, 1, 128, 128, requires_grad=True)
    # Norms see the whole image; without them a logit depends on its patch alone.
    for layer in discriminator.modules():
        if isinstance(layer, torch.nn.InstanceNorm2d):
            layer.forward = lambda values: values
    logits = discriminator(maps, image)
    logits[0, 0, 7, 7].backward()
    rows = torch.nonzero(image.grad[0, 0].abs().sum(dim=1))
    assert rows.max() - rows.min() + 1 == 70


def test_the_width_of_the_original_has_its_number_of_levels_and_grows_eightfold_at_most():
    generator = Pix2Pix(1, 64).generator
    first = [next(layer for layer in down.modules() if hasattr(layer, "out_channels")) for down in generator.down]
    assert [layer.out_channels for layer in first] == [64, 128, 256, 512, 512, 512]


def test_what_the_generator_forgets_changes_its_image():
    generator, maps = Generator(1, 8).train(), torch.rand(1, 1, GENERATOR_STEP * 2, GENERATOR_STEP * 2)
    torch.manual_seed(0)
    first = generator(maps)
    torch.manual_seed(1)
    assert not torch.equal(first, generator(maps))
