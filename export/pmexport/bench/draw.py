"""A benchmark as one small picture and as rows for a spreadsheet."""

from __future__ import annotations

import csv
import io
from html import escape

from pmexport.bench.run import BenchReport
from pmexport.bench.timed import RuntimeTimes
from posemamba.text import plural

_WIDTH, _LEFT, _RIGHT, _ROW, _TOP, _BAR = 640, 110, 170, 52, 64, 20
_STYLE = (
    "svg{background:#fff}text{font:13px system-ui,sans-serif;fill:#1a1a2e}.soft{fill:#62627a}"
    ".title{font-size:16px;font-weight:600}.big{font-size:17px;font-weight:600}"
    ".bar{fill:#2f6fde}.tail{stroke:#1a1a2e;stroke-width:1.5}.warn{fill:#b3261e}"
)


def bench_svg(report: BenchReport) -> str:
    """A bar to the median for each runtime, a line from the best time to the 99th percentile."""
    model, shape = report.model, report.shape
    longest = max(times.total.p99 for times in report.runtimes.values())
    scale = (_WIDTH - _LEFT - _RIGHT) / longest
    height = _TOP + _ROW * len(report.runtimes) + 26
    name = str(model["path"]).replace("\\", "/").rpartition("/")[2]
    body = [
        _text(16, 26, f"{name}: ms per call", "title"),
        _text(16, 46, f"{model['precision']}, {plural(shape['batch'], 'clip')} of "
              f"{plural(shape['frames'], 'frame')}, {report.environment['gpu'] or 'CPU'}", "soft"),
    ]  # fmt: skip
    for index, (runtime, times) in enumerate(report.runtimes.items()):
        body += _row(_TOP + index * _ROW, runtime, times, scale)
    body.append(_text(_LEFT, height - 10, "bar: median; line: best to 99th percentile", "soft"))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}" role="img"><title>{escape(name)}</title>'
        f"<style>{_STYLE}</style>{''.join(body)}</svg>\n"
    )


def _row(top: int, runtime: str, times: RuntimeTimes, scale: float) -> list[str]:
    total, middle = times.total, top + _BAR / 2
    end = _LEFT + scale * total.median
    first, last = _LEFT + scale * total.best, _LEFT + scale * total.p99
    said = [f"{times.frames_per_s:,.0f} fps"]
    if times.energy_mj_per_frame is not None:
        said.append(f"{times.energy_mj_per_frame:.2f} mJ/frame")
    flags = [word for word, on in (("unstable", times.unstable), ("host-bound", times.host.bound))
             if on]  # fmt: skip
    return [
        _text(_LEFT - 10, middle + 5, runtime, "", "end"),
        f'<rect class="bar" x="{_LEFT}" y="{top}" width="{end - _LEFT:.1f}" height="{_BAR}" '
        'rx="2"/>',
        f'<path class="tail" d="M{first:.1f} {middle}H{last:.1f}M{last:.1f} {middle - 5}v10'
        f'M{first:.1f} {middle - 5}v10"/>',
        _text(_WIDTH - _RIGHT + 12, middle + 6, f"{total.median:.3g} ms", "big"),
        _text(_LEFT, top + _BAR + 17, ", ".join(said), "soft"),
        *(
            [_text(_WIDTH - _RIGHT + 12, top + _BAR + 17, ", ".join(flags), "warn")]
            if flags
            else []
        ),
    ]


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:g}" y="{y:g}" class="{kind}" text-anchor="{anchor}">{escape(text)}</text>'


_COLUMNS = ("runtime", "batch", "frames", "runs", "median_ms", "p90_ms", "p95_ms", "p99_ms",
            "best_ms", "mean_ms", "cv", "upload_ms", "compute_ms", "download_ms", "frames_per_s",
            "unstable", "host_bound", "host_peak_mib", "device_mib", "power_w",
            "energy_mj_per_frame", "temperature_c")  # fmt: skip


def bench_csv(report: BenchReport) -> str:
    """A row for each runtime; empty cells where nothing is known."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for runtime, times in report.runtimes.items():
        total, seen = times.total, times.conditions
        steps = [
            times.steps[step].median if step in times.steps else None
            for step in ("upload", "compute", "download")
        ]
        writer.writerow([
            runtime, report.shape["batch"], report.shape["frames"], times.runs, total.median,
            total.p90, total.p95, total.p99, total.best, total.mean, total.cv, *steps,
            times.frames_per_s, times.unstable, times.host.bound, times.host_peak_mib,
            times.device_mib, seen and seen.power_w, times.energy_mj_per_frame,
            seen and seen.temperature_c,
        ])  # fmt: skip
    return stream.getvalue()
