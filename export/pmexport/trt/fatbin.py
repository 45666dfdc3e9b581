"""Which GPUs the CUDA code in a shared library is for.

A plugin built for other GPUs loads, and fails at its first launch on the target. The layout is that
of the ELF specification, and of the fat binaries nvcc embeds in section ``.nv_fatbin``; NVIDIA
publishes no specification of these, so whatever does not look as expected is no answer.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pmexport.trt.targets import architecture_number

_MAGIC = 0xBA55ED50
_PTX, _CUBIN = 1, 2
_TEGRA = (72, 87)
"""Code for these does not run on other GPUs of their generation, nor theirs on them."""


@dataclass(frozen=True)
class GpuCode:
    """Architectures by number, such as 86: compiled code, and PTX that a driver compiles."""

    cubins: tuple[int, ...]
    ptx: tuple[int, ...]

    def runs_on(self, target: str) -> bool:
        """Whether some of it can run on a target, such as ``sm86``.

        Compiled code runs within its generation from its own number up, PTX on everything from its
        number up (CUDA programming guide, binary and PTX compatibility).
        """
        number = architecture_number(target)
        same = any(
            code // 10 == number // 10
            and code <= number
            and (code == number or not {code, number} & set(_TEGRA))
            for code in self.cubins
        )
        return same or any(code <= number for code in self.ptx)

    def names(self) -> list[str]:
        """``sm86``, ``sm89``, ``ptx89``."""
        return [f"sm{n}" for n in self.cubins] + [f"ptx{n}" for n in self.ptx]


def gpu_code(library: Path) -> GpuCode | None:
    """What a library holds; None if that cannot be read."""
    data = library.read_bytes()
    try:
        found = set(_entries(_section(data, b".nv_fatbin")))
    except (struct.error, ValueError, IndexError, OverflowError):  # not as expected
        return None
    if not found:
        return None
    return GpuCode(
        cubins=tuple(sorted({arch for kind, arch in found if kind == _CUBIN})),
        ptx=tuple(sorted({arch for kind, arch in found if kind == _PTX})),
    )


def _section(data: bytes, wanted: bytes) -> bytes:
    """A section of a 64-bit little-endian ELF file, by name."""
    if data[:6] != b"\x7fELF\x02\x01":
        raise ValueError("not such a file")
    (table,) = struct.unpack_from("<Q", data, 0x28)
    size, count, names_index = struct.unpack_from("<HHH", data, 0x3A)
    headers = [struct.unpack_from("<IIQQQQ", data, table + i * size) for i in range(count)]
    names = headers[names_index][4]
    for name, _type, _flags, _address, offset, length in headers:
        start = names + name
        if data[start : data.index(b"\0", start)] == wanted:
            return data[offset : offset + length]
    raise ValueError("no such section")


def _entries(section: bytes) -> Iterator[tuple[int, int]]:
    """Kind and architecture of every piece of code."""
    at = 0
    while at + 16 <= len(section):
        magic, _version, header, length = struct.unpack_from("<IHHQ", section, at)
        if magic != _MAGIC:  # padding between two of them
            at += 8
            continue
        end, entry = at + header + length, at + header
        while entry < end:
            kind, _version, entry_header, entry_length = struct.unpack_from("<HHIQ", section, entry)
            (architecture,) = struct.unpack_from("<I", section, entry + 28)
            if entry_header + entry_length == 0:
                raise ValueError("an entry without length")
            yield kind, architecture
            entry += entry_header + entry_length
        at = end
