"""What a run says while it runs: every step, how long it will take, how it validates."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from posemamba.cli.main import cli
from posemamba.training.estimate import Estimate, duration


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.2, "1 second"),
        (59, "59 seconds"),
        (119, "119 seconds"),
        (180, "3 minutes"),
        (7199, "120 minutes"),
        (7200, "2.0 hours"),
        (5.5 * 3600, "5.5 hours"),
        (23.9 * 3600, "24 hours"),
        (86400, "1.0 days"),
        (12 * 86400, "12 days"),
    ],
)
def test_durations(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def estimate(each: float, steps: int, minutes: float | None = None) -> tuple[list[str], Estimate]:
    """What is said over the first steps of a run whose first step takes a minute more."""
    times = iter([60.0 + each, 60.0 + 2 * each, 60.0 + 3 * each])
    made = Estimate(minutes, clock=lambda: next(times))
    said = [line for step in range(1, 6) if (line := made.step(step, steps)) is not None]
    return said, made


def test_it_comes_once_after_three_steps_without_the_first() -> None:
    said, made = estimate(2.0, 1003)
    assert said == ["1,000 steps to go at 2 s each: about 33 minutes on this machine"]
    assert made.warning is None


def test_days_are_warned_of_with_what_to_choose() -> None:
    _, made = estimate(30.0, 40003)
    assert made.warning is not None
    assert "takes 14 days" in made.warning
    for choice in ("--device cuda", "--depth", "--steps", "--minutes"):
        assert choice in made.warning


def test_a_limit_of_minutes_is_no_run_of_days() -> None:
    said, made = estimate(30.0, 40003, minutes=10.0)
    assert said[0].endswith("about 10 minutes on this machine")
    assert made.warning is None


def test_a_resumed_run_counts_what_is_left() -> None:
    times = iter([1.0, 2.0, 3.0])
    made = Estimate(clock=lambda: next(times))
    said = [made.step(step, 100) for step in (91, 92, 93)]
    assert said[-1] == "7 steps to go at 1 s each: about 7 seconds on this machine"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    line = f"data pybullet -o {folder} --clips 12 --held-out-clips 2 --frames 9"
    assert CliRunner().invoke(cli, line.split()).exit_code == 0
    return folder


def test_every_step_is_told(data: Path, tmp_path: Path) -> None:
    import torch

    from posemamba.data.clip_set import load_clip_set
    from posemamba.training.config import TrainConfig
    from posemamba.training.run import Progress, Run

    config = TrainConfig(depth=1, d_model=8, frames=9, epochs=3, batch_size=4)
    seen: list[Progress] = []
    train, val = (load_clip_set(data / name) for name in ("train.npz", "val_motions.npz"))
    run = Run(config, [train], val, tmp_path / "run", torch.device("cpu"), on_step=seen.append)
    run.train()
    assert [at.step for at in seen] == list(range(1, run.steps + 1))
    per_epoch = run.batches.steps_per_epoch
    validated = [at.step for at in seen if at.val_mpjpe_mm is not None]
    assert validated == [per_epoch, 2 * per_epoch]  # the last is the result's
    assert all(at.loss is not None for at in seen[:2])


def test_a_long_run_is_warned_of_in_a_pipe(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from posemamba.training import estimate as module

    monkeypatch.setattr(module, "LONG_S", 0.0)
    line = f"train --data {data / 'train.npz'} --depth 1 --d-model 8 --frames 9 --steps 4 -o"
    done = CliRunner().invoke(cli, [*line.split(), str(tmp_path / "run")])
    assert done.exit_code == 0, done.output
    (said,) = [text for text in done.stderr.splitlines() if text.startswith("Warning: ")]
    assert "instead: a GPU" in said
