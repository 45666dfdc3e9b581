"""A regression report for people: a table on a terminal, a Markdown page."""

from __future__ import annotations

from collections.abc import Sequence

from pmexport.regress.compare import Change
from pmexport.regress.run import Cell, RegressReport
from posemamba.text import markdown_table, plural, table

_HEADER = ("checkpoint", "precision", "runtime", "drift mm", "max-abs", "p50 ms", "p95 ms",
           "frames/s", "")  # fmt: skip


def regress_lines(report: RegressReport, found: Sequence[Change]) -> list[str]:
    """The table, what failed, what changed; the last line is the verdict."""
    return [table(_HEADER, [_row(cell) for cell in report.cells]), *_notes(report, found)]


def regress_markdown(report: RegressReport, found: Sequence[Change]) -> str:
    """The same as a page."""
    machine = report.environment
    versions = ", ".join(f"{name} {held or '-'}" for name, held in machine["versions"].items())
    length = plural(report.frames, "frame") if report.frames else "the most frames"
    lines = [
        "# Regression report",
        "",
        f"{machine['gpu'] or 'no GPU'}; {machine['system']}; {versions}; {machine['date']}. Clips "
        f"of {length} are timed, whole calls; drift is against PyTorch "
        "in float32, of the worst run of `pmexport check`.",
        "",
        markdown_table(_HEADER, [_row(cell) for cell in report.cells]),
        "",
        *(f"- {line}" for line in _notes(report, found)),
    ]
    return "\n".join(lines) + "\n"


def _row(cell: Cell) -> list[str]:
    return [
        cell.checkpoint,
        cell.precision,
        cell.runtime,
        _number(cell.mpjpe_mm, 4),
        "-" if cell.max_abs is None else f"{cell.max_abs:.1e}",
        _number(None if cell.sample is None else cell.sample.median, 3),
        _number(cell.p95_ms, 3),
        "-" if cell.frames_per_s is None else f"{cell.frames_per_s:,.0f}",
        "pass" if cell.passed else "FAIL",
    ]


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _notes(report: RegressReport, found: Sequence[Change]) -> list[str]:
    failed = [cell for cell in report.cells if not cell.passed]
    worse = sum(change.worse for change in found)
    verdict = "passed" if not failed and not worse else "FAILED"
    return [
        *(f"{cell.key}: {cell.failure}" for cell in failed),
        *(change.line for change in found),
        f"Regress: {verdict}, {plural(len(report.cells), 'cell')}, {len(failed)} failed"
        + (f", {worse} worse than before" if found else ""),
    ]
