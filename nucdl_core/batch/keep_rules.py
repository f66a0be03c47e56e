"""Rules such as ``area > 50 and solidity > 0.8``, by which nuclei are kept: read here, never run as a program."""

from __future__ import annotations

import ast
import operator
from typing import Any, Callable, Dict, Mapping, Type

import numpy as np
import pandas as pd

from nucdl_core.arrays import Mask
from nucdl_core.errors import ConfigError

NAMES: Dict[str, str] = {
    "area": "AreaShape_Area",
    "diameter": "AreaShape_EquivalentDiameter",
    "confidence": "NucDL_Confidence",
    "x": "Location_Center_X",
    "y": "Location_Center_Y",
    "eccentricity": "AreaShape_Eccentricity",
    "solidity": "AreaShape_Solidity",
    "extent": "AreaShape_Extent",
    "major_axis": "AreaShape_MajorAxisLength",
    "minor_axis": "AreaShape_MinorAxisLength",
    "perimeter": "AreaShape_Perimeter",
    "form_factor": "AreaShape_FormFactor",
    "mean_intensity": "Intensity_MeanIntensity",
    "integrated_intensity": "Intensity_IntegratedIntensity",
    "std_intensity": "Intensity_StdIntensity",
}
"""Words of a rule, and the columns of the table that they stand for; those of intensities end with the channel."""
LONGEST_RULE, LARGEST_NUMBER = 500, 1e300
_COMPARISONS: Dict[Type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_SUMS: Dict[Type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def check_rule(rule: str) -> None:
    """Refuse a rule that cannot be understood.

    Raises
    ------
    ConfigError
        Saying what is wrong with it, and what can be used.
    """
    kept_by(rule, pd.DataFrame({column: [1.0] for column in NAMES.values()}))


def kept_by(rule: str, table: pd.DataFrame) -> Mask:
    """Tell which nuclei a rule keeps.

    Parameters
    ----------
    rule : str
        Comparisons of the words `NAMES` and numbers, which may be added, subtracted, multiplied and divided, joined by
        ``and``, ``or`` and ``not``.
    table : pandas.DataFrame
        One row per nucleus, with the columns of `NAMES`; those of intensities may end with a channel.

    Returns
    -------
    bool array (N,)

    Raises
    ------
    ConfigError
        If the rule cannot be understood.
    """
    columns = {name: _column(table, start) for name, start in NAMES.items()}
    kept = _truth(_parsed(rule), columns, rule)
    return np.broadcast_to(np.asarray(kept, bool), (len(table),)).copy()


def _column(table: pd.DataFrame, start: str) -> Any:
    found = [name for name in table.columns if name == start or name.startswith(f"{start}_")]
    return table[found[0]].to_numpy(np.float64)


def _parsed(rule: str) -> ast.AST:
    if len(rule) > LONGEST_RULE:
        raise ConfigError(f"the rule has {len(rule)} characters; {LONGEST_RULE} are the most")
    try:
        return ast.parse(rule.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise _refused(rule, "is no comparison") from None


def _truth(node: ast.AST, columns: Mapping[str, Any], rule: str) -> Any:
    """Return what is true: of comparisons, and of those joined by and, or, not."""
    if isinstance(node, ast.BoolOp):
        parts = [_truth(value, columns, rule) for value in node.values]
        join = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
        return join.reduce(np.broadcast_arrays(*parts))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return ~np.asarray(_truth(node.operand, columns, rule))
    if isinstance(node, ast.Compare) and all(type(each) in _COMPARISONS for each in node.ops):
        sides = [_number(side, columns, rule) for side in (node.left, *node.comparators)]
        found = [_COMPARISONS[type(each)](*pair) for each, pair in zip(node.ops, zip(sides, sides[1:]))]
        return np.logical_and.reduce(np.broadcast_arrays(*found))
    raise _refused(rule, "has a part that is no comparison")


def _number(node: ast.AST, columns: Mapping[str, Any], rule: str) -> Any:
    """Return the numbers of a side of a comparison."""
    if isinstance(node, ast.Name):
        if node.id not in columns:
            raise _refused(rule, f"has the word {node.id!r}, which is not known")
        return columns[node.id]
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)) and not isinstance(node.value, bool):
        if abs(node.value) > LARGEST_NUMBER:
            raise _refused(rule, "holds a number that is too large")
        return np.float64(node.value)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_number(node.operand, columns, rule)
    if isinstance(node, ast.BinOp) and type(node.op) in _SUMS:
        sides = (_number(node.left, columns, rule), _number(node.right, columns, rule))
        with np.errstate(all="ignore"):
            return _SUMS[type(node.op)](*sides)
    raise _refused(rule, "holds something else than words, numbers and + - * /")


def _refused(rule: str, reason: str) -> ConfigError:
    return ConfigError(
        f"the rule {rule!r:.80} {reason}; write for example 'area > 50 and solidity > 0.8', with the words "
        f"{', '.join(NAMES)}"
    )
