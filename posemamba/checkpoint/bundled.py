"""The bundled demonstration checkpoints."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

_ASSETS = Path(__file__).parents[1] / "assets"
#: What a user may type in place of a path.
NAMES: dict[str, Literal["S", "streaming"]] = {"demo": "S", "demo-streaming": "streaming"}


def demo_checkpoint(network: Literal["S", "streaming"] = "S") -> Path:
    """A network trained for a few minutes on synthetic views of motion-capture clips.

    ``S`` lifts 243 frames; ``streaming`` (depth 6, d_model 64) lifts 81, for windows of a live
    stream.

    Real weights, so that examples and parity figures mean something; its errors on held-out motion
    are in ``reports/demo_<network>/MODEL_CARD.md``. No accuracy on a benchmark may be concluded.
    """
    return _ASSETS / f"demo_{network}.safetensors"


def bundled_checkpoint(name: str | os.PathLike[str]) -> Path | None:
    """The checkpoint that ``demo`` or ``demo-streaming`` names; None for a path.

    A file of that name comes first.
    """
    network = NAMES.get(os.fspath(name))
    return None if network is None or Path(name).exists() else demo_checkpoint(network)
