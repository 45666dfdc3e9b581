"""The bundled demonstration checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

_ASSETS = Path(__file__).parents[1] / "assets"


def demo_checkpoint(network: Literal["S", "streaming"] = "S") -> Path:
    """A network trained for a few minutes on synthetic views of motion-capture clips.

    ``S`` lifts 243 frames; ``streaming`` (depth 6, d_model 64) lifts 81, for windows of a live
    stream.

    Real weights, so that examples and parity figures mean something; its errors on held-out motion
    are in ``reports/demo_<network>/MODEL_CARD.md``. No accuracy on a benchmark may be concluded.
    """
    return _ASSETS / f"demo_{network}.safetensors"
