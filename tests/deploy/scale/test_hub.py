"""Many cameras through one lifter: nothing mixed, in order, bounded, and refused in a sentence."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.scale.cameras import PERIOD, SIZE, movement
from posemamba_runtime import Lifter
from posemamba_runtime.errors import BadArgument, Error
from posemamba_runtime.keypoints.errors import InputError
from posemamba_runtime.live.intake import Intake
from posemamba_runtime.scale.hub import TAKEN, Camera, Hub, Lifting, Limits
from posemamba_runtime.scale.metrics import Metrics
from posemamba_runtime.scale.pace import choose

WINDOW = 9
WRIST = 9  # of COCO's joints
# Five digits in a message, and windows that were lifted in batches of another size.
TOLERANCE = 2e-5


@pytest.fixture(scope="module")
def lifter(model: Path) -> Iterator[Lifter]:
    with Lifter(model, threads=1) as opened:
        yield opened


def intake() -> Intake:
    return Intake(wanted=None, size=SIZE, layout=None, min_confidence=0.1, rate=30.0)


def frame(camera: int, number: int) -> dict[str, Any]:
    people = [{"id": 0, "keypoints": movement(camera)[number % PERIOD].ravel().tolist()}]
    return {"frame": number, "people": people}


def limits(**changed: float) -> Limits:
    values: dict[str, Any] = {"cameras": 8, "queue": 4000, "batch": 64, "max_latency_ms": 60_000}
    return Limits(**{**values, **changed})


def wait_for(condition: Any, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("hop", [1, 4])
def test_every_camera_gets_its_own_poses_in_order(lifter: Lifter, hop: int) -> None:
    frames, cameras = 60, 6
    got: list[list[dict[str, Any]]] = [[] for _ in range(cameras)]
    hub = Hub(lifter, limits(), Lifting(WINDOW, hop, 0.0), Metrics())
    opened = [hub.open(f"c{n}", intake(), got[n].extend) for n in range(cameras)]
    for number in range(frames):
        for camera, one in enumerate(opened):
            assert hub.submit(one, frame(camera, number)) == ""
    phases = [n * hop // 8 for n in range(cameras)]  # frames passed over, so that loads spread
    due = [len(range(phase, frames, hop)) for phase in phases]
    wait_for(lambda: [len(messages) for messages in got] == due)
    hub.end()
    for camera, (messages, phase) in enumerate(zip(got, phases, strict=True)):
        assert {message["camera"] for message in messages} == {f"c{camera}"}
        assert [message["frame"] for message in messages] == list(range(phase, frames, hop))
        with lifter.stream("coco17", SIZE, window=WINDOW, hop=hop, rate=30) as alone:
            for number in range(phase, frames):
                alone.push(movement(camera)[number % PERIOD], number)
            lifter.step()
            wanted = [pose.joints for pose in alone]
        joints = [message["joints"] for message in messages]
        np.testing.assert_allclose(joints, wanted, rtol=0, atol=TOLERANCE)


def test_people_who_come_and_go_by_the_thousand_in_one_batch(lifter: Lifter) -> None:
    """A stream keeps 1,024 people until a step; each frame here ends sixteen."""
    messages, people = 80, 16
    got: list[dict[str, Any]] = []
    held = Held(lifter)
    hub = Hub(held, limits(batch=messages), Lifting(WINDOW, 1, 0.0), Metrics())  # type: ignore[arg-type]
    camera = hub.open("door", intake(), got.extend)
    hub.submit(camera, frame(0, 0))  # its step is held until all others wait
    keypoints = movement(0)[0].ravel().tolist()
    for number in range(1, messages):
        ids = range(number * people, (number + 1) * people)
        crowd = [{"id": who, "keypoints": keypoints} for who in ids]
        assert hub.submit(camera, {"frame": 1000 * number, "people": crowd}) == ""
    held.go.set()
    wait_for(lambda: len(got) > (messages - 1) * people or not hub.alive)
    hub.end()
    assert hub.failure == ""
    assert len({message["person"] for message in got}) == (messages - 1) * people + 1


class Held:
    """A lifter whose steps wait, as a machine's do that has too much to do."""

    def __init__(self, lifter: Lifter) -> None:
        self._lifter = lifter
        self.go = threading.Event()
        self.fails = False

    def stream(self, *words: Any, **named: Any) -> Any:
        return self._lifter.stream(*words, **named)

    def step(self) -> int:
        self.go.wait(30)
        if self.fails:
            raise Error("the GPU is gone")
        return self._lifter.step()


def test_what_does_not_fit_is_refused_in_a_sentence(lifter: Lifter) -> None:
    held, metrics, got = Held(lifter), Metrics(), []
    hub = Hub(held, limits(queue=5, batch=1), Lifting(WINDOW, 1, 0.0), metrics)  # type: ignore[arg-type]
    camera = hub.open("door", intake(), got.extend)
    said = [hub.submit(camera, frame(0, number)) for number in range(20)]
    assert set(said[:5]) == {""}
    assert said[-1].startswith("5 frames wait already, as many as --queue allows")
    taken = {number for number, why in enumerate(said) if not why}
    assert len(taken) <= 6, "the queue, and the frame that is being lifted"
    held.go.set()
    wait_for(lambda: taken <= {pose["frame"] for pose in got})  # frames between are filled
    hub.end()
    assert b'posemamba_refused_total{why="queue full"}' in metrics.text()


def test_a_camera_that_sends_a_film_at_once_stops_no_other(lifter: Lifter) -> None:
    held = Held(lifter)
    got: list[dict[str, Any]] = []
    hub = Hub(held, limits(queue=20, batch=1), Lifting(WINDOW, 1, 0.0), Metrics())  # type: ignore[arg-type]
    film = hub.open("film", intake(), lambda messages: None)
    others = [hub.open(f"c{n}", intake(), got.extend) for n in range(3)]
    said = [hub.submit(film, frame(0, number)) for number in range(100)]
    assert said[-1].startswith("10 frames of this camera wait already, its share of --queue")
    assert said.count("") <= 11, "half of the queue, and the frame that is being lifted"
    for number in range(3):
        for other in others:
            assert hub.submit(other, frame(1, number)) == ""
    held.go.set()
    wait_for(lambda: len(got) == 9)
    hub.end()
    assert all("joints" in message for message in got)


def test_what_has_waited_too_long_is_passed_over(lifter: Lifter) -> None:
    held, got = Held(lifter), []
    hub = Hub(held, limits(batch=1, max_latency_ms=50), Lifting(WINDOW, 1, 0.0), Metrics())  # type: ignore[arg-type]
    camera = hub.open("door", intake(), got.extend)
    for number in range(4):
        hub.submit(camera, frame(0, number))
    time.sleep(0.2)
    held.go.set()
    wait_for(lambda: len(got) == 4)
    hub.end()
    assert "joints" in got[0]
    for number, message in enumerate(got[1:], 1):
        assert message["frame"] == number
        assert "longer than --max-latency-ms 50: the server is overloaded" in message["refused"]


def test_who_may_not_come_in(lifter: Lifter) -> None:
    hub = Hub(lifter, limits(cameras=2), Lifting(WINDOW, 1, 0.0), Metrics())
    first = hub.open("a", intake(), lambda messages: None)
    hub.open("b", intake(), lambda messages: None)
    with pytest.raises(BadArgument, match="2 cameras connected, as many as --cameras"):
        hub.open("c", intake(), lambda messages: None)
    hub.close(first)
    assert hub.cameras == ["b"]
    hub.open("a", intake(), lambda messages: None)
    hub.end()


def test_a_camera_that_comes_again_takes_its_place(lifter: Lifter) -> None:
    """Its old connection may hang for long; what waits of it gives no pose of the new one."""
    hub = Hub(lifter, limits(cameras=1), Lifting(WINDOW, 1, 0.0), Metrics())
    got: dict[str, list[dict[str, Any]]] = {"old": [], "new": []}
    old = hub.open("a", intake(), got["old"].extend)
    new = hub.open("a", intake(), got["new"].extend)
    assert old.closed
    assert [message["refused"] for message in got["old"]] == [TAKEN]
    hub.submit(old, frame(0, 5))
    hub.submit(new, frame(1, 0))
    wait_for(lambda: got["new"])
    hub.close(old)
    assert hub.cameras == ["a"], "who leaves late takes nobody along"
    hub.end()
    assert [message["frame"] for message in got["new"]] == [0]
    assert len(got["old"]) == 1


def test_a_bad_frame_stops_neither_its_camera_nor_others(lifter: Lifter) -> None:
    got: dict[str, list[dict[str, Any]]] = {"a": [], "b": []}
    hub = Hub(lifter, limits(), Lifting(WINDOW, 1, 0.0), Metrics())
    cameras: dict[str, Camera] = {name: hub.open(name, intake(), got[name].extend) for name in got}
    bad = [{"frame": 1, "people": [{"id": 0, "keypoints": [1, 2, 3]}]}, {"frame": 1}, 7, None]
    for document in (frame(0, 0), *bad, frame(0, 0), frame(0, 2)):
        hub.submit(cameras["a"], document)
    hub.submit(cameras["b"], frame(1, 0))
    wait_for(lambda: len(got["b"]) == 1 and "joints" in got["a"][-1] and len(got["a"]) >= 5)
    hub.end()
    poses = [message["frame"] for message in got["a"] if "joints" in message]
    assert poses == [0, 1, 2], "frame 1 was filled in when 2 came, as in every stream"
    assert all(isinstance(m["refused"], str) and m["refused"] for m in got["a"] if "refused" in m)


def test_a_fault_of_ours_in_a_frame_stops_no_other_camera(lifter: Lifter) -> None:
    got: dict[str, list[dict[str, Any]]] = {"a": [], "b": []}
    hub = Hub(lifter, limits(), Lifting(WINDOW, 1, 0.0), Metrics())
    faulty = intake()
    faulty.take = lambda document: 1 / 0  # type: ignore[method-assign, assignment]
    hub.submit(hub.open("a", faulty, got["a"].extend), frame(0, 0))
    hub.submit(hub.open("b", intake(), got["b"].extend), frame(1, 0))
    wait_for(lambda: got["b"])
    hub.end()
    assert [message["refused"] for message in got["a"]] == ["ZeroDivisionError in its frame"]


def test_a_camera_whose_windows_give_no_numbers_stops_no_other(edge_model: Path) -> None:
    """Camera a's third frame has a wrist at the edge: it has no pose, nor have windows with it."""
    got: dict[str, list[dict[str, Any]]] = {"a": [], "b": []}
    with Lifter(edge_model, threads=1) as lifter:
        hub = Hub(lifter, limits(batch=2), Lifting(WINDOW, 1, 0.0), Metrics())
        cameras = {name: hub.open(name, intake(), got[name].extend) for name in got}
        for number in range(WINDOW + 6):
            document = frame(0, number)
            if number == 2:
                document["people"][0]["keypoints"][3 * WRIST : 3 * WRIST + 2] = [5.0, 300.0]
            hub.submit(cameras["a"], document)
            hub.submit(cameras["b"], frame(1, number))
        wait_for(lambda: len(got["b"]) == WINDOW + 6 and got["a"][-1].get("frame") == WINDOW + 5)
        hub.end()
    assert hub.failure == ""
    frames = [message["frame"] for message in got["a"] if "joints" in message]
    assert frames == [0, 1, *range(2 + WINDOW, WINDOW + 6)]
    told = [message["refused"] for message in got["a"] if "refused" in message]
    assert len(told) == WINDOW
    assert all("the network gave NaN or infinity in 1 of" in text for text in told), told
    assert [message["frame"] for message in got["b"]] == list(range(WINDOW + 6))


def test_a_lifter_that_fails_ends_the_hub_with_its_sentence(lifter: Lifter) -> None:
    held = Held(lifter)
    held.fails = True
    held.go.set()
    hub = Hub(held, limits(), Lifting(WINDOW, 1, 0.0), Metrics())  # type: ignore[arg-type]
    hub.submit(hub.open("a", intake(), lambda messages: None), frame(0, 0))
    wait_for(lambda: not hub.alive)
    assert hub.failure == "the GPU is gone"


def test_poses_are_as_dense_as_the_machine_allows(lifter: Lifter) -> None:
    one = choose(lifter, window=9, hop=0, cameras=1, rate=0.01, max_latency_ms=1000)
    assert (one.window, one.hop) == (9, 1)
    many = choose(lifter, window=9, hop=0, cameras=1000, rate=1000.0, max_latency_ms=1000)
    assert many.hop > 100
    # 60 % of the time is for lifting; the figure is measured anew, so only its size is known.
    assert many.hop * 0.4 / 1e6 * 1e3 == pytest.approx(many.window_ms, rel=0.1)
    assert choose(lifter, window=9, hop=3, cameras=9, rate=30.0, max_latency_ms=1000).hop == 3
    for window, latency, says in ((99, 1000.0, "--window 99"), (27, 1e-3, "--max-latency-ms")):
        with pytest.raises(InputError, match=says):
            choose(lifter, window=window, hop=0, cameras=1, rate=30.0, max_latency_ms=latency)
