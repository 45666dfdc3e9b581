"""What people's own programs write: read as what it is, or told about; never silently another."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import keypoint_files as files
import numpy as np
import pytest

from posemamba_runtime.keypoints import InputError, Recording, read
from posemamba_runtime.keypoints.names import frame_numbers

SIZE = (files.WIDTH, files.HEIGHT)
FILM = files.film("coco17", 12)
TWO = files.film("coco17", 6, 2)
ONE = [people[0] for people in FILM]


def _lines(path: Path, documents: Iterable[Any]) -> Path:
    path.write_text("\n".join(map(json.dumps, documents)))
    return path


def _person(points: files.Array, **more: Any) -> dict[str, Any]:
    return {**more, "keypoints": files.triples(points)}


def _is_the_film(recording: Recording) -> bool:
    (track,) = recording.tracks
    values = track.values[..., :2]
    return values.shape == (12, 17, 2) and bool(np.abs(values - FILM[:, 0]).max() < files.EXACT)


# --- numbers and names


@pytest.mark.parametrize("name", ["part{}_frame{:04d}.json", "walk-Chunk_{:02d}-{}.json",
                                  "7_segment{}of2_{}.json", "pt {} ({}).json"])  # fmt: skip
def test_parts_of_one_recording_follow_each_other(name: str) -> None:
    names = [name.format(part, frame) for part, count in ((9, 100), (10, 76))
             for frame in range(count) if (part, frame) != (9, 4)]  # fmt: skip
    numbers, remark = frame_numbers(names[::-1])
    assert numbers[::-1] == [*range(4), *range(5, 176)]
    assert "2 parts" in str(remark)


@pytest.mark.parametrize("word", ["cam", "depart", "person", "view", "v", "take", ""])
def test_other_numbers_before_the_frames_are_several_recordings(word: str) -> None:
    names = [f"{word}{number}_{frame}.json" for number in (1, 2) for frame in range(20)]
    with pytest.raises(InputError, match="number 2 recordings"):
        frame_numbers(names)


@pytest.mark.parametrize("key", ["frame", "frame_no", "frameId", "frameIndex", "image_id"])
def test_what_programs_call_a_frames_number(key: str, tmp_path: Path) -> None:
    path = _lines(tmp_path / "k.jsonl", [_person(one, **{key: 2 * n}) for n, one in enumerate(ONE)])
    (track,) = read(path, size=SIZE).tracks
    assert track.frames.tolist() == list(range(23))
    assert np.abs(track.values[::2, :, :2] - FILM[:, 0]).max() < files.EXACT
    assert np.isnan(track.values[1::2]).all()


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("image", "{}.jpg"),
        ("file_name", "a/b/{}.png"),
        ("frame", "frame_{}"),
        ("image_id", "{}.jpg"),
    ],
)
def test_images_in_the_order_of_text(key: str, name: str, tmp_path: Path) -> None:
    """10.jpg before 2.jpg, and one that is missing."""
    entries = sorted((_person(one, **{key: name.format(n)}) for n, one in enumerate(ONE) if n != 5),
                     key=lambda entry: str(entry[key]))  # fmt: skip
    (track,) = read(_lines(tmp_path / "k.jsonl", entries), size=SIZE).tracks
    assert track.frames.tolist() == list(range(12))
    assert np.isnan(track.values[5]).all()
    assert np.abs(np.delete(track.values[..., :2] - FILM[:, 0], 5, 0)).max() < files.EXACT


def test_several_lines_of_an_image_are_its_people(tmp_path: Path) -> None:
    entries = [_person(one, image=f"{n}.jpg") for n, people in enumerate(TWO) for one in people]
    assert len(read(_lines(tmp_path / "k.jsonl", entries), size=SIZE).tracks) == 2


def test_the_name_of_the_video_is_no_frames(tmp_path: Path) -> None:
    entries = [_person(one, file="walk_12.mp4") for one in ONE]
    assert _is_the_film(read(_lines(tmp_path / "k.jsonl", entries), size=SIZE))


# --- a list of one person per line


@pytest.mark.parametrize("ids", [True, False])
@pytest.mark.parametrize("key", ["people", "persons"])
def test_a_list_of_one_person_per_line(key: str, ids: bool, tmp_path: Path) -> None:
    entries = [{"frame": n, key: [_person(one, **({"person": who} if ids else {}))]}
               for n, people in enumerate(TWO) for who, one in enumerate(people)]  # fmt: skip
    recording = read(_lines(tmp_path / "k.jsonl", entries), size=SIZE)
    assert len(recording.tracks) == 2
    for track in recording.tracks:
        assert track.frames.tolist() == list(range(6))
        assert min(np.abs(track.values[..., :2] - TWO[:, who]).max() for who in (0, 1)) < 1e-3


def test_people_of_several_frames_in_one_object(tmp_path: Path) -> None:
    """They were taken for people of one frame."""
    document = {"fps": 50, "people": [_person(one, frame=n) for n, one in enumerate(ONE)]}
    recording = read(files.dump(tmp_path / "k.json", document), size=SIZE)
    assert _is_the_film(recording)
    assert recording.rate == 50
    with pytest.raises(InputError, match=r"people of several frames \(0, 1, 10\)"):
        read(_lines(tmp_path / "k.jsonl", [document, document]), size=SIZE)


def test_the_number_may_stand_within_the_people(tmp_path: Path) -> None:
    entries = [{"people": [_person(one, frame=3 * n, timestamp=n / 20)]}
               for n, one in enumerate(ONE)]  # fmt: skip
    recording = read(_lines(tmp_path / "k.jsonl", entries), size=SIZE)
    (track,) = recording.tracks
    assert track.frames[[0, -1]].tolist() == [0, 33]
    assert track.timestamps[-1] == pytest.approx(11 / 20)


# --- times


@pytest.mark.parametrize("rate", [300.0, 480.0, 700.0, 960.0, 1000.0])
@pytest.mark.parametrize(("unit", "name"), [(1e3, "milli"), (1e6, "micro"), (1e9, "nano")])
def test_high_speed_cameras(rate: float, unit: float, name: str, tmp_path: Path) -> None:
    times = [round(n / rate * unit) for n in range(12)]
    entries = [_person(one, frame=n, timestamp=times[n]) for n, one in enumerate(ONE)]
    recording = read(_lines(tmp_path / "k.jsonl", entries), size=SIZE)
    rounding = 0.5 / times[-1]  # of the last time
    assert recording.rate == pytest.approx(rate, rel=2 * rounding)
    assert any(f"timestamps are {name}seconds" in note for note in recording.summary.notes)


@pytest.mark.parametrize("rate", [0.3, 0.5, 1.0])
def test_people_who_move_far_are_seen_every_other_second(rate: float, tmp_path: Path) -> None:
    far = files.film("coco17", 72)[::6, 0]
    entries = [_person(one, frame=n, timestamp=n / rate) for n, one in enumerate(far)]
    recording = read(_lines(tmp_path / "k.jsonl", entries), size=SIZE)
    assert recording.rate == pytest.approx(rate)
    assert any("--rate" in note for note in recording.summary.notes)  # a guess is told


@pytest.mark.parametrize(("start", "rate"), [(1.7e9, 0.5), (1.7e12, 500.0)])
def test_dates_tell_their_unit(start: float, rate: float, tmp_path: Path) -> None:
    entries = [_person(one, frame=n, timestamp=start + 2 * n) for n, one in enumerate(ONE)]
    assert read(_lines(tmp_path / "k.jsonl", entries), size=SIZE).rate == pytest.approx(rate)


@pytest.mark.parametrize(
    ("key", "write"),
    [
        ("time_ms", lambda n: 40 * n),
        ("timestamp_us", lambda n: 40_000 * n),
        ("timestamp_ns", lambda n: 40_000_000 * n),
        ("ts", lambda n: n / 25),
        ("timestamp", lambda n: f"{n / 25:.2f}"),
        ("time", lambda n: f"00:00:{n / 25:06.3f}"),
        ("timestamp", lambda n: f"2026-01-01T00:00:{n / 25:06.3f}"),
        ("timestamp", lambda n: 1_700_000_000_000_000_000 + 40_000_000 * n),
    ],
)
def test_times_as_programs_write_them(
    key: str, write: Callable[[int], object], tmp_path: Path
) -> None:
    entries = [_person(one, **{key: write(n)}) for n, one in enumerate(ONE)]
    for path in (_lines(tmp_path / "k.jsonl", entries), files.dump(tmp_path / "k.json", entries)):
        recording = read(path, size=SIZE)
        assert _is_the_film(recording)
        assert recording.rate == pytest.approx(25, rel=1e-5)  # float64 of nanoseconds


# --- wrappings


@pytest.mark.parametrize("between", ["", ",\n", "\n\n", " , "])
@pytest.mark.parametrize("indent", [None, 2])
def test_documents_one_after_another(between: str, indent: int | None, tmp_path: Path) -> None:
    texts = [json.dumps(_person(one, frame=n), indent=indent) for n, one in enumerate(ONE)]
    path = tmp_path / "k.json"
    path.write_text(between.join(texts))
    assert _is_the_film(read(path, size=SIZE))
    path.write_text(between.join(texts)[:-9])
    with pytest.raises(InputError, match="breaks off"):
        read(path, size=SIZE)


@pytest.mark.parametrize("key", ["keypoints", "keypoints_2d", "frames"])
@pytest.mark.parametrize("facts", [{}, {"width": SIZE[0], "height": SIZE[1], "fps": 50}])
def test_an_array_of_frames_under_a_key(key: str, facts: dict[str, Any], tmp_path: Path) -> None:
    """``keypoints_2d`` was taken for the name of frame 2, with everybody in it."""
    document = {**facts, key: [one.tolist() for one in ONE]}
    recording = read(files.dump(tmp_path / "k.json", document), size=SIZE)
    assert _is_the_film(recording)
    assert recording.rate == facts.get("fps", 30)


def test_what_is_called_frames_needs_no_numbers(tmp_path: Path) -> None:
    path = files.dump(tmp_path / "k.json", {"frames": [_person(one) for one in ONE]})
    assert _is_the_film(read(path, size=SIZE))


@pytest.mark.parametrize(
    "header",
    [
        {"fps": 50, "size": list(SIZE), "detector": "a name"},
        {"fps": "50", "resolution": list(SIZE)},
        {"metadata": {"fps": 50, "width": SIZE[0], "height": SIZE[1]}},
    ],
)
def test_headers_that_say_more(header: dict[str, Any], tmp_path: Path) -> None:
    frames = [_person(one, frame=n) for n, one in enumerate(ONE)]
    whole = files.dump(tmp_path / "k.json", {**header, "frames": frames})
    for path in (_lines(tmp_path / "k.jsonl", [header, *frames]), whole):
        recording = read(path)
        assert _is_the_film(recording)
        assert (recording.rate, recording.size) == (50, SIZE)


def test_a_rate_that_every_frame_says(tmp_path: Path) -> None:
    entries = [_person(one, frame=n, fps=50) for n, one in enumerate(ONE)]
    assert read(_lines(tmp_path / "k.jsonl", entries), size=SIZE).rate == 50


def test_a_detectors_own_speed_is_no_rate(tmp_path: Path) -> None:
    entries = [_person(one, frame=n, fps=7 + n % 3) for n, one in enumerate(ONE)]
    assert read(_lines(tmp_path / "k.jsonl", entries), size=SIZE).rate == 30


@pytest.mark.parametrize("nobody", [{"people": None}, {"keypoints": None}, {"people": []}])
def test_a_frame_that_shows_nobody_is_no_header(nobody: dict[str, Any], tmp_path: Path) -> None:
    facts = {"width": SIZE[0], "height": SIZE[1]}
    frames = [{**facts, **nobody}, *({**facts, "people": [_person(one)]} for one in ONE)]
    (track,) = read(_lines(tmp_path / "k.jsonl", frames)).tracks
    assert track.frames[0] == 1


def test_one_name_for_every_image_tells_nothing(tmp_path: Path) -> None:
    entries = [{"image": "current.jpg", "people": [_person(one)]} for one in ONE]
    assert _is_the_film(read(_lines(tmp_path / "k.jsonl", entries), size=SIZE))


def test_what_people_say_besides_may_mean_something_else(tmp_path: Path) -> None:
    entries = [{"people": [_person(one, frame={"x": 1}, time="late")]} for one in ONE]
    assert _is_the_film(read(_lines(tmp_path / "k.jsonl", entries), size=SIZE))


def test_y_before_x_is_remarked(tmp_path: Path) -> None:
    entries = [_person(one[:, ::-1], frame=n) for n, one in enumerate(ONE)]
    recording = read(_lines(tmp_path / "k.jsonl", entries), size=SIZE)
    assert any("is x written before y" in note for note in recording.summary.notes)


# --- clips


def test_frames_of_one_person_on_an_axis_of_their_own(tmp_path: Path) -> None:
    """(frames, 1, 17, 2) was lifted as so many clips of one frame."""
    film = files.film("h36m17", 12)[:, :1].astype(np.float32)
    film[3] = np.nan
    path = tmp_path / "k.npz"
    np.savez(path, keypoints=film, width=SIZE[0], height=SIZE[1])
    (track,) = read(path).tracks
    assert track.frames.tolist() == list(range(12))
    strangers = np.random.default_rng(0).permutation(files.film("h36m17", 200)[::20, :1])
    np.savez(path, keypoints=strangers.astype(np.float32), width=SIZE[0], height=SIZE[1])
    assert len(read(path).tracks) == len(strangers)


def test_3d_poses_are_no_clip(tmp_path: Path) -> None:
    """Their depth was taken for a confidence where it was positive."""
    points = files.normalised(files.film("h36m17", 12)[:, 0]).astype(np.float32)
    np.savez(tmp_path / "k.npz", keypoints_2d=points, poses_3d=np.ones((12, 17, 3), np.float32))
    recording = read(tmp_path / "k.npz")
    assert len(recording.tracks) == 1
    assert "array of 3D poses, 'poses_3d'" in recording.summary.left_out
    np.savez(tmp_path / "k.npz", poses_3d=np.ones((12, 17, 3), np.float32))
    with pytest.raises(InputError, match="holds 3D poses alone"):
        read(tmp_path / "k.npz")


def test_what_lies_beside_labels_is_no_frame(tmp_path: Path) -> None:
    files.write_yolo_labels(tmp_path, files.film("coco17", 5))
    (tmp_path / "classes.txt").write_text("person\n")
    recording = read(tmp_path, size=SIZE)
    assert recording.summary.frames == 5
    assert recording.summary.left_out == {"texts that are no labels": 1}
    for path in tmp_path.glob("video_*"):
        path.unlink()
    with pytest.raises(InputError, match="begin with no YOLO label"):
        read(tmp_path, size=SIZE)
