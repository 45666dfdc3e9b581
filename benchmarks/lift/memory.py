"""Peak memory and processor time of ``lift`` for recordings of several lengths.

    python -m benchmarks.lift.memory --frames 1000 10000 100000

One person, read and written in several formats, each in a process of its own. The peak is the
kernel's, of everything resident: interpreter, network, arrays and the pages of files.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

WIDTH, HEIGHT = 1280, 720
_SOMEBODY = np.random.default_rng(1).uniform(100, 600, (17, 2))
_BODY_25 = [0, 8, 14, 15, 16, 11, 12, 13, 0, 1, 2, 3, 4, 5, 6, 9, 9, 10, 10, 6, 6, 6, 3, 3, 3]
"""Joints of Human3.6M in about the places of OpenPose's."""

_CHILD = """
import re, resource, sys
from pathlib import Path
from posemamba_runtime.cli import main
assert main(sys.argv[1:]) == 0
# Not getrusage: its peak may be that of the process before exec.
peak = re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1]
print(peak, resource.getrusage(resource.RUSAGE_SELF).ru_utime)
"""


def _moving(frames: int) -> Iterator[npt.NDArray[np.float64]]:
    """Somebody who sways."""
    for frame in range(frames):
        yield _SOMEBODY + 9 * np.sin(frame / 25)


def _triples(points: npt.NDArray[np.float64]) -> list[float]:
    with_confidence = np.concatenate([points, np.full((len(points), 1), 0.9)], axis=1)
    values: list[float] = with_confidence.round(1).ravel().tolist()
    return values


def _npz(folder: Path, frames: int) -> Path:
    path = folder / f"{frames}.npz"
    np.savez(path, a=np.array(list(_moving(frames)), np.float32), width=WIDTH, height=HEIGHT)
    return path


def _lines(folder: Path, frames: int) -> Path:
    path = folder / f"{frames}.jsonl"
    with path.open("w") as stream:
        stream.write(json.dumps({"size": [WIDTH, HEIGHT], "layout": "h36m17"}) + "\n")
        for frame, points in enumerate(_moving(frames)):
            entry = {"frame": frame, "timestamp": frame / 30, "keypoints": _triples(points)}
            stream.write(json.dumps(entry) + "\n")
    return path


def _openpose(folder: Path, frames: int) -> Path:
    path = folder / f"openpose{frames}"
    path.mkdir()
    for frame, points in enumerate(_moving(frames)):
        people = [{"pose_keypoints_2d": _triples(points[_BODY_25])}]
        text = json.dumps({"version": 1.3, "people": people})
        (path / f"walk_{frame:012d}_keypoints.json").write_text(text)
    return path


#: What is read, the ending of what is written, and further words.
CASES: tuple[tuple[Callable[[Path, int], Path], str, tuple[str, ...]], ...] = (
    (_npz, ".npz", ()),
    (_npz, ".bvh", ()),
    (_npz, ".parquet", ()),
    (_npz, ".html", ()),
    (_lines, ".csv", ()),
    (_lines, ".json", ()),
    (_openpose, ".trc", ("--size", f"{WIDTH}x{HEIGHT}", "--layout", "body25")),
)


def measured(model: str, source: Path, target: Path, more: tuple[str, ...]) -> tuple[float, float]:
    """Peak in MB and seconds of the processors."""
    words = ["lift", model, str(source), "-o", str(target), "--height-m", "1.7", *more]
    command = [sys.executable, "-c", _CHILD, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
    peak, seconds = done.stdout.splitlines()[-1].split()
    return int(peak) / 1000, float(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--frames", type=int, nargs="+", default=(1_000, 10_000, 100_000))
    parser.add_argument("--model", default="demo")
    parser.add_argument("--only", default="", help="cases whose name has this in it")
    arguments = parser.parse_args()
    for write, suffix, more in CASES:
        name = f"{write.__name__[1:]} -> {suffix}"
        for frames in arguments.frames if arguments.only in name else ():
            with tempfile.TemporaryDirectory() as temporary:
                folder = Path(temporary)
                source = write(folder, frames)
                peak, seconds = measured(arguments.model, source, folder / f"o{suffix}", more)
            sys.stdout.write(f"{name:20} {frames:7,} frames {peak:6.0f} MB {seconds:7.1f} s\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
