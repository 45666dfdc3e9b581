"""Runs the ablation: every cell the same number of steps, in parallel, resumable.

A folder holds ``settings.json``, one JSON per finished run under ``runs/``, and the report. All are
written from the first finished run on: settings under which none can finish leave nothing behind.
A run that was interrupted starts again. A finished one is kept as long as the settings are the
same.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import platform
import signal
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from posemamba.ablation.cell import check_settings, run_cell
from posemamba.ablation.settings import Settings
from posemamba.ablation.table import METRICS, ROWS, AblationReport, Cell, Row, cells
from posemamba.errors import InputError
from posemamba.files.output import check_folder, replacing

SETTINGS, RUNS = "settings.json", "runs"


def run(
    settings: Settings,
    folder: str | os.PathLike[str],
    *,
    jobs: int,
    rows: Sequence[Row] = ROWS,
    on_report: Callable[[AblationReport], None] = lambda _report: None,
) -> AblationReport:
    """Run what has not been run, and report.

    Args:
        settings: of all runs.
        folder: made if missing, once a run has finished; resumed if it holds the same settings.
        jobs: runs at a time, each a process; small networks leave a GPU waiting for its host.
        rows: of the table.
        on_report: called with what there is so far, at the start and after every run.

    Raises:
        InputError: the folder holds other settings or cannot be written, a file is missing or
            wrong, or a setting no run can have.
    """
    folder = Path(folder)
    check_folder(folder, (SETTINGS, "ablation.json", "ablation.md", "ablation.svg"))
    check_folder(folder / RUNS)
    settings = settings.with_digests()
    check_settings(settings)
    earlier = _earlier_settings(folder)
    if earlier is not None:
        settings.refuse_others(earlier, folder)
    wanted = cells(rows, settings.seeds)
    results = _finished(wanted, folder, settings)
    on_report(_report(settings, rows, results))
    with _workers(jobs) as pool:
        todo = [cell for cell in wanted if cell.key not in results]
        pending = {pool.submit(_run, cell, settings): cell for cell in todo}
        try:
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
            raise
    return _report(settings, rows, results)


def _report(
    settings: Settings, rows: Sequence[Row], results: Mapping[str, Mapping[str, Any]]
) -> AblationReport:
    figures = {key: result["figures"] for key, result in results.items()}
    machines = {json.dumps(result["environment"]): None for result in results.values()}
    environments = tuple(json.loads(text) for text in machines)
    return AblationReport(settings.to_dict(), tuple(rows), figures, environments)


def write_report(
    report: AblationReport, folder: str | os.PathLike[str], *, plot: bool = False
) -> bool:
    """Write ``ablation.json``, ``.md`` and, if asked, ``.svg``; False if matplotlib is missing."""
    folder = Path(folder)
    texts = {"json": json.dumps(report.to_dict(), indent=1) + "\n", "md": report.markdown()}
    for ending, text in texts.items():
        with replacing(folder / f"ablation.{ending}") as temporary:
            temporary.write_text(text, encoding="utf-8")
    if not plot or find_spec("matplotlib") is None:
        return False
    report.plot(folder / "ablation.svg")
    return True


def _workers(jobs: int) -> ProcessPoolExecutor:
    # spawn: CUDA cannot be used in a forked child.
    context = multiprocessing.get_context("spawn")
    threads = max(1, (os.cpu_count() or 1) // jobs)
    return ProcessPoolExecutor(jobs, mp_context=context, initializer=_start, initargs=(threads,))


def _start(threads: int) -> None:
    import torch

    signal.signal(signal.SIGINT, signal.SIG_DFL)  # the parent tells of Ctrl-C
    torch.set_num_threads(threads)


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
        raise InputError(f"{path}: not the settings of an ablation; name another folder with -o")
    return content


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no JSON"
        raise InputError(f"{path}: cannot be read ({reason}); remove it to run again") from None
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
