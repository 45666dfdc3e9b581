"""One table of one run: PoseMamba in PyTorch and in ONNX Runtime, its authors' flow, MotionBERT.

    python -m benchmarks.compare.run --models DIR --out DIR

DIR holds S.fp16.onnx and so on (``python -m benchmarks.networks.ort export``).

Each library has a process of its own, started before anything is timed; MotionBERT's compile
meanwhile. One of them computes at a time. A process that fails or hangs costs its row alone: it is
ended, and the next row starts another. ``compare.json`` and ``compare.md`` are written after every
row, the most telling first. How a row comes about: :mod:`benchmarks.compare.worker`.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from benchmarks.compare.cells import COMPILED, Cell, plan
from benchmarks.compare.table import markdown
from benchmarks.environment import environment
from posemamba.files.output import replacing

#: Seconds until a process has been started.
COMPILE_SECONDS, START_SECONDS = 240.0, 90.0
ROW_SECONDS = 60.0
Serve = Callable[[Connection, Path, Path, "set[int] | None"], None]


class Failed(Exception):
    """Why there is no row."""


@dataclass(frozen=True)
class Places:
    """Folders, and the cores of a process while it is timed."""

    models: Path
    out: Path
    cores: set[int] | None = None


class Worker:
    """A process that may be lost, and is then started anew.

    Args:
        serve: what it runs.
        name: of its log.
    """

    def __init__(self, serve: Serve, name: str, places: Places) -> None:
        self._serve, self._places = serve, places
        self._log = places.out / f"compare-{''.join(c if c.isalnum() else '-' for c in name)}.log"
        self._process: SpawnProcess | None = None
        self._end: Connection | None = None

    def send(self, question: str, cell: Cell) -> None:
        if self._process is None:
            context = multiprocessing.get_context("spawn")
            self._end, other = context.Pipe()
            places = self._places
            self._process = context.Process(
                target=self._serve, args=(other, places.models, self._log, places.cores)
            )
            self._process.start()
            other.close()
        assert self._end is not None
        try:
            self._end.send((question, cell))
        except OSError as error:
            raise Failed(self._lost()) from error

    def answers(self) -> bool:
        return self._end is not None and self._end.poll(0.0)

    def answer(self, seconds: float) -> dict[str, Any]:
        """What it says within so many seconds."""
        assert self._end is not None
        if not self._end.poll(seconds):
            self.stop()
            raise Failed("no answer in time")
        try:
            kind, value = self._end.recv()
        except (EOFError, OSError) as error:
            raise Failed(self._lost()) from error
        if kind == "failed":
            raise Failed(value)
        row: dict[str, Any] = value
        return row

    def _lost(self) -> str:
        assert self._process is not None
        self._process.join(5)
        code = self._process.exitcode
        self.stop()
        return f"its process ended with {code}: {self._log.name}"

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
        self._process = self._end = None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, required=True, help="folder of the ONNX files")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--networks", help="some of them")
    parser.add_argument("--budget", type=float, default=300.0, help="seconds to begin rows in")
    parser.add_argument("--after", type=Path, help="a file that is there once all else is ready")
    parser.add_argument("--cores", help="those of what is timed, as 0,1,2,3")
    options = parser.parse_args()
    chosen = options.networks.split(",") if options.networks else None
    cells = [cell for cell in plan() if chosen is None or cell.network in chosen]
    cores = {int(core) for core in options.cores.split(",")} if options.cores else None
    options.out.mkdir(parents=True, exist_ok=True)
    from benchmarks.compare.worker import serve

    places = Places(options.models, options.out, cores)
    return run_all(cells, places, options.budget, options.after, serve)


def run_all(
    cells: list[Cell], places: Places, budget: float, after: Path | None, serve: Serve
) -> int:
    report: dict[str, Any] = {"environment": environment(), "rows": [], "skipped": []}
    workers = {name: Worker(serve, name, places) for name in {c.process: 0 for c in cells}}
    report["environment"] |= start(cells, workers, after)
    if places.cores:
        os.sched_setaffinity(0, places.cores)
    deadline = time.monotonic() + budget
    for cell in cells:
        began = time.monotonic()
        try:
            if began > deadline:
                raise Failed(f"{budget:.0f} seconds were over")
            workers[cell.process].send("time", cell)
            row = workers[cell.process].answer(ROW_SECONDS)
        except Failed as error:
            report["skipped"].append(asdict(cell) | {"why": str(error)})
            say(f"{cell}: {error}")
        else:
            report["rows"].append(asdict(cell) | row)
            say(f"{cell}: {json.dumps(row)}, {time.monotonic() - began:.1f} s")
        for name, text in (
            ("compare.json", json.dumps(report, indent=1) + "\n"),
            ("compare.md", markdown(report)),
        ):
            with replacing(places.out / name) as partial:
                partial.write_text(text, encoding="utf-8")
    for worker in workers.values():
        worker.stop()
    return 0


def start(cells: list[Cell], workers: dict[str, Worker], after: Path | None) -> dict[str, Any]:
    """All processes: what compiles at once, the others when ``after`` is there. Their facts."""
    first = {cell.process: cell for cell in reversed(cells)}
    begun = time.monotonic()
    waits: dict[str, float] = {}
    facts: dict[str, Any] = {}
    while first or waits:
        now = time.monotonic()
        free = after is None or after.exists() or now > begun + COMPILE_SECONDS
        for name, cell in list(first.items()):
            if free or cell.way == COMPILED:
                workers[name].send("prepare", first.pop(name))
                waits[name] = now + (COMPILE_SECONDS if cell.way == COMPILED else START_SECONDS)
        for name, end in list(waits.items()):
            if not workers[name].answers() and now < end:
                continue
            del waits[name]
            try:
                facts |= workers[name].answer(0.0)
                say(f"{name}: ready after {now - begun:.0f} s")
            except Failed as error:  # its rows will say why, or work
                say(f"{name}: {error}")
        time.sleep(0.1)
    return facts


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
