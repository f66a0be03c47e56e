"""Images for given nuclei: a pix2pix that is taught with a few pairs."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Sequence, Tuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from nucdl_core.adaptation.pix2pix import GENERATOR_STEP, Pix2Pix
from nucdl_core.arrays import Floats
from nucdl_core.config import require
from nucdl_core.training.checkpoint import TrainingState, load_checkpoint, save_checkpoint
from nucdl_core.training.lessons import in_fast_format
from nucdl_core.training.loop import CHECKPOINT, Clock, LossLog

CROP = 256
"""Pixels of the crops that it learns from (Kromp et al., Hollandi et al.)."""


@dataclass(frozen=True)
class TranslationConfig:
    """How a pix2pix is taught; the numbers are those of Kromp et al. and of Isola et al., but for the width.

    Attributes
    ----------
    epochs : int
        How often it sees each part of the images.
    learning_rate : float
        Of Adam; in the second half it falls to 0.
    faithfulness : float
        By how much the mean difference between its image and the real one weighs more than what the discriminator says.
    width : int
        See `pix2pix.Pix2Pix`; with 32 a step takes about a fifth of the time that it takes with the original's 64.
    seed : int
    checkpoint_every : int
        Steps between two checkpoints.
    seconds : float
        How long it may take.
    """

    epochs: int = 130
    learning_rate: float = 2e-4
    faithfulness: float = 100.0
    width: int = 32
    seed: int = 1
    checkpoint_every: int = 200
    seconds: float = math.inf

    def __post_init__(self) -> None:
        for name in ("epochs", "width", "checkpoint_every"):
            require(getattr(self, name) >= 1, f"{name} is {getattr(self, name)}; it must be at least 1")
        for name in ("learning_rate", "faithfulness", "seconds"):
            require(getattr(self, name) > 0, f"{name} is {getattr(self, name)}; it must be positive")


@dataclass(frozen=True)
class Pair:
    """What is turned into an image, and the image.

    Attributes
    ----------
    maps : float32 array (C, H, W)
        In [-1, 1].
    image : float32 array (H, W)
        In [-1, 1].
    """

    maps: Floats
    image: Floats


def train_translation(config: TranslationConfig, pairs: Sequence[Pair], folder: Path, device: str) -> nn.Module:
    """Teach a pix2pix, going on from the checkpoint in `folder` if there is one.

    Parameters
    ----------
    config : TranslationConfig
    pairs : sequence of Pair
        At least one, with the same number of maps.
    folder : Path
        An existing one; receives the checkpoint and the log.
    device : str
        "cpu" or "cuda".

    Returns
    -------
    nn.Module
        The generator, on the CPU.

    Raises
    ------
    BundleError
        If the checkpoint is damaged or belongs to another network.
    NucDLError
        If checkpoint or log cannot be written.
    """
    torch.manual_seed(config.seed)
    network = Pix2Pix(len(pairs[0].maps), config.width).to(device)
    optimizer = torch.optim.Adam(network.parameters(), config.learning_rate, betas=(0.5, 0.999))
    # Its images are the better the longer it learns: there is no average, and nothing to choose between.
    state = TrainingState(network, nn.Module(), optimizer)
    checkpoint, losses, steps = folder / CHECKPOINT, LossLog(folder), steps_of(config, pairs)
    if checkpoint.exists():
        load_checkpoint(checkpoint, state)
    clock = Clock(state.seconds)
    with tqdm(desc=folder.name, initial=state.step, total=steps, unit="step", disable=None) as bar:
        while state.step < steps and state.seconds < config.seconds:
            torch.manual_seed(config.seed + state.step)
            optimizer.param_groups[0]["lr"] = config.learning_rate * min(1.0, 2 * (1 - state.step / steps))
            maps, image = crop_of(pairs, config.seed, state.step)
            losses.add(_learn(network, optimizer, maps.to(device), image.to(device), config.faithfulness))
            state.step += 1
            state.seconds = clock.seconds()
            bar.update()
            if state.step % 50 == 0:
                losses.write(state)
            if state.step % config.checkpoint_every == 0:
                save_checkpoint(checkpoint, state)
    save_checkpoint(checkpoint, state)
    losses.finish(state)
    return copy.deepcopy(network.generator).cpu()


def steps_of(config: TranslationConfig, pairs: Sequence[Pair]) -> int:
    """Return how many crops are learnt from: `epochs` times as many as the images hold."""
    crops = sum(max(1, round(pair.image.size / CROP**2)) for pair in pairs)
    return config.epochs * crops


def crop_of(pairs: Sequence[Pair], seed: int, step: int) -> Tuple[Tensor, Tensor]:
    """Cut a crop of `CROP` pixels at a chance place of a chance image, mirrored and turned by quarters.

    Returns
    -------
    maps, image : float32 tensors (1, C, CROP, CROP), (1, 1, CROP, CROP)
    """
    rng = np.random.default_rng([seed, step])
    sizes = np.array([pair.image.size for pair in pairs], np.float64)
    pair = pairs[rng.choice(len(pairs), p=sizes / sizes.sum())]
    stack = np.concatenate([pair.maps, pair.image[None]])
    missing = [max(0, CROP - side) for side in stack.shape[1:]]
    stack = np.pad(stack, ((0, 0), (0, missing[0]), (0, missing[1])), mode="symmetric")
    top, left = (int(rng.integers(side - CROP + 1)) for side in stack.shape[1:])
    part = np.rot90(stack[:, top : top + CROP, left : left + CROP], int(rng.integers(4)), axes=(1, 2))
    part = part[:, ::-1] if rng.random() < 0.5 else part
    tensor = torch.from_numpy(np.ascontiguousarray(part))[None]
    return tensor[:, :-1], tensor[:, -1:]


def translate(generator: nn.Module, maps: Floats, rng: np.random.Generator) -> Floats:
    """Turn maps into an image, as a pix2pix learnt it.

    Parameters
    ----------
    generator : nn.Module
        As `train_translation` returns it.
    maps : float32 array (C, H, W)
        In [-1, 1].
    rng : numpy.random.Generator
        Chooses what the generator forgets, its only source of chance.

    Returns
    -------
    float32 array (H, W)
        In [-1, 1].
    """
    torch.manual_seed(int(rng.integers(2**31)))
    height, width = maps.shape[1:]
    padded = np.pad(maps, ((0, 0), (0, -height % GENERATOR_STEP), (0, -width % GENERATOR_STEP)), mode="symmetric")
    with torch.no_grad(), in_fast_format("cpu"):
        image = generator.train()(torch.from_numpy(padded)[None])
    made: Floats = image[0, 0, :height, :width].float().numpy()
    return made


def _learn(
    network: Pix2Pix, optimizer: torch.optim.Optimizer, maps: Tensor, image: Tensor, faithfulness: float
) -> Dict[str, float]:
    """Let the discriminator learn from a real image and one that was made, then the generator from what it says."""
    discriminator = network.discriminator
    with in_fast_format(maps.device.type):
        made = network.generator(maps)
        real, false = discriminator(maps, image), discriminator(maps, made.detach())
    telling = 0.5 * (_is(real, 1.0) + _is(false, 0.0))
    _step(optimizer, telling)
    # The discriminator has no gradients in this half, so that the optimizer leaves it as it is.
    discriminator.requires_grad_(False)
    with in_fast_format(maps.device.type):
        judged = discriminator(maps, made)
    deceiving, apart = _is(judged, 1.0), functional.l1_loss(made.float(), image)
    total = deceiving + faithfulness * apart
    _step(optimizer, total)
    discriminator.requires_grad_(True)
    return {
        "total": float(total.detach()),
        "discriminator": float(telling.detach()),
        "generator": float(deceiving.detach()),
        "difference": float(apart.detach()),
    }


def _is(logits: Tensor, wanted: float) -> Tensor:
    logits = logits.float()
    return functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, wanted))


def _step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    optimizer.step()
