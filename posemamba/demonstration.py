"""The bundled demonstration checkpoint."""

from __future__ import annotations

from pathlib import Path

_CHECKPOINT = Path(__file__).parent / "assets" / "demo_S.safetensors"


def demo_checkpoint() -> Path:
    """S at 243 frames, trained for three minutes on synthetic views of motion-capture clips.

    Real weights, so that examples and parity figures mean something; its errors on held-out motion
    are in ``reports/demo_S/MODEL_CARD.md``. No accuracy on a benchmark may be concluded.
    """
    return _CHECKPOINT
