"""The engine in this Python and the one in a process of its own answer every question alike."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import make_tiny_bundle

from nucdl_core.training.config import TrainConfig
from nucdl_core.worker.service import EngineService

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
START = [sys.executable, "-c", "from nucdl_core.cli.main import main; main()", "worker"]
# Nine square nuclei of 12 x 12 pixels.
LABELS = np.pad(np.kron(np.arange(1, 10, dtype=np.int32).reshape(3, 3), np.pad(np.ones((12, 12), np.int32), 3)), 4)
IMAGE = np.random.default_rng(1).normal(np.where(LABELS, 0.6, 0.1), 0.02).clip(0, 1).astype(np.float32)
SHIFTED = np.roll(LABELS, 2, axis=1)


@pytest.fixture(scope="module")
def there(cellprofiler):
    """The engine in a process of its own; it ends with the tests."""
    from _nucdl_places import EnginePlace
    from _nucdl_remote import RemoteEngine

    remote = RemoteEngine(EnginePlace(START, "the test"))
    yield remote
    remote._process.end()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A model that takes no time."""
    config = TrainConfig(name="tiny", arguments={"widths": [4, 8]})
    return str(make_tiny_bundle(tmp_path_factory.mktemp("models") / "tiny", config))


def questions(tiny, folder):
    """Every question, with its arguments."""
    config = {"model": tiny, "device": "cpu", "diameter": 12.0, "discard_border": True, "views": "flips"}
    refining = {"model": tiny, "device": "cpu", "views": "flips", "split": True}
    mask = np.ones(IMAGE.shape, bool)
    mask[:5] = False
    found = EngineService().compare(LABELS, SHIFTED, 0.7)
    return {
        "offered_models": (),
        "preset_values": ("best",),
        "settings_problems": ("segment", [config, {"diameter": 0.5}, {"views": "many"}]),
        "check_description": (tiny, True),
        "check_model_and_device": (tiny, "cpu"),
        "card": ("nuclei_unet",),
        "limit_threads": (64,),
        "check_source": ("",),
        "find_nuclei": (IMAGE, config, mask),
        "refine_objects": (IMAGE, LABELS, refining, mask),
        "warnings_about": (IMAGE, mask, 16, "nuclei_unet", (500.0, "auto")),
        "doubt_about": (IMAGE, LABELS, 12.0, "nuclei_unet", mask),
        "as_labels": (LABELS.astype(np.uint16),),
        "relabel": (LABELS * 3,),
        "centroids": (LABELS,),
        "equivalent_diameters": (LABELS,),
        "contact_share": (LABELS,),
        "compare": (LABELS, SHIFTED, 0.7),
        "error_pictures": (IMAGE, LABELS, SHIFTED, found),
        "error_colours": (),
        "check_class_names": (["interphase", "mitotic"],),
        "saved_annotation": (str(folder), ["mitotic"], "one", (IMAGE * 65535).astype(np.uint16)),
        "stored_image": (IMAGE, 65535.0),
        "look": (IMAGE, config, mask),
    }


def assert_same(here, there):
    """Compare two answers; an object may come as its attributes, a tuple as a list."""
    if isinstance(here, np.ndarray):
        assert here.dtype == there.dtype
        np.testing.assert_array_equal(here, there)
    elif isinstance(there, SimpleNamespace):
        assert vars(there)
        for name, value in vars(there).items():
            assert_same(getattr(here, name), value)
    elif isinstance(here, dict):
        assert here.keys() == there.keys()
        for key, value in here.items():
            assert_same(value, there[key])
    elif isinstance(here, (list, tuple)):
        assert len(here) == len(there)
        for one, other in zip(here, there):
            assert_same(one, other)
    else:
        np.testing.assert_equal(here, there)


def names_of_questions():
    return [name for name, _ in inspect.getmembers(EngineService, inspect.isfunction) if not name.startswith("_")]


@pytest.mark.parametrize("name", names_of_questions())
def test_both_give_the_same_answer(there, tiny, tmp_path, name):
    from nucdl_core.annotate.folder import AnnotationFolder
    from nucdl_core.annotate.session import Annotated

    image = (IMAGE * 65535).astype(np.uint16)
    AnnotationFolder(tmp_path, ["mitotic"]).save("one", image, Annotated(LABELS, {2: "mitotic"}), "finished")
    given = questions(tiny, tmp_path)[name]
    assert_same(getattr(EngineService(), name)(*given), getattr(there, name)(*given))


@pytest.mark.parametrize(
    ("question", "given", "kind"),
    [
        ("check_description", ("no_such_model", False), "BundleError"),
        ("find_nuclei", (np.full((9, 9), np.nan, np.float32), {"model": "nuclei_unet"}), "ImageError"),
        ("find_nuclei", (IMAGE, {"views": "many"}), "ConfigError"),
        ("check_class_names", (["a", "a"],), "AnnotationError"),
        ("find_nuclei", (IMAGE, {"misspelt": 1}), "TypeError"),
    ],
)
def test_both_raise_the_same_error(there, question, given, kind):
    raised = []
    for service in (EngineService(), there):
        with pytest.raises(Exception, match=".") as caught:
            getattr(service, question)(*given)
        raised.append(caught.value)
    assert type(raised[0]) is type(raised[1])
    assert type(raised[0]).__name__ == kind
    assert str(raised[0]) == str(raised[1])


def test_an_error_shows_the_lines_of_code_that_it_came_from(there):
    with pytest.raises(Exception, match="no_such_model") as caught:
        there.card("no_such_model")
    assert "bundle.py" in str(caught.value.__cause__)


def test_both_tell_how_far_a_large_image_is(there, tiny, monkeypatch):
    told = {}
    image = np.tile(IMAGE, (1, 90))
    for name, service in (("here", EngineService()), ("there", there)):
        told[name] = []
        config = {"model": tiny, "device": "cpu", "diameter": 12.0}
        service.find_nuclei(image, config, progress=lambda *done, name=name: told[name].append(done))
    assert told["here"] == told["there"]
    assert len(told["here"]) > 1


def test_the_words_of_the_modules_are_those_of_the_engine(cellprofiler):
    import _nucdl_annotate
    import _nucdl_engine

    from nucdl_core.annotate.folder import FINISHED
    from nucdl_core.config import DEFAULT_MODEL

    assert FINISHED == _nucdl_annotate.FINISHED
    assert DEFAULT_MODEL == _nucdl_engine.FALLBACK_MODEL


def test_the_errors_of_the_modules_are_those_of_the_engine_also_without_it(cellprofiler):
    import subprocess

    from nucdl_core import errors

    of_engine = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type)}
    code = (
        "import sys; sys.modules['nucdl_core'] = None; import _nucdl_errors; "
        "print({n: [b.__name__ for b in k.__mro__] for n, k in _nucdl_errors._ERRORS.items()})"
    )
    shown = subprocess.run([sys.executable, "-c", code], cwd=PLUGINS, capture_output=True, text=True, check=True).stdout
    assert eval(shown) == {name: [base.__name__ for base in kind.__mro__] for name, kind in of_engine.items()}
