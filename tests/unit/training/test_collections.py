"""Several folders of annotated images, each with its say."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import tifffile
from drawings import annotated_disks, disks

from nucdl_core.errors import ConfigError
from nucdl_core.training.collections import Collection, collection_of, read_collections, validation_groups


def write_images(folder, names):
    labels = disks((48, 48), [(12, 12), (30, 30)], 6)
    for kind, array in (("images", (labels > 0).astype(np.uint8) * 200), ("masks", labels.astype(np.uint16))):
        (folder / kind).mkdir(parents=True)
        for name in names:
            tifffile.imwrite(folder / kind / f"{name}.tif", array)
    return folder


@pytest.mark.parametrize("text, share", [("{}", 1.0), ("{}=2", 2.0), ("{}=0.5", 0.5)])
def test_a_folder_may_say_how_much_it_counts(tmp_path, text, share):
    assert collection_of(text.format(tmp_path)) == Collection(tmp_path, share)


def test_a_folder_that_counts_nothing_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="must count more than 0"):
        collection_of(f"{tmp_path}=0")


@pytest.mark.parametrize("text", ["missing", "missing=2"])
def test_a_folder_that_is_missing_is_refused(text):
    with pytest.raises(ConfigError, match="missing is no folder; give a folder with 'images' and 'masks'"):
        collection_of(text)


@pytest.mark.parametrize("folder, name", [("tissue", "tissue"), ("dsb/train", "dsb"), ("dsb/training", "dsb")])
def test_a_collection_is_called_by_its_folder(folder, name):
    assert Collection(Path("data") / folder).name == name


def test_images_know_their_collection_its_share_and_their_experiment(tmp_path):
    cells = write_images(tmp_path / "cells", ["a", "b"])
    tissue = write_images(tmp_path / "tissue", ["mouse1_x", "mouse2_y"])
    read = read_collections([Collection(cells), Collection(tissue, 3.0)], {"tissue": r"(mouse\d)"})
    assert [(each.collection, each.share, each.group) for each in read] == [
        ("cells", 1.0, ""),
        ("cells", 1.0, ""),
        ("tissue", 3.0, "mouse1"),
        ("tissue", 3.0, "mouse2"),
    ]


def test_a_single_folder_is_no_collection(tmp_path):
    (read,) = read_collections([Collection(write_images(tmp_path / "cells", ["a"]))], {})
    assert read.collection == ""


def test_two_folders_of_one_name_are_refused(tmp_path):
    folders = [Collection(tmp_path / side / "cells") for side in ("left", "right")]
    with pytest.raises(ConfigError, match="the folders are called cells, cells; give each a name of its own"):
        read_collections(folders, {})


@pytest.mark.parametrize(
    "pattern, problem",
    [("(mouse", "is no regular expression with a group"), ("mouse", "is no regular"), ("(rat)", "finds no experiment")],
)
def test_an_expression_that_finds_no_experiment_is_refused(tmp_path, pattern, problem):
    folder = Collection(write_images(tmp_path / "tissue", ["mouse1"]))
    with pytest.raises(ConfigError, match=problem):
        read_collections([folder], {"tissue": pattern})


def test_whole_groups_judge_and_one_is_left_to_learn_from():
    sources = [annotated_disks(name=str(number), group=f"mouse{number % 8}") for number in range(16)]
    (judging,) = validation_groups(sources, 4).values()
    assert len(judging) == 2
    assert validation_groups(sources[::-1], 4) == {"": judging}
    (all_but_one,) = validation_groups(sources, 1).values()
    assert len(all_but_one) == 7


def test_each_collection_has_judges_of_its_own():
    sources = [
        dataclasses.replace(annotated_disks(group=f"{folder} {number}"), collection=folder)
        for folder in ("cells", "tissue")
        for number in range(4)
    ]
    chosen = validation_groups(sources, 4)
    assert {folder: len(groups) for folder, groups in chosen.items()} == {"cells": 1, "tissue": 1}


def test_images_without_a_group_have_no_judging_groups():
    assert validation_groups([annotated_disks()], 2) == {"": ()}
