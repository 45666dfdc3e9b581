"""Predictions: calibrated on the committed reports, off by so much where they were left out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from places import ROOT

from pmexport.bench import calibration, predict
from pmexport.bench.predict import CALIBRATED, DEVICES, FLOWS, Shape, forward_ms, left_out_errors
from pmexport.cli.main import cli
from posemamba.config import VARIANTS


def report(name: str) -> Any:
    return json.loads((ROOT / "reports" / name).read_text(encoding="utf-8"))


def test_the_calibration_is_what_the_reports_say() -> None:
    scan, block = report("2026-11-29-cuda-scan.json"), report("2026-11-29-block.json")
    said = {("scan", r["batch"], 243, r["d_inner"]): r["fused_us"] for r in scan["rows"]}
    said |= {("scan", r["batch"], r["frames"], r["d_inner"]): r["auto"] for r in scan["windows"]}
    said |= {
        (r["kernel"], r["batch"], r["frames"], r["d_inner"]): r[r["chosen"]] for r in block["rows"]
    }
    rows = [
        ((kernel, batch, frames, width), us)
        for kernel, by_width in calibration.KERNELS.items()
        for width, listed in by_width.items()
        for batch, frames, us in listed
    ]
    assert len(rows) == 101
    for key, us in rows:
        assert us == pytest.approx(said[key], abs=0.051), key  # printed to a tenth
    forwards = {
        (r["run"], r["variant"], r["batch"]): r["ms"]
        for r in report("2026-11-29-gpu-forward.json")["rows"]
    }
    for flow, sizes in calibration.FORWARDS.items():
        for variant, times in sizes.items():
            for batch, ms in times.items():
                assert ms == forwards[f"{flow} fp16", variant, batch]


def test_where_it_was_left_out_it_is_off_by_so_much() -> None:
    """The figures of docs/guide/predictions.md; a bound a little above what was found."""
    found = {(each.flow, each.what): each for each in left_out_errors()}
    print("\n".join(each.line for each in found.values()))  # noqa: T201 (asked of the run)
    assert len(found) == 5
    for each in found.values():
        assert len(each.errors) == 12
        assert abs(each.worst) < 0.25
    page = (ROOT / "docs" / "guide" / "predictions.md").read_text(encoding="utf-8")
    for each in found.values():
        assert each.line in page


def test_left_out_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that is left out cannot change the prediction of its shape."""
    shape = Shape(1, 243, 512)

    def without() -> float:
        return forward_ms("fused", shape, 40, CALIBRATED, predict._alike(shape, "d_inner"))

    before = without()
    spoilt = {width: tuple((b, f, us * (9 if width == 512 else 1)) for b, f, us in rows)
              for width, rows in calibration.KERNELS["scan"].items()}  # fmt: skip
    monkeypatch.setitem(predict.KERNELS, "scan", spoilt)
    predict.measured_rows.cache_clear()
    try:
        assert without() == pytest.approx(before)
    finally:
        predict.measured_rows.cache_clear()


@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("device", DEVICES)
def test_more_work_takes_longer(flow: str, device: str) -> None:
    def ms(batch: int = 1, frames: int = 243, width: int = 256) -> float:
        return forward_ms(flow, Shape(batch, frames, width), 40, DEVICES[device], None)

    assert ms() < ms(batch=2) < ms(batch=8)
    assert ms(frames=27) < ms(frames=81) < ms()
    assert ms(width=128) < ms() < ms(width=512)
    assert ms(batch=8) / 8 < ms()  # launches are shared


def test_a_smaller_device_is_slower() -> None:
    times = {
        name: forward_ms("fused", Shape(8, 243, 256), 40, device, None)
        for name, device in (DEVICES | {"h200": CALIBRATED}).items()
    }
    assert times["h200"] < times["rtx4090"] < times["thor"] < times["orin-agx"]
    assert times["orin-agx"] < times["orin-nano"]


def test_no_device_is_faster_than_its_exponentials() -> None:
    """The floor of the scan by the data sheet: 18 exponentials a step and channel."""
    for name, device in DEVICES.items():
        for variant, (depth, d_model) in VARIANTS.items():
            exps = 2 * depth * 243 * 17 * 4 * 2 * d_model * 18
            floor = exps / (16 * device.multiprocessors * device.clock_ghz * 1e6)
            shape = Shape(1, 243, 2 * d_model)
            assert forward_ms("fused", shape, 2 * depth, device, None) > floor, (name, variant)


def test_the_command_says_prediction_everywhere(here: Path) -> None:
    result = CliRunner().invoke(
        cli,
        ["bench", "tiny.onnx", "--predict", "orin-agx", "--predict", "thor", "--json", "p.json"],
    )
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("PREDICTION, not measured: ")
    assert "measure before you promise" in result.stdout
    found = json.loads((here / "p.json").read_text())
    assert found["kind"] == "prediction"
    assert {each["kind"] for each in found["predictions"]} == {"prediction"}
    assert [each["device"] for each in found["predictions"]] == ["orin-agx"] * 2 + ["thor"] * 2
    assert all(each["extrapolated"] for each in found["predictions"])  # a tiny network
    for each in found["predictions"]:
        assert each["least_ms"] < each["ms"] < each["most_ms"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--predict", "orin"), ("'orin'", "orin-agx", "rtx4090")),
        (("--predict", "thor", "--seconds", "3"), ("--seconds", "--predict")),
        (("--predict", "thor", "--gate", "p95=3"), ("--gate", "--predict")),
        (("--predict", "thor", "--frames", "28"), ("28", "27")),
        (("--predict", "thor", "--json", "p.txt"), (".json",)),
    ],
    ids=lambda value: " ".join(value),
)
def test_predictions_that_are_refused(
    options: tuple[str, ...], words: tuple[str, ...], refused: Callable[..., None]
) -> None:
    refused(("bench", "tiny.onnx", *options), *words)
