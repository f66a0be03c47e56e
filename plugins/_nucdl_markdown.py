"""Model cards, which are Markdown, as HTML for CellProfiler's help windows.

Only what cards use is understood: headings, paragraphs, lists, tables, rules, code, bold, italics and links. All text
is escaped, so that a card can show nothing but text.
"""

from __future__ import annotations

import html
import itertools
import re
from typing import Callable, Dict, Iterable, Iterator, List

_KINDS = {
    "heading": re.compile(r"#{1,6} "),
    "table": re.compile(r"\|"),
    "list": re.compile(r"[-*+] |\s+\S"),
    "rule": re.compile(r"(-{3,}|\*{3,})\s*$"),
    "empty": re.compile(r"\s*$"),
}
_INLINE = (
    (re.compile(r"`([^`]+)`"), r"<code>\1</code>"),
    (re.compile(r"\*\*([^*]+)\*\*"), r"<b>\1</b>"),
    (re.compile(r"(?<![\w*])\*([^*\s][^*]*)\*(?![\w*])"), r"<i>\1</i>"),
    (re.compile(r"\[([^\]]+)\]\((https?://[^)\s]+)\)"), r'<a href="\2">\1</a>'),
    (re.compile(r"\[([^\]]+)\]\([^)\s]+\)"), r"\1"),
)


def to_html(markdown: str) -> str:
    """Translate a card.

    Parameters
    ----------
    markdown : str

    Returns
    -------
    str
        A part of an HTML page.
    """
    parts = []
    for kind, lines in itertools.groupby(markdown.splitlines(), _kind_of):
        parts.append(_TRANSLATED[kind](list(lines)))
    return "\n".join(part for part in parts if part)


def _kind_of(line: str) -> str:
    # A rule looks like the beginning of a list, and an empty line like its continuation.
    order = ("empty", "rule", "heading", "table", "list")
    return next((kind for kind in order if _KINDS[kind].match(line)), "paragraph")


def _inline(text: str) -> str:
    escaped = html.escape(text.strip())
    for pattern, replacement in _INLINE:
        escaped = pattern.sub(replacement, escaped)
    return escaped


def _headings(lines: List[str]) -> str:
    levels = ((min(len(line) - len(line.lstrip("#")) + 1, 6), line.lstrip("#")) for line in lines)
    return "\n".join(f"<h{level}>{_inline(text)}</h{level}>" for level, text in levels)


def _paragraph(lines: List[str]) -> str:
    return f"<p>{_inline(' '.join(lines))}</p>"


def _list(lines: List[str]) -> str:
    return f"<ul>{''.join(f'<li>{_inline(item)}</li>' for item in _items(lines))}</ul>"


def _items(lines: Iterable[str]) -> Iterator[str]:
    item = ""
    for line in lines:
        if line[:2] in ("- ", "* ", "+ "):
            if item:
                yield item
            item = line[2:]
        else:
            item += f" {line.strip()}"
    yield item


def _table(lines: List[str]) -> str:
    rows = [line.strip().strip("|").split("|") for line in lines]
    shown = [row for row in rows if any(set(cell.strip()) - set("-:") for cell in row)]
    cells = ("".join(f"<td>{_inline(cell)}</td>" for cell in row) for row in shown)
    return f'<table border="1" cellpadding="3">{"".join(f"<tr>{row}</tr>" for row in cells)}</table>'


_TRANSLATED: Dict[str, Callable[[List[str]], str]] = {
    "heading": _headings,
    "table": _table,
    "list": _list,
    "rule": lambda lines: "<hr>",
    "empty": lambda lines: "",
    "paragraph": _paragraph,
}
