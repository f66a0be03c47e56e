"""One idea has one name and one place, and what a docstring points to is there."""

import ast
import importlib.util
import re
from collections import defaultdict
from pathlib import Path

import pytest

ENGINE = Path(__file__).resolve().parents[2] / "nucdl_core"
FILES = sorted(ENGINE.rglob("*.py"))
MODULES = {path: ".".join(path.relative_to(ENGINE.parent).with_suffix("").parts) for path in FILES}
MODULES = {path: name.replace(".__init__", "") for path, name in MODULES.items()}
# Names by which a docstring may call a module: its own, and those of its packages before it.
PLACES = defaultdict(list)
for _name in MODULES.values():
    _parts = _name.split(".")
    for _start in range(len(_parts)):
        PLACES[".".join(_parts[_start:])].append(_name)
FILE_SUFFIXES = ("csv", "json", "tif", "tiff", "png", "html", "py")
REFERENCE = re.compile(r"(?<!`)`([a-z_]\w*(?:\.\w+)+)`(?!`)")


def defined_names(path):
    """Public names that a file defines at its top: functions, classes and constants."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found = [node.name]
        else:
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            found = [part.id for target in targets if target for part in ast.walk(target) if isinstance(part, ast.Name)]
        yield from (name for name in found if not name.startswith("_"))


def test_no_public_name_is_defined_twice():
    places = defaultdict(list)
    for path in FILES:
        for name in defined_names(path):
            places[name].append(MODULES[path])
    assert not {name: found for name, found in places.items() if len(found) > 1}


def texts(path):
    """Docstrings and comments of a file, and the texts that stand below constants."""
    text = path.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.value.value
    yield from re.findall(r"#.*", text)


def exists(reference):
    """Tell whether the reference names a module, something in a module, or an attribute of that."""
    parts = reference.split(".")
    for length in range(len(parts), 0, -1):
        for module in PLACES.get(".".join(parts[:length]), ()):
            if not parts[length:] or holds(importlib.import_module(module), parts[length:]):
                return True
    return False


def holds(found, names):
    for name in names:
        fields = getattr(found, "__dataclass_fields__", {})
        if not hasattr(found, name) and name not in fields:
            return False
        found = getattr(found, name, None)
    return True


def is_elsewhere(reference):
    """Tell whether a dotted word is the name of a file, or lies in a library."""
    first, last = reference.split(".")[0], reference.split(".")[-1]
    return last in FILE_SUFFIXES or (first not in PLACES and importlib.util.find_spec(first) is not None)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ENGINE)))
def test_what_a_text_points_to_exists(path):
    references = {reference for text in texts(path) for reference in REFERENCE.findall(text)}
    assert not {reference for reference in references if not is_elsewhere(reference) and not exists(reference)}
