"""Whether a run fits this machine's memory: without it the system ends the process, wordless."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pmexport.format.file import ModelFile
from pmexport.format.macs import concrete_shapes, largest_tensor
from posemamba.errors import InputError

#: Float32 copies of the largest tensor that a run holds at most. Measured as resident memory of
#: the small network of the tests at 1 and 100 clips, one thread: ONNX Runtime 2.1 MB per clip,
#: PyTorch 27.5 MB, the largest tensor 0.25 MB.
#: The baseline of a check runs whole clips by the native scan: 4 to 13 copies were measured from
#: d_model 16 to 256, 1 to 8 clips.
_COPIES: dict[str, int] = {"ort-cpu": 8, "torch": 110, "PyTorch": 20}
_FLOAT_BYTES = 4
_MEMORY = Path("/proc/meminfo")


def available_bytes() -> int | None:
    """Memory that a new program can have, a container's own limit aside; None if nobody says."""
    try:
        lines = _MEMORY.read_text(encoding="ascii").splitlines()
        told = dict(line.split(":", 1) for line in lines)
        return int(told["MemAvailable"].split()[0]) * 1024
    except (OSError, ValueError, KeyError, IndexError):
        return None


def check_room(model: ModelFile, batch: int, frames: int, runtimes: Iterable[str]) -> None:
    """Make sure that a run on the CPU fits the memory.

    A model whose shapes nobody knows passes, and so does a machine that does not say.

    Args:
        runtimes: those of the CPU count, see :mod:`pmexport.runtimes.registry`.

    Raises:
        InputError: it does not fit.
    """
    try:
        shapes = concrete_shapes(model, {"batch": batch, "frames": frames})
    except InputError:
        return
    check_fits(largest_tensor(model, shapes)[1], batch, frames, runtimes)


def check_fits(
    elements: int, batch: int, frames: int, runtimes: Iterable[str], more: str = ""
) -> None:
    """As :func:`check_room`, of a network whose largest tensor has so many elements.

    Args:
        more: what else would help, the end of the sentence.

    Raises:
        InputError: it does not fit.
    """
    free = available_bytes()
    copies = {name: _COPIES[name] for name in runtimes if name in _COPIES}
    if free is None or not copies:
        return
    name = max(copies, key=lambda key: copies[key])
    needed = copies[name] * _FLOAT_BYTES * elements
    if needed > free:
        raise InputError(
            f"--batch {batch} with --frames {frames}: {name} would need about {needed / 1e9:,.0f} "
            f"GB of memory, {free / 1e9:.0f} GB are free here: use a smaller --batch{more}"
        )
