"""Requests that name files: a ``str`` does where a ``Path`` is kept."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path


class NamesFiles:
    """Base of a frozen dataclass. What it is given for a field of ``Path`` becomes one.

    A ``str`` would be taken, and fail later, where something of a ``Path`` is asked of it.
    """

    def __post_init__(self) -> None:
        for each in fields(self):  # type: ignore[arg-type]  # whoever derives is a dataclass
            value = getattr(self, each.name)
            if each.type in ("Path", "Path | None") and value is not None:
                object.__setattr__(self, each.name, Path(value))
            elif each.type == "tuple[Path, ...]":
                object.__setattr__(self, each.name, tuple(map(Path, value)))
