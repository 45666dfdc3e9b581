"""Times, frame numbers and ids as other programs write them: units, doubles, odd numbers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keypoint_files as files
import numpy as np
import pytest
from float64_tolerance import check

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
    check(track.timestamps, np.arange(12) / 25)


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


@pytest.mark.parametrize(
    ("step", "at_once", "rate"), [(0.002, 8, 31.8), (0.0008, 2, 30.0)], ids=["batches", "pairs"]
)
def test_frames_in_bursts_are_one_stretch(
    step: float, at_once: int, rate: float, tmp_path: Path
) -> None:
    """A detector that takes several frames at once writes the times of its answers."""
    film = files.film("coco17", 96)
    pause = at_once / rate

    def told(frame: int) -> dict[str, Any]:
        return {"timestamp": frame // at_once * pause + frame % at_once * step}

    recording = read(_lines(tmp_path / "k.jsonl", film, told), size=SIZE)
    (track,) = recording.tracks
    assert len(track.frames) == 96
    assert np.ptp(track.frames) == 95
    # Over 96 frames the last burst has no pause after it.
    assert recording.rate == pytest.approx(rate, rel=0.1)


@pytest.mark.parametrize("rate", [29.97, 60.0, 120.0, 240.0])
def test_whole_milliseconds_tell_the_rate(rate: float, tmp_path: Path) -> None:
    path = _lines(
        tmp_path / "k.jsonl", files.film("coco17", 96),
        lambda n: {"frame": n, "timestamp_ms": round(1000 * n / rate)},
    )  # fmt: skip
    # The first and last stamp are off by half a millisecond at most.
    assert read(path, size=SIZE).rate == pytest.approx(rate, rel=0.01)


@pytest.mark.parametrize("around", ["", "frames", "predictions", "results"])
def test_a_list_of_entries_with_numbers_is_many_frames(around: str, tmp_path: Path) -> None:
    film = files.film("coco17", 20)
    entries = [
        {"frame": n, "person": 0, "box": [1, 2, 3, 4], "keypoints": files.triples(people[0])}
        for n, people in enumerate(film)
    ]
    (tmp_path / "k.json").write_text(json.dumps({around: entries} if around else entries))
    (track,) = read(tmp_path / "k.json", size=SIZE).tracks
    assert len(track.frames) == 20


@pytest.mark.parametrize("end", ["\n", "\n\n", "\n \n"])
def test_blank_lines_after_a_document_are_nothing(end: str, tmp_path: Path) -> None:
    film = files.film("coco17", 20)
    frames = [{"frame": n, "keypoints": files.triples(p[0])} for n, p in enumerate(film)]
    (tmp_path / "k.json").write_text(json.dumps({"frames": frames}) + end)
    (track,) = read(tmp_path / "k.json", size=SIZE).tracks
    assert len(track.frames) == 20


def test_several_lines_of_a_frame_are_several_people(tmp_path: Path) -> None:
    """MediaPipe's landmarks, each person on a line, without ids."""
    pose = np.random.default_rng(0).uniform(0.1, 0.4, (33, 2))
    text = "\n".join(
        json.dumps({"frame": n, "landmarks": [{"x": x, "y": y} for x, y in person.tolist()]})
        for n in range(9)
        for person in (pose + n * 0.002, pose + np.array([0.5, 0.1]) - n * 0.002)
    )
    (tmp_path / "k.jsonl").write_text(text)
    assert len(read(tmp_path / "k.jsonl", size=SIZE, person="all").tracks) == 2


def test_names_of_seconds_and_milliseconds_are_one_recording(tmp_path: Path) -> None:
    for n, people in enumerate(files.film("coco17", 50)):
        seconds, rest = divmod(n * 40, 1000)
        file = tmp_path / f"snap-00h00m{seconds:02}s{rest:03}.json"
        file.write_text(json.dumps({"keypoints": files.triples(people[0])}))
    (track,) = read(tmp_path, size=SIZE).tracks
    assert len(track.frames) == 50


@pytest.mark.parametrize(
    "beside", [{"conf": [0.93]}, {"scores": [0.9] * 17}, {"visibility": [2] * 17}]
)
def test_a_list_beside_confidences_is_the_boxs(beside: dict[str, Any], tmp_path: Path) -> None:
    film = files.film("coco17", 5)
    path = _lines(tmp_path / "k.jsonl", film, lambda n: {"frame": n, **beside})
    (track,) = read(path, size=SIZE).tracks
    assert len(track.frames) == 5


def test_names_that_tell_nothing_leave_the_layout_to_the_count(tmp_path: Path) -> None:
    film = files.film("coco17", 5)
    text = "\n".join(
        json.dumps({"frame": n, "keypoints": [
            {"name": f"kp{i}", "x": x, "y": y} for i, (x, y) in enumerate(people[0].tolist())]})
        for n, people in enumerate(film)
    )  # fmt: skip
    (tmp_path / "k.jsonl").write_text(text)
    recording = read(tmp_path / "k.jsonl", size=SIZE)
    assert recording.layout == "coco17"


@pytest.mark.parametrize("tilt", [-0.08, 0.08])
def test_who_lies_is_not_upside_down(tilt: float, tmp_path: Path) -> None:
    film = files.film("coco17", 12)
    middle = film.mean(axis=(1, 2), keepdims=True)
    c, s = np.cos(np.pi / 2 + tilt), np.sin(np.pi / 2 + tilt)
    lying = (film - middle) @ np.array([[c, s], [-s, c]]) * 0.5 + middle
    path = _lines(tmp_path / "k.jsonl", lying, lambda n: {"frame": n})
    assert not any("shoulders" in note for note in read(path, size=SIZE).summary.notes)


def test_copies_of_a_motion_are_clips(tmp_path: Path) -> None:
    """Augmentation: one clip several times, a little off."""
    film = files.film("h36m17", 60)[:, 0]
    noise = np.random.default_rng(0).normal(0, 2, (6, *film.shape))
    np.savez(tmp_path / "k.npz", keypoints_2d=(film + noise).astype(np.float32),
             width=SIZE[0], height=SIZE[1])  # fmt: skip
    assert len(read(tmp_path / "k.npz").tracks) in (1, 6)


@pytest.mark.parametrize(
    ("header", "times", "asked", "rate", "told"),
    [
        (30, 15, None, 15, "the file says 30 frames a second, the times make 15"),
        (None, 15, 30, 15, "--rate says 30 frames a second, the times make 15"),
        (240, None, 30, 30, "the file says 240 frames a second: --rate is taken"),
        (30, None, 30, 30, None),
        (30, 29.97, None, 30, None),  # rounded
        (None, 25, 24, 24, None),
    ],
)
def test_rates_that_contradict_each_other(
    header: int | None,
    times: float | None,
    asked: int | None,
    rate: float,
    told: str | None,
    tmp_path: Path,
) -> None:
    """Formats of a fixed rate, such as BVH, would play at another speed than the times say."""
    film = files.film("coco17", 12)
    path = _lines(
        tmp_path / "k.jsonl", film, lambda n: {} if times is None else {"timestamp": n / times}
    )
    if header:
        path.write_text(json.dumps({"rate": header}) + "\n" + path.read_text())
    recording = read(path, size=SIZE, rate=asked)
    assert recording.rate == pytest.approx(rate)
    (track,) = recording.tracks
    assert np.ptp(track.timestamps) == pytest.approx(11 / (times or rate))
    notes = [note for note in recording.summary.notes if "frames a second" in note]
    assert len(notes) == (told is not None)
    assert all(note.startswith(told or "") for note in notes)
