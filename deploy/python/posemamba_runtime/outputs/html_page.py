"""``.html``: the viewer with the motion inside."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from posemamba_runtime.motion import Motion, Track
from posemamba_runtime.viewer import page


def write(path: Path, motion: Motion, tracks: Sequence[Track]) -> None:
    """One page for everybody in the motion; ``tracks`` are all of its."""
    path.write_text(page(motion), encoding="utf-8")
