import json
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from conftest import REPOSITORY, edit_description
from safetensors.numpy import save_file

from nucdl_core.config import DEFAULT_MODEL
from nucdl_core.errors import BundleError
from nucdl_core.model.bundle import (
    DESCRIPTION,
    WEIGHTS,
    ZOO,
    Companion,
    find_bundle,
    list_bundles,
    read_bundle,
    read_card,
    read_description,
    read_tensors,
    write_description,
)


def test_the_default_model_is_bundled_and_unaltered():
    assert DEFAULT_MODEL in list_bundles()
    assert read_bundle(find_bundle(DEFAULT_MODEL)).description.name == DEFAULT_MODEL


def test_the_default_model_weighs_at_most_16_mb():
    assert sum(path.stat().st_size for path in (ZOO / DEFAULT_MODEL).iterdir()) <= 16e6


def test_all_bundled_models_together_weigh_at_most_80_mb():
    assert sum(path.stat().st_size for path in ZOO.rglob("*") if path.is_file()) <= 80e6


def test_an_unknown_model_is_refused_with_the_names_that_are_known():
    with pytest.raises(BundleError, match=f"'nucleii' is neither a bundled model .*{DEFAULT_MODEL}"):
        find_bundle("nucleii")


def test_a_description_is_read_without_verifying_the_files(tiny_bundle):
    (tiny_bundle / WEIGHTS).write_bytes(b"altered")
    assert read_description(tiny_bundle).name == "tiny"


def test_the_card_of_a_model_is_read_and_a_missing_one_is_told():
    assert read_card(ZOO / DEFAULT_MODEL).startswith(f"# {DEFAULT_MODEL}")
    with pytest.raises(BundleError, match="no card that can be shown .*README.md: No such file"):
        read_card(ZOO)


def test_a_companion_is_described_by_name_and_identity(tiny_bundle):
    edit_description(tiny_bundle, companion={"name": "nuclei_unet", "sha256": "0"})
    assert read_bundle(tiny_bundle).description.companion == Companion("nuclei_unet", "0")
    edit_description(tiny_bundle, companion={"name": "nuclei_unet"})
    with pytest.raises(BundleError, match="this setting is missing, in companion.sha256"):
        read_bundle(tiny_bundle)


def test_a_description_nested_beyond_measure_is_refused(tiny_bundle):
    (tiny_bundle / DESCRIPTION).write_text("[" * 100_000)
    with pytest.raises(BundleError, match="not a model description"):
        read_description(tiny_bundle)


@pytest.mark.parametrize("values", [{"companion": "nuclei_unet"}, {"arguments": [1]}])
def test_a_text_or_list_in_the_place_of_a_mapping_is_refused_in_plain_words(tiny_bundle, values):
    edit_description(tiny_bundle, **values)
    with pytest.raises(BundleError, match=f"a mapping of names to values, is needed here, in {next(iter(values))}"):
        read_description(tiny_bundle)


def test_a_folder_is_found_by_its_path(tiny_bundle):
    assert find_bundle(str(tiny_bundle)) == tiny_bundle


def test_the_one_model_in_the_folder_of_a_training_is_meant(tiny_bundle, tmp_path):
    training = tmp_path / "training"
    (training / "notes").mkdir(parents=True)
    shutil.copytree(tiny_bundle, training / "mine")
    assert find_bundle(str(training)) == training / "mine"
    shutil.copytree(tiny_bundle, training / "other")
    with pytest.raises(BundleError, match="nor a folder with a bundle.json"):
        find_bundle(str(training))


def test_one_flipped_byte_in_the_weights_is_refused(tiny_bundle):
    content = bytearray((tiny_bundle / WEIGHTS).read_bytes())
    content[-1] ^= 1
    (tiny_bundle / WEIGHTS).write_bytes(bytes(content))
    with pytest.raises(BundleError, match=r"weights.safetensors was altered: its sha256 is"):
        read_bundle(tiny_bundle)


def test_truncated_weights_are_refused(tiny_bundle):
    content = (tiny_bundle / WEIGHTS).read_bytes()
    (tiny_bundle / WEIGHTS).write_bytes(content[: len(content) // 2])
    with pytest.raises(BundleError, match="was altered"):
        read_bundle(tiny_bundle)


def test_missing_weights_are_refused(tiny_bundle):
    (tiny_bundle / WEIGHTS).unlink()
    with pytest.raises(BundleError, match=r"weights.safetensors is missing"):
        read_bundle(tiny_bundle)


def test_a_folder_without_description_is_refused(tmp_path):
    with pytest.raises(BundleError, match=r"bundle.json cannot be read"):
        read_bundle(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"decision": 1}', '{"decision": {}}', "\xff"])
def test_a_description_that_is_none_is_refused(tiny_bundle, text):
    (tiny_bundle / "bundle.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(BundleError, match="is not a model description that can be used"):
        read_bundle(tiny_bundle)


def test_an_endless_description_is_refused(tiny_bundle):
    (tiny_bundle / "bundle.json").write_text(" " * 1_000_001)
    with pytest.raises(BundleError, match="more than 1000000 bytes"):
        read_bundle(tiny_bundle)


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({"format": 2}, "bundle format 2 is not 1"),
        ({"canonical_diameter": 0}, "canonical_diameter is 0"),
        ({"canonical_diameter": float("inf")}, "canonical_diameter is inf"),
        ({"contour_offset": 50}, "contour_offset is 50.0; give pixels from -20 to 20"),
        ({"files": {"../evil": "0"}}, "'../evil' is not a plain name"),
        ({"files": {}}, "lacks weights.safetensors"),
        ({"code": "import os"}, "unknown setting code"),
        ({"decision": {"seed": 2}}, "seed is 2"),
    ],
)
def test_a_description_with_wrong_values_is_refused_with_the_reason(tiny_bundle, changes, reason):
    edit_description(tiny_bundle, **changes)
    with pytest.raises(BundleError, match=reason):
        read_bundle(tiny_bundle)


def test_the_identity_changes_with_the_description(tiny_bundle):
    before = read_bundle(tiny_bundle).sha256
    edit_description(tiny_bundle, description="another")
    assert read_bundle(tiny_bundle).sha256 != before


def test_writing_a_description_hashes_the_files_as_they_are(tiny_bundle):
    description = read_bundle(tiny_bundle).description
    (tiny_bundle / "README.md").write_text("card")
    write_description(tiny_bundle, description)
    assert sorted(read_bundle(tiny_bundle).description.files) == ["README.md", "test.safetensors", WEIGHTS]
    assert json.loads((tiny_bundle / "bundle.json").read_text())["decision"]["decoder"]


def test_weights_that_are_not_numbers_are_refused(tmp_path):
    save_file({"head.bias": np.array([1, np.nan], np.float32)}, tmp_path / "w.safetensors")
    with pytest.raises(BundleError, match=r"tensor head.bias holds NaN"):
        read_tensors(tmp_path / "w.safetensors")


@pytest.mark.parametrize("content", [b"", b"\xff" * 8 + b"{}", b"\x02\0\0\0\0\0\0\0{}x", b"not a tensor file"])
def test_a_damaged_tensor_file_is_refused(tmp_path, content):
    (tmp_path / "w.safetensors").write_bytes(content)
    with pytest.raises(BundleError, match="is damaged"):
        read_tensors(tmp_path / "w.safetensors")


def test_a_model_that_was_moved_away_when_its_replacement_was_killed_is_found_again(tiny_bundle):
    code = f"""
import os, signal
from nucdl_core.files import writing
rename = os.rename
def dies_after_the_first(*paths):
    rename(*paths)
    os.kill(os.getpid(), signal.SIGKILL)
os.rename = dies_after_the_first
with writing.replaced_folder({str(tiny_bundle)!r}) as folder:
    (folder / "half.txt").touch()
"""
    killed = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not tiny_bundle.exists()
    assert find_bundle(str(tiny_bundle)) == tiny_bundle
    assert read_bundle(tiny_bundle).description.name == "tiny"
