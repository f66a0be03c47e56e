"""Categories of images from a table."""

from __future__ import annotations

import pytest

from nucdl_core.errors import ConfigError
from nucdl_core.reports.strata import MAX_CATEGORIES, read_strata


def written(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "strata.csv"
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("column", ["image", "id"])
def test_categories_are_found_by_image_in_the_order_asked_for(tmp_path, column):
    path = written(tmp_path, f"specimen,{column},size\ntissue,b,1\ncells,a,2\nother,c,3\n")
    strata = read_strata(path, ["a", "b"])
    assert strata.table.to_dict("list") == {"image": ["a", "b"], "specimen": ["cells", "tissue"], "size": ["2", "1"]}
    assert strata.kinds == ("specimen", "size")


def test_names_may_have_a_suffix_and_an_empty_cell_is_unknown(tmp_path):
    strata = read_strata(written(tmp_path, "image,kind\na.png,\nb_labels.tif,x\n"), ["a", "b"])
    assert strata.table["kind"].tolist() == ["unknown", "x"]


def test_a_name_may_hold_a_point(tmp_path):
    strata = read_strata(written(tmp_path, "image,kind\nplate.1,x\nplate.2.tif,y\n"), ["plate.1", "plate.2"])
    assert strata.table["kind"].tolist() == ["x", "y"]


def test_a_column_with_many_values_is_no_category(tmp_path):
    rows = "".join(f"i{number},{number},{number % 2}\n" for number in range(MAX_CATEGORIES + 1))
    strata = read_strata(written(tmp_path, f"id,nuclei,kind\n{rows}"), [f"i{n}" for n in range(MAX_CATEGORIES + 1)])
    assert strata.kinds == ("kind",)
    assert strata.left_out == ("nuclei",)


@pytest.mark.parametrize(
    "text, reason",
    [
        ("name,kind\na,x\n", "no column 'image' or 'id'"),
        ("image,kind\na,x\na,y\n", "the image a is in the table twice"),
        ("image,kind\nc,x\n", "the image a and 1 more is not in the table"),
        ("image,kind\na,x\n", "the image b is not in the table"),
        ("image\na\nb\n", "no column holds categories"),
        ("", "cannot be read"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_by_name(tmp_path, text, reason):
    with pytest.raises(ConfigError, match=f"strata.csv: .*{reason}"):
        read_strata(written(tmp_path, text), ["a", "b"])


def test_a_missing_or_wrongly_encoded_table_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="gone.csv: the table cannot be read"):
        read_strata(tmp_path / "gone.csv", ["a"])
    with pytest.raises(ConfigError, match="UTF-8"):
        read_strata(written(tmp_path, "image,kind\na,ö\n", "latin-1"), ["a"])
