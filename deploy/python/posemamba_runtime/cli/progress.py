"""A progress bar: one line on a terminal, and nothing anywhere else."""

from __future__ import annotations

import sys
import time
from typing import TextIO

_WIDTH = 30
_SECONDS = 0.1  # between two drawings


class Bar:
    """Call it with what is done and the whole; leave the block and it is gone."""

    def __init__(self, label: str, stream: TextIO | None = None, unit: str = "frames") -> None:
        self._label = label
        self._unit = unit
        self._stream = stream or sys.stderr
        self._shown = self._stream.isatty()
        self._last = 0.0
        self._start = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if not self._shown or now - self._last < _SECONDS:
            return
        self._last = now
        share = done / total if total else 1.0
        filled = "#" * round(share * _WIDTH)
        pace = done / max(now - self._start, 1e-9)
        self._stream.write(
            f"\r{self._label} [{filled:<{_WIDTH}}] {share:4.0%}  {pace:,.0f} {self._unit}/s "
        )
        self._stream.flush()

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown and self._last:
            self._stream.write("\r\x1b[2K")
            self._stream.flush()
