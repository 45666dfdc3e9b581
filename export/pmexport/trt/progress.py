"""TensorRT's nested build phases as one bar on a terminal, nothing elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqdm import tqdm


_TICK_SECONDS = 0.5


class PhaseBar:
    """Shows the innermost phase that is under way; a context manager and an event listener.

    TensorRT may compile for many seconds inside one step, so the clock goes on by itself.
    """

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None
        self._open: list[tuple[str, int]] = []
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._clock = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self) -> PhaseBar:
        self._clock.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._clock.join()
        self._close()

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Take an event of the worker."""
        with self._lock:
            self._take(event)

    def _tick(self) -> None:
        while not self._ended.wait(_TICK_SECONDS):
            with self._lock:
                if self._bar is not None:
                    self._bar.refresh()

    def _take(self, event: Mapping[str, Any]) -> None:
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
        if not self._open:  # what is printed now must not meet a bar
            self._close()

    def _show(self, step: int) -> None:
        if not self._open:
            return
        name, steps = self._open[-1]
        if self._bar is None:
            from tqdm import tqdm

            self._bar = tqdm(
                desc=name,
                total=max(steps, 1),
                leave=False,
                disable=None,
                bar_format="{desc} |{bar}| {n_fmt}/{total_fmt} [{elapsed}]",
            )
        self._bar.total = max(steps, 1)
        self._bar.n = min(step, self._bar.total)
        self._bar.set_description(name, refresh=True)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
