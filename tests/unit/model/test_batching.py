"""Network calls of several threads, computed together in an order that no thread decides."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import numpy as np
import pytest

from nucdl_core.model import batching as together
from nucdl_core.model.batching import Group
from nucdl_core.model.loading import load_map_model, load_model
from nucdl_core.steps.views import VIEW_SETS


class FakeRunner:
    """Adds 1 to each image and remembers what came together; memory suffices for `most` images."""

    device = "cpu"

    def __init__(self, most=100, error=None):
        self.network, self.most, self.error, self.calls = object(), most, error, []

    def compute(self, images):
        self.calls.append([int(image[0, 0]) for image in images])
        if self.error is not None:
            raise self.error
        if len(images) > self.most:
            raise MemoryError("not enough memory")
        return np.stack(images) + 1


def image(value, shape=(2, 3)):
    return np.full(shape, value, np.float32)


def run_members(runner, *steps):
    """Let members call the network one after the other with the images that their lists hold; return their results."""
    group = Group(len(steps), nullcontext())

    def do(member):
        gate = group.gate(member)
        try:
            return [[int(one[0, 0]) for one in gate(runner, images)] for images in steps[member]]
        finally:
            group.leave()

    with ThreadPoolExecutor(len(steps)) as pool:
        futures = [pool.submit(do, member) for member in reversed(range(len(steps)))]
        return [future.exception() or future.result() for future in reversed(futures)]


def test_calls_of_one_shape_are_computed_together_in_the_order_of_the_members():
    runner = FakeRunner()
    results = run_members(runner, [[image(1), image(2)]], [[image(3)]], [[image(4)]])
    assert runner.calls == [[1, 2, 3, 4]]
    assert results == [[[2, 3]], [[4]], [[5]]]


def test_other_shapes_and_other_networks_are_computed_alone():
    runner = FakeRunner()
    results = run_members(runner, [[image(1)]], [[image(2, (4, 4))]], [[image(3)]])
    assert sorted(runner.calls) == [[1, 3], [2]]
    assert results == [[[2]], [[3]], [[4]]]
    calls = [together._Call(number, FakeRunner(), [image(number)]) for number in range(2)]
    assert [len(batch) for batch in together.batches(calls)] == [1, 1]


def test_a_member_that_is_done_holds_up_nobody():
    runner = FakeRunner()
    results = run_members(runner, [], [[image(1)], [image(2)], [image(3)]], [[image(4)], [image(5)]])
    assert runner.calls == [[1, 4], [2, 5], [3]]
    assert results == [[], [[2], [3], [4]], [[5], [6]]]


def test_where_memory_does_not_suffice_for_all_each_is_computed_alone():
    runner = FakeRunner(most=1)
    assert run_members(runner, [[image(1)]], [[image(2)]]) == [[[2]], [[3]]]
    assert runner.calls == [[1, 2], [1], [2]]


def test_where_memory_does_not_suffice_for_one_it_alone_gets_the_error():
    runner = FakeRunner(most=1)
    first, second = run_members(runner, [[image(1), image(2)]], [[image(3)]])
    assert isinstance(first, MemoryError)
    assert second == [[4]]


def test_an_error_of_the_network_reaches_every_member():
    errors = run_members(FakeRunner(error=RuntimeError("CUDA error")), [[image(1)]], [[image(2)]])
    assert [str(error) for error in errors] == ["CUDA error"] * 2
    errors = run_members(FakeRunner(error=TypeError("a bug")), [[image(1)]], [[image(2)]])
    assert sorted(str(error) for error in errors) == ["a bug", "the network failed at another image of the group"]


def test_a_batch_has_a_limit_of_pixels(monkeypatch):
    monkeypatch.setattr(together, "MOST_PIXELS", 12)
    runner = FakeRunner()
    run_members(runner, [[image(1)]], [[image(2)]], [[image(3)]], [[image(4), image(5), image(6)]])
    assert runner.calls == [[1, 2], [3], [4, 5, 6]]


def test_the_turn_is_held_while_a_network_runs_and_not_after():
    turn, held = threading.Lock(), []
    runner = FakeRunner()
    runner.compute = lambda images: held.append(turn.locked()) or images
    Group(1, turn).gate(0)(runner, [image(1)])
    assert (held, turn.locked()) == ([True], False)


@pytest.mark.parametrize("views", [1, 2])
def test_a_predictor_gives_the_same_maps_through_a_gate(tiny_bundle, views):
    predictor = load_map_model(tiny_bundle, "cpu")
    images = [np.random.default_rng(seed).random((40, 52), np.float32) for seed in range(3)]
    chosen = VIEW_SETS["flips"][:views]
    alone = [predictor.predict(one, 24.0, chosen).probability for one in images]
    group = Group(3, nullcontext())
    with ThreadPoolExecutor(3) as pool:
        members = [predictor.through(group.gate(number)) for number in range(3)]
        found = list(pool.map(lambda member, one: member.predict(one, 24.0, chosen).probability, members, images))
    np.testing.assert_allclose(found, alone, atol=0.02)
    assert all(member.size_model is member for member in members)


def test_a_mask_rcnn_asks_the_gate_for_its_companion_too(tiny_instance_bundle):
    asked = []

    def gate(runner, images):
        asked.append(type(runner).__name__)
        return runner.compute(images)

    predictor = load_model(tiny_instance_bundle, "cpu").through(gate)
    picture = np.zeros((32, 32), np.float32)
    predictor.predict(picture, 32.0, VIEW_SETS["none"])
    predictor.size_model.maps(picture)
    assert asked == ["InstancePredictor", "MapPredictor"]
