"""The two sentences at the top of a report."""

import pandas as pd
import pytest

from nucdl_core.reports.methods import Evaluation
from nucdl_core.reports.plain_verdict import few_images_note, plain_verdict


def evaluation(means, images, p_value=0.001, turned=False):
    """Methods with these mean F1, compared with each other in one direction or the other."""
    rows = [
        {"method": name, "category": "all", "value": "all", "images": images, "n_truth": 500, "mean_f1": mean,
         "missed_0.70": 20, "merges": 40, "splits": 3}
        for name, mean in means.items()
    ]  # fmt: skip
    pairs = [(a, b) for a in means for b in means if (a > b if turned else a < b)]
    compared = [
        {"category": "all", "value": "all", "score": "mean_f1", "method": a, "other": b, "better": 12, "worse": 3,
         "difference": means[a] - means[b], "low": means[a] - means[b] - 0.01, "high": means[a] - means[b] + 0.01,
         "p_holm": p_value}
        for a, b in pairs
    ]  # fmt: skip
    scores = pd.DataFrame({"method": list(means), "image": "a"})
    return Evaluation(scores, pd.DataFrame(rows), pd.DataFrame(compared))


def test_the_better_method_is_named_with_what_speaks_for_it():
    said = plain_verdict(evaluation({"a": 0.7, "b": 0.6}, 15))
    assert said.startswith("a is better than b on these 15 images: mean F1 0.700 against 0.600, higher on 12 of them.")
    assert said.endswith("That is hardly chance (difference 0.100, 95 % interval 0.090 to 0.110; Wilcoxon, p = 0.001).")


def test_the_sentences_do_not_depend_on_the_direction_of_the_comparison():
    said = plain_verdict(evaluation({"a": 0.7, "b": 0.6}, 15, turned=True))
    assert "higher on 3 of them" in said and "difference 0.100, 95 % interval 0.090 to 0.110" in said


@pytest.mark.parametrize(
    "images, p_value, second", [(9, 0.001, "So few images cannot prove it"), (15, 0.3, "That may be chance")]
)
def test_what_is_not_sure_is_said_so(images, p_value, second):
    assert second in plain_verdict(evaluation({"a": 0.7, "b": 0.6}, images, p_value))


def test_of_several_the_best_is_compared_with_the_next():
    assert "better than c, the next of 3 methods," in plain_verdict(evaluation({"a": 0.7, "b": 0.5, "c": 0.6}, 15))


def test_equal_methods_are_equal():
    assert "a and b reach the same mean F1" in plain_verdict(evaluation({"a": 0.7, "b": 0.7}, 15))


def test_of_one_method_the_commonest_error_is_said():
    said = plain_verdict(evaluation({"a": 0.7}, 15))
    assert said.startswith("a reaches a mean F1 of 0.700 on 15 images with 500 true nuclei.")
    assert said.endswith(
        "It misses 20, merges 40, splits 3 of them, so that what it merges is where most can be gained."
    )


def test_figures_of_few_images_say_so():
    assert few_images_note(1).startswith(" Only 1 image:") and few_images_note(9).startswith(" Only 9 images:")
    assert few_images_note(10) == ""
