"""Text for people: one-line messages about a file, counted nouns, near misses, tables.

How foreign text is made fit for a message is the runtime's, and handed on from here.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import shlex
from collections import Counter
from collections.abc import Sequence
from typing import Any

from posemamba.errors import InputError
from posemamba_runtime.file_names import printable_name
from posemamba_runtime.text import Json as Json
from posemamba_runtime.text import one_line as one_line
from posemamba_runtime.text import printable as printable

_TEXT_LIMIT = 230
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def json_text(value: object, indent: int = 2) -> str:
    """JSON that every reader takes: what is no character gives way to U+FFFD.

    Python holds each byte of a file's name that is no UTF-8 as half of a surrogate pair, and would
    write that.
    """
    text = _LONE_SURROGATE.sub("\ufffd", json.dumps(value, ensure_ascii=False))
    return json.dumps(json.loads(text), indent=indent)


def parse_json(text: str | bytes) -> Json:
    """JSON in which no object has a key twice: of two values each reader would take its own.

    Raises:
        InputError: a key comes again.
        ValueError: it is no JSON.
        RecursionError: it is nested without end.
    """
    return json.loads(text, object_pairs_hook=_once_each)


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        key, times = Counter(key for key, _ in pairs).most_common(1)[0]
        raise InputError(f"it has '{printable(key)}' {times} times")
    return found


def problem(path: str | os.PathLike[str], text: str) -> InputError:
    """The error for a file: ``<file>: <text>``, one line; of a very long path its end."""
    return InputError(f"{printable_name(path)}: {printable(text, _TEXT_LIMIT)}")


def pasted(path: str | os.PathLike[str]) -> str:
    """A file's name as a word of a command for people to paste; no option, if it begins with -."""
    name = os.fspath(path)
    return shlex.quote(f"./{name}" if name.startswith("-") else name)


def plural(count: int, noun: str, many: str = "") -> str:
    """``1 frame``, ``2 frames``, ``1,500 clips``; ``many`` where an s alone is wrong."""
    return f"{count:,} {noun if count == 1 else many or noun + 's'}"


def suggestion(value: str, known: Sequence[str]) -> str:
    """``: did you mean 'fp16'?``, or the list of what there is when nothing is near."""
    folded = {name.casefold(): name for name in known}
    near = difflib.get_close_matches(value.casefold(), folded, n=1, cutoff=0.5)
    if near:
        return f": did you mean '{folded[near[0]]}'? There are {', '.join(known)}"
    return f": use one of {', '.join(known)}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns padded to their widest cell, two spaces apart; the first is left-aligned."""
    cells = [list(header), *(list(row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = []
    for row in cells:
        padded = [
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The same as a Markdown table, numbers to the right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def size_text(size: int) -> str:
    """``37.9 MB``; megabytes are 10**6 bytes, as file managers and download pages count."""
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"
