"""Rules by which nuclei are kept."""

import pandas as pd
import pytest

from nucdl_core.batch.keep_rules import LONGEST_RULE, NAMES, check_rule, kept_by
from nucdl_core.errors import ConfigError

TABLE = pd.DataFrame({column: [1.0, 1.0, 1.0] for column in NAMES.values()})
TABLE["AreaShape_Area"] = [10, 60, 200]
TABLE["AreaShape_Solidity"] = [0.9, 0.7, 0.95]
TABLE = TABLE.rename(columns={"Intensity_MeanIntensity": "Intensity_MeanIntensity_DNA"})


@pytest.mark.parametrize(
    "rule, kept",
    [
        ("area > 50", [False, True, True]),
        ("area>50 and solidity>0.8", [False, False, True]),
        ("area < 50 or area > 100", [True, False, True]),
        ("not area == 60", [True, False, True]),
        ("20 <= area < 100", [False, True, False]),
        ("area / 2 + 1 > 2 * 3 - -4", [False, True, True]),
        ("(area > 50 or solidity > 0.8) and area < 100", [True, True, False]),
        ("mean_intensity >= 1", [True, True, True]),
        ("1 < 2", [True, True, True]),
        ("area / 0 > 1", [True, True, True]),
    ],
)
def test_a_rule_keeps_the_nuclei_for_which_it_is_true(rule, kept):
    assert kept_by(rule, TABLE).tolist() == kept


@pytest.mark.parametrize(
    "rule, reason",
    [
        ("", "is no comparison"),
        ("area >", "is no comparison"),
        ("area", "has a part that is no comparison"),
        ("size > 5", "has the word 'size', which is not known"),
        ("__import__('os') > 1", "holds something else than words, numbers"),
        ("area > (lambda: 1)()", "holds something else"),
        ("area.mean > 1", "holds something else"),
        ("area ** 9 > 1", "holds something else"),
        ("area in (1, 2)", "has a part that is no comparison"),
        ("area > True", "holds something else"),
        ("area > 'x'", "holds something else"),
        ("area > 1" + "0" * 400, "a number that is too large"),
        ("[area > 1]", "has a part that is no comparison"),
        ("-(" * 300 + "area" + ")" * 300, "characters"),
    ],
)
def test_what_is_no_rule_is_refused_with_the_reason_and_never_run(rule, reason):
    with pytest.raises(ConfigError, match=None) as caught:
        check_rule(rule)
    assert reason in str(caught.value)


def test_a_refusal_names_the_words_and_an_example():
    with pytest.raises(ConfigError, match="for example 'area > 50 and solidity > 0.8', with the words area, diameter"):
        check_rule("big > 1")


def test_a_rule_of_the_greatest_length_is_read():
    check_rule("area > 1".ljust(LONGEST_RULE))
