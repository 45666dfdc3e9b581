"""Frames in the order of time, gaps as gaps, the same person from frame to frame."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import keypoint_files as files
import numpy as np
import pytest
from float64_tolerance import check

from posemamba_runtime.keypoints import InputError, read
from posemamba_runtime.keypoints.assignment import assign
from posemamba_runtime.keypoints.names import frame_numbers
from posemamba_runtime.keypoints.tracks import MAX_GAP

SIZE = (files.WIDTH, files.HEIGHT)


@pytest.mark.parametrize(
    "name",
    [
        "{}_keypoints.json",
        "{:012d}_keypoints.json",
        "cam2_take10_{}.json",
        "video_{}_keypoints_v1.3.json",
        "{}.json",
        "IMG_2026_{}.JSON",
        "frame{}-person1.json",
    ],
)
def test_names_are_ordered_by_the_number_that_varies(name: str, tmp_path: Path) -> None:
    film = files.film("body25", 120)
    files.write_openpose(tmp_path, film, name)
    (track,) = read(tmp_path, size=SIZE).tracks
    assert track.frames.tolist() == list(range(120))
    assert np.abs(track.values[..., :2] - film[:, 0]).max() < files.EXACT


@pytest.mark.parametrize("write", ["alphapose", "coco", "mmpose", "lines", "labels", "cmu"])
def test_unpadded_names_elsewhere(write: str, tmp_path: Path) -> None:
    """The same trouble wherever a name or number orders the frames, entries in any order."""
    film = files.film("coco18" if write == "cmu" else "coco17", 30)
    shuffled = np.random.default_rng(0).permutation(30).tolist()
    path = tmp_path / "f.json"
    if write == "alphapose":
        files.write_alphapose(path, film)
        entries = json.loads(path.read_text())
        files.dump(path, [entries[index] for index in shuffled])
    elif write == "coco":
        entries = files.coco_results(film)
        files.dump(path, [entries[index] for index in shuffled])
    elif write == "mmpose":
        frames = files.mmpose_video(film)
        files.dump(path, [frames[index] for index in shuffled])
    elif write == "lines":
        text = files.lines(film).splitlines()
        path.write_text("\n".join(text[index] for index in shuffled))
    elif write == "labels":
        path = files.write_yolo_labels(tmp_path / "labels", film)
    else:
        frames_by_name = files.alphapose_cmu(film)
        files.dump(path, dict(sorted(frames_by_name.items())))  # 0, 10, 11, ..., 1, 20
    (track,) = read(path, size=SIZE).tracks
    steps = np.diff(track.frames)
    assert (steps == 1).all()
    assert np.abs(track.values[..., :2] - film[:, 0]).max() < 1e-3


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        (["a1.json", "a2.json", "a10.json"], [1, 2, 10]),
        (["take3_007.json", "take3_008.json"], [7, 8]),
        (["s1_f1.json", "s1_f2.json", "s1_f3.json"], [1, 2, 3]),
        (["1_x.json", "2.json"], [1, 2]),
        (["b.json", "a.json"], [1, 0]),
        (["2024-01-01_11-59-59.json", "2024-01-01_12-00-00.json"], [0, 1]),
        (["1700000000000000000001.json", "1700000000000000000002.json"], [0, 1]),
    ],
)
def test_numbers_in_names(names: list[str], numbers: list[int]) -> None:
    assert frame_numbers(names)[0] == numbers


@pytest.mark.parametrize(
    "names",
    [
        ["1.json", "01.json"],
        ["frame.json", "frame_1.json"],
        ["a_1.json", "b_1.json", "c_2_3.json", "d_3_3.json"],
        [f"cam{camera}_{frame:04d}.json" for camera in (1, 2) for frame in range(20)],
        [f"frame{frame}_person{who}.json" for frame in range(9) for who in range(3)],
        [f"t{take}_{frame}.json" for take in (1, 2) for frame in range(20) if frame != 3 * take],
    ],
)
def test_names_without_an_order_are_refused(names: list[str]) -> None:
    with pytest.raises(InputError, match=r"frame number|keep one recording"):
        frame_numbers(names)


def test_missing_numbers_are_gaps(tmp_path: Path) -> None:
    film = files.film("body25", 40)
    files.write_openpose(tmp_path, film, "{}.json")
    for frame in (7, 8, 20):
        (tmp_path / f"{frame}.json").unlink()
    files.dump(tmp_path / "30.json", files.openpose_frame([]))
    recording = read(tmp_path, size=SIZE)
    (track,) = recording.tracks
    gone = [7, 8, 20, 30]
    assert track.frames.tolist() == list(range(40))
    assert np.isnan(track.values[gone]).all()
    assert np.isfinite(np.delete(track.values, gone, axis=0)).all()
    assert (recording.summary.missing_frames, recording.summary.empty_frames) == (3, 1)


def test_a_long_gap_stays_open(tmp_path: Path) -> None:
    film = files.film("body25", 80)
    files.write_openpose(tmp_path, film, "{}.json")
    for frame in range(20, 20 + MAX_GAP + 1):
        (tmp_path / f"{frame}.json").unlink()
    (track,) = read(tmp_path, size=SIZE).tracks
    assert track.frames.tolist() == [*range(20), *range(20 + MAX_GAP + 1, 80)]


def test_alphapose_leaves_frames_out(tmp_path: Path) -> None:
    """The report's input: the first is absent in two frames, the second comes and goes."""
    film = files.film("halpe26", 12, 2)
    entries = json.loads(files.write_alphapose(tmp_path / "a.json", film).read_text())
    kept = [
        entry
        for index, entry in enumerate(entries)
        if not (index % 2 == 0 and index // 2 in (4, 5))
        and not (index % 2 == 1 and index // 2 not in (3, 4, 5))
    ]
    recording = read(files.dump(tmp_path / "a.json", kept), size=SIZE)
    first, second = recording.tracks
    assert (first.person, second.person) == (0, 1)
    assert np.isnan(first.values[[4, 5]]).all()
    assert second.frames.tolist() == [3, 4, 5]
    assert np.abs(second.values[..., :2] - film[3:6, 1]).max() < files.EXACT


def test_timestamps_of_the_file_are_kept() -> None:
    import io

    film = files.film("coco17", 10)
    texts = [
        json.dumps(
            {"frame": 2 * frame, "timestamp": 100 + frame / 15, "keypoints": files.triples(p[0])}
        )
        for frame, p in enumerate(film)
    ]
    recording = read("-", size=SIZE, stdin=io.BytesIO("\n".join(texts).encode()))
    (track,) = recording.tracks
    assert recording.rate == pytest.approx(30)
    assert track.frames.tolist() == list(range(19))
    check(track.timestamps, 100 + track.frames / 30)


def test_image_ids_of_a_data_set_are_no_frame_numbers(tmp_path: Path) -> None:
    film = files.film("coco17", 5)
    entries = files.coco_results(film)
    for entry, image in zip(entries, (1296, 37777, 252219, 397133, 480021), strict=True):
        entry["image_id"] = image
    recording = read(files.dump(tmp_path / "r.json", entries), size=SIZE)
    assert recording.tracks[0].frames.tolist() == list(range(5))
    assert any("one after the other" in note for note in recording.summary.notes)


# Who is who


@pytest.mark.parametrize("gone", [range(0), range(38, 46), range(30, 50)])
def test_people_who_cross_keep_their_ids(gone: range, tmp_path: Path) -> None:
    """Without ids, in random order, the farther one hidden for up to 20 frames where they meet."""
    film = files.film("coco17", files.FRAMES, 2)
    rng = np.random.default_rng(1)
    frames = []
    for number, people in enumerate(film):
        shown = [people[who] for who in rng.permutation(2) if not (who == 1 and number in gone)]
        frames.append(files.yolo_frame(shown, ids=False))
    recording = read(files.dump(tmp_path / "y.json", frames), size=SIZE)
    assert len(recording.tracks) == 2
    for track in recording.tracks:
        seen = np.isfinite(track.values[:, 0, 0])
        expected = film[track.frames]
        distance = np.abs(track.values[:, None, :, :2] - expected)[seen].max(axis=(2, 3))
        assert (distance.min(axis=1) < files.EXACT).all()
        assert len(set(distance.argmin(axis=1).tolist())) == 1  # the same one all the way


def test_somebody_who_returns_late_is_somebody_else(tmp_path: Path) -> None:
    """A bystander keeps the recording from being one person's alone."""
    film = files.film("coco17", 80, 2)
    film[:, 1, :, 0] -= film[:, 1, :1, 0] - 1200.0  # stands still at the edge
    frames = [
        files.yolo_frame([p[1]] if 10 <= number < 60 else [p[0], p[1]], ids=False)
        for number, p in enumerate(film)
    ]
    recording = read(files.dump(tmp_path / "y.json", frames), size=SIZE)
    spans = sorted((int(t.frames[0]), int(t.frames[-1])) for t in recording.tracks)
    assert spans == [(0, 9), (0, 79), (60, 79)]


def test_ids_that_repeat_in_a_frame_are_not_believed(tmp_path: Path) -> None:
    film = files.film("coco17", 10, 2)
    frames = [files.yolo_frame(people) for people in film]
    for frame in frames:
        for person in frame:
            person["track_id"] = 1
    recording = read(files.dump(tmp_path / "y.json", frames), size=SIZE)
    assert len(recording.tracks) == 2
    assert any("ids repeat" in note for note in recording.summary.notes)


def test_ids_that_are_texts(tmp_path: Path) -> None:
    film = files.film("coco17", 3, 2)
    text = files.lines(film).replace('"person": 0', '"person": "anna"')
    (tmp_path / "k.jsonl").write_text(text.replace('"person": 1', '"person": "ben"'))
    recording = read(tmp_path / "k.jsonl", size=SIZE)
    assert [(track.person, track.name) for track in recording.tracks] == [(0, "anna"), (1, "ben")]


@pytest.mark.parametrize(
    ("person", "ids"), [("all", [1, 2]), ("largest", [2]), (1, [1]), ("2", [2])]
)
def test_whom_to_keep(person: str | int, ids: list[int], tmp_path: Path) -> None:
    film = files.film("coco17", 4, 2)  # person 1 of the film is the larger one
    path = files.dump(tmp_path / "y.json", [files.yolo_frame(people) for people in film])
    assert [t.person for t in read(path, size=SIZE, person=person).tracks] == ids


@pytest.mark.parametrize("seed", range(40))
def test_the_assignment_is_the_cheapest(seed: int) -> None:
    """Against every way there is."""
    rng = np.random.default_rng(seed)
    rows, columns = rng.integers(1, 6, 2).tolist()
    cost = rng.integers(0, 5, (rows, columns)) / 4 if seed % 2 else rng.random((rows, columns))
    pairs = assign(cost)
    few, many = sorted((rows, columns))
    assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == few
    table = cost if rows <= columns else cost.T
    best = min(
        sum(table[row, column] for row, column in enumerate(choice))
        for choice in itertools.permutations(range(many), few)
    )
    assert sum(cost[row, column] for row, column in pairs) == pytest.approx(best)
