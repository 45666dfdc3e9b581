"""Bytes per frame that reading, lifting and writing a recording hold, without the network's own.

    python benchmarks/lift_memory.py --frames 30000 60000

A recording of each length is read, lifted by a stand-in for the network and written; what the
second peaks beyond the first (tracemalloc, so Python's and NumPy's memory), per frame more.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from posemamba_runtime import outputs
from posemamba_runtime.keypoints import read
from posemamba_runtime.recordings import LiftOptions, lift_prepared, prepare
from posemamba_runtime.stream import Pose

SIZE = (1280, 720)
WRITTEN = (".npz", ".json", ".csv", ".parquet", ".trc", ".bvh", ".c3d", ".html")


class _Stream:
    """Hands out a pose for each frame, as the library's does."""

    def __init__(self) -> None:
        self._pushed: list[tuple[int, float]] = []
        self._joints = np.random.default_rng(0).normal(0, 0.3, (17, 3)).astype(np.float32)

    def push(self, values: object, frame: int, timestamp: float) -> None:
        self._pushed.append((frame, timestamp))

    def flush(self) -> None:
        pass

    def __iter__(self) -> Iterator[Pose]:
        for frame, time in self._pushed:
            yield Pose(0, frame, time, self._joints, np.zeros(17, np.bool_))
        self._pushed.clear()

    def __enter__(self) -> _Stream:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class _Network:
    info: dict[str, object] = {"frames": {"min": 1, "max": 243}}  # noqa: RUF012 (never written)

    def step(self) -> int:
        return 1

    def stream(self, *_: object, **__: object) -> Any:  # noqa: ANN401 (a stand-in)
        return _Stream()


def recording(folder: Path, frames: int, kind: str) -> Path:
    """Somebody who trembles."""
    points = np.random.default_rng(1).uniform(100, 600, (1, 17, 2)).astype(np.float32)
    path = folder / f"{frames}.{kind}"
    if kind == "npz":
        moved = points + np.linspace(0, 9, frames, dtype=np.float32)[:, None, None]
        np.savez(path, a=moved, width=SIZE[0], height=SIZE[1])
        return path
    triples = np.concatenate([points[0], np.full((17, 1), 0.9)], axis=1).round(1).ravel().tolist()
    with path.open("w") as stream:
        for frame in range(frames):
            stream.write(json.dumps({"frame": frame, "keypoints": triples}) + "\n")
    return path


def peaks(folder: Path, frames: int, kind: str) -> dict[str, int]:
    """Peak bytes of each step."""
    source = recording(folder, frames, kind)
    found: dict[str, int] = {}

    def took(step: str) -> None:
        found[step] = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()

    tracemalloc.start()
    whole = read(source, size=None if kind == "npz" else SIZE, layout="h36m17")
    took(f"read .{kind}")
    prepared = prepare(whole)
    took("complete")
    del whole
    options = LiftOptions(height_m=1.7, units="m")
    motion = lift_prepared(_Network(), prepared, options).motion
    took("lift")
    del prepared
    tracemalloc.reset_peak()
    for suffix in WRITTEN if kind == "npz" else ():
        outputs.write(folder / f"o{suffix}", motion)
        took(f"write {suffix}")
    tracemalloc.stop()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--frames", type=int, nargs=2, default=(30_000, 60_000))
    few, many = parser.parse_args().frames
    with tempfile.TemporaryDirectory() as temporary:
        for kind in ("npz", "jsonl"):
            peaks(Path(temporary), 300, kind)  # what is imported at the first time
            less = peaks(Path(temporary), few, kind)
            for step, bytes_held in peaks(Path(temporary), many, kind).items():
                slope = (bytes_held - less[step]) / (many - few)
                sys.stdout.write(f"{kind:6} {step:15} {slope:6.0f} bytes per frame\n")


if __name__ == "__main__":
    main()
