"""Simulated cameras against a server: delays, refusals, order, and whose pose is whose.

`benchmarks/scale/run.py` runs it long, `tests/deploy/scale/test_serve.py` short.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

    from posemamba_runtime import Lifter

SIZE = (1280, 720)
PERIOD = 40
"""Frames after which a camera's movement repeats, and so do the poses of full windows."""

_START_S, _END_S, _ANSWER_S = 120.0, 60.0, 30.0  # at most, on a machine with other work
_CLOSE = 5e-5  # network units: five digits of JSON, and windows in other batches

Floats = npt.NDArray[np.float64]


def movement(camera: int) -> Floats:
    """(PERIOD, 17, 3) pixels and confidence; of every camera its own."""
    rng = np.random.default_rng(camera)
    joints = rng.uniform((300, 150), (900, 550), (17, 2))
    turns = np.arange(PERIOD)[:, None, None] * 2 * np.pi / PERIOD
    points = joints + 25 * np.sin(turns + rng.uniform(0, 6, (1, 17, 2)))
    values: Floats = np.dstack([points, np.full((PERIOD, 17), 0.9)]).round(1)
    return values


@dataclass
class Seen:
    """What one camera's client saw.

    Attributes:
        poses: (generation, frame, joints); a new generation after each lost connection.
        delays: seconds from a frame to its pose.
        refused: (generation, frame) without a pose, and one sentence of each kind.
        left_out: (generation, frame) that this client, itself too late, never sent.
    """

    sent: int = 0
    connections: int = 0
    poses: list[tuple[int, int, Floats]] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)
    refused: set[tuple[int, int]] = field(default_factory=set)
    left_out: set[tuple[int, int]] = field(default_factory=set)
    sentences: set[str] = field(default_factory=set)
    strangers: int = 0


async def run_cameras(port: int, seen: Sequence[Seen], rate: float, seconds: float) -> None:
    """A camera for each of ``seen``, all at once, each on a connection of its own."""
    start = time.perf_counter() + 0.5
    await asyncio.gather(
        *(_camera(number, port, rate, start, seconds, one) for number, one in enumerate(seen))
    )


async def _camera(
    number: int, port: int, rate: float, start: float, seconds: float, seen: Seen
) -> None:
    import websockets

    people = [
        json.dumps([{"id": 0, "keypoints": row.ravel().tolist()}]) for row in movement(number)
    ]
    url = f"ws://127.0.0.1:{port}/cameras/cam{number}?size={SIZE[0]}x{SIZE[1]}&rate={rate:g}"
    begin = start + number / rate / 64  # cameras do not tick together
    end = begin + seconds
    frame = 0
    while time.perf_counter() < end:
        try:
            async with websockets.connect(url, compression=None, open_timeout=30) as socket:
                seen.connections += 1
                times: dict[int, float] = {}
                reader = asyncio.ensure_future(_read(socket, f"cam{number}", times, seen))
                try:
                    while (now := time.perf_counter()) < end:
                        due = max(frame, int((now - begin) * rate) - 1)  # a camera does not wait
                        seen.left_out.update((seen.connections, gone) for gone in range(frame, due))
                        frame = due
                        await asyncio.sleep(max(0.0, begin + frame / rate - time.perf_counter()))
                        times[frame] = time.perf_counter()
                        await socket.send(
                            f'{{"frame": {frame}, "people": {people[frame % PERIOD]}}}'
                        )
                        seen.sent += 1
                        frame += 1
                    await asyncio.sleep(1.0)  # what is still on its way
                finally:
                    reader.cancel()
        except (OSError, websockets.WebSocketException):
            await asyncio.sleep(0.5)


async def _read(socket: ClientConnection, name: str, times: dict[int, float], seen: Seen) -> None:
    generation = seen.connections
    async for text in socket:
        now = time.perf_counter()
        message = json.loads(text)
        frame = message["frame"]
        seen.strangers += message["camera"] != name
        if "refused" in message:
            seen.refused.add((generation, frame))
            seen.sentences.add(re.sub(r"[0-9]+ ms", "N ms", message["refused"]))
        else:
            seen.poses.append((generation, frame, np.array(message["joints"])))
            seen.delays.append(now - times[frame])
    await asyncio.sleep(0)


@dataclass(frozen=True)
class Judged:
    """Every pose held against a lifter of its camera alone.

    Attributes:
        compared: poses of full windows without a frame that was refused or left out.
        wrong: those that are not the lifter's for their camera and frame.
        out_of_order: poses that came after a later one, or twice.
    """

    poses: int
    compared: int
    wrong: int
    out_of_order: int


def judge(model: Path, window: int, seen: Sequence[Seen]) -> Judged:
    """Compare; the oracle lifts one period of each camera, one stream at a time."""
    from posemamba_runtime import Lifter

    poses = compared = wrong = disorder = 0
    with Lifter(model, threads=1) as lifter:
        for number, one in enumerate(seen):
            truth = _alone(lifter, number, window)
            poses += len(one.poses)
            for generation in {row[0] for row in one.poses}:
                rows = [row for row in one.poses if row[0] == generation]
                frames = np.array([row[1] for row in rows])
                disorder += int((np.diff(frames) <= 0).sum())
                lost = one.refused | one.left_out
                gone = np.array(sorted(f for g, f in lost if g == generation))
                for frame, joints in ((row[1], row[2]) for row in rows):
                    whole = (
                        frame - frames[0] >= 2 * window
                        and not ((gone > frame - 2 * window) & (gone <= frame)).any()
                    )
                    if whole:
                        compared += 1
                        wrong += np.abs(joints - truth[frame % PERIOD]).max() > _CLOSE
    return Judged(poses, compared, int(wrong), disorder)


def _alone(lifter: Lifter, number: int, window: int) -> dict[int, Floats]:
    """The pose of each place of a period, once the window is full."""
    rows = movement(number)
    truth = {}
    first = PERIOD * (-(-window // PERIOD))
    with lifter.stream("coco17", SIZE, window=window, rate=30) as stream:
        for frame in range(first + PERIOD):
            stream.push(rows[frame % PERIOD], frame, frame / 30)
            lifter.step()
            for pose in stream:
                if pose.frame >= first:
                    truth[pose.frame % PERIOD] = pose.joints.astype(np.float64)
    return truth


@contextmanager
def server(model: Path, port: int, *words: str) -> Iterator[dict[str, Any]]:
    """A running ``serve``; gives its health at the start."""
    command = [sys.executable, "-m", "posemamba_runtime", "serve", str(model)]
    with tempfile.TemporaryFile("w+") as told:  # nobody reads a pipe: a full one would stop it
        process = subprocess.Popen(
            [*command, "--port", str(port), *words], stdout=told, stderr=subprocess.STDOUT
        )
        try:
            yield _wait_for(port, process, told)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(_END_S)


def _wait_for(port: int, process: subprocess.Popen[bytes], told: TextIO) -> dict[str, Any]:
    end = time.monotonic() + _START_S
    while time.monotonic() < end:
        if process.poll() is not None:
            told.seek(0)
            raise AssertionError(told.read())
        try:
            return health(port)
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"no server after {_START_S} s")


def health(port: int) -> dict[str, Any]:
    """What the server says of itself."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=_ANSWER_S) as answer:
        told: dict[str, Any] = json.load(answer)
        return told


def metrics(port: int) -> dict[str, float]:
    """Prometheus' numbers, by name and labels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=_ANSWER_S) as answer:
        lines = [line for line in answer.read().decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


async def killing(port: int, after_s: float) -> int:
    """Kill the replica that answers, some time from now; its process id."""
    await asyncio.sleep(after_s)
    process = int((await asyncio.to_thread(health, port))["process"])
    os.kill(process, signal.SIGKILL)
    return process
