"""The picture and the rows of a benchmark: read back, and looked at by a browser."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from xml.etree import ElementTree

import pytest
from chromium import chromium
from click.testing import CliRunner

from pmexport.bench.draw import bench_csv, bench_svg
from pmexport.bench.measure import Effort, Times, Warmup
from pmexport.bench.meters import Conditions
from pmexport.bench.report import bench_lines, bench_markdown
from pmexport.bench.run import BenchReport
from pmexport.bench.timed import Host, RuntimeTimes
from pmexport.cli.main import cli

SVG = "{http://www.w3.org/2000/svg}"
SEEN = Conditions(
    meter="nvml", scope="the GPU's board", seconds=3.0, samples=60, power_w=312.4,
    most_power_w=330.0, energy_j=937.2, energy_from="counter", clock_mhz=(1755.0, 1980.0),
    temperature_c=61.0, throttled=("power cap",), memory_mib=900.0, notes=("clocks fixed",),
)  # fmt: skip


def times(ms: float, *, warm: bool = True, host: bool = False, seen: bool = False) -> RuntimeTimes:
    total = Times.of([ms / 1e3, 1.1 * ms / 1e3, 1.5 * ms / 1e3])
    why = "starting the work takes 80 % of computing" if host else ""
    return RuntimeTimes(
        load_s=0.1, warmup=Warmup(9, 0.5, warm), runs=3, total=total, steps={"compute": total},
        unstable=True, best_spread_ms=0.1, host=Host(None, None, None, 0.8, host, why),
        clips_per_s=1e3 / ms, frames_per_s=9e3 / ms, host_peak_mib=100.0, device_mib=None,
        conditions=SEEN if seen else None, energy_mj_per_frame=12.5 if seen else None, settings={},
        samples_ms=[],
    )  # fmt: skip


def report(**runtimes: RuntimeTimes) -> BenchReport:
    return BenchReport(
        model={"path": "models/<S> & co.onnx", "precision": "fp16", "variant": "S"},
        checkpoint=None,
        shape={"batch": 1, "frames": 9, "joints": 17},
        effort=Effort(),
        runtimes=runtimes,
        layers={},
        environment={"gpu": None, "system": "x", "cuda": None, "versions": {}, "date": "today"},
    )


BOTH = report(cpu=times(10.0), gpu=times(2.0, warm=False, host=True, seen=True))


def test_the_picture_has_a_bar_to_scale_for_each_runtime() -> None:
    root = ElementTree.fromstring(bench_svg(BOTH))
    slow, fast = (float(bar.attrib["width"]) for bar in root.iter(f"{SVG}rect"))
    assert slow / fast == pytest.approx(5.0, rel=1e-3)  # a tenth of a pixel
    words = [text.text or "" for text in root.iter(f"{SVG}text")]
    assert "<S> & co.onnx: ms per call" in words
    assert {"11 ms", "2.2 ms", "unstable, host-bound"} <= set(words)
    assert any("12.50 mJ/frame" in text for text in words)


def test_nothing_leaves_the_picture() -> None:
    """Texts and bars lie inside it and do not cover each other, as a browser measures them."""
    with chromium() as page:
        page.screen(700, 400)
        page.evaluate(f"document.body.innerHTML = `{bench_svg(BOTH)}`")
        page.settle()
        boxes = page.evaluate(
            "[...document.querySelectorAll('text')].map(t => {const b = t.getBBox();"
            "return [b.x, b.y, b.x + b.width, b.y + b.height]})"
        )
        width, height = page.evaluate(
            "(b => [b.width, b.height])(document.querySelector('svg').viewBox.baseVal)"
        )
        assert page.complaints == []
    assert len(boxes) == 11
    for x, y, right, bottom in boxes:
        assert x >= 0
        assert y >= 0
        assert right <= width
        assert bottom <= height
    for i, a in enumerate(boxes):
        for b in boxes[i + 1 :]:
            assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] + 1 or b[3] <= a[1] + 1, (a, b)


def test_rows_for_a_spreadsheet() -> None:
    cpu, gpu = csv.DictReader(io.StringIO(bench_csv(BOTH)))
    assert (cpu["runtime"], gpu["runtime"]) == ("cpu", "gpu")
    assert float(gpu["median_ms"]) == BOTH.runtimes["gpu"].total.median
    assert (cpu["energy_mj_per_frame"], gpu["energy_mj_per_frame"]) == ("", "12.5")
    assert (gpu["power_w"], gpu["host_bound"], cpu["host_bound"]) == ("312.4", "True", "False")
    assert cpu["upload_ms"] == ""


def test_what_a_reader_has_to_know_is_said() -> None:
    for text in ("\n".join(bench_lines(BOTH)), bench_markdown(BOTH)):
        assert "host-bound: starting the work takes 80 % of computing" in text
        assert "not settled after 0.5 s of warm-up" in text
        assert "312.4 W, 12.500 mJ per frame (idle power included), clock 1755 to 1980 MHz" in text
        assert "WARNING: throttled by power cap" in text
        assert "clocks fixed" in text


def test_the_command_writes_them(here: Path) -> None:
    options = ("--frames", "3", "--warmup", "0.01", "--seconds", "0.05", "--threads", "1")
    outputs = ("--csv", "b.csv", "--svg", "b.svg", "--layers", "--markdown", "b.md")
    result = CliRunner().invoke(cli, ["bench", "tiny.onnx", *options, *outputs])
    assert result.exit_code == 0, result.output
    assert "\nSTEblocks.0.op " in result.stdout
    assert "| STEblocks.0.op |" in (here / "b.md").read_text()
    assert ElementTree.parse(here / "b.svg").getroot().tag == f"{SVG}svg"
    assert len((here / "b.csv").read_text().splitlines()) == 2
