"""Benchmarks: what is timed and how it is said, with a clock that can be trusted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from places import TINY as CKPT

from pmexport.bench.measure import MIN_RUNS, Effort, HostBound, Times, measure
from pmexport.bench.report import bench_lines, bench_markdown
from pmexport.bench.run import BenchRequest, run_bench
from pmexport.cli.main import cli
from pmexport.exporting.export import export_onnx
from pmexport.format.options import ExportOptions
from pmexport.runtimes.base import FloatArray
from posemamba.checkpoint.read import load_checkpoint
from posemamba.errors import InputError

QUICK = Effort(warmup_s=0.01, measure_s=0.05, runs=20)


class Clock:
    """Seconds that pass only when something is done."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Device:
    """A bound model on a made-up device: upload 1 ms, download 2 ms, compute what it is told."""

    def __init__(self, clock: Clock, compute_ms: Iterator[float]) -> None:
        self.settings: dict[str, Any] = {"cuda_graph": True}
        self.clock = clock
        self.compute_ms = compute_ms
        self.calls = 0

    def upload(self) -> None:
        self.clock.now += 0.001

    def compute(self) -> None:
        self.calls += 1
        self.clock.now += next(self.compute_ms) / 1e3

    def download(self) -> FloatArray:
        self.clock.now += 0.002
        return np.full((1, 1, 17, 3), self.calls, np.float32)


def test_steps_are_told_apart() -> None:
    clock = Clock()
    device = Device(clock, iter(lambda: 7.0, None))
    found = measure(device, Effort(warmup_s=0.1, measure_s=100.0, runs=50), clock)
    assert found.runs == 50
    assert {name: round(times.median, 9) for name, times in found.steps.items()} == {
        "upload": 1.0,
        "compute": 7.0,
        "download": 2.0,
    }
    assert found.total.median == pytest.approx(10.0)
    assert found.total.cv == pytest.approx(0.0, abs=1e-9)
    assert not found.unstable
    assert device.calls == 50 + 1 + 10  # a first run, and 0.1 s of warm-up at 10 ms a run
    assert found.poses_3d[0, 0, 0, 0] == device.calls


def test_warm_up_does_not_count() -> None:
    """A slow first run, as of every engine that compiles or captures, is in no figure."""
    clock = Clock()
    device = Device(clock, iter([5000.0] + [4.0] * 99))
    found = measure(device, Effort(warmup_s=1e-9, measure_s=100.0, runs=30), clock)
    assert found.total.p99 == pytest.approx(7.0)


def test_an_unsteady_clock_is_told() -> None:
    clock = Clock()
    times = (7.0 if i % 2 else 8.0 for i in count())
    found = measure(Device(clock, times), Effort(0.1, 100.0, 100), clock)
    assert found.unstable
    assert found.total.cv == pytest.approx(0.5 / 10.5, rel=1e-6)


def test_time_ends_a_measurement_but_not_before_a_few_runs() -> None:
    clock = Clock()
    assert measure(Device(clock, iter(lambda: 997.0, None)), Effort(0.1, 0.5, 99), clock).runs == (
        MIN_RUNS
    )
    assert measure(Device(clock, iter(lambda: 97.0, None)), Effort(0.1, 0.95, 99), clock).runs == 10


@pytest.mark.parametrize(("apart", "seconds"), [(0.0, 1.0), (2.0, 1.0), (30.0, 3.0)])
def test_noise_that_would_hide_a_change_prolongs_a_measurement(
    apart: float, seconds: float
) -> None:
    """One call of 100 ms is the best, all others take 2 or 30 ms more: is that what it takes?"""
    clock = Clock()
    best = 14  # past the warm-up
    times = (97.0 + apart * (run != best) for run in count())
    spent = measure(Device(clock, times), Effort(0.1, 1.0, 999), clock).samples_ms
    assert seconds <= sum(spent) / 1e3 < seconds + 0.2


def test_percentiles() -> None:
    times = Times.of(i / 1e3 for i in range(1, 102))  # 1 to 101 ms
    assert (times.median, times.p90, times.p99, times.best) == pytest.approx((51, 91, 100, 1))
    assert times.mean == pytest.approx(51)


def test_a_function_of_host_arrays_only_computes() -> None:
    clip = np.zeros((1, 2, 17, 2), np.float32)
    found = measure(HostBound(lambda keypoints: keypoints + 1, clip), QUICK)
    assert set(found.steps) == {"compute"}
    assert found.runs >= MIN_RUNS
    assert (found.poses_3d == 1).all()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bench") / "tiny.onnx"
    export_onnx(load_checkpoint(CKPT), path, ExportOptions())
    return path


def test_report(model: Path) -> None:
    runs = {"ort-cpu": 0, "torch": 0}

    def progress(name: str) -> Any:
        def one() -> None:
            runs[name] += 1

        return one

    request = BenchRequest(
        model, CKPT, ("ort-cpu", "torch"), batch=2, frames=3, effort=QUICK, threads=1
    )
    report = run_bench(request, progress)
    found = json.loads(json.dumps(report.to_dict()))
    assert found["schema"] == 1
    assert found["shape"] == {"batch": 2, "frames": 3, "joints": 17}
    assert found["model"]["precision"] == "fp32"
    assert len(found["model"]["sha256"]) == 64
    assert set(found["environment"]) == {
        "machine", "processor", "cores", "threads", "system", "gpu", "cuda", "versions", "date",
    }  # fmt: skip
    assert list(found["runtimes"]) == ["ort-cpu", "torch"]
    for name, row in found["runtimes"].items():
        total = row["total"]
        assert set(total) == {
            "median", "p90", "p95", "p99", "best", "mean", "cv", "mad"}  # fmt: skip
        assert 0 < total["best"] <= total["median"] <= total["p90"] <= total["p95"] <= total["p99"]
        assert row["clips_per_s"] == pytest.approx(2e3 / total["median"])
        assert row["frames_per_s"] == pytest.approx(3 * row["clips_per_s"])
        assert row["host_peak_mib"] > 10
        assert row["load_s"] > 0
        assert set(row["steps"]) == {"compute"}
        assert row["unstable"] == (total["cv"] > 0.025)
        assert runs[name] == row["runs"]
    lines = bench_lines(report)
    assert "batch 2, 3 frames" in lines[0]
    page = bench_markdown(report)
    assert page.count("\n| ") == 4
    assert "| ort-cpu |" in page


def test_sizes_are_the_models_unless_given(model: Path) -> None:
    report = run_bench(BenchRequest(model, effort=QUICK, threads=1))
    assert report.shape == {"batch": 1, "frames": 27, "joints": 17}


def test_a_model_of_fixed_size(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "fixed.onnx"
    fixed = onnx.load(model)
    for value in (fixed.graph.input[0], fixed.graph.output[0]):
        for dim, size in zip(value.type.tensor_type.shape.dim, (3, 2), strict=False):
            dim.dim_value = size
    onnx.save(fixed, path)
    assert run_bench(BenchRequest(path, effort=QUICK, threads=1)).shape["batch"] == 3
    with pytest.raises(InputError, match="takes batch 3, not 1"):
        run_bench(BenchRequest(path, batch=1))
    with pytest.raises(InputError, match="takes frames 2, not 1"):
        run_bench(BenchRequest(path, frames=1))


def test_command(model: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(
        cli,
        ["bench", str(model), "--frames", "3", "--warmup", "0.01", "--seconds", "0.05",
         "--threads", "1", "--json", str(tmp_path / "r.json"),
         "--markdown", str(tmp_path / "r.md")],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    assert result.stdout.startswith("Bench: ")
    assert "ort-cpu" in result.stdout
    assert json.loads((tmp_path / "r.json").read_text())["shape"]["frames"] == 3
    assert (tmp_path / "r.md").read_text().startswith("# Bench: ")


def test_gates_and_the_comparison_decide_the_exit_code(model: Path, tmp_path: Path) -> None:
    report = tmp_path / "r.json"

    def bench(*options: str, code: int) -> tuple[str, dict[str, Any]]:
        quick = ("--frames", "1", "--warmup", "0.01", "--seconds", "0.05", "--threads", "1")
        result = CliRunner().invoke(
            cli, ["bench", str(model), *quick, "--json", str(report), *options]
        )
        assert result.exit_code == code, result.output
        return result.stdout, json.loads(report.read_text(encoding="utf-8"))

    output, found = bench("--gate", "p95=1e9,fps=1e-9,drops=0@1e-3", code=0)
    assert output.count("Gate ") == output.count(": met") == 3
    output, found = bench("--gate", "p95=1e9,p50=1e-9", code=1)
    assert "MISSED" in output
    assert [row["met"] for row in found["gates"]] == [True, False]
    for factor, verdict, code in ((1e-3, "slower", 1), (1e3, "faster", 0)):
        total = found["runtimes"]["ort-cpu"]["total"]
        old = tmp_path / "old.json"
        planted = {key: factor * total[key] for key in ("median", "best", "mad")}
        found["runtimes"]["ort-cpu"]["total"] = planted
        old.write_text(json.dumps(found), encoding="utf-8")
        output, found = bench("--compare", str(old), code=code)
        assert f"Compare: ort-cpu {verdict}" in output
        assert found["comparison"][0]["verdict"] == verdict


@pytest.mark.parametrize(
    ("option", "reader"),
    [
        (("--ckpt", "nofile"), "torch"),
        (("--precision", "fp16"), "torch-cuda"),
        (("--no-cuda-graph",), "ort-cuda"),
        (("--optimize", "off"), "ort-cuda"),
        (("--tf32",), "ort-cuda"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_bench_refuses_an_option_no_runtime_reads(
    option: tuple[str, ...], reader: str, refused: Callable[..., None]
) -> None:
    refused(("bench", "tiny.onnx", *option), *option, f"add --runtime {reader}")
