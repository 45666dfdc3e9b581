"""Training curves from the CSV log of a run."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from posemamba.draw.figures import COLOURS, new_figure, save_figure
from posemamba.text import problem


def read_log(path: Path) -> dict[str, list[tuple[float, float]]]:
    """Columns of a training log against its ``step`` column.

    Args:
        path: CSV with a header; cells may be empty where a step has no such value.

    Returns:
        column name to (step, value) pairs, for the columns that hold any number.

    Raises:
        InputError: unreadable, without a ``step`` column, or with a cell that is no number.
    """
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise problem(path, f"cannot be read as CSV ({error})") from None
    if not rows or "step" not in rows[0]:
        raise problem(path, "no rows under a 'step' column: name the log that training wrote")
    columns: dict[str, list[tuple[float, float]]] = {}
    for number, row in enumerate(rows, start=2):
        try:
            step = float(row["step"])
            for name, cell in row.items():
                if name != "step" and cell:
                    columns.setdefault(name, []).append((step, float(cell)))
        except (TypeError, ValueError):
            raise problem(path, f"line {number} holds something that is no number") from None
    return columns


def draw_curves(
    columns: dict[str, list[tuple[float, float]]],
    panels: Sequence[tuple[str, Sequence[str]]],
    path: Path,
) -> None:
    """Draw columns of a log, a panel a group, values on a logarithmic axis.

    Args:
        columns: of :func:`read_log`.
        panels: label of the axis, and the columns on it; those the log lacks are left out.
        path: picture to write; its ending sets the format.

    Raises:
        InputError: matplotlib is missing, or the path cannot be written.
    """
    shown = [(label, [name for name in names if name in columns]) for label, names in panels]
    shown = [(label, names) for label, names in shown if names]
    figure = new_figure(4.6 * max(len(shown), 1), 3.2)
    for place, (label, names) in enumerate(shown, start=1):
        axes = figure.add_subplot(1, len(shown), place)
        for name, colour in zip(names, COLOURS * len(names), strict=False):
            steps, values = zip(*columns[name], strict=True)
            axes.plot(steps, values, color=colour, linewidth=1.2, label=name)
        axes.set_yscale("log")
        axes.set_xlabel("step", fontsize=8)
        axes.set_ylabel(label, fontsize=8)
        axes.grid(alpha=0.3)
        axes.tick_params(labelsize=7, which="both")
        axes.legend(fontsize=7)
    save_figure(figure, path)
