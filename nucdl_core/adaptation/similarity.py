"""How similar two images are, learnt from images whose experiments are known: 1 is the same experiment (Hollandi)."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Dict, Sequence, Tuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from nucdl_core.arrays import AnyArray, Doubles
from nucdl_core.errors import ConfigError
from nucdl_core.model.bundle import read_tensors
from nucdl_core.synthesis.appearance import Appearance

SIMILARITY_FILE = Path(__file__).with_name("similarity.safetensors")
HIDDEN, OUTPUTS = 32, 8
# Numbers that differ by factors between experiments are compared by their logarithms, from such a small value on.
LOGARITHMS: Dict[str, float] = {
    "diameter": 1.0,
    "elongation": 1.0,
    "coverage": 0.005,
    "spacing": 0.1,
    "brightest": 0.003,
    "texture": 0.01,
    "blur": 0.2,
    "haze": 0.005,
    "unevenness": 0.01,
    "noise_dark": 0.001,
    "noise_bright": 0.001,
}
PLAIN = ("diameter_spread", "contact", "evenness", "darkest", "background", "brightness_spread", "dome", "grain")
# Values further from the mean than so many standard deviations count as if they were there.
_FARTHEST = 3.0
_STEPS, _PAIRS, _RATE, _DECAY = 1500, 64, 3e-3, 1e-3


def features_of(appearance: Appearance) -> Doubles:
    """Return the numbers by which images are compared, float64 array (19,)."""
    logarithms = [np.log(max(getattr(appearance, name), least)) for name, least in LOGARITHMS.items()]
    return np.array([*logarithms, *(getattr(appearance, name) for name in PLAIN)])


class Similarity(nn.Module):
    """A shallow network: it gives each image a place, and near places mean the same experiment."""

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        count = len(LOGARITHMS) + len(PLAIN)
        self.register_buffer("mean", torch.zeros(count))
        self.register_buffer("deviation", torch.ones(count))
        self.layers = nn.Sequential(nn.Linear(count, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, OUTPUTS))
        self.same = nn.Parameter(torch.tensor(2.0))

    def forward(self, features: Tensor) -> Tensor:
        """Give places: float32 (N, 19) to (N, `OUTPUTS`)."""
        standard = ((features - self.mean) / self.deviation).clamp(-_FARTHEST, _FARTHEST)
        places: Tensor = self.layers(standard)
        return places

    def logits(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the log odds that features (N, 19) are of the same experiment as others; (N,)."""
        return self.same - (self(first) - self(second)).square().sum(dim=1)


def train_similarity(features: Doubles, experiments: Sequence[str], seed: int = 0) -> Similarity:
    """Teach a network which images are of the same experiment.

    Parameters
    ----------
    features : float64 array (N, 19)
        See `features_of`.
    experiments : sequence of str
        Of each image; at least two different ones, one of them with two images.
    seed : int

    Returns
    -------
    Similarity

    Raises
    ------
    ConfigError
        If there are no pairs to learn from.
    """
    names, numbers = np.unique(np.asarray(experiments), return_inverse=True)
    shared = np.flatnonzero(np.bincount(numbers)[numbers] > 1)
    if len(names) < 2 or len(shared) == 0:
        raise ConfigError("similarity needs images of at least two experiments, and two images of one of them")
    torch.manual_seed(seed)
    network, rng = Similarity(), np.random.default_rng(seed)
    values = torch.from_numpy(features.astype(np.float32))
    network.mean.copy_(values.mean(dim=0))
    network.deviation.copy_(values.std(dim=0).clamp(min=1e-3))
    optimizer = torch.optim.AdamW(network.parameters(), _RATE, weight_decay=_DECAY)
    for _ in range(_STEPS):
        first, second = _pairs(numbers, shared, rng)
        same = torch.from_numpy((numbers[first] == numbers[second]).astype(np.float32))
        loss = functional.binary_cross_entropy_with_logits(network.logits(values[first], values[second]), same)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    return network.eval()


def similarity(network: Similarity, first: Appearance, second: Appearance) -> float:
    """Return the probability that two images are of the same experiment, from 0 to 1."""
    one, other = (torch.from_numpy(features_of(each).astype(np.float32))[None] for each in (first, second))
    with torch.no_grad():
        return float(network.logits(one, other).sigmoid()[0])


def places_of(network: Similarity, appearances: Sequence[Appearance]) -> Doubles:
    """Return the place of each image, float64 array (N, `OUTPUTS`)."""
    features = np.stack([features_of(each) for each in appearances])
    with torch.no_grad():
        return network(torch.from_numpy(features.astype(np.float32))).numpy().astype(np.float64)


@functools.lru_cache(maxsize=1)
def bundled_similarity() -> Similarity:
    """Return the network that comes with NucDL; it learnt from the 2018 Data Science Bowl (BBBC038, CC0 1.0)."""
    network = Similarity()
    tensors = read_tensors(SIMILARITY_FILE)
    network.load_state_dict({name: torch.from_numpy(np.asarray(values)) for name, values in tensors.items()})
    return network.eval()


def _pairs(numbers: AnyArray, shared: AnyArray, rng: np.random.Generator) -> Tuple[AnyArray, AnyArray]:
    """Draw pairs of images, half of them of the same experiment, each experiment as often as the others."""
    chosen = np.unique(numbers[shared])
    first, second = [], []
    for same in (True, False):
        for _ in range(_PAIRS // 2):
            experiment = rng.choice(chosen) if same else rng.integers(numbers.max() + 1)
            first.append(rng.choice(np.flatnonzero(numbers == experiment)))
            others = np.flatnonzero((numbers == experiment) == same)
            second.append(rng.choice(others[others != first[-1]]))
    return np.array(first), np.array(second)
