"""The paper's tables beside what this code computes: counts always, errors where data is given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from posemamba.model.counts import Row
from posemamba.paper.results import COUNTS_SOURCE, H36M, H36M_SOURCE
from posemamba.text import markdown_table, plural, table

Grid = Callable[[Sequence[str], Sequence[Sequence[str]]], str]

NONE = "-"
COUNT_NOTE = (
    "True: every parameter; linear and convolution layers, the scan's projections, and the "
    "scan at 3 MAC per state.\n"
    "Paper's (Table 2): its counter skips raw parameters, both projections and the scan, and "
    "counts norms."
)

COUNT_HEADER = ("", "true parameters", "true GMAC: linear+conv, projections, scan",
                "paper's parameters", "paper's GMAC")  # fmt: skip
ERROR_HEADER = ("", "published P1", "measured P1", "measured P2",
                "published P1, 2D truth", "measured P1, 2D truth")  # fmt: skip
MPI_HEADER = ("", "measured MPJPE", "measured PCK", "measured AUC")


@dataclass(frozen=True)
class Measured:
    """What a user's checkpoint gave on a user's data; None where it was not run.

    Attributes:
        variant: ``S``, ``B``, ``L``, ``X`` or ``custom``.
        checkpoint: file name.
        h36m_p1, h36m_p2: MPJPE and P-MPJPE in mm, detected 2D.
        h36m_p1_truth: MPJPE in mm, ground-truth 2D, the official way (depth alone).
        mpi_mpjpe, mpi_pck, mpi_auc: MPI-INF-3DHP in mm, percent, percent.
    """

    variant: str
    checkpoint: str
    h36m_p1: float | None = None
    h36m_p2: float | None = None
    h36m_p1_truth: float | None = None
    mpi_mpjpe: float | None = None
    mpi_pck: float | None = None
    mpi_auc: float | None = None


@dataclass(frozen=True)
class PaperTables:
    """Everything ``posemamba table`` prints.

    Attributes:
        frames: length of the clip the MACs are of.
        counts: both ways of counting, a row per size.
        measured: what was run, a row per checkpoint.
    """

    frames: int
    counts: tuple[Row, ...]
    measured: tuple[Measured, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """For programs; ``schema`` grows when a meaning changes."""
        counts = [
            asdict(row) | {"macs": asdict(row.macs) | {"total": row.macs.total}}
            for row in self.counts
        ]
        published = {name: asdict(row) for name, row in H36M.items()}
        return {
            "schema": 1,
            "frames": self.frames,
            "counts": {"source": COUNTS_SOURCE, "rows": counts},
            "published_h36m_mpjpe_mm": {"source": H36M_SOURCE, "rows": published},
            "measured": [asdict(row) for row in self.measured],
        }

    def text(self) -> str:
        """For people at a terminal."""
        return self._render(table)

    def markdown(self) -> str:
        """For a README."""
        return self._render(markdown_table)

    def _render(self, grid: Grid) -> str:
        lines = self._lines()
        errors, mpi = [], []
        for label, variant, mine in lines:
            paper = H36M.get(variant)
            errors.append(
                (
                    label,
                    _number(paper.detected if paper else None),
                    _number(mine.h36m_p1),
                    _number(mine.h36m_p2),
                    _number(paper.ground_truth if paper else None),
                    _number(mine.h36m_p1_truth),
                )
            )
            mpi.append((label, *map(_number, (mine.mpi_mpjpe, mine.mpi_pck, mine.mpi_auc))))
        parts = (
            f"Sizes, one clip of {plural(self.frames, 'frame')}",
            grid(COUNT_HEADER, count_rows(self.counts)),
            f"{COUNT_NOTE}\nThe paper: {COUNTS_SOURCE}.",
            "Human3.6M, mm",
            grid(ERROR_HEADER, errors),
            f"Published: {H36M_SOURCE}.\nWith 2D truth the official protocol measures depth alone: "
            "it overwrites the prediction's xy with the input.",
            "MPI-INF-3DHP, ground-truth 2D, centre frame",
            grid(MPI_HEADER, mpi),
            f"{NONE}: not published in a source we can name, or not measured; name data and "
            "weights to measure.",
        )
        return "\n\n".join(parts)

    def _lines(self) -> list[tuple[str, str, Measured]]:
        """Label, size and figures of each row: the paper's sizes, then any other network."""
        sizes = [row.variant for row in self.counts]
        lines = []
        for size in sizes:
            mine = [row for row in self.measured if row.variant == size]
            lines += [(f"{size}, {row.checkpoint}", size, row) for row in mine]
            if not mine:
                lines.append((size, size, Measured(size, "")))
        others = [row for row in self.measured if row.variant not in sizes]
        return lines + [(row.checkpoint, row.variant, row) for row in others]


def count_rows(rows: Iterable[Row]) -> list[tuple[str, ...]]:
    """Cells under :data:`COUNT_HEADER`."""
    return [
        (
            row.variant,
            f"{row.parameters:,}",
            f"{row.macs.linear_conv / 1e9:.2f} + {row.macs.projections / 1e9:.2f} + "
            f"{row.macs.scan / 1e9:.2f} = {row.macs.total / 1e9:.2f}",
            f"{row.paper_parameters / 1e6:.3f} M",
            f"{row.paper_macs / 1e9:.3f}",
        )
        for row in rows
    ]


def _number(value: float | None) -> str:
    return NONE if value is None else f"{value:.1f}"
