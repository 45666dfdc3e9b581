"""TensorRT's nested build phases as one bar on a terminal, nothing elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any


class PhaseBar:
    """Shows the innermost phase that is under way; a context manager and an event listener."""

    def __init__(self) -> None:
        from tqdm import tqdm

        self._bar = tqdm(total=1, unit="step", leave=False, disable=None)
        self._open: list[tuple[str, int]] = []

    def __enter__(self) -> PhaseBar:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()

    def __call__(self, event: Mapping[str, Any]) -> None:
        kind = event["event"]
        if kind == "phase":
            self._open.append((event["name"], event["steps"]))
            self._show(0)
        elif kind == "step" and self._open and event["name"] == self._open[-1][0]:
            self._show(event["step"])
        elif kind == "phase_end":
            while self._open and self._open.pop()[0] != event["name"]:
                pass
            self._show(0)

    def _show(self, step: int) -> None:
        if not self._open:
            return
        name, steps = self._open[-1]
        self._bar.total = max(steps, 1)
        self._bar.n = min(step, self._bar.total)
        self._bar.set_description(name, refresh=False)
        self._bar.refresh()
