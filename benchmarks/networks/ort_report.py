"""Markdown and SVG of what ``ort.py`` measured; needs no GPU.

python -m benchmarks.networks.ort_report out/gpu/ort.json --out out/gpu
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

COLOURS = ("#1b6ca8", "#e07b39", "#4c9f70", "#8e5ea2", "#c2a83e", "#b5485d", "#6b7a8f", "#3a3a3a",
           "#7fc4c9")  # one a way  # fmt: skip
#: What a reader takes in at once: the paper's large network, one clip and many.
DRAWN = (("L", 1), ("L", 32))
BAR, GAP, LEFT, WIDTH = 14, 26, 190, 900  # of the drawing, in px
SIZES = "SBLX"

Row = dict[str, Any]


def markdown(report: dict[str, Any]) -> str:
    environment, rows = report["environment"], report["rows"]
    frames = report["frames"]
    lines = [
        f"# PoseMamba on {environment['gpu']}, {environment['date']}",
        "",
        f"{environment['nvidia_smi']}; CUDA {environment['cuda']}, PyTorch {environment['torch']}, "
        f"ONNX Runtime {environment['onnxruntime']}, Python {environment['python']}.",
        "",
        f"Clips of {frames} frames, seeded random weights, real keypoints. Times are of whole "
        "calls, from the input on the host to the poses on the host; `compute` is the part on the "
        "GPU with the input there already. `MiB` is the growth of used device memory, the engine's "
        "pools and weights included. `drift` is the MPJPE of the worst clip of the very output "
        "that was timed against the float32 network on the CPU, at 1,000 mm a unit. Float32 "
        "products "
        f"{'may round their inputs to TF32' if report['tf32'] else 'are not rounded to TF32'}. "
        "`unstable`: the times vary more than 2.5 %.",
    ]
    for note in report.get("notes", ()):  # written by hand into the JSON
        lines += ["", note]
    for precision in ("fp16", "fp32"):
        chosen = [row for row in rows if row["precision"] == precision]
        if chosen:
            lines += ["", f"## {precision}", "", *_table(chosen, frames)]
    timelines = [row for row in rows if row.get("timeline", {}).get("kernels")]
    if timelines:
        lines += ["", "## On the GPU's clock", "", *_timelines(timelines)]
    if report["skipped"]:
        lines += ["", "## Not measured", ""]
        by_reason: dict[str, list[str]] = defaultdict(list)
        for cell in report["skipped"]:
            name = f"{cell['variant']} x{cell['batch']} {cell['precision']} {cell['way']}"
            by_reason[cell["why"]].append(name)
        lines += [f"- {why}: {', '.join(cells)}" for why, cells in by_reason.items()]
    return "\n".join(lines) + "\n"


def _table(rows: list[Row], frames: int) -> list[str]:
    lines = [
        "| size | batch | way | p50 ms | p90 | p99 | compute p50 | ms a clip | clips/s | frames/s "
        "| MiB | drift mm | |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in sorted(rows, key=lambda r: (SIZES.index(r["variant"]), r["batch"])):
        total = row["total"]
        clips = 1e3 * row["batch"] / total["median"]
        lines.append(
            f"| {row['variant']} | {row['batch']} | {row['way']} | {total['median']:.3f} "
            f"| {total['p90']:.3f} | {total['p99']:.3f} "
            f"| {row['steps']['compute']['median']:.3f} | {total['median'] / row['batch']:.3f} "
            f"| {clips:,.0f} | {clips * frames:,.0f} | {row['device_mib']} "
            f"| {row['drift_mm']:.4f} | {'unstable' if row['unstable'] else ''} |"
        )
    return lines


def _timelines(rows: list[Row]) -> list[str]:
    lines = [
        "One call under PyTorch's profiler: from the first kernel's start to the last one's end, "
        "how much of that the GPU worked, and what was left between kernels.",
        "",
        "| size | batch | way | kernels | span us | busy us | gaps us | gaps |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        t = row["timeline"]
        gap = max(0.0, t["gap_us"])  # a difference of sums may round below it
        lines.append(
            f"| {row['variant']} | {row['batch']} | {row['way']} | {t['kernels']} "
            f"| {t['span_us']:,.0f} | {t['busy_us']:,.0f} | {gap:,.0f} "
            f"| {100 * gap / max(t['span_us'], 1e-9):.1f} % |"
        )
    first = rows[0]
    lines += [
        "",
        f"Longest kernels of {first['variant']} x{first['batch']}, {first['way']}:",
        "",
        "| kernel | calls | us |",
        "|---|---|---|",
        *(
            f"| `{item['kernel']}` | {item['calls']} | {item['us']:,.1f} |"
            for item in first["timeline"]["longest"]
        ),
    ]
    return lines


def svg(report: dict[str, Any]) -> str:
    """Milliseconds per clip of :data:`DRAWN` in fp16 as bars; the table has the others."""
    groups: dict[tuple[str, int], list[Row]] = defaultdict(list)
    for row in report["rows"]:
        if row["precision"] == "fp16" and (row["variant"], row["batch"]) in DRAWN:
            groups[row["variant"], row["batch"]].append(row)
    ways = list(dict.fromkeys(row["way"] for row in report["rows"]))
    longest = max((_per_clip(row) for rows in groups.values() for row in rows), default=1.0)
    scale = (WIDTH - LEFT - 80) / longest
    body, y = [], 58
    for variant, batch in sorted(groups, key=lambda g: (SIZES.index(g[0]), g[1])):
        body.append(f'<text x="10" y="{y + 11}" font-weight="bold">{variant}, batch {batch}</text>')
        for row in sorted(groups[variant, batch], key=_per_clip):
            ms = _per_clip(row)
            colour = COLOURS[ways.index(row["way"]) % len(COLOURS)]
            body.append(
                f'<text x="{LEFT - 6}" y="{y + 11}" text-anchor="end">{escape(row["way"])}</text>'
                f'<rect x="{LEFT}" y="{y}" width="{max(ms * scale, 1):.1f}" height="{BAR - 2}" '
                f'fill="{colour}"/>'
                f'<text x="{LEFT + ms * scale + 5:.1f}" y="{y + 11}">{ms:.2f}</text>'
            )
            y += BAR
        y += GAP - BAR
    environment = report["environment"]
    title = f"PoseMamba, fp16, {report['frames']} frames: ms per clip on {environment['gpu']}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y + 10}" '
        'font-family="sans-serif" font-size="11">'
        f'<rect width="100%" height="100%" fill="white"/>'
        f'<text x="10" y="24" font-size="15">{escape(title)}</text>'
        f'<text x="10" y="42" fill="#555">{escape(environment["date"])}, p50 of whole calls, '
        "copies included</text>" + "".join(body) + "</svg>\n"
    )


def _per_clip(row: Row) -> float:
    return float(row["total"]["median"]) / int(row["batch"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("report", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    report = json.loads(options.report.read_text(encoding="utf-8"))
    options.out.mkdir(parents=True, exist_ok=True)
    text, picture = options.out / "ort.md", options.out / "ort.svg"
    text.write_text(markdown(report), encoding="utf-8")
    picture.write_text(svg(report), encoding="utf-8")
    sys.stdout.write(f"{text}\n{picture}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
