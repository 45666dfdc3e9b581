"""The comparison's page: every row, and what was asked for beside what was found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.compare.cells import COMPILED, HALF, MOTIONBERT, ORT, SUMS, TORCH, Cell

Row = dict[str, Any]
_KEYS = tuple(asdict(Cell("", 0, "")))
#: Of activations at 32 clips, from the paper's table: what its "64.7 % less" is less than.
MOTIONAGFORMER_MIB = 1862


@dataclass(frozen=True)
class Goal:
    """At most so much of a field of a row; its time is divided by the clips."""

    cell: Cell
    field: str
    most: float


def _times(network: str, limits: dict[int, float], **other: Any) -> list[Goal]:
    return [
        Goal(Cell(network, batch, TORCH, **other), "gpu_ms", most) for batch, most in limits.items()
    ]


GOALS = (
    *_times("L", {1: 2.5, 8: 1.6, 32: 1.38}),
    *_times("L", {1: 2.5, 8: 1.6, 32: 1.38}, precision=SUMS),
    *_times("S", {1: 0.82, 32: 0.34}),
    *_times("B", {1: 1.30, 32: 0.68}),
    *_times("X", {1: 4.9, 32: 3.4}),
    *_times("L", {1: 0.9}, frames=27),
    Goal(Cell("L", 32, TORCH), "beyond_weights_mib", 650),
    Goal(Cell("L", 32, ORT), "beyond_weights_mib", 1000),
)


def key(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in _KEYS)


def beside(row: Row, rows: dict[tuple[Any, ...], Row]) -> float | None:
    """Wall time over that of the PyTorch graph of the same network; MotionBERT's over L's."""
    network = "L" if row["network"] == MOTIONBERT else row["network"]
    base = rows.get(key(row | {"network": network, "way": TORCH}))
    return None if base is None or base is row else row["ms"] / base["ms"]


def markdown(report: dict[str, Any]) -> str:
    facts, rows = report["environment"], {key(row): row for row in report["rows"]}
    versions = [f"CUDA {facts.get('cuda')}", f"PyTorch {facts['torch']}"]
    versions += [f"ONNX Runtime {facts['onnxruntime']}"] if "onnxruntime" in facts else []
    lines = [
        f"# PoseMamba, its authors' flow and MotionBERT on {facts.get('gpu')}, {facts['date']}",
        "",
        f"{facts.get('nvidia_smi')}; {', '.join(versions)}. One run (`benchmarks/gpu_run.sh "
        "compare`): matrix products in float16, every network in a CUDA graph, the input on the "
        "GPU already. Wall: from the call to the end of the work; GPU: between two events; "
        "medians. MiB: what the device lacks beyond the weights. Weights are random; drift is "
        "MPJPE against float32 on the CPU at 1,000 mm a unit.",
        "",
        "| network | frames | clips | way | wall ms | GPU ms | wall ms a clip | beside PyTorch | "
        "MiB | drift mm |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *(_line(row, beside(row, rows)) for row in report["rows"]),
        "",
        "## What was asked for",
        "",
        "GPU time a clip of the PyTorch graph, except where it says otherwise.",
        "",
        "| | asked | found | |",
        "|---|---|---|---|",
        *(_asked(goal, rows) for goal in GOALS),
        *_compared(rows),
        "",
        f"MotionAGFormer's L takes {MOTIONAGFORMER_MIB:,} MiB of activations for 32 clips "
        "(the paper's figure, not measured here).",
    ]
    for note in report.get("notes", []):  # of whoever keeps it
        lines += ["", note]
    if report["skipped"]:
        lines += ["", "## Not measured", ""]
        lines += [f"- {Cell(*key(one))}: {one['why']}" for one in report["skipped"]]
    return "\n".join(lines) + "\n"


def _line(row: Row, ratio: float | None) -> str:
    name = row["network"] + (f", {row['precision']}" if row["precision"] != HALF else "")
    cells = [
        name,
        row["frames"],
        row["batch"],
        row["way"],
        f"{row['ms']:.3f}",
        f"{row['gpu_ms']:.3f}" if "gpu_ms" in row else "",
        f"{row['ms'] / row['batch']:.3f}",
        "" if ratio is None else f"{100 * (ratio - 1):+.1f} %",
        f"{row['beyond_weights_mib']:,}" if "beyond_weights_mib" in row else "",
        f"{row['drift_mm']:.2f}" if "drift_mm" in row else "",
    ]
    return "| " + " | ".join(map(str, cells)) + " |"


def _asked(goal: Goal, rows: dict[tuple[Any, ...], Row]) -> str:
    row = rows.get(key(asdict(goal.cell)))
    if goal.field == "gpu_ms":
        found = None if row is None else row["gpu_ms"] / goal.cell.batch
        return _verdict(f"{goal.cell}, ms", goal.most, found, "{:.3f}")
    found = None if row is None else row.get(goal.field)
    return _verdict(f"{goal.cell}, MiB", goal.most, found, "{:,.0f}")


def _compared(rows: dict[tuple[Any, ...], Row]) -> list[str]:
    """L beside MotionBERT, and ONNX Runtime beside PyTorch."""
    lines = []
    for batch in (1, 32):
        ours = rows.get(key(asdict(Cell("L", batch, TORCH))))
        theirs = rows.get(key(asdict(Cell(MOTIONBERT, batch, COMPILED))))
        if ours is not None and theirs is not None:
            most = theirs["gpu_ms"] / batch
            text = f"L x{batch}, ms, MotionBERT's compiled"
            lines.append(_verdict(text, most, ours["gpu_ms"] / batch, "{:.3f}"))
    for row in rows.values():
        ratio = beside(row, rows)
        if row["way"] == ORT and ratio is not None:
            percent = 100 * (ratio - 1)
            lines.append(_verdict(f"{Cell(*key(row))}, % beside PyTorch", 3.0, percent, "{:+.1f}"))
    return lines


def _verdict(what: str, most: float, found: float | None, form: str) -> str:
    if found is None:
        return f"| {what} | {form.format(most)} | not measured | |"
    return (
        f"| {what} | {form.format(most)} | {form.format(found)} | {'' if found <= most else 'no '}|"
    )
