"""What a model's card says."""

from dataclasses import replace

from nucdl_core.model.bundle import find_bundle, read_card, read_description
from nucdl_core.model.card import model_card


def test_a_card_names_the_sources_of_the_images_and_what_each_kind_reached():
    bundled = read_description(find_bundle("nuclei_unet"))
    config = {**bundled.training["config"], "sources": ["somebody, CC0 1.0", "somebody else, MIT"]}
    reached = {"tissue": {"images": 6, "mean_f1": 0.4, "f1_0.50": 0.75, "f1_0.90": 0.1234}}
    card = model_card(
        replace(
            bundled,
            training={**bundled.training, "config": config},
            metrics={**bundled.metrics, "kinds": reached},
        )
    )
    assert "\nThe images are from:\n\n* somebody, CC0 1.0\n* somebody else, MIT\n\n## Decision" in card
    assert "| kind | images | mean F1 | F1 at 0.5 | F1 at 0.9 |\n" in card
    assert "| tissue | 6 | 0.400 | 0.750 | 0.123 |\n\n## Limits" in card


def test_a_card_without_sources_and_kinds_has_no_empty_parts():
    card = model_card(read_description(find_bundle("nuclei_unet")))
    assert "The images are from" not in card and "| kind |" not in card
    assert "\n\n\n" not in card
    assert card.split("## Limits")[1] == read_card(find_bundle("nuclei_unet")).split("## Limits")[1]
