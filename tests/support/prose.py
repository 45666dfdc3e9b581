"""Markdown as a reader counts it: words and sentences, without code, tables' rules and markup."""

from __future__ import annotations

import re

_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_TAG = re.compile(r"<[^>]+>")
_IMAGE = re.compile(r"!\[[^\]]*\]\([^)]*\)")
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
_HEADING = re.compile(r"^(#+ .*)$", re.MULTILINE)
_BLOCK = re.compile(r"\n\s*\n|\n(?=\s*(?:[-*|]|\d+\. ))")
#: Between cells of a table, and between the entries of a menu.
_CELL = re.compile(r" \| | · ")
_END = re.compile(r"(?<=[.!?])\s+")


def plain(markdown: str) -> str:
    """The text without code blocks, comments, pictures and markup."""
    text = _COMMENT.sub("", _FENCE.sub("\n", markdown))
    return _LINK.sub(r"\1", _IMAGE.sub("", _TAG.sub("", text))).replace("**", "").replace("`", "")


def words(markdown: str) -> int:
    """Words of text and tables; what is punctuation alone is none."""
    return sum(any(c.isalnum() for c in word) for word in plain(markdown).split())


def sentences(markdown: str) -> list[str]:
    """Sentences of paragraphs, list items, table cells and menus."""
    found = []
    for block in _BLOCK.split(_HEADING.sub(r"\n\1\n", plain(markdown))):
        text = " ".join(block.split()).lstrip("#-* ")
        for cell in _CELL.split(text):
            found += [part for part in _END.split(cell.strip("| ")) if words(part)]
    return found
