"""What a benchmark found, for people: lines on a terminal, and Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from pmexport.bench.layers import Layer, layer_lines, layer_table
from pmexport.bench.measure import UNSTABLE_CV
from pmexport.bench.meters import LEAST_SECONDS
from pmexport.bench.run import BenchReport
from pmexport.bench.timed import RuntimeTimes
from posemamba.text import markdown_table, plural, table

_HEADER = ("runtime", "p50 ms", "p90", "p95", "p99", "upload", "compute", "download", "clips/s",
           "frames/s", "host MiB", "GPU MiB", "CV")  # fmt: skip


def bench_lines(report: BenchReport) -> list[str]:
    """A table of the runtimes and what is to be known of it."""
    layers = [line for name, found in report.layers.items() for line in layer_lines(name, found)]
    return [_title(report), table(_HEADER, _rows(report)), *_notes(report), *layers]


def bench_markdown(report: BenchReport) -> str:
    """The same as a Markdown page."""
    environment = report.environment
    versions = ", ".join(
        f"{name} {found or '-'}" for name, found in environment["versions"].items()
    )
    lines = [
        f"# {_title(report)}",
        "",
        f"{environment['gpu'] or 'no GPU'}; {environment['system']}; CUDA "
        f"{environment['cuda'] or '-'}; {versions}; {environment['date']}.",
        "",
        _markdown_row(_HEADER),
        _markdown_row(["---"] * len(_HEADER)),
        *(_markdown_row(row) for row in _rows(report)),
        "",
        *(f"- {note.strip()}" for note in _notes(report)),
        *(line for name, found in report.layers.items() for line in _layers_page(name, found)),
    ]
    return "\n".join(lines) + "\n"


def _layers_page(name: str, layers: list[Layer]) -> list[str]:
    header, rows = layer_table(layers)
    return ["", f"Modules in {name}, under the profiler:", "", markdown_table(header, rows)]


def _title(report: BenchReport) -> str:
    model, shape = report.model, report.shape
    return (
        f"Bench: {model['path']} ({model['variant'] or 'unknown size'}, {model['precision']}), "
        f"batch {shape['batch']}, {plural(shape['frames'], 'frame')}"
    )


def _rows(report: BenchReport) -> list[list[str]]:
    return [_row(name, times) for name, times in report.runtimes.items()]


def _row(name: str, times: RuntimeTimes) -> list[str]:
    total = times.total
    steps = [
        f"{times.steps[step].median:.3f}" if step in times.steps else "-"
        for step in ("upload", "compute", "download")
    ]
    return [
        name,
        *(f"{value:.3f}" for value in (total.median, total.p90, total.p95, total.p99)),
        *steps,
        f"{times.clips_per_s:,.1f}",
        f"{times.frames_per_s:,.0f}",
        f"{times.host_peak_mib:,.0f}",
        "-" if times.device_mib is None else f"{times.device_mib:,.0f}",
        f"{100 * total.cv:.1f} %{' unstable' if times.unstable else ''}",
    ]


def _notes(report: BenchReport) -> list[str]:
    notes = []
    for name, times in report.runtimes.items():
        settings = ", ".join(
            f"{key.replace('_', ' ')} {_plain(value)}" for key, value in times.settings.items()
        )
        notes.append(
            f"  {name}: {plural(times.runs, 'run')}, ready after {times.load_s:.2f} s"
            f"{'; ' + settings if settings else ''}"
        )
        notes += [f"    {line}" for line in condition_lines(times)]
    if any(times.unstable for times in report.runtimes.values()):
        notes.append(
            f"  unstable: the times vary more than {100 * UNSTABLE_CV:g} %; close other programs, "
            "fix the clocks, or measure longer with --seconds"
        )
    return notes


def condition_lines(times: RuntimeTimes) -> list[str]:
    """What a reader of a runtime's times has to know of how they came about."""
    lines = []
    if not times.warmup.settled:
        lines.append(
            f"not settled after {times.warmup.seconds:.1f} s of warm-up: give a longer --warmup"
        )
    if times.host.bound:
        lines.append(f"host-bound: {times.host.why}")
    seen = times.conditions
    if seen is None:
        return lines
    facts = []
    if seen.power_w is not None:
        facts.append(f"{seen.power_w:.1f} W")
    if times.energy_mj_per_frame is not None:
        facts.append(f"{times.energy_mj_per_frame:.3f} mJ per frame (idle power included)")
    elif seen.energy_j is not None:
        facts.append(f"energy unknown in {seen.seconds:.1f} s: give --seconds {LEAST_SECONDS:g}")
    if seen.clock_mhz is not None:
        least, most = seen.clock_mhz
        span = f"{most:.0f}" if least == most else f"{least:.0f} to {most:.0f}"
        facts.append(f"clock {span} MHz")
    if seen.temperature_c is not None:
        facts.append(f"{seen.temperature_c:.0f} C")
    lines.append(f"{seen.scope}, by {seen.meter}: {', '.join(facts) or 'nothing told'}")
    if seen.throttled:
        lines.append(f"WARNING: throttled by {', '.join(seen.throttled)}")
    return [*lines, *seen.notes]


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)


def _markdown_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
