"""What a TensorRT build may be asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pmexport.format.paths import NamesFiles

#: ``--hardware-compat`` -> name in TensorRT's API and in trtexec.
HARDWARE_LEVELS: dict[str, tuple[str, str]] = {
    "ampere+": ("AMPERE_PLUS", "ampere+"),
    "same-compute-capability": ("SAME_COMPUTE_CAPABILITY", "sameComputeCapability"),
}


@dataclass(frozen=True)
class Options(NamesFiles):
    """What a user may say about an engine; None for TensorRT's default.

    Attributes:
        workspace: bytes of scratch memory a layer may use at most.
        timing_cache: file of measured kernel times, read and written.
        hardware_compat: a key of :data:`HARDWARE_LEVELS`.
        tf32: let float32 products round their inputs to 10 bits.
    """

    workspace: int | None = None
    timing_cache: Path | None = None
    optimization_level: int | None = None
    hardware_compat: str | None = None
    version_compat: bool = False
    strip_weights: bool = False
    tf32: bool = False
