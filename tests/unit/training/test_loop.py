"""Training that is watched: the best state is kept, and it ends when it is time."""

import dataclasses
import json
import math
import multiprocessing
import os
import signal

import numpy as np
import pytest
from drawings import annotated_disks
from safetensors.numpy import load_file

from nucdl_core.model.registry import build_network
from nucdl_core.training.checkpoint import load_finished, looks_in
from nucdl_core.training.config import TrainConfig
from nucdl_core.training.loop import CHECKPOINT, LOG, Watch, learning_rate, train_network

CONFIG = TrainConfig(
    name="tiny",
    arguments={"widths": [4, 8]},
    crop_size=32,
    batch=1,
    steps=12,
    checkpoint_every=50,
    simulated_share=0.0,
    warm_up=1,
    validate_every=2,
    falling=False,
)


def train(folder, scores, seconds=math.inf, **changes):
    """Train while someone gives the scores of a list; return the checkpoint."""
    given = iter(scores)
    folder.mkdir(exist_ok=True)
    watch = Watch(lambda network, step: next(given), start=0.5, seconds=seconds)
    config = dataclasses.replace(CONFIG, **changes)
    return train_network(config, [annotated_disks()], folder, "cpu", workers=0, watch=watch)


def test_the_state_with_the_best_score_becomes_the_model(tmp_path):
    checkpoint = train(tmp_path / "long", [0.1, 0.9, 0.2, 0.3, 0.4, 0.5])
    assert looks_in(checkpoint)[:3] == [(2, 0.1), (4, 0.9), (6, 0.2)]
    best = train(tmp_path / "short", [0.1, 0.9], steps=4)
    networks = [build_network(CONFIG.architecture, CONFIG.arguments) for _ in range(2)]
    for network, path in zip(networks, (checkpoint, best)):
        load_finished(path, network)
    weights = [network.state_dict() for network in networks]
    assert all(np.allclose(weights[0][name], weights[1][name], atol=1e-6) for name in weights[0])


def test_it_ends_when_no_look_was_better_for_a_while(tmp_path):
    checkpoint = train(tmp_path, [0.1, 0.9, 0.2, 0.3, 0.4, 0.5], patience=2)
    assert looks_in(checkpoint)[-1] == (8, 0.3)
    assert int(load_file(checkpoint)["step"]) == 8


def test_one_that_has_ended_early_does_not_go_on(tmp_path):
    train(tmp_path, [0.1, 0.9, 0.2, 0.3], patience=2)
    assert int(load_file(train(tmp_path, [], patience=2))["step"]) == 8


def test_it_ends_when_the_time_is_up_and_is_looked_at_once(tmp_path):
    checkpoint = train(tmp_path, [0.3], seconds=0.0)
    assert looks_in(checkpoint) == [(0, 0.3)]
    later = train(tmp_path, [0.4, 0.5], seconds=math.inf, steps=4)
    assert looks_in(later) == [(0, 0.3), (2, 0.4), (4, 0.5)]


def test_the_log_tells_losses_and_looks(tmp_path):
    train(tmp_path, [0.1, 0.2], steps=4)
    lines = [json.loads(line) for line in (tmp_path / LOG).read_text().splitlines()]
    assert [(line["step"], line["validation"]) for line in lines] == [(2, 0.1), (4, 0.2)]
    assert all(line["total"] > 0 for line in lines)


def test_the_scores_stand_beside_the_progress_bar(tmp_path, capsys):
    train(tmp_path, [0.1, 0.75], steps=4)
    assert "validation mean F1 0.750 (best 0.750), before 0.500" in capsys.readouterr().err


def test_a_learning_rate_that_does_not_fall_rises_and_stays():
    config = dataclasses.replace(CONFIG, warm_up=10, steps=100, learning_rate=1e-3)
    assert learning_rate(config, 0) == pytest.approx(1e-4)
    assert learning_rate(config, 9) == learning_rate(config, 99) == 1e-3


class Killing(list):
    """Sources of which the process is killed, as by a power cut, when they are asked for a crop too many."""

    def __init__(self, crops):
        super().__init__([annotated_disks()])
        self.left = crops

    def __getitem__(self, index):
        self.left -= 1
        if self.left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(index)


def train_until_killed(folder, crops):
    config = dataclasses.replace(CONFIG, steps=20, checkpoint_every=3)
    train_network(config, Killing(crops), folder, "cpu", 0, Watch(lambda network, step: 0.5))


def test_a_training_that_is_killed_gives_the_same_weights_when_it_goes_on(tmp_path):
    folders = [tmp_path / name for name in ("whole", "killed")]
    for folder in folders:
        folder.mkdir()
    context = multiprocessing.get_context("spawn")
    for folder, crops in ((folders[0], 99), (folders[1], 1), (folders[1], 8), (folders[1], 11), (folders[1], 99)):
        process = context.Process(target=train_until_killed, args=(folder, crops))
        process.start()
        process.join()
        assert process.exitcode == (0 if crops == 99 else -signal.SIGKILL)
    expected, found = (load_file(folder / CHECKPOINT) for folder in folders)
    assert int(found["step"]) == 20
    assert set(expected) == set(found)
    assert all(np.array_equal(expected[key], found[key]) for key in expected if key != "seconds")


def test_the_last_steps_are_in_the_log_when_the_time_was_up_before_a_look(tmp_path):
    train(tmp_path, [0.4], seconds=1e-6, validate_every=5)
    lines = [json.loads(line) for line in (tmp_path / LOG).read_text().splitlines()]
    assert [(line["step"], line["validation"]) for line in lines] == [(1, 0.4)]
