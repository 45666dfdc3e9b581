"""The ablation's rows, and what the finished runs say of them: mean, spread, difference."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from posemamba.draw.figures import BLUE, DARK, ORANGE, new_figure, save_figure
from posemamba.text import markdown_table, plural

FULL = "global-local"
#: Loss terms by their weight's name in the official config; the MPJPE itself is never switched off.
TERMS = {
    "lambda_3d_velocity": "velocity",
    "lambda_diff": "frame difference",
    "lambda_scale": "scale",
}
METRICS = {"mpjpe_mm": "MPJPE", "p_mpjpe_mm": "P-MPJPE", "mpjve_mm": "MPJVE"}


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        group: ``scan order`` or ``loss``.
        name: what is unlike the paper's model.
        scan_order: of the network.
        off: weights of loss terms that are 0.
    """

    group: str
    name: str
    scan_order: str = FULL
    off: tuple[str, ...] = ()


#: The paper's Table 4 in structure: four unidirectional orders, bidirectional, global-local; then
#: the loss with one term off at a time, and with MPJPE alone.
ROWS: tuple[Row, ...] = (
    *(
        Row("scan order", name, name)
        for name in ("fs-ft", "fs-bt", "bs-ft", "bs-bt", "bidirectional", FULL)
    ),
    Row("loss", "MPJPE alone", off=tuple(TERMS)),
    *(Row("loss", f"without {name}", off=(key,)) for key, name in TERMS.items()),
    Row("loss", "all terms"),
)


@dataclass(frozen=True)
class Cell:
    """One training run."""

    scan_order: str
    off: tuple[str, ...]
    seed: int

    @property
    def key(self) -> str:
        """Its file's name; also what people see."""
        terms = "-".join(self.off) if self.off else "none"
        return f"{self.scan_order}.off-{terms}.seed{self.seed}"


def cells(rows: Sequence[Row], seeds: int) -> list[Cell]:
    """The runs the rows need, each once: seed by seed, so that an early stop leaves whole seeds."""
    wanted = {
        Cell(row.scan_order, row.off, seed): None for seed in range(seeds) for row in rows
    }  # a dict keeps the order
    return list(wanted)


#: cell key -> validation set -> metric -> value
Figures = Mapping[str, Mapping[str, Mapping[str, float]]]


@dataclass(frozen=True)
class Summary:
    """One row, one validation set, one metric, over the seeds that have finished.

    Attributes:
        values: by seed.
        mean: of them.
        spread: sample standard deviation, None for a single seed.
        difference: mean of the differences from the full model, seed by seed (positive: worse);
            None for the full model itself.
        difference_spread: their sample standard deviation.
    """

    values: tuple[float, ...]
    mean: float
    spread: float | None
    difference: float | None
    difference_spread: float | None


def summarise(
    rows: Sequence[Row], seeds: int, figures: Figures
) -> dict[str, dict[str, dict[str, Summary]]]:
    """Row name -> validation set -> metric -> summary; rows without a finished run are absent."""
    result: dict[str, dict[str, dict[str, Summary]]] = {}
    for row in rows:
        mine = _runs(row.scan_order, row.off, seeds, figures)
        full = _runs(FULL, (), seeds, figures)
        if not mine:
            continue
        first = next(iter(mine.values()))
        result[row.name] = {
            val: {
                metric: _summary(
                    {seed: run[val][metric] for seed, run in mine.items()},
                    {seed: run[val][metric] for seed, run in full.items()},
                    is_full=(row.scan_order, row.off) == (FULL, ()),
                )
                for metric in metrics
            }
            for val, metrics in first.items()
        }
    return result


def _runs(
    scan_order: str, off: tuple[str, ...], seeds: int, figures: Figures
) -> dict[int, Mapping[str, Mapping[str, float]]]:
    keys = {seed: Cell(scan_order, off, seed).key for seed in range(seeds)}
    return {seed: figures[key] for seed, key in keys.items() if key in figures}


def _summary(mine: dict[int, float], full: dict[int, float], *, is_full: bool) -> Summary:
    values = tuple(mine.values())
    paired = [mine[seed] - full[seed] for seed in mine if seed in full and not is_full]
    return Summary(
        values=values,
        mean=statistics.fmean(values),
        spread=_spread(values),
        difference=statistics.fmean(paired) if paired else None,
        difference_spread=_spread(paired),
    )


def _spread(values: Sequence[float]) -> float | None:
    return statistics.stdev(values) if len(values) > 1 else None


@dataclass(frozen=True)
class AblationReport:
    """What ``posemamba ablate`` writes.

    Attributes:
        settings: of all runs, see :class:`posemamba.ablation.settings.Settings`.
        rows: the table's lines.
        figures: of the finished runs.
        environments: versions and hardware of the runs, each once.
    """

    settings: Mapping[str, Any]
    rows: tuple[Row, ...]
    figures: Figures
    environments: tuple[Mapping[str, str], ...]

    @property
    def runs_wanted(self) -> int:
        """Runs the table needs."""
        return len(cells(self.rows, int(self.settings["seeds"])))

    @property
    def missing(self) -> list[str]:
        """Keys of the runs that have not finished."""
        wanted = cells(self.rows, int(self.settings["seeds"]))
        return [cell.key for cell in wanted if cell.key not in self.figures]

    def _summaries(self) -> dict[str, dict[str, dict[str, Summary]]]:
        return summarise(self.rows, int(self.settings["seeds"]), self.figures)

    def to_dict(self) -> dict[str, Any]:
        """For programs."""
        summaries = {
            row: {
                val: {metric: asdict(summary) for metric, summary in metrics.items()}
                for val, metrics in vals.items()
            }
            for row, vals in self._summaries().items()
        }
        return {
            "schema": 1,
            "settings": dict(self.settings),
            "environments": [dict(entry) for entry in self.environments],
            "missing": self.missing,
            "rows": [asdict(row) for row in self.rows],
            "summary": summaries,
            "runs": {key: dict(value) for key, value in self.figures.items()},
        }

    def markdown(self) -> str:
        """A table for each validation set, with what may be read off it."""
        settings, summaries = self.settings, self._summaries()
        seeds = int(settings["seeds"])
        parts = [
            f"Depth {settings['depth']}, d_model {settings['d_model']}, "
            f"{plural(settings['frames'], 'frame')}, {plural(settings['steps'], 'step')} of "
            f"{plural(settings['batch'], 'clip')} for every run, {plural(seeds, 'seed')}. A "
            "seed draws the same clips in the same order in every row."
        ]
        for val in settings["val"]:
            grid = [
                (f"{row.group}: {row.name}", *_cells(summaries[row.name][val]))
                for row in self.rows
                if row.name in summaries
            ]
            parts += [f"**{val}**", markdown_table(_HEADER, grid)]
        parts.append(
            "mm, MPJVE in mm per frame. Mean and sample standard deviation over the seeds; the "
            "last column is the mean difference of MPJPE from the full model, seed by seed, with "
            "its own standard deviation: positive is worse, and a difference within its deviation "
            "shows nothing. Demonstration data: no conclusion on Human3.6M may be drawn."
        )
        machines = [", ".join(f"{k} {v}" for k, v in entry.items()) for entry in self.environments]
        if machines:
            parts.append(f"Run with {'; and '.join(machines)}.")
        if self.missing:
            parts.append(f"NOT FINISHED: {plural(len(self.missing), 'run')} missing.")
        return "\n\n".join(parts) + "\n"

    def plot(self, path: Path) -> None:
        """MPJPE of every row and seed, a panel per validation set.

        Raises:
            InputError: matplotlib is missing, or the path cannot be written.
        """
        summaries, vals = self._summaries(), list(self.settings["val"])
        rows = [row for row in self.rows if row.name in summaries]
        figure = new_figure(3.0 + 3.4 * len(vals), 0.9 + 0.34 * len(rows))
        for column, val in enumerate(vals):
            axes = figure.add_subplot(1, len(vals), column + 1)
            for line, row in enumerate(rows):
                summary = summaries[row.name][val]["mpjpe_mm"]
                colour = BLUE if row.group == "scan order" else ORANGE
                axes.plot(summary.values, [line] * len(summary.values), "o", color=colour,
                          alpha=0.55, markersize=5)  # fmt: skip
                axes.plot([summary.mean], [line], "|", color=DARK, markersize=14, markeredgewidth=2)
            axes.set_yticks(range(len(rows)), [row.name for row in rows] if column == 0 else [])
            axes.invert_yaxis()
            axes.grid(axis="x", alpha=0.3)
            axes.set_title(val, fontsize=10)
            axes.set_xlabel("MPJPE, mm (dots: seeds, bar: mean)", fontsize=8)
            axes.tick_params(labelsize=8)
        save_figure(figure, path)


_HEADER = ("", *METRICS.values(), "MPJPE against the full model")


def _cells(metrics: Mapping[str, Summary]) -> list[str]:
    row = [_with_spread(metrics[key].mean, metrics[key].spread) for key in METRICS]
    summary = metrics["mpjpe_mm"]
    if summary.difference is None:
        return [*row, "-"]
    return [*row, _with_spread(summary.difference, summary.difference_spread, sign="+")]


def _with_spread(value: float, spread: float | None, sign: str = "") -> str:
    text = f"{value:{sign}.2f}"
    return text if spread is None else f"{text} ± {spread:.2f}"
