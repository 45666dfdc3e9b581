"""``lift`` of a long recording: memory stays what it was, keypoints and poses lie in files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import keypoint_files as files
import numpy as np
import pytest

SHORT, LONG = 6_000, 24_000  # both with arrays beyond those that stay in memory
A_FRAME = 200
"""Bytes. Numbers, times and flags of a frame are held, and some of them twice at the peak; its
keypoints and poses, 136 to 204 bytes an array, are not. What the heap keeps varies by a megabyte
from run to run, 60 bytes a frame of this difference."""

_PEAK = """
import re, sys
from pathlib import Path
from posemamba_runtime.cli import main
assert main(sys.argv[1:]) == 0
# Not getrusage: its peak may be that of the process before exec.
print(1024 * int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1]))
"""


def _recording(folder: Path, kind: str, frames: int) -> Path:
    film = files.film("h36m17", 80)[:, 0]
    walked = np.concatenate([film, film[::-1]])
    path = folder / f"{frames}.{kind}"
    points = np.resize(walked, (frames, *walked.shape[1:])).astype(np.float32)
    if kind == "npz":
        np.savez(path, keypoints_2d=points, width=files.WIDTH, height=files.HEIGHT)
        return path
    header = {"size": [files.WIDTH, files.HEIGHT], "layout": "h36m17"}
    with path.open("w") as stream:
        stream.write(json.dumps(header) + "\n")
        for frame, person in enumerate(points):
            entry = {"frame": frame, "timestamp": frame / 30, "keypoints": files.triples(person)}
            stream.write(json.dumps(entry) + "\n")
    return path


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "suffix"), [("npz", ".npz"), ("npz", ".bvh"), ("jsonl", ".csv")])
def test_memory_stays(kind: str, suffix: str, model: Path, tmp_path: Path) -> None:
    peaks = []
    for frames in (SHORT, LONG):
        source, target = _recording(tmp_path, kind, frames), tmp_path / f"o{suffix}"
        words = [str(model), str(source), "-o", str(target), "--height-m", "1.7"]
        command = [sys.executable, "-c", _PEAK, "lift", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout.splitlines()[-1]))
    assert (peaks[1] - peaks[0]) / (LONG - SHORT) < A_FRAME
