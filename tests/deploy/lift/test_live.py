"""Live: a pose for a frame while the stream goes on, the delay told, bad frames survived."""

from __future__ import annotations

import io
import json
import re
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import keypoint_files as files
import numpy as np
import pytest
from float64_tolerance import check

from posemamba_runtime.keypoints import InputError
from posemamba_runtime.live.budget import choose
from posemamba_runtime.live.intake import Intake
from posemamba_runtime.live.sources import lines

SIZE = (files.WIDTH, files.HEIGHT)
WORDS = ["--size", f"{files.WIDTH}x{files.HEIGHT}"]


def _intake(**change: Any) -> Intake:
    options: dict[str, Any] = {
        "wanted": None, "size": SIZE, "layout": None, "min_confidence": 0.2, "rate": 30.0,
    }  # fmt: skip
    return Intake(**{**options, **change})


def _lift(model: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "posemamba_runtime", "lift", str(model), *words]
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        bufsize=1,
    )


def test_a_pose_comes_before_the_next_frame_goes(model: Path) -> None:
    """Written one by one and read in between: nothing waits for the end of the pipe."""
    film = files.film("coco17", 8, 2)
    live = _lift(model, "-", "--live", *WORDS)
    assert live.stdin is not None
    assert live.stdout is not None
    for number, text in enumerate(files.lines(film).splitlines()):
        live.stdin.write(text + "\n")
        live.stdin.flush()
        got = [json.loads(live.stdout.readline()) for _ in range(2)]
        assert [(line["frame"], line["person"]) for line in got] == [(number, 0), (number, 1)]
        assert np.array(got[0]["joints"]).shape == (17, 3)
        assert got[0]["joints"][0] == [0, 0, 0]
        assert got[0]["units"] == "network"
    rest, told = live.communicate(timeout=60)
    assert (live.returncode, rest) == (0, "")
    assert "delay: 0 frames, 0 ms" in told
    assert "8 frames in, 16 poses out" in told


def test_a_window_without_numbers_is_passed_over(edge_model: Path) -> None:
    """The wrist at the edge is in the windows of five frames, of nine that are lifted."""
    film = files.film("coco17", 9)
    film[2, 0, 9] = (2, 300)  # a wrist
    live = _lift(edge_model, "-", "--live", "--window", "5", *WORDS)
    out, told = live.communicate(files.lines(film), timeout=60)
    assert live.returncode == 0, told
    assert [json.loads(line)["frame"] for line in out.splitlines()] == [0, 1, 7, 8]
    assert told.count("the network gave NaN or infinity in 1 of 1 windows") == 5, told
    assert "9 frames in, 4 poses out" in told


def test_bad_frames_are_passed_over(model: Path) -> None:
    film = files.film("coco17", 6)
    texts = files.lines(film).splitlines()
    texts[2] = texts[2][:50]
    texts[3] = '{"frame": 3, "people": [{"keypoints": [1, 2, 3]}]}'
    texts[4] = texts[1]  # time runs back
    live = _lift(model, "-", "--live", *WORDS)
    out, told = live.communicate("\n".join(texts) + "\n", timeout=60)
    assert live.returncode == 0
    poses = [json.loads(line) for line in out.splitlines()]
    assert [pose["frame"] for pose in poses] == list(range(6))
    assert [len(pose["filled"]) == 17 for pose in poses] == [False, False, True, True, True, False]
    assert told.count("passed over: ") == 3
    assert "line 3: breaks off" in told


@pytest.mark.parametrize(
    ("texts", "words", "says"),
    [
        (files.lines(files.film("coco17", 2)), [], "--size 1920x1080"),
        ("nonsense\n" * 9, WORDS, "no frame could be read"),
        ('{"foo": 1}\n', WORDS, "no frame with keypoints"),
        (files.lines(files.film("coco17", 2)), [*WORDS, "--format", "yolo"], "leave --format out"),
    ],
)
def test_a_stream_that_cannot_be_lifted(
    texts: str, words: list[str], says: str, model: Path
) -> None:
    live = _lift(model, "-", "--live", *words)
    out, told = live.communicate(texts, timeout=60)
    assert (live.returncode, out) == (2, "")
    assert told.count("Error: ") == 1
    assert says in told


def test_a_latency_chooses_window_and_lag(model: Path) -> None:
    film = files.film("coco17", 20)
    live = _lift(model, "-", "--live", *WORDS, "--latency-ms", "5000", "--rate", "1")
    out, told = live.communicate(files.lines(film), timeout=120)
    assert live.returncode == 0, told
    assert "window of 27 frames" in told
    assert "pose of the frame 4 before the newest" in told
    assert "delay: 4 frames, 4000 ms" in told
    assert [json.loads(line)["frame"] for line in out.splitlines()] == list(range(20))


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM], ids=lambda each: each.name)
def test_datagrams_until_it_is_stopped(stop: signal.Signals, model: Path) -> None:
    # Where the tests run in a shell's background they ignore it, and so would what they start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    live = _lift(model, "--udp", str(port), *WORDS, "--height-m", "1.7", "--units", "mm")
    assert live.stdout is not None
    frames = files.lines(files.film("coco17", 500)).splitlines()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as camera:
        for text in frames:  # until it listens; datagrams before are lost
            camera.sendto(text.encode(), ("127.0.0.1", port))
            time.sleep(0.05)
            if live.poll() is not None or _ready(live):
                break
    first = json.loads(live.stdout.readline())
    live.send_signal(stop)
    _, told = live.communicate(timeout=60)
    assert live.returncode == 0
    assert first["units"] == "mm"
    height = np.ptp(np.array(first["joints"])[:, 1])
    assert 100 < height < 3000  # the tiny network's person, in millimetres and not in metres
    assert re.search(r"\d+ poses? out", told)


def _ready(live: subprocess.Popen[str]) -> bool:
    assert live.stdout is not None
    return bool(select.select([live.stdout], [], [], 0)[0])


def test_an_avatar_follows_one_person(model: Path) -> None:
    """Datagrams, and no lines unless they are asked for."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(60)
        vmc = f"127.0.0.1:{receiver.getsockname()[1]}"
        live = _lift(model, "-", "--live", *WORDS, "--vmc", vmc, "--height-m", "1.7")
        out, told = live.communicate(files.lines(files.film("coco17", 5, 2)), timeout=60)
        assert (live.returncode, out) == (0, ""), told
        assert "5 frames in, 10 poses out" in told
        datagrams = [receiver.recv(65_535)]
        receiver.settimeout(0.3)
        while datagrams[-1]:
            try:
                datagrams.append(receiver.recv(65_535))
            except TimeoutError:
                break
    poses = [d for d in datagrams if d.startswith(b"#bundle\0") and b"/VMC/Ext/Bone/Pos" in d]
    assert len(poses) == 5


def test_a_reader_that_leaves_ends_it_quietly(model: Path) -> None:
    live = _lift(model, "-", "--live", *WORDS)
    assert live.stdout is not None
    assert live.stderr is not None
    live.stdout.close()
    assert live.stdin is not None
    try:
        live.stdin.write(files.lines(files.film("coco17", 50)))
        live.stdin.close()
    except BrokenPipeError:
        pass  # it has ended already
    assert live.wait(timeout=60) == 0
    assert "Traceback" not in live.stderr.read()


# The parts


def test_nothing_is_kept_of_a_frame() -> None:
    """A stream of days."""
    intake = _intake()
    pipe = io.BytesIO(files.lines(files.film("coco17", 70)).encode())
    for number, document in enumerate(lines(pipe)):
        (seen,) = intake.take(document)
        assert (seen.frame, seen.person) == (number, 0)
        assert seen.timestamp == pytest.approx(number / 30)
    assert not intake._reader.found.people.looked_at


def test_what_was_not_found_is_not_passed_on() -> None:
    film = files.film("coco17", 1)[0, 0]
    values = np.column_stack([film, np.full(17, 0.9)])
    values[9, :2] = 0
    values[10, :2] = -1
    values[15, 2] = 0.1
    values[16, 0] = 0  # one coordinate alone, as OpenPose has been seen to zero it
    (seen,) = _intake().take({"frame": 0, "keypoints": values.tolist()})
    assert np.flatnonzero(np.isnan(seen.values[:, 0])).tolist() == [9, 10, 15, 16]


def test_fractions_and_text_ids() -> None:
    film = files.film("mediapipe33", 2)
    intake = _intake()
    for number, people in enumerate(film):
        landmarks = files.mediapipe_landmarks(people[0])
        (seen,) = intake.take({"pose_landmarks": [landmarks], "track_id": "anna"})
        assert seen.frame == number
        assert seen.person == 0
        check(seen.values[:, :2], people[0])
    assert intake.settled is not None
    assert intake.settled.layout == "mediapipe33"


@pytest.mark.parametrize(
    ("asked", "said", "rate"), [(None, 15, 15), (50, 15, 50), (50, None, 50), (None, None, 25)]
)
def test_the_rate_is_the_streams_where_nobody_says_another(
    asked: float | None, said: float | None, rate: float
) -> None:
    points = files.triples(files.film("coco17", 1)[0, 0])
    intake = _intake(rate=asked, default_rate=25.0)
    assert not list(intake.take({"size": list(SIZE), **({"rate": said} if said else {})}))
    (seen,) = intake.take({"frame": 30, "keypoints": points})
    assert intake.settled is not None
    assert intake.settled.rate == rate
    assert seen.timestamp == 30 / rate


def test_what_the_first_frame_settled_is_not_changed() -> None:
    """Keypoints of another layout would be cut to the first one's, and mean other joints."""
    film, other = files.film("coco17", 1)[0, 0], files.film("body25", 1)[0, 0]
    intake = _intake()
    assert list(intake.take({"keypoints": files.triples(film)}))
    with pytest.raises(InputError, match="25 keypoints a person, where the frames before have 17"):
        list(intake.take({"keypoints": files.triples(other)}))
    with pytest.raises(InputError, match=f"images of {SIZE[0]}x{SIZE[1]} and of 640x360"):
        list(intake.take({"size": [640, 360]}))
    assert list(intake.take({"size": list(SIZE), "keypoints": files.triples(film)}))


def test_an_empty_room_is_waited_out() -> None:
    """A detector that guesses at first; one that never finds anything is a mistake in the end."""
    film = files.film("coco17", 1)[0, 0]
    intake, unsure = _intake(), files.triples(film, 0.05)
    assert not list(intake.take({"keypoints": unsure}))
    assert len(list(intake.take({"keypoints": files.triples(film)}))) == 1
    intake = _intake()
    for _ in range(300):
        assert not list(intake.take({"keypoints": unsure}))
    with pytest.raises(InputError, match=r"the highest is 0\.05"):
        list(intake.take({"keypoints": unsure}))


def test_a_first_frame_that_is_half_outside_is_pixels() -> None:
    film = files.film("coco17", 1)[0, 0]
    film[:, 0] += 1240.0 - film[:, 0].mean()
    (seen,) = _intake(size=(files.WIDTH, 480)).take({"keypoints": film.tolist()})
    assert np.abs(seen.values[:, :2] - film).max() == 0


@pytest.mark.parametrize(("unit", "key", "taken"), [
    (1.0, "timestamp", True), (1e3, "timestamp", False), (1e3, "timestamp_ms", True),
])  # fmt: skip
def test_milliseconds_are_no_seconds(unit: float, key: str, taken: bool) -> None:
    intake = _intake()
    seen, said = [], []
    for frame, people in enumerate(files.film("coco17", 6)):
        document = {"frame": frame, key: frame / 25 * unit, "keypoints": files.triples(people[0])}
        try:
            seen += [one.timestamp for one in intake.take(document)]
        except InputError as error:
            said.append(str(error))
    expected = [frame / 25 for frame in range(6)] if taken else [0.0, 40.0, 80.0]
    assert seen == pytest.approx(expected)
    assert [text[:30] for text in said] == ["timestamps go up by 40 a frame"] * (6 - len(seen))


def test_one_long_step_is_an_empty_room() -> None:
    """Of a source that writes frames with people only, and no frame numbers."""
    intake = _intake()
    times = [0.0, 6.0, 6.04, 6.08]
    seen = [
        one.timestamp
        for time, people in zip(times, files.film("coco17", 4), strict=True)
        for one in intake.take({"timestamp": time, "keypoints": files.triples(people[0])})
    ]
    assert seen == times


def test_people_without_ids_are_followed() -> None:
    film = files.film("coco17", files.FRAMES, 2)
    intake = _intake()
    for people in film:
        seen = list(intake.take(files.yolo_frame(people[::-1], ids=False)))
        assert [person.person for person in seen] == [0, 1]


@pytest.mark.parametrize(
    ("frames", "numbers"),
    [
        ([[7, 3]], [[7, 3]]),
        ([["7", "3"]], [[7, 3]]),
        ([["b", "a"], ["a", "b"]], [[0, 1], [1, 0]]),
        ([[0, "a"], ["a", 0]], [[0, 1], [1, 0]]),  # a number among texts is a name
        ([[0], ["a"]], [[0], [1]]),
        ([[4, 4], [4, 4]], [[0, 1], [0, 1]]),  # repeated: by position
        ([[4, 5], [4, 4], [4, 5]], [[4, 5], [6, 7], [6, 7]]),  # and never a number that was an id's
        ([["a"], ["a", None], ["a", "b"]], [[0], [1, 2], [1, 2]]),
        ([[-1, -1], [2, 3]], [[0, 1], [0, 1]]),  # OpenPose's nobody
    ],
)
def test_two_people_never_get_one_number(
    frames: list[list[int | str | None]], numbers: list[list[int]]
) -> None:
    film = files.film("coco17", len(frames), 2)
    intake = _intake()
    for number, (ids, expected) in enumerate(zip(frames, numbers, strict=True)):
        people = [
            {"id": who, "keypoints": files.triples(points)}
            for who, points in zip(ids, film[number], strict=False)
        ]
        seen = list(intake.take({"frame": number, "people": people}))
        assert [one.person for one in seen] == expected


def test_a_name_without_end_is_no_name() -> None:
    people = [{"id": "x" * 300, "keypoints": files.triples(files.film("coco17", 1)[0, 0])}]
    with pytest.raises(InputError, match="300 letters"):
        list(_intake().take({"frame": 0, "people": people}))


@pytest.mark.parametrize(
    ("budget", "rate", "window", "lag"),
    [
        (1000, 10, 243, 9),  # 75 ms to lift; the other 925 are 9 frames
        (10_000, 10, 243, 99),
        (60_000, 10, 243, 121),  # never beyond the window's middle
        (1000, 30, 81, 29),  # 75 ms do not keep up with 30 frames a second, 25 ms do
        (100, 30, 81, 2),
        (20, 30, 27, 0),
        (5, 30, 9, 0),
    ],
)
def test_the_longest_window_that_keeps_up(
    budget: float, rate: float, window: int, lag: int
) -> None:
    cost = {243: 75.0, 81: 25.0, 27: 9.0, 9: 4.0, 5: 3.0}
    plan = choose(list(cost), lambda frames: cost[frames], budget_ms=budget, rate=rate)
    assert (plan.window, plan.lag) == (window, lag)
    assert plan.delay_ms(rate) <= budget


def test_a_budget_nothing_fits_is_refused() -> None:
    with pytest.raises(InputError, match=r"a window of 5 frames takes 3\.0 ms here"):
        choose([9, 5], lambda frames: 3.0, budget_ms=2, rate=30)
