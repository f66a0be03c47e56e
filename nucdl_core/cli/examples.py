"""Examples of every command, which stand at the end of its help."""

from __future__ import annotations

from typing import Dict, Tuple

import click

EXAMPLES: Dict[str, Tuple[str, ...]] = {
    "segment": (
        "nucdl segment images --output found",
        "nucdl segment stack.ome.tif plate.zarr --output found --channel 1 --plane max --overlay --measure",
        "nucdl segment --csv load_data.csv --output plate",
    ),
    "refine": ("nucdl refine --images images --labels found_by_another --output refined --split --add",),
    "convert": (
        "nucdl convert found --output rois --to rois",
        "nucdl convert masks --output labels --from binary --to labels",
    ),
    "evaluate": ("nucdl evaluate --truth annotated --prediction found",),
    "report": (
        "nucdl report --truth annotated --images images --prediction a=found --prediction b=other --output which.html",
    ),
    "screen": ("nucdl screen run pipeline.cppipe --csv load_data.csv --output screen --plugins plugins",),
    "screen plan": ("nucdl screen plan pipeline.cppipe --csv load_data.csv --output screen",),
    "screen run": (
        "nucdl screen run pipeline.cppipe --csv load_data.csv --output screen --plugins plugins",
        "nucdl screen run pipeline.cppipe --csv load_data.csv --output screen --group Plate,Well",
    ),
    "screen resume": ("nucdl screen resume --output screen",),
    "screen status": ("nucdl screen status --output screen",),
    "screen report": ("nucdl screen report --output screen",),
    "screen chunk": ("nucdl screen chunk screen 1",),
    "models": ("nucdl models list",),
    "models list": ("nucdl models list",),
    "models add": ("nucdl models add my_models",),
    "models remove": ("nucdl models remove my_models",),
    "models check": ("nucdl models check nuclei_unet",),
    "train": ("nucdl train --images images --masks annotated --output my_model --max-minutes 60",),
    "adapt": ("nucdl adapt images --output my_adapted",),
    "tune": (
        "nucdl tune --data folder_with_images_and_masks --output my_tuned",
        "nucdl tune --data folder_with_two_annotated_images --output my_outlines --outlines",
    ),
    "study": ("nucdl study laptop --data folder_with_images_and_masks --output study",),
    "simulate": ("nucdl simulate --output example --fields 2 --seed 3",),
    "synthesize": ("nucdl synthesize --images images --masks annotated --output crowds --count 4",),
    "try": (
        "nucdl try images --output page.html",
        "nucdl try images --preprocess none,median3 --threshold auto,0.4 --masks annotated --output page.html",
    ),
    "plugins": ("nucdl plugins install --into-cellprofiler",),
    "plugins install": ("nucdl plugins install --into-cellprofiler", "nucdl plugins install my_plugins"),
    "bundle-offline": ("nucdl bundle-offline for_the_cluster",),
    "demo": ("nucdl demo --output demo_output",),
    "doctor": ("nucdl doctor",),
}
"""By the names of the commands, without ``nucdl``."""


def give_examples(group: click.Group, before: str = "") -> None:
    """Put the examples below the options in the help of a group's commands, and of the commands in these.

    Parameters
    ----------
    group : click.Group
    before : str
        The name of the group, with a blank; "" for that of all.
    """
    for name, command in group.commands.items():
        lines = EXAMPLES.get(before + name, ())
        # The backspace keeps click from putting the lines together.
        command.epilog = "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)]) if lines else None
        if isinstance(command, click.Group):
            give_examples(command, f"{before}{name} ")
