"""What the comparison times: networks, batches, windows and ways, the most telling first."""

from __future__ import annotations

from dataclasses import dataclass

FRAMES = 243
HALF, SUMS = "fp16", "fp16-sums"
MOTIONBERT = "MotionBERT"
TORCH, ORT, FLOW, COMPILED = (
    "PyTorch", "ONNX Runtime", "authors' flow, mamba-ssm", "compiled, half weights"
)  # fmt: skip
BATCHES = (1, 8, 32)
#: Of the other sizes; the authors' flow takes seconds a call of the larger ones in batches.
SIZES = ("S", "B", "X")
FLOW_SIZES = {"S": BATCHES, "B": (1,), "X": (1,)}
WINDOWS = (27, 81)


@dataclass(frozen=True)
class Cell:
    """One network at one batch and window, run one way."""

    network: str
    batch: int
    way: str
    precision: str = HALF
    frames: int = FRAMES

    @property
    def process(self) -> str:
        """Whose process times it: one a library, and one for everything that is compiled."""
        return f"{self.way} x{self.batch}" if self.way == COMPILED else self.way

    def __str__(self) -> str:
        what = [self.network, *([self.precision] * (self.precision != HALF))]
        what += [f"{self.frames} frames"] * (self.frames != FRAMES)
        return f"{', '.join(what)} x{self.batch}, {self.way}"


def plan() -> list[Cell]:
    """L and what it is held against, L's other precision and windows, the other sizes."""
    large = [Cell("L", batch, way) for way in (TORCH, ORT) for batch in BATCHES]
    large += [Cell(MOTIONBERT, batch, COMPILED) for batch in BATCHES]
    large += [Cell("L", batch, FLOW) for batch in BATCHES]
    large += [Cell("L", batch, TORCH, SUMS) for batch in BATCHES] + [Cell("L", 1, ORT, SUMS)]
    windows = [
        Cell("L", 1, way, frames=frames, precision=precision)
        for way, precision in ((TORCH, HALF), (TORCH, SUMS), (ORT, HALF))
        for frames in WINDOWS
    ]
    sizes = [
        Cell(network, batch, way) for way in (TORCH, ORT) for network in SIZES for batch in BATCHES
    ]
    sums = [Cell(network, 1, TORCH, SUMS) for network in SIZES]
    flow = [Cell(network, batch, FLOW) for network, each in FLOW_SIZES.items() for batch in each]
    return large + windows + sizes + sums + flow
