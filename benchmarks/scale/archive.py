"""An archive on two nodes with a process and a driver killed, and its pace against one process.

`benchmarks/scale/run.py` runs it long, `tests/deploy/scale/test_cluster.py` short.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SIZE = (1280, 720)
_WORDS = ("--size", "{}x{}".format(*SIZE), "--rate", "30")
_PATIENCE_S = 300.0

#: COCO-17 of somebody who stands, in pixels from the hips: a reader that looks whether joints lie
#: as their names say finds nothing odd.
_STANDING = np.array(
    [(0, -200), (8, -208), (-8, -208), (16, -203), (-16, -203), (38, -150), (-38, -150), (48, -85),
     (-48, -85), (52, -25), (-52, -25), (22, 0), (-22, 0), (24, 85), (-24, 85), (24, 170),
     (-24, 170)],
    dtype=float,
)  # fmt: skip


def make_archive(folder: Path, recordings: int, frames: int) -> None:
    """Recordings of one person each, as AlphaPose writes them, in a few folders."""
    rng = np.random.default_rng(0)
    for number in range(recordings):
        joints = rng.uniform((300, 300), (900, 450)) + rng.uniform(0.8, 1.3) * _STANDING
        phase = rng.uniform(0, 6, (1, 17, 2))
        points = joints + 5 * np.sin(np.arange(frames)[:, None, None] / 9 + phase)
        values = np.dstack([points, np.full((frames, 17), 0.9)]).round(2)
        entries = [
            {
                "image_id": f"{k}.jpg",
                "category_id": 1,
                "keypoints": row.ravel().tolist(),
                "score": 1,
            }
            for k, row in enumerate(values)
        ]
        place = folder / f"day{number % 5}" / f"r{number:05d}.json"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(json.dumps(entries), encoding="utf-8")


def lift_command(model: Path, source: Path | str, output: Path, *more: str) -> list[str]:
    """Words of the command, for a process of its own."""
    words = ["lift", str(model), str(source), "-o", str(output), *_WORDS, *more]
    return [sys.executable, "-m", "posemamba_runtime", *words]


_CLUSTER = """
import sys
from ray.cluster_utils import Cluster

options = {"num_cpus": 1, "object_store_memory": 128 << 20}
cluster = Cluster(initialize_head=True, head_node_args={**options, "include_dashboard": False})
cluster.add_node(**options)
cluster.wait_for_nodes()
raylets = [node.all_processes["raylet"][0].process.pid for node in cluster.list_all_nodes()]
print(cluster.address, *raylets, flush=True)
sys.stdin.read()
cluster.shutdown()
"""


@contextmanager
def two_nodes() -> Iterator[tuple[str, list[int]]]:
    """A Ray of two nodes with a core each: its address, and the raylets' process ids.

    In a process of its own: one that loses its Ray may be ended by it.
    """
    host = subprocess.Popen(
        [sys.executable, "-c", _CLUSTER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0"},
    )
    assert host.stdout is not None
    try:
        address, *raylets = host.stdout.readline().split()
        yield address, [int(pid) for pid in raylets]
    finally:
        host.communicate()  # closes its standard input, which it waits for


def actors(raylets: Sequence[int]) -> list[int]:
    """Process ids of the lifting actors that these raylets have started."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(status.read_text().rpartition(")")[2].split()[1])
            title = (status.parent / "cmdline").read_bytes()
        except OSError:
            continue  # it has ended meanwhile
        if parent in raylets and title.startswith(b"ray::MapWorker"):
            found.append(int(status.parent.name))
    return found


def outputs(folder: Path) -> dict[str, bytes]:
    """Every file of an output folder but the ledger, by relative name."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "_lifted.jsonl"
    }


@dataclass(frozen=True)
class Survived:
    """What was there when the driver was killed, and what its successor said."""

    before_kill: int
    actor_killed_at: int
    second_run: str
    code: int


def kill_and_resume(model: Path, source: Path, output: Path, recordings: int) -> Survived:
    """Kill an actor after a fifth of the recordings, the driver after half; then run again."""
    with two_nodes() as (address, raylets):
        command = lift_command(model, source, output, "--ray", address)
        ledger = output / "_lifted.jsonl"
        driver = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            first = _wait_for(ledger, recordings // 5, driver)
            os.kill(actors(raylets)[0], signal.SIGKILL)
            before = _wait_for(ledger, recordings // 2, driver)
        finally:
            driver.send_signal(signal.SIGKILL)
            driver.wait()
        again = subprocess.run(command, capture_output=True, text=True, check=False)
    return Survived(before, first, again.stdout + again.stderr, again.returncode)


def _wait_for(ledger: Path, count: int, driver: subprocess.Popen[bytes]) -> int:
    end = time.monotonic() + _PATIENCE_S
    while True:
        done = len(ledger.read_bytes().splitlines()) if ledger.exists() else 0
        if done >= count:
            return done
        assert driver.poll() is None, "the driver has ended before it was killed"
        assert time.monotonic() < end, f"{done} of {count} recordings after {_PATIENCE_S} s"
        time.sleep(0.02)


def one_process(model: Path, source: Path, output: Path, threads: int) -> float:
    """Seconds that one process takes for all recordings: the model opened once, then a loop."""
    from posemamba_runtime import Lifter, outputs
    from posemamba_runtime.keypoints.reader import read
    from posemamba_runtime.recordings import LiftOptions, lift_prepared, prepare

    with Lifter(model, threads=threads) as lifter:
        start = time.perf_counter()
        for path in sorted(source.rglob("*.json")):
            recording = read(path, size=SIZE, rate=30)
            lifted = lift_prepared(lifter, prepare(recording), LiftOptions(), model=str(model))
            place = output / path.relative_to(source).with_suffix(".npz")
            place.parent.mkdir(parents=True, exist_ok=True)
            outputs.write(place, lifted.motion)
        return time.perf_counter() - start


def steady(command: list[str], output: Path) -> tuple[float, float]:
    """Seconds of a whole run, and recordings a second from its first answers to its last."""
    ledger = output / "_lifted.jsonl"
    start = time.perf_counter()
    seen: list[tuple[float, int]] = []
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while run.poll() is None:
        done = len(ledger.read_bytes().splitlines()) if ledger.exists() else 0
        if done and (not seen or done > seen[-1][1]):
            seen.append((time.perf_counter(), done))
        time.sleep(0.01)
    assert run.returncode == 0
    (first, before), (last, after) = seen[0], seen[-1]
    return time.perf_counter() - start, (after - before) / (last - first)
