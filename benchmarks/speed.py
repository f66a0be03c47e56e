"""Time of IdentifyNucleiDL beside IdentifyPrimaryObjects, in one process, in turn, on the same images.

    .venv/bin/python benchmarks/speed.py

Images are simulated, 16 bit. Prints medians, ratios and where the time goes, as tables for the documentation.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

import click
import numpy as np
from machine import describe_machine

from nucdl_core.arrays import AnyArray
from nucdl_core.bundle import find_bundle
from nucdl_core.config import DEFAULT_MODEL
from nucdl_core.field import FieldConfig
from nucdl_core.instances import find_instances, mean_inside, transfer
from nucdl_core.labels import largest_component, relabel
from nucdl_core.normalize import normalize
from nucdl_core.predict import load_predictor, pad_to_multiples, resize
from nucdl_core.simulate import simulate_field
from nucdl_core.size import estimate_diameter

PLUGINS = Path(__file__).resolve().parents[1] / "plugins"
# Height, width, number of nuclei, turns.
CASES: Tuple[Tuple[int, int, int, int], ...] = ((520, 696, 200, 9), (1080, 1080, 800, 5), (2160, 2160, 3000, 3))


def make_image(height: int, width: int, nuclei: int) -> AnyArray:
    """Simulate a field whose nuclei are as large as so many usually are."""
    config = FieldConfig(size=(height, width), count=nuclei, diameter=24.0, bits=16)
    return simulate_field(config, np.random.default_rng(1)).image


class Classic:
    """IdentifyPrimaryObjects and IdentifyNucleiDL with their default settings, run on arrays."""

    def __init__(self) -> None:
        import cellprofiler_core.preferences

        cellprofiler_core.preferences.set_headless()
        sys.path.insert(0, str(PLUGINS))
        from cellprofiler.modules.identifyprimaryobjects import IdentifyPrimaryObjects
        from identify_nuclei_dl import IdentifyNucleiDL

        self.modules: Dict[str, Any] = {
            "IdentifyPrimaryObjects": IdentifyPrimaryObjects(),
            "IdentifyNucleiDL": IdentifyNucleiDL(),
        }
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


def compare(modules: Classic, pixels: AnyArray, turns: int) -> Dict[str, Tuple[float, float, int]]:
    """Median wall and processor seconds, and number of nuclei, of both modules, taking turns."""
    times: Dict[str, List[Tuple[float, float]]] = {name: [] for name in modules.modules}
    counts: Dict[str, int] = {}
    for name in modules.modules:
        counts[name] = modules.run(name, pixels)
    for _ in range(turns):
        for name in modules.modules:
            wall, processor = time.perf_counter(), time.process_time()
            modules.run(name, pixels)
            times[name].append((time.perf_counter() - wall, time.process_time() - processor))
    return {
        name: (statistics.median(w for w, _ in pairs), statistics.median(p for _, p in pairs), counts[name])
        for name, pairs in times.items()
    }


def stages(image: AnyArray, turns: int) -> Dict[str, float]:
    """Median milliseconds of each stage of the engine."""
    predictor = load_predictor(find_bundle(DEFAULT_MODEL), "cpu")
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


@click.command()
def main() -> None:
    click.echo(f"{' '.join(sys.argv)}\n{describe_machine()}\n")
    modules = Classic()
    click.echo("| image | nuclei (classic, deep) | classic s | deep s | ratio of wall time | ratio of processor time |")
    click.echo("|---|---|---|---|---|---|")
    parts: Dict[str, Dict[str, float]] = {}
    for height, width, nuclei, turns in CASES:
        image = make_image(height, width, nuclei)
        (wall, processor, count), (deep_wall, deep_processor, deep_count) = compare(
            modules, image.astype(np.float32) / 65535, turns
        ).values()
        name = f"{height} x {width}"
        click.echo(
            f"| {name} | {count}, {deep_count} | {wall:.2f} | {deep_wall:.2f} | {deep_wall / wall:.2f} | "
            f"{deep_processor / processor:.2f} |"
        )
        parts[name] = stages(image, turns)
    click.echo(f"\n| stage, ms | {' | '.join(parts)} |\n|---{'|---' * len(parts)}|")
    for stage in next(iter(parts.values())):
        click.echo(f"| {stage} | {' | '.join(f'{part[stage]:.0f}' for part in parts.values())} |")


if __name__ == "__main__":
    main()
