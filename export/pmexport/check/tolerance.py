"""How far a model may be from its checkpoint, and why."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tolerance:
    """Largest differences a check accepts.

    Attributes:
        max_abs: of any coordinate, in network units.
        mpjpe_mm: of the mean joint distance of any run, in mm.
    """

    max_abs: float
    mpjpe_mm: float


#: fp32: the two sides add the same numbers in another order. That costs about 1e-6 even through 40
#: blocks; 1e-4 leaves room for other CPUs, and a wrong scan direction, limb list or layer exceeds
#: it many times. fp16: 11 bits of mantissa through 40 blocks. 0.5 mm is a hundredth of the model's
#: own error on Human3.6M (about 40 mm), and no coordinate may be off by 20 mm whatever the mean.
#: fp16-sums: shorter sums may cost about what fp16 itself did: the trained S drifts by 0.11 mm in
#: fp16, and a network that they take beyond 0.25 mm stays with it.
#: tf32: fp32 but for the factors of products, which keep as many bits as fp16's.
TOLERANCES: dict[str, Tolerance] = {
    "fp32": Tolerance(max_abs=1e-4, mpjpe_mm=0.01),
    "tf32": Tolerance(max_abs=2e-2, mpjpe_mm=0.5),
    "fp16": Tolerance(max_abs=2e-2, mpjpe_mm=0.5),
    "fp16-sums": Tolerance(max_abs=2e-2, mpjpe_mm=0.25),
}
