"""Draw what a clip costs against its frames and the batch, from `forward.py --json`.

python -m benchmarks.networks.cost_plot FORWARD.json -o COST.svg
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")  # no display
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

Rows = list[dict[str, Any]]


def draw(axes: Axes, rows: Rows, across: str, by: str) -> None:
    """Milliseconds a clip against one size, a line for every value of the other."""
    for value in sorted({row[by] for row in rows}):
        line = sorted((row[across], row["ms_per_clip"]) for row in rows if row[by] == value)
        axes.plot(*zip(*line, strict=True), marker=".", label=f"{value}")
    axes.set(xlabel=across, ylabel="ms a clip", xscale="log", yscale="log")
    axes.legend(title=by, fontsize="small")
    axes.grid(visible=True, which="both", alpha=0.3)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("forward", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    options = parser.parse_args()
    report = json.loads(options.forward.read_text())
    rows: Rows = [row for row in report["rows"] if row["run"] == "fused fp16"]
    variants = "/".join(sorted({row["variant"] for row in rows}))
    figure, panels = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    draw(panels[0], rows, "frames", "batch")
    draw(panels[1], rows, "batch", "frames")
    figure.suptitle(f"PoseMamba-{variants}, fp16, {report['environment']['gpu']}")
    figure.savefig(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
