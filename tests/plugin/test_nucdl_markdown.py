"""Model cards as HTML."""

from __future__ import annotations

import pytest


@pytest.fixture
def to_html(cellprofiler):
    from _nucdl_markdown import to_html

    return to_html


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("# Name\n## Use", "<h2>Name</h2>\n<h3>Use</h3>"),
        ("one\ntwo\n\nthree", "<p>one two</p>\n<p>three</p>"),
        ("* first\n  goes on\n* second", "<ul><li>first goes on</li><li>second</li></ul>"),
        ("before\n\n---\n\nafter", "<p>before</p>\n<hr>\n<p>after</p>"),
        ("`a` **b** *c* 2 * 3 * 4", "<p><code>a</code> <b>b</b> <i>c</i> 2 * 3 * 4</p>"),
        ("see [docs](https://a.b/c) and [more](more.md)", '<p>see <a href="https://a.b/c">docs</a> and more</p>'),
        ('<script>x</script> & "y"', "<p>&lt;script&gt;x&lt;/script&gt; &amp; &quot;y&quot;</p>"),
        ("[x](javascript:alert)", "<p>x</p>"),
        ("", ""),
    ],
)
def test_what_cards_use_is_translated_and_all_else_is_text(to_html, markdown, expected):
    assert to_html(markdown) == expected


def test_a_table_has_its_rows_without_the_line_below_its_head(to_html):
    page = to_html("| a | b |\n| --- | --: |\n| 1 | 2 |")
    assert page.count("<tr>") == 2
    assert "<td>1</td><td>2</td>" in page and "---" not in page


@pytest.mark.parametrize("name", ["nuclei_unet", "nuclei_maskrcnn"])
def test_nothing_of_a_bundled_card_stays_markdown(to_html, name):
    from nucdl_core.model.bundle import find_bundle, read_card

    page = to_html(read_card(find_bundle(name)))
    assert "<table" in page and page.startswith("<h2>")
    for mark in ("**", "](", "\n#", "| ", "`"):
        assert mark not in page
