import torch

from nucdl_core.training.loss import unet_loss


def batch():
    targets = torch.zeros(1, 4, 8, 8)
    targets[:, 0, 2:6, 2:6] = 1
    targets[:, 2, 3:5, 3:5] = 1
    targets[:, 3, 2:6, 2:6] = 0.5
    inside = torch.ones(1, 1, 8, 8)
    return {"targets": targets, "gap": torch.zeros(1, 1, 8, 8), "sized": targets[:, :1], "inside": inside}


def perfect():
    maps = batch()["targets"].clone()
    maps[:, :3] = 40 * maps[:, :3] - 20
    return maps


def test_perfect_maps_cost_nothing():
    assert all(float(value) < 1e-4 for value in unet_loss(perfect(), batch()).values())


def test_every_map_counts():
    for channel, term in enumerate(("foreground", "boundary", "distance", "size")):
        maps = perfect()
        maps[:, channel] *= -1
        losses = unet_loss(maps, batch())
        assert losses[term] > 0.1 and losses["total"] > 0.01


def test_a_mistake_in_a_gap_costs_more():
    wrong = perfect()
    wrong[:, 0, 0, 0] = 20
    in_gap = batch()
    in_gap["gap"][0, 0, 0, 0] = 1
    assert unet_loss(wrong, in_gap)["foreground"] > 4 * unet_loss(wrong, batch())["foreground"]


def test_the_size_of_background_is_not_asked():
    maps = perfect()
    maps[:, 3, 0, 0] = 99
    assert float(unet_loss(maps, batch())["size"]) < 1e-6


def test_a_crop_without_nuclei_has_a_finite_loss():
    empty = {key: torch.zeros_like(value) for key, value in batch().items()}
    assert torch.isfinite(unet_loss(torch.zeros(1, 4, 8, 8), empty)["total"])


def test_a_mistake_beyond_the_border_of_the_image_costs_nothing():
    wrong = perfect()
    wrong[:, :3, 0, 0] = 20
    bordered = batch()
    bordered["inside"][0, 0, 0, 0] = 0
    assert float(unet_loss(wrong, batch())["total"]) > 0.1
    assert float(unet_loss(wrong, bordered)["total"]) < 1e-4
