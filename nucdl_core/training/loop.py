"""The training loop: crops in, checkpoint out; stops and goes on at any step."""

from __future__ import annotations

import copy
import json
import logging
import math
import time
from pathlib import Path
from typing import Dict, Iterator, List, Sequence

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from nucdl_core.models.registry import build_network
from nucdl_core.training.checkpoint import load_checkpoint, save_checkpoint
from nucdl_core.training.config import TrainConfig
from nucdl_core.training.crops import CropDataset, collate
from nucdl_core.training.loss import unet_loss
from nucdl_core.training.sources import AnnotatedImage

LOGGER = logging.getLogger(__name__)
WARM_UP = 200
CHECKPOINT = "checkpoint.safetensors"


def train_network(
    config: TrainConfig, sources: Sequence[AnnotatedImage], folder: Path, device: str, workers: int = 1
) -> Path:
    """Train a network, going on from the checkpoint in `folder` if there is one.

    Parameters
    ----------
    config : TrainConfig
    sources : sequence of AnnotatedImage
        Training images only.
    folder : Path
        Receives the checkpoint and ``log.jsonl``, one line every 50 steps.
    device : str
        "cpu" or "cuda".
    workers : int
        Processes that make crops.

    Returns
    -------
    Path
        The checkpoint.
    """
    torch.manual_seed(config.seed)
    network = build_network(config.architecture, config.arguments).to(device)
    average = copy.deepcopy(network).eval()
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    checkpoint = folder / CHECKPOINT
    step = load_checkpoint(checkpoint, network, average, optimizer) if checkpoint.exists() else 0
    losses: List[Dict[str, float]] = []
    began = time.monotonic()
    for batch in tqdm(_batches(config, sources, step, workers), initial=step, total=config.steps, unit="step"):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(config, step)
        losses.append(_optimize(network, {key: value.to(device) for key, value in batch.items()}, optimizer))
        step += 1
        update_average(average, network, min(config.averaging, (step + 1) / (step + 10)))
        if step % 50 == 0:
            _log(folder, step, time.monotonic() - began, losses)
            losses.clear()
        if step % config.checkpoint_every == 0 or step == config.steps:
            save_checkpoint(checkpoint, step, network, average, optimizer)
    return checkpoint


def learning_rate(config: TrainConfig, step: int) -> float:
    """Rise linearly during the warm-up, then fall to nearly 0 along a half cosine."""
    warm = min(1.0, (step + 1) / WARM_UP)
    return config.learning_rate * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / config.steps)))


def update_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move the averaged weights, and the batch norm statistics, towards the current ones."""
    with torch.no_grad():
        for kept, current in zip(average.state_dict().values(), network.state_dict().values()):
            if kept.is_floating_point():
                kept.lerp_(current, 1 - decay)
            else:
                kept.copy_(current)


def _optimize(network: nn.Module, batch: Dict[str, Tensor], optimizer: torch.optim.Optimizer) -> Dict[str, float]:
    network.train()
    device = batch["image"].device.type
    with torch.autocast(device, dtype=torch.bfloat16):
        maps = network(batch["image"])
    losses = unet_loss(maps.float(), batch)
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(losses["total"])
    nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimizer.step()
    return {key: float(value.detach()) for key, value in losses.items()}


def _batches(
    config: TrainConfig, sources: Sequence[AnnotatedImage], step: int, workers: int
) -> Iterator[Dict[str, Tensor]]:
    indices = range(step * config.batch, config.steps * config.batch)
    dataset = CropDataset(sources, config, indices)
    # Forked workers share the prepared images instead of copying them.
    context = "fork" if workers else None
    return iter(
        DataLoader(dataset, config.batch, num_workers=workers, collate_fn=collate, multiprocessing_context=context)
    )


def _log(folder: Path, step: int, seconds: float, losses: List[Dict[str, float]]) -> None:
    means = {key: round(sum(loss[key] for loss in losses) / len(losses), 5) for key in losses[0]}
    line = json.dumps({"step": step, "seconds": round(seconds), **means})
    LOGGER.info(line)
    with open(folder / "log.jsonl", "a", encoding="utf-8") as log:
        log.write(line + "\n")
