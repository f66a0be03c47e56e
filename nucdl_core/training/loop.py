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
from torch import nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from nucdl_core.errors import NucDLError
from nucdl_core.model.registry import build_network
from nucdl_core.training.checkpoint import load_checkpoint, save_checkpoint
from nucdl_core.training.config import PARTS, Stage, TrainConfig
from nucdl_core.training.crops import CropDataset, collate
from nucdl_core.training.lessons import Batch, Lesson, lesson_of, start_from
from nucdl_core.training.sources import AnnotatedImage

_LOGGER = logging.getLogger(__name__)
WARM_UP = 200
CHECKPOINT, LOG = "checkpoint.safetensors", "log.jsonl"


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

    Raises
    ------
    BundleError
        If the checkpoint, or the model to start from, is damaged or belongs to another network.
    NucDLError
        If checkpoint or log cannot be written.
    """
    torch.manual_seed(config.seed)
    lesson = lesson_of(config.architecture)
    network = build_network(config.architecture, config.arguments).to(device)
    checkpoint = folder / CHECKPOINT
    if config.initial and not checkpoint.exists():
        start_from(network, config.initial)
    average = copy.deepcopy(network).eval()
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    step = load_checkpoint(checkpoint, network, average, optimizer) if checkpoint.exists() else 0
    losses: List[Dict[str, float]] = []
    began = time.monotonic()
    batches = _batches(config, sources, step, workers, lesson)
    for batch in tqdm(batches, initial=step, total=config.steps, unit="step"):
        # A Mask R-CNN draws at random which of its proposals it learns from.
        torch.manual_seed(config.seed + step)
        set_pace(network, optimizer, config, step)
        batch = {key: value.to(device) for key, value in batch.items()}
        losses.append(_optimize(network, batch, optimizer, lesson))
        step += 1
        update_average(average, network, min(config.averaging, (step + 1) / (step + 10)))
        if step % 50 == 0:
            _log(folder, step, time.monotonic() - began, losses)
            losses.clear()
        if step % config.checkpoint_every == 0 or step == config.steps:
            save_checkpoint(checkpoint, step, network, average, optimizer)
    return checkpoint


def set_pace(network: nn.Module, optimizer: torch.optim.Optimizer, config: TrainConfig, step: int) -> None:
    """Set the learning rate of a step, and which parts of the network learn in it."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(config, step)
    if config.stages:
        first = PARTS.index(stage_of(config, step).trains)
        parts: Dict[str, List[nn.Parameter]] = network.parts()  # type: ignore[operator]
        for name, parameters in parts.items():
            for parameter in parameters:
                parameter.requires_grad_(PARTS.index(name) >= first)


def stage_of(config: TrainConfig, step: int) -> Stage:
    """Return the stage of a configuration with stages that a step belongs to."""
    return next(stage for stage in config.stages if step < stage.until * config.steps)


def learning_rate(config: TrainConfig, step: int) -> float:
    """Rise linearly during the warm-up; then it is that of the stage, or falls to nearly 0 along a half cosine."""
    warm = min(1.0, (step + 1) / WARM_UP)
    if config.stages:
        return stage_of(config, step).learning_rate * warm
    return config.learning_rate * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / config.steps)))


def update_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move the averaged weights, and the batch norm statistics, towards the current ones."""
    with torch.no_grad():
        for kept, current in zip(average.state_dict().values(), network.state_dict().values()):
            if kept.is_floating_point():
                kept.lerp_(current, 1 - decay)
            else:
                kept.copy_(current)


def _optimize(network: nn.Module, batch: Batch, optimizer: torch.optim.Optimizer, lesson: Lesson) -> Dict[str, float]:
    losses = lesson.losses(network.train(), batch)
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(losses["total"])
    nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimizer.step()
    return {key: float(value.detach()) for key, value in losses.items()}


def _batches(
    config: TrainConfig, sources: Sequence[AnnotatedImage], step: int, workers: int, lesson: Lesson
) -> Iterator[Batch]:
    indices = range(step * config.batch, config.steps * config.batch)
    dataset = CropDataset(sources, config, indices, lesson.finish)
    # Forked workers share the prepared images instead of copying them.
    context = "fork" if workers else None
    return iter(
        DataLoader(dataset, config.batch, num_workers=workers, collate_fn=collate, multiprocessing_context=context)
    )


def _log(folder: Path, step: int, seconds: float, losses: List[Dict[str, float]]) -> None:
    means = {key: round(sum(loss[key] for loss in losses) / len(losses), 5) for key in losses[0]}
    line = json.dumps({"step": step, "seconds": round(seconds), **means})
    _LOGGER.info(line)
    path = folder / LOG
    try:
        with path.open("a", encoding="utf-8") as log:
            log.write(line + "\n")
    except OSError as error:
        raise NucDLError(f"{path}: cannot be written ({error.strerror}); check the folder and the disk") from error
