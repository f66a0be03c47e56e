"""Settings of a training run, as they stand in its configuration file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, Optional, Tuple

from nucdl_core.config import DEFAULT_MODEL, require
from nucdl_core.model.registry import DEFAULT_FAMILY
from nucdl_core.training.augment import ALL_CLASSES, classes_of
from nucdl_core.training.pretrained import PretrainedWeights

PARTS = ("all", "late", "heads")
OPTIMIZERS = ("adamw", "adam", "sgd", "rmsprop")


@dataclass(frozen=True)
class Stage:
    """A part of a training in which some of the network learns and the rest stays as it is.

    Attributes
    ----------
    until : float
        Share of all steps after which it ends.
    learning_rate : float
    trains : str
        What learns: "all", the "late" levels of the encoder and all that follows, or the "heads", without the encoder.
    """

    until: float
    learning_rate: float
    trains: str = "all"

    def __post_init__(self) -> None:
        require(0 < self.until <= 1, f"a stage lasts until {self.until}; it must be a share in (0, 1]")
        require(self.learning_rate > 0, f"the learning rate of a stage is {self.learning_rate}; it must be positive")
        require(self.trains in PARTS, f"a stage trains {self.trains!r}; it must be one of {', '.join(PARTS)}")


@dataclass(frozen=True)
class TrainConfig:
    """How to train a network.

    Attributes
    ----------
    name, description, licence : str
        Of the bundle that comes out, as people see them.
    architecture, arguments : str, dict
        Registered network and its arguments.
    modality : str
        What the model is for, as ``index.csv`` names it; empty takes all. Images of other modalities are learnt
        from as well, with their nuclei made bright, but do not take part in validation.
    canonical_diameter : float
        Nucleus diameter in pixels around which crops are scaled.
    prediction_diameter : float or None
        Nucleus diameter in pixels that images are rescaled to for prediction; None takes the canonical one. A
        smaller one is faster, since the time grows with its square.
    scale_jitter : float
        Standard deviation of the natural logarithm of crop scale around the canonical diameter.
    any_scale_share, diameter_range : float, (float, float)
        Share of crops whose nuclei have any size, and the range of their diameters in pixels.
    rescaled : bool
        Whether images are brought to the scale at which a typical nucleus has the canonical diameter, in crops and in
        use; otherwise they are taken as they are, which is worse and there for comparison.
    simulated_share : float
        Share of simulated crops.
    synthetic_share : float
        Share of the other crops that show artificial images, made of the training images; see
        `artificial.artificial_sources`.
    superposed_share : float
        Share of the other crops over which nuclei of a second crop are laid; see `superpose`.
    plain_share : float
        Share of crops whose intensities stay as they are. They teach where annotators draw the outline of nuclei
        of this sharpness and brightness, which blur and gamma would hide.
    validation_parts : int
        One image of so many is kept for validation; where images have groups, whole groups.
    validation_images : int or None
        Instead of `validation_parts`: how many images are kept for validation, see `split.choose_validation`.
    experiments : dict of str to str
        By the name of a folder of images, where there are several: a regular expression whose first group finds the
        experiment in the name of an image, see `collections.read_collections`.
    sources : sequence of str
        Where the training images are from, each with its licence, as the card of a model to be given away must say.
    augmentation : str
        Which classes of changes training crops undergo, see `augment.classes_of`.
    initial : str
        Name of a bundled model or path of a bundle folder, whose weights the network starts from as far as the two
        have parts of the same name; empty starts from chance.
    pretrained : PretrainedWeights or None
        Weights of the encoder that were trained elsewhere.
    stages : sequence of Stage
        Instead of `learning_rate`: how a network learns in stages, one after the other.
    companion : str
        The model by which one that cannot tell the size of nuclei knows it: a bundled model's name or a path.
    optimizer : str
        One of `OPTIMIZERS`.
    regions : int
        How many different crops there are; after so many the first ones come again. 0 makes each crop anew.
    crop_size, batch, steps, learning_rate, weight_decay, averaging, seed
        The optimization; `averaging` is the decay of the moving average of the weights.
    warm_up : int
        Steps over which the learning rate rises.
    falling : bool
        Whether the learning rate falls to nearly 0 along a half cosine; otherwise it stays, so that a training may end
        at any step.
    validate_every, patience : int
        Steps between two looks at the validation images, and how many looks may pass without a better score before the
        training ends; 0 looks never, or never ends early.
    checkpoint_every : int
        Steps between two checkpoints.
    """

    name: str
    architecture: str = DEFAULT_FAMILY
    arguments: Dict[str, Any] = field(default_factory=dict)
    modality: str = ""
    canonical_diameter: float = 32.0
    prediction_diameter: Optional[float] = None
    scale_jitter: float = 0.4
    any_scale_share: float = 0.3
    diameter_range: Tuple[float, float] = (6.0, 150.0)
    rescaled: bool = True
    simulated_share: float = 0.2
    synthetic_share: float = 0.0
    superposed_share: float = 0.25
    plain_share: float = 0.35
    validation_parts: int = 8
    validation_images: Optional[int] = None
    experiments: Dict[str, str] = field(default_factory=dict)
    sources: Tuple[str, ...] = ()
    augmentation: str = ALL_CLASSES
    initial: str = ""
    pretrained: Optional[PretrainedWeights] = None
    stages: Tuple[Stage, ...] = ()
    companion: str = DEFAULT_MODEL
    optimizer: str = "adamw"
    regions: int = 0
    crop_size: int = 256
    batch: int = 8
    steps: int = 12000
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    averaging: float = 0.999
    warm_up: int = 200
    falling: bool = True
    validate_every: int = 0
    patience: int = 0
    seed: int = 1
    checkpoint_every: int = 250
    description: str = "Nuclei in fluorescence images, of any size and from any laboratory"
    licence: str = "BSD-3-Clause"

    def __post_init__(self) -> None:
        require(self.name.isidentifier(), f"name is {self.name!r}; use letters, digits and underscores")
        for key in ("simulated_share", "synthetic_share", "any_scale_share", "superposed_share", "plain_share"):
            require(0 <= getattr(self, key) <= 1, f"{key} is {getattr(self, key)}; it lies in [0, 1]")
        require(self.validation_parts >= 2, f"validation_parts is {self.validation_parts}; it must be at least 2")
        require(self.canonical_diameter > 0, f"canonical_diameter is {self.canonical_diameter}; it must be positive")
        require(
            self.prediction_diameter is None or self.prediction_diameter > 0,
            f"prediction_diameter is {self.prediction_diameter}; it must be positive",
        )
        for key in ("crop_size", "batch", "steps", "warm_up", "checkpoint_every"):
            require(getattr(self, key) >= 1, f"{key} is {getattr(self, key)}; it must be at least 1")
        for key in ("validate_every", "patience", "seed", "regions"):
            require(getattr(self, key) >= 0, f"{key} is {getattr(self, key)}; it must be 0 or more")
        require(
            self.validation_images is None or self.validation_images >= 1,
            f"validation_images is {self.validation_images}; give at least 1",
        )
        require(
            self.optimizer in OPTIMIZERS,
            f"optimizer is {self.optimizer!r}; it must be one of {', '.join(OPTIMIZERS)}",
        )
        classes_of(self.augmentation)
        smallest, largest = self.diameter_range
        require(
            0 < smallest <= largest,
            f"diameter_range is from {smallest} to {largest}; give the smallest diameter, above 0, and the largest",
        )
        self._check_stages()

    def _check_stages(self) -> None:
        if self.stages:
            ends = [stage.until for stage in self.stages]
            require(
                ends == sorted(ends) and ends[-1] == 1,
                f"the stages last until {ends}; each must end after the one before, the last one at 1",
            )
