"""Outputs of public forks' code in ``tests/data/golden/forks``, by checkpoint and scan."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from places import GOLDEN

FORKS = GOLDEN / "forks"
#: The authors' scan ran in float64 and the rest in float32; an independent float64 program differed
#: from it by 7.2e-6 at most, and other scans of the same weights by 0.6 and more.
TOLERANCE = 1e-4


class ForkCase(NamedTuple):
    """A checkpoint, the official name of its scan, and what the fork's code made of some input."""

    checkpoint: Path
    scan: str
    outputs: Path


def _case(checkpoint: str, scan: str, suffix: str = "") -> ForkCase:
    outputs = FORKS / f"{checkpoint}_{scan}{suffix}_io.npz"
    return ForkCase(FORKS / f"{checkpoint}.pth.tr", scan, outputs)


CASES: dict[str, ForkCase] = {
    case.outputs.name.removesuffix("_io.npz"): case
    for case in (
        *(
            _case("official_4dir_2ch", scan)
            for scan in ("v2_plus_poselimbs", "v2", "v3", "v31d", "v32d", "v2_bfs",
                         "selfsum_poselimbs")
        ),
        _case("official_4dir_2ch", "v2_plus_poselimbs", "_5frames"),
        *(_case("bfs_4dir_3ch", s) for s in ("v2_bfs", "v2_bfs_first", "v2_plus_poselimbs")),
        _case("fused_8dir_2ch", "v2_fused_bfs"),
        _case("bones_4dir_5ch", "v2_plus_poselimbs"),
        _case("jointdelta_4dir_2ch", "v2_plus_poselimbs"),
    )
}  # fmt: skip
