"""Times, frame numbers and ids as other programs write them: units, doubles, odd numbers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keypoint_files as files
import numpy as np
import pytest

from posemamba_runtime.keypoints import InputError, read

SIZE = (files.WIDTH, files.HEIGHT)


def _lines(path: Path, film: files.Array, more: Callable[[int], dict[str, Any]]) -> Path:
    """A person a line."""
    texts = (
        json.dumps({"keypoints": files.triples(people[0]), **more(frame)})
        for frame, people in enumerate(film)
    )
    path.write_text("\n".join(texts))
    return path


@pytest.mark.parametrize(
    ("unit", "start", "told"),
    [
        (1.0, 0.0, None),
        (1e3, 0.0, "milliseconds"),
        (1e3, 1.7e12, "milliseconds"),
        (1e6, 0.0, "microseconds"),
        (1e9, 0.0, "nanoseconds"),
    ],
)
@pytest.mark.parametrize("rate", [5.0, 25.0, 120.0])
def test_units_of_time(
    unit: float, start: float, told: str | None, rate: float, tmp_path: Path
) -> None:
    film = files.film("coco17", 12)
    path = _lines(
        tmp_path / "k.jsonl", film, lambda n: {"frame": n, "timestamp": start + n / rate * unit}
    )
    recording = read(path, size=SIZE)
    (track,) = recording.tracks
    assert recording.rate == pytest.approx(rate, rel=1e-3)
    assert np.ptp(track.timestamps) == pytest.approx(11 / rate, rel=1e-3)
    assert [note for note in recording.summary.notes if "timestamps" in note] == (
        [f"timestamps are {told}"] if told else []
    )


def test_times_of_no_camera_are_refused(tmp_path: Path) -> None:
    path = _lines(tmp_path / "k.jsonl", files.film("coco17", 5), lambda n: {"timestamp": n * 3600})
    with pytest.raises(InputError, match="write seconds"):
        read(path, size=SIZE)
    assert read(path, size=SIZE, rate=1 / 3600).rate == pytest.approx(1 / 3600)


@pytest.mark.parametrize("timed", [range(2), range(4, 8), range(10, 12)])
def test_frames_without_a_time_follow_the_rate(timed: range, tmp_path: Path) -> None:
    film = files.film("coco17", 12)
    path = _lines(
        tmp_path / "k.jsonl", film,
        lambda n: {"frame": n, **({"timestamp": n / 25} if n in timed else {})},
    )  # fmt: skip
    (track,) = read(path, size=SIZE).tracks
    assert np.abs(track.timestamps - np.arange(12) / 25).max() < 1e-9


@pytest.mark.parametrize(
    "empty",
    [
        {"frame": 0, "keypoints": None},
        {"frame": 0},
        {"frame": 0, "timestamp": 0.0},
        {"frame": 0, "people": None},
        {"frame": "0", "detections": []},
    ],
)
def test_lines_of_frames_that_show_nobody(empty: dict[str, Any], tmp_path: Path) -> None:
    film = files.film("coco17", 5)
    texts = [json.dumps({"frame": n, "keypoints": files.triples(p[0])}) for n, p in enumerate(film)]
    for place in (0, 3):
        texts[place] = json.dumps({**empty, "frame": place})
    (tmp_path / "k.jsonl").write_text("\n".join(texts))
    recording = read(tmp_path / "k.jsonl", size=SIZE)
    (track,) = recording.tracks
    assert recording.summary.empty_frames == 2
    assert track.frames.tolist() == [1, 2, 3, 4]
    assert np.isnan(track.values[2]).all()


@pytest.mark.parametrize("what", ["appended", "another", "one number"])
def test_a_frame_that_comes_twice(what: str, tmp_path: Path) -> None:
    """A detector run twice into one file; a number that is no frame's."""
    film = files.film("coco17", 6)
    numbers = [0] * 6 if what == "one number" else range(6)
    frames = [{"frame": number, "people": [{"keypoints": files.triples(people[0])}]}
              for number, people in zip(numbers, film, strict=True)]  # fmt: skip
    more = frames if what == "appended" else []
    if what == "another":
        more = [{**frame, "people": [{"keypoints": files.triples(film[5, 0])}]} for frame in frames]
    (tmp_path / "k.jsonl").write_text("\n".join(map(json.dumps, [*frames, *more])))
    with pytest.raises(InputError, match="frame 0 comes twice"):
        read(tmp_path / "k.jsonl", size=SIZE)


def test_names_that_are_times(tmp_path: Path) -> None:
    """``str(time.time())`` drops the zeros at its end."""
    film = files.film("body25", 6)
    times = [
        1700000000.0625,
        1700000000.1,
        1700000000.45,
        1700000000.5,
        1700000001.25,
        1700000002.0,
    ]
    for time, people in zip(times, film, strict=True):
        files.dump(tmp_path / f"{time}.json", files.openpose_frame(people))
    (track,) = read(tmp_path, size=SIZE).tracks
    assert np.abs(track.values[..., :2] - film[:, 0]).max() < files.EXACT


def test_one_name_in_two_folders_is_two_recordings(tmp_path: Path) -> None:
    film = files.film("coco17", 3)
    entries = [{**entry, "image_id": f"cam{camera}/{entry['image_id']}.jpg"}
               for camera in (1, 2) for entry in files.coco_results(film)]  # fmt: skip
    annotations = files.coco_annotations(film)
    for number, image in enumerate(annotations["images"]):
        image["file_name"] = f"v{number % 2}/{number // 2:04d}.jpg"
    for document in (entries, annotations):
        with pytest.raises(InputError, match="keep one recording in a file"):
            read(files.dump(tmp_path / "k.json", document), size=SIZE)


def test_ids_that_number_detections_are_not_believed(tmp_path: Path) -> None:
    film = files.film("coco17", 10, 2)
    frames = [files.yolo_frame(people) for people in film]
    for number, person in enumerate(person for frame in frames for person in frame):
        person["track_id"] = number
    recording = read(files.dump(tmp_path / "y.json", frames), size=SIZE)
    assert [len(track.frames) for track in recording.tracks] == [10, 10]
    assert any("no id comes twice" in note for note in recording.summary.notes)


@pytest.mark.parametrize("shift", [0.0, 1.5])
@pytest.mark.parametrize("people", [1, 2])
def test_somebody_found_twice_is_one(shift: float, people: int, tmp_path: Path) -> None:
    """What a detector's non-maximum suppression lets through."""
    film = files.film("coco17", 10, people)
    frames = [files.yolo_frame([*shown, shown[0] + shift], ids=False) for shown in film]
    recording = read(files.dump(tmp_path / "y.json", frames), size=SIZE)
    assert len(recording.tracks) == people
    assert recording.summary.left_out == {"detections of somebody who is in the frame already": 10}


def test_texts_for_ids_are_told(tmp_path: Path) -> None:
    text = files.lines(files.film("coco17", 3, 2)).replace('"person": 0', '"person": "ben"')
    (tmp_path / "k.jsonl").write_text(text.replace('"person": 1', '"person": "anna"'))
    assert (
        "ids are texts: 'anna' is 0, 'ben' is 1"
        in read(tmp_path / "k.jsonl", size=SIZE).summary.notes
    )


def test_times_that_leave_frames_out_are_gaps(tmp_path: Path) -> None:
    """A pipe that dropped frames, and says no numbers."""
    film = files.film("coco17", 30)
    shown = [n for n in range(30) if n not in (4, 5, 6, 20)]
    jitter = np.random.default_rng(0).uniform(-0.15, 0.15, 30)
    texts = [json.dumps({"timestamp": (n + jitter[n]) / 30, "keypoints": files.triples(film[n, 0])})
             for n in shown]  # fmt: skip
    (tmp_path / "k.jsonl").write_text("\n".join(texts))
    recording = read(tmp_path / "k.jsonl", size=SIZE)
    (track,) = recording.tracks
    assert track.frames.tolist() == list(range(30))
    assert np.flatnonzero(np.isnan(track.values[:, 0, 0])).tolist() == [4, 5, 6, 20]
    assert "the times leave out 4 frames: taken as gaps" in recording.summary.notes


def test_a_jump_in_time_without_one_in_number_is_remarked(tmp_path: Path) -> None:
    film = files.film("coco17", 12)
    path = _lines(
        tmp_path / "k.jsonl",
        film,
        lambda n: {"frame": n, "timestamp": n / 25 + (3 if n > 5 else 0)},
    )
    (note,) = read(path, size=SIZE).summary.notes
    assert "the time jumps by 3.04 s at frame 6" in note


def test_a_person_by_the_files_text(tmp_path: Path) -> None:
    text = files.lines(files.film("coco17", 3, 2)).replace('"person": 0', '"person": "Ben"')
    (tmp_path / "k.jsonl").write_text(text.replace('"person": 1', '"person": "anna"'))
    (track,) = read(tmp_path / "k.jsonl", size=SIZE, person="Ben").tracks
    assert track.name == "Ben"
    with pytest.raises(
        InputError, match=r"nobody has the id carl: the ids are 0 \(Ben\), 1 \(anna\)"
    ):
        read(tmp_path / "k.jsonl", size=SIZE, person="carl")
