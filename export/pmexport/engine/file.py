"""A built engine, opened and judged once: its sidecar is believed when its hash is right."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pmexport.engine.sidecar import read_engine
from pmexport.format.options import Precision


@dataclass(frozen=True)
class EngineFile:
    """What an engine and its sidecar hold; the names are those of
    :class:`pmexport.format.file.ModelFile` where both have a thing.

    Attributes:
        sidecar: of the schema, and of exactly this file.
    """

    path: Path
    sidecar: Mapping[str, Any]

    @property
    def flavour(self) -> str:
        """``tensorrt`` or ``tensorrt-rtx``: the runtime it is for."""
        return str(self.sidecar["tensorrt"]["flavour"])

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What the ONNX model said of itself, as far as the sidecar keeps it."""
        return dict(self.sidecar["model"])

    @property
    def profiles(self) -> list[dict[str, dict[str, int]]]:
        """``batch`` and ``frames``, each with ``min``, ``opt`` and ``max``."""
        return list(self.sidecar["profiles"])

    @property
    def batch(self) -> int | None:
        """Clips every profile is fixed to; None for several numbers."""
        return self._fixed("batch")

    @property
    def frames(self) -> int | None:
        """Frames every profile is fixed to; None for several numbers."""
        return self._fixed("frames")

    @property
    def most_frames(self) -> int:
        """Frames of the longest clip it takes."""
        return max(one["frames"]["max"] for one in self.profiles)

    @property
    def channels(self) -> int:
        """Of the input for each joint."""
        return int(self.sidecar["inputs"][0]["shape"][-1])

    @property
    def tf32(self) -> bool:
        """Whether float32 products may round their inputs to 10 bits, as the build was asked."""
        return bool(self.sidecar["options"]["tf32"])

    @property
    def precision(self) -> Precision:
        """``fp16`` where any layer gives it: what was got, not what was asked; ``fp16-sums`` where
        its scans were also given those sums."""
        found = self.sidecar["precision"]
        if found["layer_share_fp16"] == 0:
            return "fp32"
        return "fp16-sums" if found["asked"] == "fp16-sums" else "fp16"

    @property
    def whole_sha256(self) -> str:
        """Of the ONNX model it was built from: a reference beside that one is of both."""
        return str(self.sidecar["onnx"]["sha256"])

    def takes(self, batch: int, frames: int) -> int | None:
        """The first profile that such clips fit; None if there is none."""
        for index, one in enumerate(self.profiles):
            sizes = ((batch, one["batch"]), (frames, one["frames"]))
            if all(span["min"] <= size <= span["max"] for size, span in sizes):
                return index
        return None

    def profile_text(self) -> str:
        """``batch 1 to 8 with 1 to 243 frames``, all profiles."""
        return "; ".join(
            f"batch {_span(one['batch'])} with {_span(one['frames'])}" + " frames"
            for one in self.profiles
        )

    def summary(self) -> dict[str, Any]:
        """What the reports of ``check`` and ``bench`` say of an engine."""
        said = self.metadata.get
        return {
            "path": str(self.path),
            "sha256": self.sidecar["engine"]["sha256"],
            "variant": said("variant"),
            "scan_order": said("scan_order"),
            "ops": "fused",
            "precision": self.precision,
            "frames": self.frames,
            "batch": self.batch,
            "max_frames": said("max_frames"),
            "checkpoint_sha256": said("checkpoint_sha256"),
            "tensorrt": dict(self.sidecar["tensorrt"]),
        }

    def _fixed(self, what: str) -> int | None:
        sizes = {one[what][end] for one in self.profiles for end in ("min", "max")}
        return sizes.pop() if len(sizes) == 1 else None


def open_engine(file: str | os.PathLike[str] | EngineFile) -> EngineFile:
    """Read and judge an engine; one that is open already is returned as it is.

    Raises:
        InputError: as :func:`pmexport.engine.sidecar.read_engine`.
    """
    if isinstance(file, EngineFile):
        return file
    return EngineFile(Path(file), read_engine(Path(file)))


def _span(sizes: Mapping[str, int]) -> str:
    low, high = sizes["min"], sizes["max"]
    return str(low) if low == high else f"{low} to {high}"
