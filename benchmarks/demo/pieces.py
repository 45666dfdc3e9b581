"""Large files in pieces, for machines whose results come back in small files alone.

``NAME.0``, ``NAME.1``, ... are cut from one file; ``cat NAME.*`` joins fewer than ten again. The
state of an unfinished run loses AdamW's two moments first, which are two thirds of it: a network
goes on from its weights, and its moments begin anew.
"""

from __future__ import annotations

import io
from pathlib import Path

import torch

PIECE = 14 * 2**20
"""Bytes; L's weights in float32 are 38 MB, three pieces."""


def cut(content: bytes, folder: Path, name: str, size: int = PIECE) -> list[Path]:
    """Write ``content`` as ``name.0`` and so on."""
    starts = range(0, max(len(content), 1), size)
    if len(starts) > 10:
        raise ValueError(f"{name}: {len(starts)} pieces do not sort by name")
    files = []
    for number, start in enumerate(starts):
        files.append(folder / f"{name}.{number}")
        files[-1].write_bytes(content[start : start + size])
    return files


def join(folder: Path, name: str) -> bytes | None:
    """What :func:`cut` wrote; None where there is none of it.

    Raises:
        FileNotFoundError: one of the pieces is missing between others.
    """
    found = sorted(folder.glob(f"{name}.[0-9]"))
    if [file.name for file in found] != [f"{name}.{number}" for number in range(len(found))]:
        raise FileNotFoundError(f"{folder}: of {name} only {', '.join(f.name for f in found)}")
    return b"".join(file.read_bytes() for file in found) if found else None


def light_state(path: Path) -> bytes:
    """A run's ``last.pth.tr`` without the optimizer's moments; ``posemamba train`` resumes it."""
    content = torch.load(path, map_location="cpu", weights_only=True)
    content["optimizer"]["state"] = {}
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()
