"""Cameras in, poses out: whatever is due of all cameras is lifted as one batch.

One thread lifts. Frames wait in one bounded queue; what does not fit is refused at once, and what
has waited too long is passed over, so that neither memory nor delay grows under load. Nothing in
here knows Ray or the network's protocols.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from posemamba_runtime.errors import BadArgument, Error, NotReady
from posemamba_runtime.keypoints.errors import InputError
from posemamba_runtime.keypoints.source import Json
from posemamba_runtime.lifter import Lifter
from posemamba_runtime.live.intake import Intake, Seen
from posemamba_runtime.live.poses import pose_line
from posemamba_runtime.live.steps import lift_due
from posemamba_runtime.scale.metrics import Metrics
from posemamba_runtime.stream import Pose, Stream
from posemamba_runtime.text import counted

Sink = Callable[[list[dict[str, Json]]], None]
"""Takes messages for one camera's client; called on the lifting thread."""

TAKEN = "another connection has taken this camera's name: one of the two needs another"
"""What the older of two connections is told."""

_REMEMBERED = 4096  # arrivals of frames without a pose, for a camera that shows nobody for long
_WAIT_S = 0.25  # until the thread looks whether it shall end


@dataclass(frozen=True)
class Limits:
    """What a hub takes on.

    Attributes:
        cameras: at once.
        queue: frames of all cameras that wait.
        batch: frames taken for one step.
        max_latency_ms: of a frame, from its arrival to its step.
    """

    cameras: int
    queue: int
    batch: int
    max_latency_ms: float


@dataclass(frozen=True)
class Lifting:
    """How every camera is lifted; as :meth:`posemamba_runtime.Lifter.stream` takes it."""

    window: int
    hop: int
    height_m: float

    @property
    def units(self) -> str:
        return "m" if self.height_m else "network"


class Camera:
    """One camera's stream; made by :meth:`Hub.open`."""

    def __init__(self, name: str, intake: Intake, phase: int, sink: Sink) -> None:
        self.name = name
        self.intake = intake
        self.sink = sink
        self.stream: Stream | None = None
        self.arrivals: dict[int, float] = {}
        self.left_out = phase
        self.waiting = 0  # frames in the queue; under the hub's lock
        self.closed = False


class Hub:
    """Lifts for many cameras with one lifter.

    Args:
        lifter: nobody else steps it.
    """

    def __init__(self, lifter: Lifter, limits: Limits, lifting: Lifting, metrics: Metrics) -> None:
        self._lifter = lifter
        self._limits = limits
        self._lifting = lifting
        self._metrics = metrics
        self._cameras: dict[str, Camera] = {}
        self._queue: deque[tuple[Camera, Json, float]] = deque()
        self._news = threading.Condition()
        self._ended = False
        self.failure = ""
        self._thread = threading.Thread(target=self._run, name="lifting", daemon=True)
        self._thread.start()

    @property
    def cameras(self) -> list[str]:
        """Names of those that are connected."""
        with self._news:
            return sorted(self._cameras)

    @property
    def alive(self) -> bool:
        """Whether the lifting thread works."""
        return self._thread.is_alive()

    def open(self, name: str, intake: Intake, sink: Sink) -> Camera:
        """Let a camera in.

        One of a name that is there takes its place, for a camera whose network was cut comes back
        long before its old connection is known to be dead. The stream is a new one.

        Raises:
            BadArgument: there are as many cameras as there may be.
        """
        with self._news:
            before = self._cameras.pop(name, None)
            if before is not None:
                before.closed = True
                before.sink([refusal(name, None, TAKEN)])
            if len(self._cameras) >= self._limits.cameras:
                raise BadArgument(
                    f"{counted(self._limits.cameras, 'camera')} connected, as many as --cameras "
                    "allows: raise it, or add replicas"
                )
            # Cameras that start together shall not be due together.
            phase = len(self._cameras) * self._lifting.hop // self._limits.cameras
            camera = self._cameras[name] = Camera(name, intake, phase, sink)
        self._metrics.cameras.set(len(self._cameras))
        return camera

    def close(self, camera: Camera) -> None:
        """A camera has gone; what waits of it is forgotten."""
        with self._news:
            camera.closed = True
            if self._cameras.get(camera.name) is camera:
                del self._cameras[camera.name]
        self._metrics.cameras.set(len(self._cameras))

    def submit(self, camera: Camera, document: Json) -> str:
        """One frame, as ``lift --live`` reads it.

        Returns:
            empty, or the sentence by which it is refused.
        """
        self._metrics.frames.inc()
        queue = self._limits.queue
        with self._news:
            # Above the half each has its share: one that sends a film at once stops no other.
            share = max(1, queue // max(1, len(self._cameras)))
            greedy = len(self._queue) >= queue // 2 and camera.waiting >= share
            if len(self._queue) < queue and not greedy:
                self._queue.append((camera, document, time.monotonic()))
                camera.waiting += 1
                self._news.notify()
                return ""
        if greedy and share < queue:
            self._metrics.refused.labels("camera's share").inc()
            return (
                f"{counted(camera.waiting, 'frame')} of this camera wait already, its share of "
                "--queue: send frames at the camera's rate"
            )
        self._metrics.refused.labels("queue full").inc()
        return (
            f"{counted(self._limits.queue, 'frame')} wait already, as many as --queue allows: send "
            "fewer frames, or add replicas"
        )

    def end(self) -> None:
        """Stop lifting and wait for the thread."""
        self._ended = True
        with self._news:
            self._news.notify()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._ended:
                self._step(self._take())
        except Error as error:
            self.failure = str(error)

    def _take(self) -> list[tuple[Camera, Json, float]]:
        with self._news:
            if not self._queue:
                self._news.wait(_WAIT_S)
            count = min(len(self._queue), self._limits.batch)
            taken = [self._queue.popleft() for _ in range(count)]
            for camera, _, _ in taken:
                camera.waiting -= 1
            self._metrics.queue.set(len(self._queue))
        return taken

    def _step(self, taken: list[tuple[Camera, Json, float]]) -> None:
        now = time.monotonic()
        touched: dict[int, Camera] = {}
        for camera, document, arrived in taken:
            if camera.closed:
                continue
            late = (now - arrived) * 1e3
            if late > self._limits.max_latency_ms:
                self._refuse(
                    camera,
                    document,
                    "late",
                    f"waited {late:.0f} ms, longer than --max-latency-ms "
                    f"{self._limits.max_latency_ms:g}: the server is overloaded",
                )
            elif camera.left_out:
                camera.left_out -= 1
            elif self._push(camera, document, arrived):
                touched[id(camera)] = camera
        if not touched:
            return
        self._lift(list(touched.values()))

    def _lift(self, cameras: list[Camera]) -> None:
        """One step, and what it gave to these cameras."""
        windows, why = lift_due(self._lifter)
        self._metrics.batch.observe(windows)
        for camera in cameras:
            if not self._hand_out(camera) and why:
                self._refuse(camera, None, "no number", why)

    def _push(self, camera: Camera, document: Json, arrived: float) -> bool:
        try:
            for seen in camera.intake.take(document):
                if camera.stream is None:
                    camera.stream = self._open_stream(camera)
                self._push_one(camera, camera.stream, seen)
                if len(camera.arrivals) >= _REMEMBERED:
                    camera.arrivals.clear()
                camera.arrivals[seen.frame] = arrived
        except (BadArgument, NotReady) as error:
            self._refuse(camera, document, "no frame", str(error))
        except Error:  # of the lifter, not of the frame
            raise
        except Exception as error:  # a fault of ours in one camera's frame must not stop the others
            self._refuse(camera, document, "defect", f"{type(error).__name__} in its frame")
        return camera.stream is not None

    def _push_one(self, camera: Camera, stream: Stream, seen: Seen) -> None:
        def push() -> None:
            stream.push(seen.values, seen.frame, timestamp=seen.timestamp, person=seen.person)

        try:
            push()
        except NotReady:  # people who came and went in one batch: lifted, they make room
            self._lift([camera])
            push()

    def _open_stream(self, camera: Camera) -> Stream:
        settled = camera.intake.settled
        if settled is None:  # take() yields nobody before
            raise InputError("nothing is known of this camera yet")
        return self._lifter.stream(
            settled.layout,
            settled.size,
            window=self._lifting.window,
            hop=self._lifting.hop,
            rate=settled.rate,
            height_m=self._lifting.height_m,
        )

    def _refuse(self, camera: Camera, document: Json, kind: str, why: str) -> None:
        self._metrics.refused.labels(kind).inc()
        frame = document.get("frame") if isinstance(document, dict) else None
        camera.sink([refusal(camera.name, frame, why)])

    def _hand_out(self, camera: Camera) -> bool:
        """Whether there were poses."""
        assert camera.stream is not None
        poses = list(camera.stream)
        if not poses:
            return False
        camera.sink([self._message(camera, pose) for pose in poses])
        self._metrics.poses.inc(len(poses))
        newest = poses[-1].frame  # frames between two poses give none and are forgotten with them
        camera.arrivals = {frame: at for frame, at in camera.arrivals.items() if frame > newest}
        return True

    def _message(self, camera: Camera, pose: Pose) -> dict[str, Json]:
        arrived = camera.arrivals.get(pose.frame)
        if arrived is not None:
            self._metrics.latency.observe(time.monotonic() - arrived)
        line = pose_line(
            pose.frame, pose.timestamp, pose.person, pose.joints, pose.filled, self._lifting.units
        )
        return {"camera": camera.name, **line}


def refusal(camera: str, frame: object, why: str) -> dict[str, Json]:
    """The message for a frame that gives no pose; what is no number was no frame's."""
    number = frame if type(frame) is int else None
    return {"camera": camera, "frame": number, "refused": why}
