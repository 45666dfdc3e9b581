"""Runs the ablation: every cell the same number of steps, in parallel, resumable.

A folder holds ``settings.json``, one JSON a finished run under ``runs/``, and the report; all from
the first finished run on, so that settings under which none can finish leave nothing behind. A run
that was interrupted starts again; a finished one is kept as long as the settings are the same.
"""

from __future__ import annotations

import hashlib
import json
import math
import multiprocessing
import os
import platform
import signal
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from dataclasses import asdict, dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from posemamba.ablation.cell import check_settings, run_cell
from posemamba.ablation.table import FULL, METRICS, ROWS, AblationReport, Cell, Row, cells
from posemamba.errors import InputError
from posemamba.files.input import require_no_device
from posemamba.files.output import check_folder, replacing

SETTINGS, RUNS = "settings.json", "runs"
MAX_MINUTES = 1e6

#: Steps of the probes: the first warms the workers up and is not timed, the others tell what a run
#: costs besides its steps from what a step costs.
_WARM_UP, _PROBES = 2, (2, 62)
#: Share of the budget that is planned: evaluation and slow stragglers take some.
_PLANNED = 0.85


@dataclass(frozen=True)
class Settings:
    """What all runs have in common.

    Attributes:
        data: clip sets to train on.
        val: name to clip set to measure on.
        steps: optimizer steps of every run; 0 until planned by :func:`plan_steps`.
        seeds: runs of every row, seeds 0, 1, ...
        depth, d_model, frames: of the network.
        batch: clips a step.
        learning_rate: at the start.
        device: ``cpu`` or ``cuda``.
        scan: a differentiable scan backend.
        cuda_graph: capture the training step, see :class:`posemamba.training.config.TrainConfig`.
        digests: SHA-256 of each file, filled in here: a changed file is another experiment.
    """

    data: tuple[str, ...]
    val: Mapping[str, str]
    steps: int
    seeds: int
    depth: int
    d_model: int
    frames: int
    batch: int
    learning_rate: float
    device: str
    scan: str
    cuda_graph: bool = False
    digests: Mapping[str, str] = field(default_factory=dict)

    def with_digests(self) -> Settings:
        """A copy that names the content of its files.

        Raises:
            InputError: a file that cannot be read, or is none.
        """
        digests = {}
        for path in (*self.data, *self.val.values()):
            require_no_device(path)
            try:
                digests[path] = hashlib.sha256(Path(path).read_bytes()).hexdigest()
            except OSError as error:
                raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
        return replace(self, digests=digests)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; paths do not matter for equality, contents do."""
        plain = asdict(self)
        return plain | {"data": list(self.data), "val": dict(self.val)}


def run(
    settings: Settings,
    folder: Path,
    *,
    jobs: int,
    rows: Sequence[Row] = ROWS,
    minutes: float | None = None,
    on_report: Callable[[AblationReport], None] = lambda _report: None,
) -> AblationReport:
    """Run what has not been run, and report.

    Args:
        settings: of all runs.
        folder: made if missing, once a run has finished; resumed if it holds the same settings.
        jobs: runs at a time, each a process; small networks leave a GPU waiting for its host.
        rows: of the table.
        minutes: plan the steps to take about so long, unless the folder already says how many.
        on_report: called with what there is so far, at the start and after every run.

    Raises:
        InputError: the folder holds other settings or cannot be written, a file is missing or
            wrong, a setting no run can have, or a budget too short for one step.
    """
    if minutes is not None and not 0 < minutes <= MAX_MINUTES:
        raise InputError(f"--minutes {minutes:g}: give a number up to {MAX_MINUTES:,.0f}")
    check_folder(folder, (SETTINGS, "ablation.json", "ablation.md", "ablation.svg"))
    check_folder(folder / RUNS)
    settings = settings.with_digests()
    check_settings(settings)
    earlier = _earlier_settings(folder)
    if earlier is not None:
        if minutes is not None:
            settings = replace(settings, steps=earlier["steps"])
        _refuse_other_settings(settings, earlier, folder)
    wanted = cells(rows, settings.seeds)
    results = _finished(wanted, folder, settings)
    others = set(multiprocessing.active_children())
    with _workers(jobs) as pool:
        try:
            if not settings.steps and minutes is not None:
                steps = plan_steps(settings, len(wanted), jobs, minutes, pool)
                settings = replace(settings, steps=steps)
            on_report(_report(settings, rows, results))
            todo = [cell for cell in wanted if cell.key not in results]
            pending = dict(zip(_submit(pool, _run, todo, settings), todo, strict=True))
            while pending:
                done = wait(pending, return_when=FIRST_COMPLETED).done
                # The good ones first: what has finished is kept when another one fails.
                for future in sorted(done, key=lambda future: future.exception() is not None):
                    cell = pending.pop(future)
                    results[cell.key] = future.result()
                    _save(results[cell.key], cell, settings, folder)
                    on_report(_report(settings, rows, results))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in set(multiprocessing.active_children()) - others:
                worker.terminate()  # leaving the pool would wait for the runs in progress
            raise
    return _report(settings, rows, results)


def _report(
    settings: Settings, rows: Sequence[Row], results: Mapping[str, Mapping[str, Any]]
) -> AblationReport:
    figures = {key: result["figures"] for key, result in results.items()}
    machines = {json.dumps(result["environment"]): None for result in results.values()}
    environments = tuple(json.loads(text) for text in machines)
    return AblationReport(settings.to_dict(), tuple(rows), figures, environments)


def write_report(report: AblationReport, folder: Path, *, plot: bool = False) -> bool:
    """Write ``ablation.json``, ``.md`` and, if asked, ``.svg``; False if matplotlib is missing."""
    texts = {"json": json.dumps(report.to_dict(), indent=1) + "\n", "md": report.markdown()}
    for ending, text in texts.items():
        with replacing(folder / f"ablation.{ending}") as temporary:
            temporary.write_text(text, encoding="utf-8")
    if not plot or find_spec("matplotlib") is None:
        return False
    report.plot(folder / "ablation.svg")
    return True


def plan_steps(settings: Settings, runs: int, jobs: int, minutes: float, pool: Executor) -> int:
    """Steps every run may take so that all of them fit, from two short probes, ``jobs`` at a time.

    Raises:
        InputError: the budget is too short for one step a run.
    """
    start = time.perf_counter()
    seconds = []
    for steps in (_WARM_UP, *_PROBES):
        probe = replace(settings, steps=steps)
        futures = _submit(pool, run_cell, [Cell(FULL, (), seed) for seed in range(jobs)], probe)
        seconds.append(max(future.result()["seconds"] for future in futures))
    _, short, long = seconds
    a_step = max((long - short) / (_PROBES[1] - _PROBES[0]), 1e-6)
    overhead = max(short - _PROBES[0] * a_step, 0.0)
    left = minutes * 60.0 - (time.perf_counter() - start)
    for_one = left * _PLANNED / math.ceil(runs / jobs)  # seconds
    steps = int((for_one - overhead) / a_step)
    if steps < 1:
        raise InputError(
            f"{minutes:g} minutes are too few: {runs} runs, {jobs} at a time, need "
            f"{overhead + a_step:.1f} s each for a single step; allow more, or fewer seeds"
        )
    return steps


def _workers(jobs: int) -> ProcessPoolExecutor:
    # spawn: CUDA cannot be used in a forked child.
    context = multiprocessing.get_context("spawn")
    threads = max(1, (os.cpu_count() or 1) // jobs)
    return ProcessPoolExecutor(jobs, mp_context=context, initializer=_start, initargs=(threads,))


def _start(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)


def _submit(
    pool: Executor,
    work: Callable[[Cell, Settings], dict[str, Any]],
    todo: Sequence[Cell],
    settings: Settings,
) -> list[Future[dict[str, Any]]]:
    """Have every cell worked on by workers that never see Ctrl-C: it is the parent's to answer.

    Workers start at the first cells, and inherit the blocked signal before their first import. In
    a thread, since Ctrl-C would leave the main one with workers that are started but not known.
    """

    def submit() -> list[Future[dict[str, Any]]]:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        return [pool.submit(work, cell, settings) for cell in todo]

    with ThreadPoolExecutor(1) as starter:
        return starter.submit(submit).result()


def _run(cell: Cell, settings: Settings) -> dict[str, Any]:
    return run_cell(cell, settings) | {"environment": environment(settings.device)}


def _save(result: Mapping[str, Any], cell: Cell, settings: Settings, folder: Path) -> None:
    (folder / RUNS).mkdir(parents=True, exist_ok=True)
    if not (folder / SETTINGS).exists():  # before the run: none is there without its settings
        _write_json(folder / SETTINGS, settings.to_dict())
    _write_json(folder / RUNS / f"{cell.key}.json", result)


def _finished(wanted: Sequence[Cell], folder: Path, settings: Settings) -> dict[str, Any]:
    results = {}
    for cell in wanted:
        path = folder / RUNS / f"{cell.key}.json"
        if path.exists():
            results[cell.key] = _read_json(path)
            if not _is_result(results[cell.key], settings.val):
                raise InputError(f"{path}: not the figures of a run; remove it to run again")
    return results


def _is_result(content: Mapping[str, Any], vals: Iterable[str]) -> bool:
    figures = content.get("figures")
    return (
        isinstance(content.get("environment"), dict)
        and isinstance(figures, dict)
        and figures.keys() == set(vals)
        and all(
            isinstance(errors, dict)
            and errors.keys() == METRICS.keys()
            and all(type(value) in (int, float) for value in errors.values())
            for errors in figures.values()
        )
    )


def _earlier_settings(folder: Path) -> dict[str, Any] | None:
    path = folder / SETTINGS
    if not path.exists():
        return None
    content = _read_json(path)
    kinds = {"data": list, "val": dict, "digests": dict, "steps": int}
    right = all(isinstance(content.get(name), kind) for name, kind in kinds.items())
    if not right or content["steps"] < 1:
        raise InputError(f"{path}: not the settings of an ablation; name another --out")
    return content


def _refuse_other_settings(settings: Settings, earlier: Mapping[str, Any], folder: Path) -> None:
    # Moving a file is no change; what it holds is.
    ours, theirs = _comparable(settings.to_dict()), _comparable(earlier)
    changed = [name for name in ours if ours[name] != theirs.get(name)]
    if changed:
        name = changed[0]
        raise InputError(
            f"{folder}: holds runs with other settings ({name} was {theirs.get(name)}, is now "
            f"{ours[name]}): name another --out, or keep the settings"
        )


def _comparable(settings: Mapping[str, Any]) -> dict[str, Any]:
    digests = {path: str(digest)[:12] for path, digest in settings["digests"].items()}
    return {name: value for name, value in settings.items() if name != "digests"} | {
        "data": [digests.get(str(path)) for path in settings["data"]],
        "val": {name: digests.get(str(path)) for name, path in settings["val"].items()},
    }


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); remove it to run again") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: not a mapping; remove it to run again")
    return dict(content)


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n")


def environment(device: str) -> dict[str, str]:
    """Versions and hardware a report must name."""
    import torch

    hardware = torch.cuda.get_device_name() if device.startswith("cuda") else platform.machine()
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device": hardware,
        "cpus": str(os.cpu_count()),
    }
