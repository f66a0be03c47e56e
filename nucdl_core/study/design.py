"""What a study compares: networks with their settings, and grids in which one or two things vary."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, Iterator, List, Sequence, Tuple

from nucdl_core.config import from_mapping, require
from nucdl_core.errors import ConfigError
from nucdl_core.study.results import FACTORS
from nucdl_core.training.augment import CLASSES, classes_of
from nucdl_core.training.config import TrainConfig
from nucdl_core.training.recipe import settings_in

STUDY_PRESETS = Path(__file__).parent / "presets"
CHANCE, PRETRAINED = "chance", "pretrained"
# Between kinds that teach together.
JOINED = "+"
LONGEST_NAME = 120
ALL_KINDS, EACH, CUMULATIVE = "all", "each", "cumulative"
# Settings that a study decides, so that a network cannot.
DECIDED = (
    "name",
    "augmentation",
    "rescaled",
    "regions",
    "simulated_share",
    "synthetic_share",
    "initial",
    "seed",
    "validate_every",
    "validation_parts",
    "validation_images",
)
_NOT_IN_NAMES = re.compile(r"[^\w.+-]+")


@dataclass(frozen=True)
class StudyCell:
    """One training of a study.

    Attributes
    ----------
    network : str
        Name of a network of the study.
    start : str
        ``chance``, ``pretrained`` (weights of the encoder, as the network's settings name them), or a model.
    kinds : sequence of str
        Kinds of images that teach; empty takes all.
    images : int
        How many images teach; 0 takes all that may.
    augmentation : str
        See `augment.classes_of`.
    rescaled : bool
        Whether nuclei are brought to one size, see `TrainConfig`.
    cycles : float
        Multiple of the usual number of steps.
    regions : int
        How many different crops; 0 makes each anew.
    simulated : float
        Share of simulated crops.
    artificial : float
        Share of crops of artificial crowds, see `training.artificial`.
    replicate : int
        From 0; each with other images, as far as there are others, and other chance.
    """

    network: str
    start: str = CHANCE
    kinds: Tuple[str, ...] = ()
    images: int = 0
    augmentation: str = "all"
    rescaled: bool = True
    cycles: float = 1.0
    regions: int = 0
    simulated: float = 0.0
    artificial: float = 0.0
    replicate: int = 0

    def __post_init__(self) -> None:
        require(self.images >= 0, f"images is {self.images}; give how many teach, or 0 for all")
        require(self.cycles > 0, f"cycles is {self.cycles}; it must be positive")
        for name in ("simulated", "artificial"):
            require(0 <= getattr(self, name) <= 1, f"{name} is {getattr(self, name)}; it lies in [0, 1]")
        require(
            self.simulated == 0 or "simulated" in classes_of(self.augmentation),
            f"simulated is {self.simulated}, but augmentation is {self.augmentation}, which leaves simulated crops out",
        )

    @property
    def name(self) -> str:
        """What the training is called, which is also its folder: its network, and what is not as usual."""
        parts = [self.network]
        for each in dataclasses.fields(self)[1:-1]:
            value = getattr(self, each.name)
            if value != each.default:
                parts.append(f"{each.name}_{JOINED.join(value) if each.name == 'kinds' else value}")
        full = "-".join([*parts, f"r{self.replicate}"])
        plain = _NOT_IN_NAMES.sub("_", full).lstrip("-")[:LONGEST_NAME]
        # Some disks take "HeLa" and "hela" for one name.
        if plain == full and plain.islower():
            return plain
        return f"{plain}-{hashlib.sha256(full.encode()).hexdigest()[:8]}"


@dataclass(frozen=True)
class StudyDesign:
    """A study, as its configuration file says it.

    Attributes
    ----------
    name : str
        Title of the report.
    networks : dict
        Settings of `TrainConfig` for each network, by the name it is called by; ``architecture`` is needed.
    grids : dict
        For each grid the values of what varies in it, by the names of `FACTORS`. ``network`` takes names of
        `networks`; ``kinds`` also "each" (each alone) and "cumulative" (one more at a time); ``augmentation`` also
        "each" (all but one class, in turn).
    settings : dict
        Settings of all networks, before their own.
    base : dict
        What does not vary in a grid: values by the names of `FACTORS`.
    replicates : int
        How often each training is repeated.
    modality : str
        Of the images, as ``index.csv`` says it; empty takes all.
    most_kinds : int
        So many kinds of images take part, those with the most images; 0 takes all.
    test_images, validation_images : int
        Of each kind at most.
    scored_training_images : int
        How many of the images that taught are scored as well.
    looks : int
        At how many steps the network is looked at on the validation images, with and without views.
    threads : int
        Cores of each training.
    memory_mb, minutes : int
        What a cluster may need to know about a training.
    """

    name: str
    networks: Dict[str, Dict[str, Any]]
    grids: Dict[str, Dict[str, List[Any]]]
    settings: Dict[str, Any] = field(default_factory=dict)
    base: Dict[str, Any] = field(default_factory=dict)
    replicates: int = 1
    modality: str = ""
    most_kinds: int = 0
    test_images: int = 20
    validation_images: int = 4
    scored_training_images: int = 10
    looks: int = 4
    threads: int = 1
    memory_mb: int = 4096
    minutes: int = 240

    def __post_init__(self) -> None:
        for name in ("replicates", "test_images", "validation_images", "looks", "threads", "memory_mb", "minutes"):
            require(getattr(self, name) >= 1, f"{name} is {getattr(self, name)}; it must be at least 1")
        require(bool(self.networks), "there is no network; name at least one in networks")
        require(bool(self.grids), "there is no grid; name at least one in grids")
        self._check_networks()
        self._check_grids()

    def _check_networks(self) -> None:
        for name, settings in {"settings": self.settings, **self.networks}.items():
            decided = sorted(set(settings) & set(DECIDED))
            require(not decided, f"{name}: {', '.join(decided)} is decided by the study; leave it away")
        for name, settings in self.networks.items():
            require("architecture" in settings, f"{name}: which network it is, is missing; give its architecture")
            try:
                self.config(StudyCell(name))
            except ConfigError as error:
                raise ConfigError(f"{name}: {error}") from error

    def _check_grids(self) -> None:
        for grid, factors in {**self.grids, "base": {key: [value] for key, value in self.base.items()}}.items():
            unknown = sorted(set(factors) - set(FACTORS))
            require(not unknown, f"{grid}: {', '.join(unknown)} cannot vary; what can is {', '.join(FACTORS)}")
            for factor, values in factors.items():
                require(bool(values), f"{grid}: there is no value of {factor}; give at least one")
                others = [name for name in values if factor == "network" and name not in self.networks]
                require(not others, f"{grid}: there is no network {', '.join(map(str, others))} in networks")

    def config(self, cell: StudyCell) -> TrainConfig:
        """Return the settings of a training.

        Raises
        ------
        ConfigError
            If one of them cannot be used.
        """
        values = {"checkpoint_every": 50, **self.settings, **self.networks[cell.network]}
        name = "study_" + re.sub(r"\W", "_", cell.name)
        usual = from_mapping(TrainConfig, {"name": name, **values})
        steps = max(1, round(usual.steps * cell.cycles))
        # The last step is one that is looked at.
        every = max(1, steps // self.looks)
        steps -= steps % every
        return dataclasses.replace(
            usual,
            steps=steps,
            validate_every=every,
            augmentation=cell.augmentation,
            rescaled=cell.rescaled,
            regions=cell.regions,
            simulated_share=cell.simulated,
            synthetic_share=cell.artificial,
            seed=usual.seed + cell.replicate,
            initial="" if cell.start in (CHANCE, PRETRAINED) else cell.start,
            pretrained=usual.pretrained if cell.start == PRETRAINED else None,
        )

    def cells(self, kinds: Sequence[str]) -> Dict[str, List[StudyCell]]:
        """Return the trainings of each grid.

        Parameters
        ----------
        kinds : sequence of str
            Kinds of images that there are.
        """
        return {grid: list(self._cells_of(grid, kinds)) for grid in self.grids}

    def _cells_of(self, grid: str, kinds: Sequence[str]) -> Iterator[StudyCell]:
        factors = {**{key: [value] for key, value in self.base.items()}, **self.grids[grid]}
        factors.setdefault("network", list(self.networks))
        values = {name: list(expanded(name, given, kinds)) for name, given in factors.items()}
        for chosen in itertools.product(*values.values(), range(self.replicates)):
            try:
                yield from_mapping(StudyCell, dict(zip((*values, "replicate"), chosen)))
            except ConfigError as error:
                raise ConfigError(f"grid {grid}: {error}") from error


def expanded(factor: str, given: Sequence[Any], kinds: Sequence[str]) -> Iterator[Any]:
    """Spell out what stands for several values of a factor, see `StudyDesign`."""
    for value in given:
        if factor == "kinds" and value == EACH:
            yield from ([kind] for kind in kinds)
        elif factor == "kinds" and value == CUMULATIVE:
            yield from (list(kinds[: count + 1]) for count in range(len(kinds)))
        elif factor == "kinds":
            yield [] if value == ALL_KINDS else [value] if isinstance(value, str) else value
        elif factor == "augmentation" and value == EACH:
            yield from (f"-{name}" for name in CLASSES if name != "simulated")
        else:
            yield value


def read_design(name_or_file: str) -> StudyDesign:
    """Read a preset by its name, or a configuration file.

    Raises
    ------
    ConfigError
        If there is none, or it cannot be used.
    """
    preset = STUDY_PRESETS / f"{name_or_file}.json"
    path = preset if preset.is_file() else Path(name_or_file)
    if not path.is_file():
        known = ", ".join(sorted(each.stem for each in STUDY_PRESETS.glob("*.json")))
        raise ConfigError(f"there is no study {name_or_file!r}; give one of {known}, or a configuration file")
    values = settings_in(path)
    grids = values.get("grids")
    for grid, factors in grids.items() if isinstance(grids, dict) else ():
        for factor, given in factors.items() if isinstance(factors, dict) else ():
            require(isinstance(given, list), f"{path}: grid {grid}: {factor} is {given!r}; a list of values is needed")
    return from_mapping(StudyDesign, values)
