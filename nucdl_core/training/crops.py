"""Random crops for training, each from a seed of its own, so that a resumed run sees the same ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Collection, Dict, List, Sequence, Tuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset

from nucdl_core.arrays import Floats
from nucdl_core.simulate.field import random_config
from nucdl_core.steps.normalize import normalize
from nucdl_core.training.augment import CLASSES, augment_intensity, classes_of, rescale_intensity
from nucdl_core.training.config import TrainConfig
from nucdl_core.training.defocus import defocus, simulate_annotated
from nucdl_core.training.sources import AnnotatedImage, kind_weights, prepare
from nucdl_core.training.superpose import Layers, superpose
from nucdl_core.training.targets import boundary_map, gap_map

Finish = Callable[[Floats, Layers, TrainConfig], Dict[str, Tensor]]


@dataclass(frozen=True)
class CropPlan:
    """Where and how a crop is taken: scale, position in the source, turn, mirror, deformation."""

    scale: float
    centre: Tuple[float, float]
    matrix: NDArray[np.float64]
    elastic: float


def unet_crop(image: Floats, layers: Layers, config: TrainConfig) -> Dict[str, Tensor]:
    """Return image (1, S, S), targets (4, S, S) and three weights (1, S, S) of one crop, all float32."""
    labels = torch.from_numpy(layers.labels.astype(np.float32))
    inside = torch.from_numpy(layers.inside)
    sizes = torch.from_numpy(layers.sizes)
    size = torch.log2(sizes.clamp(min=1) / config.canonical_diameter)
    distance = torch.from_numpy(layers.distance)
    return {
        "image": torch.from_numpy(image)[None],
        "targets": torch.stack([(labels > 0).float(), boundary_map(labels).float(), distance, size]),
        "gap": gap_map(labels)[None].float(),
        "sized": (inside & (sizes > 0))[None].float(),
        "inside": inside[None].float(),
    }


class CropDataset(Dataset[Dict[str, Tensor]]):
    """Crop number ``i`` of a training run, real or simulated, as a dictionary of tensors.

    Parameters
    ----------
    sources : sequence of AnnotatedImage
        The training images.
    config : TrainConfig
    indices : range
        Numbers of the crops; a resumed run starts in the middle.
    finish : callable
        Turns an image and its layers into what a network learns from, as `unet_crop` does.
    """

    def __init__(
        self, sources: Sequence[AnnotatedImage], config: TrainConfig, indices: range, finish: Finish = unet_crop
    ) -> None:
        self.sources = sources
        self.config = config
        self.indices = indices
        self.finish = finish
        self.cumulated = np.cumsum(crop_weights(sources, config.synthetic_share))

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> Dict[str, Tensor]:
        """Return one crop, as `finish` makes it."""
        number = self.indices[position]
        rng = np.random.default_rng([self.config.seed, number % self.config.regions if self.config.regions else number])
        diameter = draw_diameter(rng, self.config)
        if rng.random() < self.config.simulated_share and "simulated" in classes_of(self.config.augmentation):
            source = simulated_source(rng, diameter, self.config.crop_size)
        else:
            choice = int(np.searchsorted(self.cumulated, rng.random() * self.cumulated[-1], side="right"))
            source = self.sources[min(choice, len(self.sources) - 1)]
            if not self.config.rescaled:
                diameter *= source.diameter / self.config.canonical_diameter
        return take_crop(source, diameter, self.config, rng, self.finish)


def crop_weights(sources: Sequence[AnnotatedImage], synthetic_share: float) -> NDArray[np.float64]:
    """Say how often crops are cut from each image; see `sources.kind_weights`.

    Parameters
    ----------
    sources : sequence of AnnotatedImage
    synthetic_share : float
        Of all crops, the share that is cut from synthetic images; without effect where all or none are synthetic.

    Returns
    -------
    float64 array (N,)
        One weight per source.
    """
    weights = kind_weights(sources)
    synthetic = np.array([source.synthetic for source in sources])
    for chosen, share in ((synthetic, synthetic_share), (~synthetic, 1 - synthetic_share)):
        if chosen.any() and not chosen.all():
            weights[chosen] *= share / weights[chosen].sum()
    return weights


def draw_diameter(rng: np.random.Generator, config: TrainConfig) -> float:
    """Draw the typical nucleus diameter of a crop: mostly near the canonical one, often far from it."""
    if "scale" not in classes_of(config.augmentation):
        return config.canonical_diameter
    if rng.random() < config.any_scale_share:
        return float(np.exp(rng.uniform(*np.log(config.diameter_range))))
    return float(config.canonical_diameter * np.exp(rng.normal(0, config.scale_jitter)))


def simulated_source(rng: np.random.Generator, diameter: float, size: int) -> AnnotatedImage:
    """Simulate a field whose nuclei already have about the wanted diameter."""
    field = simulate_annotated(random_config(rng, (size, size), (diameter, diameter)), rng)
    if field.labels.max() > 0:
        return prepare("simulated", field.image, field.labels, simulated=True)
    empty = torch.zeros((1, 1, size, size))
    pyramid = (torch.from_numpy(normalize(field.image))[None, None],)
    return AnnotatedImage("empty", pyramid, empty, empty, empty, torch.zeros(1), diameter, simulated=True)


def take_crop(
    source: AnnotatedImage,
    diameter: float,
    config: TrainConfig,
    rng: np.random.Generator,
    finish: Finish = unet_crop,
) -> Dict[str, Tensor]:
    """Cut a crop in which the source's typical nucleus is `diameter` px across, changed at random."""
    classes = classes_of(config.augmentation)
    layers = cut(source, diameter, config.crop_size, rng, classes)
    if not source.simulated and rng.random() < config.superposed_share and "overlap" in classes:
        layers = superpose(layers, cut(source, diameter, config.crop_size, rng, classes), diameter, rng)
    if source.simulated or rng.random() < config.plain_share:
        image = rescale_intensity(layers.image, rng) if "contrast" in classes else layers.image
    else:
        if "blur" in classes:
            layers = defocus(layers, min(diameter, config.crop_size / 2), rng)
        image = augment_intensity(layers.image, layers.labels, rng, classes)
    return finish(image, layers, config)


def cut(
    source: AnnotatedImage,
    diameter: float,
    size: int,
    rng: np.random.Generator,
    classes: Collection[str] = CLASSES,
) -> Layers:
    """Cut a crop of `size` pixels at a random place, scaled to the given nucleus diameter, turned and deformed."""
    plan = plan_crop(source, diameter, size, rng, classes)
    grid = sampling_grid(plan, source.labels.shape[-2:], size, rng)
    level = int(np.clip(np.floor(np.log2(1 / plan.scale) + 0.3), 0, len(source.pyramid) - 1))
    labels = _sample(source.labels, grid, "nearest") * (_sample(source.foreground, grid, "bilinear") > 0.5)
    return Layers(
        image=_sample(source.pyramid[level], grid, "bilinear").numpy(),
        labels=labels.numpy().astype(np.int32),
        distance=(_sample(source.distance, grid, "bilinear") * (labels > 0)).numpy(),
        sizes=(source.sizes[labels.long()] * plan.scale).numpy(),
        inside=(grid.abs() <= 1).all(dim=-1)[0].numpy(),
    )


def plan_crop(
    source: AnnotatedImage,
    diameter: float,
    size: int,
    rng: np.random.Generator,
    classes: Collection[str] = CLASSES,
) -> CropPlan:
    """Draw where and how to cut; see `CropPlan`. Without "turns" and "deformation" a crop is as in its source."""
    height, width = source.labels.shape[-2:]
    scale = 1.0 if source.simulated else float(np.clip(diameter / source.diameter, 1 / 16, 8))
    undeformed = source.simulated or rng.random() < 0.5
    angle = rng.integers(4) * np.pi / 2 if undeformed else rng.uniform(0, 2 * np.pi)
    stretching = np.ones(2) if undeformed else np.exp(rng.normal(0, 0.08, 2))
    mirror = rng.choice([-1.0, 1.0])
    if "turns" not in classes:
        angle, mirror = 0.0, 1.0
    if "deformation" not in classes:
        undeformed, stretching = True, np.ones(2)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn @ np.diag([stretching[0], stretching[1] * mirror]) / scale
    # The centres from which the crop stays inside the source, or else holds all of it.
    reach = np.abs(matrix).sum(axis=1) * size / 2
    limits = np.sort([reach, np.array([height, width]) - reach], axis=0)
    if source.simulated or rng.random() < 0.5:
        centre = rng.uniform(*limits)
    else:
        centre = np.clip(_pixel_of_a_nucleus(source, rng) + rng.uniform(-size / 4, size / 4, 2) / scale, *limits)
    elastic = 0.0 if undeformed else float(rng.uniform(0, 0.06) * diameter / scale)
    return CropPlan(scale, (float(centre[0]), float(centre[1])), matrix, elastic)


def _pixel_of_a_nucleus(source: AnnotatedImage, rng: np.random.Generator) -> Tuple[int, int]:
    labels = source.labels[0, 0].numpy()
    number = rng.integers(1, len(source.sizes))
    position = int(np.argmax(labels == number))
    return divmod(position, labels.shape[1])


def sampling_grid(plan: CropPlan, shape: Sequence[int], size: int, rng: np.random.Generator) -> Tensor:
    """Give the position in the source of every crop pixel, as `torch.nn.functional.grid_sample` takes it.

    Returns
    -------
    float32 tensor (1, size, size, 2)
        Order (column, row), -1 and 1 at the outer pixel edges.
    """
    axis = torch.arange(size, dtype=torch.float32) - (size - 1) / 2
    rows, cols = torch.meshgrid(axis, axis, indexing="ij")
    matrix = plan.matrix
    source_rows = float(matrix[0, 0]) * rows + float(matrix[0, 1]) * cols + plan.centre[0]
    source_cols = float(matrix[1, 0]) * rows + float(matrix[1, 1]) * cols + plan.centre[1]
    if plan.elastic > 0:
        coarse = torch.from_numpy(rng.normal(0, plan.elastic, (1, 2, 6, 6)).astype(np.float32))
        shift = functional.interpolate(coarse, size=(size, size), mode="bicubic", align_corners=True)[0]
        source_rows, source_cols = source_rows + shift[0], source_cols + shift[1]
    height, width = shape
    return torch.stack([2 * source_cols / width - 1, 2 * source_rows / height - 1], dim=-1)[None]


def _sample(plane: Tensor, grid: Tensor, mode: str) -> Tensor:
    return functional.grid_sample(plane, grid, mode=mode, padding_mode="reflection", align_corners=False)[0, 0]


def collate(crops: List[Dict[str, Tensor]]) -> Dict[str, Tensor]:
    """Stack crops into a batch, images in the memory order that convolutions like best."""
    batch = {key: torch.stack([crop[key] for crop in crops]) for key in crops[0]}
    batch["image"] = batch["image"].contiguous(memory_format=torch.channels_last)
    return batch
