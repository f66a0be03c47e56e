"""The training loop: crops in, checkpoint out; stops and goes on at any step."""

from __future__ import annotations

import copy
import json
import logging
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence

import torch
from torch import nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from nucdl_core.errors import NucDLError
from nucdl_core.model.registry import build_network
from nucdl_core.training.checkpoint import TrainingState, load_checkpoint, save_checkpoint
from nucdl_core.training.config import PARTS, Stage, TrainConfig
from nucdl_core.training.crops import CropDataset, collate
from nucdl_core.training.lessons import Batch, Lesson, lesson_of, start_from
from nucdl_core.training.pretrained import give_pretrained
from nucdl_core.training.sources import AnnotatedImage

_LOGGER = logging.getLogger(__name__)
CHECKPOINT, LOG = "checkpoint.safetensors", "log.jsonl"
MOMENTUM = 0.9


@dataclass(frozen=True)
class Watch:
    """Who looks at a network while it learns, and when it must end.

    Attributes
    ----------
    score : callable
        Takes a network and how many steps it has learnt, and returns its score on the validation images; it must not
        change the network.
    start : float
        Score of the starting model, to show beside it.
    seconds : float
        How long the training may take.
    """

    score: Callable[[nn.Module, int], float]
    start: float = math.nan
    seconds: float = math.inf


def train_network(
    config: TrainConfig,
    sources: Sequence[AnnotatedImage],
    folder: Path,
    device: str,
    workers: int = 1,
    watch: Optional[Watch] = None,
) -> Path:
    """Train a network, going on from the checkpoint in `folder` if there is one.

    Parameters
    ----------
    config : TrainConfig
    sources : sequence of AnnotatedImage
        Training images only.
    folder : Path
        Receives the checkpoint and ``log.jsonl``, one line every 50 steps and at each look at the validation images.
    device : str
        "cpu" or "cuda".
    workers : int
        Processes that make crops.
    watch : Watch, optional
        Looks at the validation images every `TrainConfig.validate_every` steps; the weights of the best look are kept.

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
    checkpoint, lesson = folder / CHECKPOINT, lesson_of(config.architecture)
    state = begin(config, checkpoint, device)
    clock, losses = Clock(state.seconds), LossLog(folder)
    with tqdm(desc=folder.name, initial=state.step, total=config.steps, unit="step") as bar:
        _show(bar, state, watch)
        for batch in _batches(config, sources, state.step, workers, lesson):
            if _is_over(config, state, watch):
                break
            # A Mask R-CNN draws at random which of its proposals it learns from.
            torch.manual_seed(config.seed + state.step)
            set_pace(state.network, state.optimizer, config, state.step)
            losses.add(_optimize(state, {key: value.to(device) for key, value in batch.items()}, lesson))
            state.step += 1
            update_average(state.average, state.network, min(config.averaging, (state.step + 1) / (state.step + 10)))
            bar.update()
            looks = config.validate_every > 0 and state.step % config.validate_every == 0
            if looks and watch is not None:
                state.look(watch.score(state.average, state.step))
                _show(bar, state, watch)
            state.seconds = clock.seconds()
            if looks or state.step % 50 == 0:
                losses.write(state)
            if looks or state.step % config.checkpoint_every == 0 or state.step == config.steps:
                save_checkpoint(checkpoint, state)
    if watch is not None and not state.looks:
        state.look(watch.score(state.average, state.step))
        save_checkpoint(checkpoint, state)
    losses.finish(state)
    return checkpoint


def begin(config: TrainConfig, checkpoint: Path, device: str) -> TrainingState:
    """Make a network that has learnt nothing, or what it starts from, or go on from a checkpoint that is there.

    Raises
    ------
    BundleError
        If the checkpoint, or the model to start from, is damaged or belongs to another network.
    """
    torch.manual_seed(config.seed)
    network = build_network(config.architecture, config.arguments).to(device)
    if not checkpoint.exists():
        if config.pretrained is not None:
            left = give_pretrained(network, config.pretrained)
            _LOGGER.info("%s: not taken: %s", config.pretrained.file, ", ".join(left) or "none")
        if config.initial:
            start_from(network, config.initial)
    optimizer = make_optimizer(config, network)
    state = TrainingState(network, copy.deepcopy(network).eval(), optimizer)
    if checkpoint.exists():
        load_checkpoint(checkpoint, state)
    return state


def make_optimizer(config: TrainConfig, network: nn.Module) -> torch.optim.Optimizer:
    """Make the optimizer that a configuration names, with a momentum of 0.9 where it takes one."""
    parameters, rate, decay = network.parameters(), config.learning_rate, config.weight_decay
    if config.optimizer == "sgd":
        return torch.optim.SGD(parameters, rate, momentum=MOMENTUM, weight_decay=decay)
    if config.optimizer == "rmsprop":
        return torch.optim.RMSprop(parameters, rate, weight_decay=decay)
    if config.optimizer == "adam":
        return torch.optim.Adam(parameters, rate, weight_decay=decay)
    return torch.optim.AdamW(parameters, rate, weight_decay=decay)


def _is_over(config: TrainConfig, state: TrainingState, watch: Optional[Watch]) -> bool:
    """Tell whether the time is up, or `TrainConfig.patience` looks went by without a better score."""
    if watch is None:
        return False
    tired = False
    if config.patience and state.looks:
        tired = state.step - state.best_look[0] >= config.patience * config.validate_every
    return tired or state.seconds >= watch.seconds


class Clock:
    """Seconds of a training, those before an interruption included.

    Parameters
    ----------
    before : float
        Seconds before the interruption.
    """

    def __init__(self, before: float) -> None:
        self._start = time.monotonic() - before

    def seconds(self) -> float:
        """Return the seconds so far."""
        return time.monotonic() - self._start


def _show(bar: Any, state: TrainingState, watch: Optional[Watch]) -> None:
    """Show the scores beside the progress bar."""
    if watch is None:
        return
    own = f"{state.looks[-1][1]:.3f} (best {state.best_look[1]:.3f})" if state.looks else "not yet known"
    before = "" if math.isnan(watch.start) else f", before {watch.start:.3f}"
    bar.set_postfix_str(f"validation mean F1 {own}{before}")


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
    """Rise linearly during the warm-up; then be that of the stage, stay, or fall to nearly 0 along a half cosine."""
    warm = min(1.0, (step + 1) / config.warm_up)
    if config.stages:
        return stage_of(config, step).learning_rate * warm
    if not config.falling:
        return config.learning_rate * warm
    return config.learning_rate * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / config.steps)))


def update_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move the averaged weights, and the batch norm statistics, towards the current ones."""
    with torch.no_grad():
        for kept, current in zip(average.state_dict().values(), network.state_dict().values()):
            if kept.is_floating_point():
                kept.lerp_(current, 1 - decay)
            else:
                kept.copy_(current)


def _optimize(state: TrainingState, batch: Batch, lesson: Lesson) -> Dict[str, float]:
    losses = lesson.losses(state.network.train(), batch)
    state.optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(losses["total"])
    nn.utils.clip_grad_norm_(state.network.parameters(), 1.0)
    state.optimizer.step()
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


class LossLog:
    """The losses since the last line of the log.

    Parameters
    ----------
    folder : Path
        Of the training; its log is ``log.jsonl``.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOG
        self._losses: List[Dict[str, float]] = []

    def add(self, losses: Dict[str, float]) -> None:
        """Remember the losses of a step."""
        self._losses.append(losses)

    def finish(self, state: TrainingState) -> None:
        """Append a line for the steps since the last one, if there were any; see `write`."""
        if self._losses:
            self.write(state)

    def write(self, state: TrainingState) -> None:
        """Append a line with their means, and with the score of a look at this step.

        Raises
        ------
        NucDLError
            If the log cannot be written.
        """
        values: Dict[str, float] = {"step": state.step, "seconds": round(state.seconds)}
        for key in self._losses[0]:
            values[key] = round(sum(loss[key] for loss in self._losses) / len(self._losses), 5)
        if state.looks and state.looks[-1][0] == state.step:
            values["validation"] = round(state.looks[-1][1], 5)
        self._losses.clear()
        _LOGGER.info(json.dumps(values))
        try:
            with self._path.open("a", encoding="utf-8") as log:
                log.write(json.dumps(values) + "\n")
        except OSError as error:
            raise NucDLError(
                f"{self._path}: cannot be written ({error.strerror}); check the folder and the disk"
            ) from error
