"""What `speed.py` times: modules in one process, stages of the engine, a cold start, and the floor below them."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple

import numpy as np
import torch

from nucdl_core.arrays import AnyArray
from nucdl_core.config import DEFAULT_MODEL
from nucdl_core.labels import largest_component, mean_inside, relabel
from nucdl_core.model.bundle import find_bundle, read_bundle
from nucdl_core.model.loading import load_map_model, make_predictor
from nucdl_core.steps.instances import find_instances, transfer
from nucdl_core.steps.normalize import normalize
from nucdl_core.steps.resampling import pad_to_multiples, resize
from nucdl_core.steps.size import estimate_diameter

PLUGINS = Path(__file__).resolve().parents[1] / "plugins"
CLASSIC = "IdentifyPrimaryObjects"
# IdentifyNucleiDL in each of its presets.
DEEP = {"Fast": "fast", "Balanced": "balanced", "Best": "best"}

# A process that finds nuclei in one image, as the first image of a run does, and prints how long each step took.
COLD_START = """
import time; start = time.perf_counter()
import numpy as np; from nucdl_core.config import SegmentConfig
import torch; imported = time.perf_counter()
from nucdl_core.model.bundle import find_bundle; from nucdl_core.model.loading import load_map_model
load_map_model(find_bundle("nuclei_unet"), "cpu"); loaded = time.perf_counter()
from nucdl_core.segment import segment
segment(np.load(__import__("sys").argv[1]), SegmentConfig(device="cpu")); done = time.perf_counter()
print(imported - start, loaded - imported, done - loaded)
"""


class Times(NamedTuple):
    """Medians over some turns, in seconds, and the number of nuclei that were found."""

    wall: float
    processor: float
    nuclei: int


class Modules:
    """IdentifyPrimaryObjects, and IdentifyNucleiDL in each preset, otherwise with default settings, run on arrays."""

    def __init__(self) -> None:
        import cellprofiler_core.preferences

        cellprofiler_core.preferences.set_headless()
        sys.path.insert(0, str(PLUGINS))
        from cellprofiler.modules.identifyprimaryobjects import IdentifyPrimaryObjects
        from identify_nuclei_dl import IdentifyNucleiDL

        self.modules: Dict[str, Any] = {CLASSIC: IdentifyPrimaryObjects()}
        for preset, name in DEEP.items():
            self.modules[name] = IdentifyNucleiDL()
            self.modules[name].preset.value = preset
        for number, module in enumerate(self.modules.values(), start=1):
            module.set_module_num(number)
            module.x_name.value = "DNA"
            module.y_name.value = f"Nuclei{number}"
            module.show_window = False

    def run(self, name: str, pixels: AnyArray) -> int:
        """Run a module once and return how many nuclei it found."""
        from cellprofiler_core.image import Image, ImageSetList
        from cellprofiler_core.measurement import Measurements
        from cellprofiler_core.object import ObjectSet
        from cellprofiler_core.pipeline import Pipeline
        from cellprofiler_core.workspace import Workspace

        image_sets = ImageSetList()
        image_set = image_sets.get_image_set(0)
        image_set.add("DNA", Image(pixels))
        pipeline = Pipeline()
        module = self.modules[name]
        pipeline.add_module(module)
        objects = ObjectSet()
        module.run(Workspace(pipeline, module, image_set, objects, Measurements(), image_sets))
        return int(objects.get_objects(module.y_name.value).segmented.max())


def take_turns(modules: Modules, names: List[str], pixels: AnyArray, turns: int) -> Dict[str, Times]:
    """Run modules in turn on the same image, after one run of each that does not count."""
    seconds: Dict[str, List[List[float]]] = {name: [] for name in names}
    nuclei = {name: modules.run(name, pixels) for name in names}
    for _ in range(turns):
        for name in names:
            wall, processor = time.perf_counter(), time.process_time()
            modules.run(name, pixels)
            seconds[name].append([time.perf_counter() - wall, time.process_time() - processor])
    return {name: Times(*np.median(seconds[name], axis=0).tolist(), nuclei[name]) for name in names}


def stages(image: AnyArray, turns: int) -> Dict[str, float]:
    """Median milliseconds of each stage of the engine."""
    predictor = load_map_model(find_bundle(DEFAULT_MODEL), "cpu")
    decision, canonical = predictor.description.decision, predictor.description.canonical_diameter
    collected: Dict[str, List[float]] = {}

    def timed(stage: str, call: Callable[..., Any], *arguments: Any) -> Any:
        start = time.perf_counter()
        result = call(*arguments)
        collected.setdefault(stage, []).append(1000 * (time.perf_counter() - start))
        return result

    for _ in range(turns):
        normal = timed("normalize", normalize, image)
        diameter = timed("size estimate", estimate_diameter, normal, canonical, predictor.maps_at) or canonical
        block = predictor.block(canonical / diameter)
        padded = pad_to_multiples(normal, block)
        shape = (padded.shape[0] // block * predictor.stride, padded.shape[1] // block * predictor.stride)
        scaled = timed("rescale", resize, padded, shape)
        maps = timed("network", predictor.maps, scaled)
        labels = timed("instances", find_instances, maps, decision, canonical)
        probability = timed("rescale map", resize, maps.foreground, padded.shape)
        scale = predictor.stride / block
        labels = timed("transfer labels", transfer, labels, probability, decision.foreground, scale)
        labels = timed("clean labels", lambda found: relabel(largest_component(found)), labels)
        timed("scores", mean_inside, probability, labels)
    return {stage: statistics.median(times) for stage, times in collected.items()}


def cold_start(image: Path) -> Dict[str, float]:
    """Seconds that a new process takes to import, to load the model, and to segment an image saved by numpy."""
    printed = subprocess.run(
        [sys.executable, "-c", COLD_START, str(image)], check=True, capture_output=True, text=True
    ).stdout.split()
    return dict(zip(("import", "load the model", "first image"), map(float, printed)))


def network_operations() -> float:
    """Operations of the default network's convolutions per pixel of its input; a multiply-add counts as two."""
    return _per_pixel(lambda layer, _, output: 2 * output[0].numel() * layer.weight[0].numel())  # type: ignore[index]


def network_features() -> float:
    """Numbers that the default network's convolutions read and write per pixel of its input."""
    return _per_pixel(lambda _, given, output: given[0][0].numel() + output[0].numel())


def _per_pixel(cost: Callable[[torch.nn.Conv2d, Any, torch.Tensor], int]) -> float:
    """Sum a cost of each convolution, which gets the layer, what it takes and what it gives, over the pixels."""
    predictor = make_predictor(read_bundle(find_bundle(DEFAULT_MODEL)), "cpu", torch.float32)
    side, counted = 8 * predictor.stride, [0]

    def count(layer: Any, given: Any, output: torch.Tensor) -> None:
        counted[0] += cost(layer, given, output)

    convolutions = [module for module in predictor.network.modules() if isinstance(module, torch.nn.Conv2d)]
    hooks = [module.register_forward_hook(count) for module in convolutions]
    predictor.maps(np.zeros((side, side), np.float32))
    for hook in hooks:
        hook.remove()
    return counted[0] / side**2


def bandwidth(megabytes: int = 256) -> float:
    """Bytes per second that this machine reads and writes when it copies more than its caches hold."""
    source = torch.rand(megabytes * 2**18)
    target = torch.empty_like(source)
    return 2 * megabytes * 2**20 / best_seconds(lambda: target.copy_(source))


def matrix_rate(dtype: torch.dtype, side: int = 2048) -> float:
    """Operations per second of a product of two square matrices on this machine."""
    left, right = torch.rand(side, side), torch.rand(side, side)
    if dtype == torch.qint8:
        packed = torch.ops.quantized.linear_prepack(torch.quantize_per_tensor(right, 1 / 127, 0, torch.qint8), None)
        rounded = torch.quantize_per_tensor(left, 1 / 255, 0, torch.quint8)
        return 2 * side**3 / best_seconds(lambda: torch.ops.quantized.linear(rounded, packed, 1.0, 0))
    left, right = left.to(dtype), right.to(dtype)
    return 2 * side**3 / best_seconds(lambda: left @ right)


def best_seconds(call: Callable[[], Any]) -> float:
    """Seconds of the fastest of ten calls, after one that does not count."""
    call()
    seconds = []
    for _ in range(10):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return min(seconds)
