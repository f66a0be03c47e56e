"""The model card that goes into a freshly trained bundle, in Markdown."""

from __future__ import annotations

from typing import Any, Collection, Dict, Mapping, Sequence, Union

from nucdl_core.model.bundle import BundleDescription

CARD_TEXT = """# {name}

{description}. Licence: {licence}.

## Use

For images of one fluorescent nuclear stain, nuclei bright on a dark background, one plane, any size and bit depth.
Not for stained tissue sections, brightfield or phase contrast images, whole cells or bacteria: it is not validated on
them.
Images are rescaled so that a typical nucleus is {diameter:g} px across; {estimator} estimates that size.

## Training

{images} annotated images, inverted where their nuclei are dark, and {simulated:.0%} simulated crops; {steps} steps of
{batch} crops of {crop} px, scaled to nuclei of about {canonical:g} px, and for {any_scale:.0%} of the crops to any size
from {smallest:g} to {largest:g} px{initial}.
Over {superposed:.0%} of the annotated crops nuclei of a second one were laid, and {plain:.0%} kept their intensities.
Network: `{architecture}` with the arguments `{arguments}`. All settings are in
`bundle.json`.
{sources}
## Decision

Calibrated on {validation} validation images, which were not trained on, and on simulated fields. Each
laboratory counts the same, and the simulated fields as one: the next laboratory may draw its outlines like any of them.
The simulated fields have no say in the threshold (`foreground`), since they do not show how far out annotators draw.
Numbers leave their usual values only if the gain, of one or of all together, is larger than its standard error.
Chosen: `{decision}`.

| way to part nuclei | best mean F1 on these images, weighted so |
| --- | --- |
{decoders}

## Reached on the validation images, size estimated

| measure | value |
| --- | --- |
{metrics}

A score is the mean over images; `missed`, `merges`, `splits` and the numbers of nuclei are sums.
{kinds}
## Limits

Outlines follow the annotators of the training images, who did not draw alike: other laboratories' outlines may be wider
or tighter. Very dim nuclei are missed and crowded ones merged more often than others. Nuclei that differ very much in
size within one image are found where there are many of each size; single ones may be missed.
"""


OWN_CARD_TEXT = """# {name}

{description}. Licence: {licence}.

## Use

For images like those it was taught with. Images are rescaled so that a typical nucleus is {diameter:g} px across;
{estimator} estimates that size.

## Training

{images} annotated images, inverted where their nuclei are dark{simulated_part}; at most {steps} steps of {batch} crops
of {crop} px, scaled to nuclei of about {canonical:g} px, and for {any_scale:.0%} of the crops to any size from
{smallest:g} to {largest:g} px; begun with {begun}. Of the states that it went through, the one with the best mean F1 on
the validation images was kept.
Network: `{architecture}` with the arguments `{arguments}`. All settings are in `bundle.json`.

## Decision

Begun with a decision that is known to be good; a number leaves its value only if the gain on the {validation}
validation images, which were not trained on, is larger than its standard error: `{decision}`.

## Reached on the validation images, size estimated

| measure | value |
| --- | --- |
{metrics}

A score is the mean over images; `missed`, `merges`, `splits` and the numbers of nuclei are sums. The moment to stop was
chosen on these images, so that new ones are segmented slightly less well.

## Limits

Outlines follow those who annotated these images. On other images it may be worse than the bundled models; it was not
tried.
"""


def own_card(description: BundleDescription) -> str:
    """Write the card of a model that was made of a laboratory's own images; see `model_card`."""
    config, metrics = description.training["config"], description.metrics
    simulated = config["simulated_share"]
    return OWN_CARD_TEXT.format(
        **_shared_facts(description),
        simulated_part=f", and {simulated:.0%} simulated crops" if simulated else "",
        begun=f"the weights of `{config['initial']}`" if config["initial"] else "chance",
        validation=metrics["validation_images"],
        metrics=_rows(metrics["validation"]),
    )


def _shared_facts(description: BundleDescription) -> Dict[str, Any]:
    """Return what both cards say of a model and its training."""
    config = description.training["config"]
    smallest, largest = config["diameter_range"]
    return {
        "name": description.name,
        "description": description.description,
        "licence": description.licence,
        "diameter": description.canonical_diameter,
        "estimator": _estimator(description),
        "images": description.training["images"],
        "steps": config["steps"],
        "batch": config["batch"],
        "crop": config["crop_size"],
        "canonical": config["canonical_diameter"],
        "any_scale": config["any_scale_share"],
        "smallest": smallest,
        "largest": largest,
        "architecture": description.architecture,
        "arguments": description.arguments,
        "decision": description.decision,
    }


def _estimator(description: BundleDescription) -> str:
    companion = description.companion
    return "the model itself" if companion is None else f"the model `{companion.name}`"


def model_card(description: BundleDescription) -> str:
    """Write the card of a calibrated model from its description.

    Parameters
    ----------
    description : BundleDescription
        With training and metrics as `nucdl_core.training.recipe.make_bundle` fills them.

    Returns
    -------
    str
        Markdown.
    """
    config, metrics = description.training["config"], description.metrics
    return CARD_TEXT.format(
        **_shared_facts(description),
        initial=f", beginning with the weights of `{config['initial']}`" if config.get("initial") else "",
        simulated=config["simulated_share"],
        superposed=config["superposed_share"],
        plain=config["plain_share"],
        validation=metrics["validation_images"],
        decoders=_rows(metrics["decoders"]),
        metrics=_rows(metrics["validation"]),
        sources=_sources(config.get("sources", ())),
        kinds=_kinds(metrics.get("kinds", {})),
    )


def _sources(sources: Sequence[str]) -> str:
    """Say where the training images are from, a paragraph."""
    return "".join(["\nThe images are from:\n\n", *(f"* {source}\n" for source in sources)]) if sources else ""


def _kinds(kinds: Mapping[str, Mapping[str, float]]) -> str:
    """Say what was reached on each kind of validation images, a table."""
    if not kinds:
        return ""
    head = "\n| kind | images | mean F1 | F1 at 0.5 | F1 at 0.9 |\n| --- | --- | --- | --- | --- |\n"
    rows = (
        f"| {kind} | {of['images']} | {of['mean_f1']:.3f} | {of['f1_0.50']:.3f} | {of['f1_0.90']:.3f} |\n"
        for kind, of in kinds.items()
    )
    return head + "".join(rows)


TUNED_CARD_TEXT = """# {name}

The model that is described below, with other numbers for the decision and the contour correction: found by a genetic
algorithm on {images} annotated images, judged on {judges} others.

Reached {told}.

* `{decision}`
* `{refinement}`

---

"""

UNTUNED_CARD_TEXT = """# {name}

The model that is described below, with its own numbers: others, found on annotated images, were not clearly better.

The others reached {told}.

---

"""


def tuned_card(description: BundleDescription, card: str, told: str) -> str:
    """Put what `nucdl_core.training.tune` has changed and gained before the card of the model it started from."""
    before = TUNED_CARD_TEXT.format(
        name=description.name,
        decision=description.decision,
        refinement=description.refinement,
        told=told,
        **description.metrics["tuned"],
    )
    return before + card


def untuned_card(description: BundleDescription, card: str, told: str) -> str:
    """Put before the card of a model that tuning was tried and gained nothing that is sure."""
    return UNTUNED_CARD_TEXT.format(name=description.name, told=told) + card


def in_one_line(description: BundleDescription, bundled: Collection[str]) -> str:
    """Say what a model is, was trained on and reached.

    Parameters
    ----------
    description : BundleDescription
    bundled : collection of str
        What the bundled models say of themselves: a model that was trained elsewhere may have taken the sentence over.

    Returns
    -------
    str
    """
    is_copy = description.description in bundled
    parts = ["own model" if is_copy else description.description]
    training, metrics = description.training, description.metrics
    if "tuned" in metrics or "outlines" in metrics or "images" not in training:
        return parts[0]
    parts.append(f"trained on {training['images']} images")
    score = metrics.get("validation", {}).get("mean_f1")
    if score is not None:
        parts.append(f"mean F1 {score:.3f} on {metrics['validation_images']} that it was judged on")
    return "; ".join(parts)


STYLED_CARD_TEXT = """# {name}

The model that is described below, drawing outlines as {images} annotated image{s} {have} them: a pixel belongs to a
nucleus above a probability of {foreground:g}, and outlines are moved outwards by {offset:g} px. {judged}

| | mean F1 | F1 at 0.9 |
| --- | --- | --- |
| as before | {usual[0]:.3f} | {usual[1]:.3f} |
| now | {chosen[0]:.3f} | {chosen[1]:.3f} |

---

"""


def styled_card(description: BundleDescription, card: str) -> str:
    """Put what `nucdl_core.training.tune_outlines` has found before the card of the model that it started from."""
    found = description.metrics["outlines"]
    one = found["images"] == 1
    judged = "These are scores of that image itself:" if one else "Each image is scored by what the others say:"
    return (
        STYLED_CARD_TEXT.format(
            name=description.name,
            foreground=description.decision.foreground,
            offset=description.contour_offset,
            s="" if one else "s",
            have="has" if one else "have",
            judged=judged,
            **found,
        )
        + card
    )


ADAPTED_CARD_TEXT = """# {name}

The model that is described below, taught further with {images} synthetic images which look like those that it was
adapted to: at most {steps} steps of {batch} crops, of which {share:.0%} show synthetic images and the others what it
was made for. Nobody annotated for it, so that nothing is known about how well it does on those images beyond what the
report of the adaptation says. Its decision is that of the model before.

---

"""


def adapted_card(description: BundleDescription, card: str) -> str:
    """Put what an adaptation has changed before the card of the model that it started from."""
    config = description.training["config"]
    told = ADAPTED_CARD_TEXT.format(
        name=description.name,
        images=description.training["images"],
        steps=config["steps"],
        batch=config["batch"],
        share=config["synthetic_share"],
    )
    return told + card


def _rows(values: Mapping[str, Union[int, float]]) -> str:
    texts = {key: str(value) if isinstance(value, int) else f"{value:.3f}" for key, value in values.items()}
    return "\n".join(f"| {key} | {text} |" for key, text in texts.items())
