"""Which GPUs the CUDA code in a plugin library is for.

A plugin built for other GPUs loads, and fails at its first launch on the target.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from pmexport.libraries import plugin_architectures
from pmexport.trt.targets import architecture_number

_TEGRA = (72, 87)
"""Code for these does not run on other GPUs of their generation, nor theirs on them."""
_ENTRY = re.compile(r"(sm|ptx)(\d{2,3})([af]?)")
"""``sm90``; ``sm90a``, for that GPU alone; ``ptx90``, code that a driver compiles."""


@dataclass(frozen=True)
class GpuCode:
    """Architectures by number, such as 86.

    Attributes:
        cubins: compiled code.
        ptx: code that a driver compiles.
        exact: those of the two that run on no other GPU.
    """

    cubins: tuple[int, ...]
    ptx: tuple[int, ...]
    exact: frozenset[int] = frozenset()

    def runs_on(self, target: str) -> bool:
        """Whether some of it can run on a target, such as ``sm86``.

        Compiled code runs within its generation from its own number up, PTX on everything from its
        number up (CUDA programming guide, binary and PTX compatibility).
        """
        number = architecture_number(target)
        if number in (*self.cubins, *self.ptx):
            return True
        cubins = set(self.cubins) - self.exact - set(_TEGRA)
        same = any(code // 10 == number // 10 and code < number for code in cubins)
        return (same and number not in _TEGRA) or any(
            code < number for code in set(self.ptx) - self.exact
        )

    def names(self) -> list[str]:
        """``sm86``, ``sm89``, ``ptx89``."""
        return [f"sm{n}" for n in self.cubins] + [f"ptx{n}" for n in self.ptx]


def gpu_code(library: str | os.PathLike[str]) -> GpuCode | None:
    """What a library says that it holds; None if it does not say."""
    library = Path(library)
    entries = [_ENTRY.fullmatch(part) for part in (plugin_architectures(library) or "").split()]
    found = [(entry[1], int(entry[2]), bool(entry[3])) for entry in entries if entry]
    if not found or len(found) < len(entries):
        return None
    return GpuCode(
        cubins=tuple(sorted({number for kind, number, _ in found if kind == "sm"})),
        ptx=tuple(sorted({number for kind, number, _ in found if kind == "ptx"})),
        exact=frozenset(number for _, number, alone in found if alone),
    )


def kernels_for(names: list[str] | None) -> str:
    """The part of a sentence that says what a library's kernels are for."""
    return f"kernels for {', '.join(names)}" if names else "which does not say its GPUs"
