"""Keep lists: which modules of an fp16 model stay fp32, as YAML that people may write too.

``keep_fp32`` is a list of module paths, such as ``STEblocks.3.mlp``, or names of nodes; a list
alone is understood as well.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import yaml

from posemamba.checkpoint.official_config import parse_yaml
from posemamba.errors import InputError
from posemamba.files.input import require_file
from posemamba.files.output import replacing
from posemamba.text import printable, problem

KEY = "keep_fp32"
_LARGEST = 10**6  # bytes; the longest sensible list has a few thousand
_EXAMPLE = f"write '{KEY}: [STEblocks.0.mlp]'"


def read_keep(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """The entries of a keep list, in order.

    Raises:
        InputError: one line naming the file and what is wrong with it.
    """
    path = Path(path)
    require_file(path, "'pmexport check --bisect --max-drift-mm MM' writes a keep list")
    if path.stat().st_size > _LARGEST:
        raise problem(path, f"too large for a keep list: {_EXAMPLE}")
    try:
        told = parse_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise problem(path, f"cannot be read ({error.strerror or error})") from None
    except InputError as error:
        raise problem(path, str(error)) from None
    except (ValueError, yaml.YAMLError, RecursionError):
        raise problem(path, f"not YAML text: {_EXAMPLE}") from None
    if isinstance(told, dict):
        others = [key for key in told if key != KEY]
        if KEY not in told or others:
            held = printable(others[0], 30) if others else "nothing"
            raise problem(path, f"must hold '{KEY}' alone, it has '{held}': {_EXAMPLE}")
        told = told[KEY]
    if not isinstance(told, list) or not told:
        raise problem(path, f"'{KEY}' must be a list of module paths, not empty: {_EXAMPLE}")
    for entry in told:
        if not isinstance(entry, str) or not entry.strip():
            raise problem(path, f"entry '{printable(entry, 30)}' is no module path: {_EXAMPLE}")
    twice = next((entry for entry in told if told.count(entry) > 1), None)
    if twice is not None:
        raise problem(path, f"names '{printable(twice)}' twice: name it once")
    return tuple(told)


def write_keep(
    path: str | os.PathLike[str], entries: Sequence[str], comment: Sequence[str] = ()
) -> None:
    """Write a keep list, whole or not at all.

    Args:
        comment: lines above it.

    Raises:
        InputError: the file cannot be written.
    """
    path = Path(path)
    lines = [f"# {line}" for line in comment]
    lines += [f"{KEY}:", *(f"  - {entry}" for entry in entries)]
    with replacing(path) as partial:
        partial.write_text("\n".join(lines) + "\n", encoding="utf-8", errors="replace")


def keep_others(path: Path) -> None:
    """Make sure that writing a keep list costs nobody another file.

    Raises:
        InputError: what is there is no keep list.
    """
    if not path.exists():
        return
    try:
        read_keep(path)
    except InputError:
        raise problem(path, "is there and no keep list: name another file with --keep-to") from None
