"""The runner around the runs: resumption, refused settings; runs are made up here."""

from __future__ import annotations

import dataclasses
import json
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from posemamba.ablation import runner as ablation
from posemamba.ablation.runner import run, write_report
from posemamba.ablation.settings import Settings
from posemamba.ablation.table import FULL, ROWS, AblationReport, Cell, Row
from posemamba.errors import InputError

SMALL = (Row("scan order", "fs-ft", "fs-ft"), Row("scan order", FULL), Row("loss", "all terms"))


class Runs:
    """Stands for :func:`posemamba.ablation.cell.run_cell`; remembers and can fail."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.fail_at, self.failure = math.inf, KeyboardInterrupt()
        self.lock = threading.Lock()

    def __call__(self, cell: Cell, settings: Settings) -> dict[str, Any]:
        with self.lock:
            if len(self.seen) >= self.fail_at:
                raise self.failure
            self.seen.append(cell.key)
        value = 10.0 + cell.seed + len(cell.scan_order)
        figures = {"mpjpe_mm": value, "p_mpjpe_mm": value / 2, "mpjve_mm": 1.0}
        return {"figures": {name: figures for name in settings.val}}


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Runs:
    """Threads instead of processes, made-up runs instead of training."""
    fake = Runs()
    monkeypatch.setattr(ablation, "run_cell", fake)
    monkeypatch.setattr(
        ablation, "check_settings", lambda _settings: None
    )  # the files are no clips
    monkeypatch.setattr(ablation, "_workers", ThreadPoolExecutor)
    return fake


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.chdir(tmp_path)
    for name in ("train", "val_a", "val_b"):
        Path(f"{name}.npz").write_text(name)
    return Settings(
        data=("train.npz",), val={"val_a": "val_a.npz", "val_b": "val_b.npz"}, steps=7, seeds=2,
        depth=1, d_model=8, frames=9, batch=2, learning_rate=1e-3, device="cpu", scan="chunked",
    )  # fmt: skip


def test_every_run_once_and_a_report_after_each(runs: Runs, settings: Settings) -> None:
    reports: list[AblationReport] = []
    report = run(settings, Path("out"), jobs=1, rows=SMALL, on_report=reports.append)
    assert sorted(runs.seen) == sorted(
        f"{order}.off-none.seed{seed}" for order in ("fs-ft", FULL) for seed in (0, 1)
    )
    assert [len(entry.figures) for entry in reports] == [0, 1, 2, 3, 4]
    assert report.missing == []
    assert write_report(report, Path("out"), plot=True)
    assert {path.name for path in Path("out").iterdir()} == {
        "ablation.json", "ablation.md", "ablation.svg", "runs", "settings.json"
    }  # fmt: skip
    assert "val_b" in Path("out/ablation.svg").read_text()
    content = json.loads(Path("out/ablation.json").read_text())
    assert content["settings"]["digests"]["train.npz"]
    assert len(content["environments"]) == 1


def test_an_interrupted_ablation_goes_on(runs: Runs, settings: Settings) -> None:
    runs.fail_at = 3
    with pytest.raises(KeyboardInterrupt):
        run(settings, Path("out"), jobs=1, rows=SMALL)
    assert len(list(Path("out/runs").iterdir())) == 3
    first = list(runs.seen)
    runs.fail_at = math.inf
    report = run(settings, Path("out"), jobs=1, rows=SMALL)
    assert report.missing == []
    assert len(runs.seen) == 4
    assert runs.seen[3] not in first
    run(settings, Path("out"), jobs=1, rows=SMALL)
    assert len(runs.seen) == 4  # nothing is left to do


@pytest.mark.parametrize(
    ("change", "name"),
    [({"steps": 8}, "steps"), ({"seeds": 3}, "seeds"), ({"frames": 27}, "frames"),
     ({"scan": "reference"}, "scan"), ({"learning_rate": 1e-4}, "learning_rate")],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_other_settings_are_refused(
    runs: Runs, settings: Settings, change: dict[str, Any], name: str
) -> None:
    run(settings, Path("out"), jobs=1, rows=SMALL)
    with pytest.raises(InputError, match=rf"out: holds runs with other settings \({name} was"):
        run(dataclasses.replace(settings, **change), Path("out"), jobs=1, rows=SMALL)
    assert len(runs.seen) == 4


def test_changed_data_are_refused_and_moved_data_are_not(runs: Runs, settings: Settings) -> None:
    run(settings, Path("out"), jobs=1, rows=SMALL)
    Path("train.npz").rename("elsewhere.npz")
    moved = dataclasses.replace(settings, data=("elsewhere.npz",))
    run(moved, Path("out"), jobs=1, rows=SMALL)
    assert len(runs.seen) == 4
    Path("val_b.npz").write_text("other")
    with pytest.raises(InputError, match=r"other settings \(val was"):
        run(moved, Path("out"), jobs=1, rows=SMALL)


def test_missing_data_and_broken_files_are_one_line(runs: Runs, settings: Settings) -> None:
    gone = dataclasses.replace(settings, data=("gone.npz",))
    with pytest.raises(InputError, match=r"gone\.npz: cannot be read"):
        run(gone, Path("out"), jobs=1, rows=SMALL)
    run(settings, Path("out"), jobs=1, rows=SMALL)
    broken = next(Path("out/runs").iterdir())
    broken.write_text("{")
    with pytest.raises(InputError, match=f"{broken.name}: cannot be read"):
        run(settings, Path("out"), jobs=1, rows=SMALL)


@pytest.mark.parametrize(
    "change",
    [
        lambda run: run.clear(),
        lambda run: run.update(figures=3),
        lambda run: run.update(figures={"val_a": run["figures"]["val_a"]}),
        lambda run: run["figures"].update(val_a=[]),
        lambda run: run["figures"]["val_a"].pop("mpjpe_mm"),
        lambda run: run["figures"]["val_a"].update(mpjpe_mm="12"),
        lambda run: run.pop("environment"),
    ],
    ids=["empty", "no mapping", "a set less", "a list", "a metric less", "a text", "no machine"],
)
def test_damaged_runs_are_one_line(
    runs: Runs, settings: Settings, change: Callable[[dict[str, Any]], object]
) -> None:
    run(settings, Path("out"), jobs=1, rows=SMALL)
    damaged = next(Path("out/runs").iterdir())
    content = json.loads(damaged.read_text())
    change(content)
    damaged.write_text(json.dumps(content))
    with pytest.raises(InputError, match=f"{damaged.name}: not the figures of a run; remove it"):
        run(settings, Path("out"), jobs=1, rows=SMALL)


@pytest.mark.parametrize(
    "change", [{"digests": 1}, {"data": None}, {"val": []}, {"steps": "7"}, {"steps": 0}], ids=str
)
def test_damaged_settings_are_one_line(
    runs: Runs, settings: Settings, change: dict[str, Any]
) -> None:
    run(settings, Path("out"), jobs=1, rows=SMALL)
    file = Path("out/settings.json")
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(InputError, match=r"settings\.json: not the settings of an ablation"):
        run(settings, Path("out"), jobs=1, rows=SMALL)


def test_a_first_run_that_fails_leaves_the_folder_free(runs: Runs, settings: Settings) -> None:
    runs.fail_at, runs.failure = 0, InputError("the loss is nan")
    with pytest.raises(InputError, match="the loss is nan"):
        run(settings, Path("out"), jobs=1, rows=SMALL)
    assert not Path("out").exists()
    runs.fail_at = math.inf
    corrected = dataclasses.replace(settings, learning_rate=1e-4)
    assert run(corrected, Path("out"), jobs=1, rows=SMALL).missing == []


@pytest.mark.parametrize(
    "blocked", ["settings.json", "ablation.json", "ablation.md", "ablation.svg", "runs"]
)
def test_blocked_outputs_are_noticed_before_any_run(
    runs: Runs, settings: Settings, blocked: str
) -> None:
    Path("out").mkdir()
    if blocked == "runs":
        Path("out/runs").write_text("")
    else:
        Path("out", blocked).mkdir()
    with pytest.raises(InputError, match=blocked):
        run(settings, Path("out"), jobs=1, rows=SMALL)
    assert runs.seen == []


def test_runs_really_share_the_time(runs: Runs, settings: Settings, monkeypatch: Any) -> None:
    running, most = 0, 0

    def slow(cell: Cell, settings: Settings) -> dict[str, Any]:
        nonlocal running, most
        with runs.lock:
            running += 1
            most = max(most, running)
        time.sleep(0.05)
        with runs.lock:
            running -= 1
        return runs(cell, settings)

    monkeypatch.setattr(ablation, "run_cell", slow)
    run(settings, Path("out"), jobs=3, rows=ROWS)
    assert most == 3
