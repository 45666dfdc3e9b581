"""Which joints a file's keypoints are, and where their confidences stand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import keypoint_files as files
import numpy as np
import pytest

from posemamba.pose.clips import bundled_clips
from posemamba_runtime.keypoints import InputError, read
from posemamba_runtime.keypoints.layouts import LAYOUTS
from posemamba_runtime.keypoints.order import settle_layout
from posemamba_runtime.keypoints.recording import Detections

SIZE = (files.WIDTH, files.HEIGHT)
WRIST = 9  # left, COCO
Array = files.Array


def _openpose(path: Path, film: Array) -> Path:
    return files.dump(path, [files.openpose_frame(people) for people in film])


def _mmpose_without_meta(path: Path, film: Array) -> Path:
    return files.dump(path, files.mmpose_video(film))


def _lines(path: Path, film: Array) -> Path:
    path.write_text(files.lines(film))
    return path


def _clips(path: Path, film: Array) -> Path:
    np.savez(path.with_suffix(".npz"), a=film[:, 0], width=SIZE[0], height=SIZE[1])
    return path.with_suffix(".npz")


def _videopose3d(path: Path, film: Array) -> Path:
    return files.write_videopose3d(path.with_suffix(".npz"), {"v": film[:, 0]})


WRITERS: dict[str, Callable[[Path, Array], Path]] = {
    "openpose": _openpose,
    "lines": _lines,
    "mmpose": _mmpose_without_meta,
    "clips": _clips,
    "videopose3d": _videopose3d,
}


@pytest.mark.parametrize("write", ["openpose", "lines", "mmpose", "clips", "videopose3d"])
@pytest.mark.parametrize("who", [0, 1])
def test_17_joints_in_the_other_order(write: str, who: int, tmp_path: Path) -> None:
    """COCO's where Human3.6M's are expected, and the other way round; saying the order helps."""
    writer = WRITERS[write]
    right, wrong = ("h36m17", "coco17") if write == "clips" else ("coco17", "h36m17")
    film = files.film(wrong, 9, 2)[:, who : who + 1]
    path = writer(tmp_path / "f.json", film)
    size = None if write in ("clips", "videopose3d") else SIZE
    with pytest.raises(InputError, match=f"say --layout {wrong}, or {right} if they are"):
        read(path, size=size)
    assert read(path, size=size, layout=wrong).layout == wrong
    assert read(path, size=size, layout=right).layout == right
    fine = writer(tmp_path / "g.json", files.film(right, 9, 2)[:, who : who + 1])
    assert read(fine, size=size).layout == right


NECK_LAST = 17


@pytest.mark.parametrize("lost", [[], [NECK_LAST], [1], [1, NECK_LAST]], ids=str)
@pytest.mark.parametrize("write", ["openpose", "lines", "mmpose"])
def test_18_joints_with_the_neck_last(write: str, lost: list[int], tmp_path: Path) -> None:
    """trt_pose's are COCO's 17 and a neck, and would be a twisted skeleton as OpenPose's."""
    film = files.film("trtpose18", 9)
    film[:, :, lost] = 0.0
    recording = read(WRITERS[write](tmp_path / "f.json", film), size=SIZE)
    assert recording.layout == "coco17"
    assert any("as trt_pose writes" in note for note in recording.summary.notes)
    found = np.delete(np.arange(17), [joint for joint in lost if joint < 17])
    (track,) = recording.tracks
    assert np.abs(track.values[:, found, :2] - film[:, 0, found]).max() < files.EXACT
    assert read(tmp_path / "f.json", size=SIZE, layout="coco18").layout == "coco18"


@pytest.mark.parametrize("lost", [[], [NECK_LAST], [1], [1, NECK_LAST], [0, 14, 15]], ids=str)
def test_18_joints_of_openpose(lost: list[int], tmp_path: Path) -> None:
    film = files.film("coco18", 9)
    film[:, :, lost] = 0.0
    recording = read(_openpose(tmp_path / "f.json", film), size=SIZE)
    assert recording.layout == "coco18"
    assert not any("trt_pose" in note for note in recording.summary.notes)


def test_18_real_joints_frame_by_frame(pose2sim_frames: Path) -> None:
    """A detector's BODY_25B in the order of either 18, judged as a stream's first frame is."""
    at = {name: place for place, name in enumerate(LAYOUTS["body25b"].joints)}
    openpose = [at[{"neck": "upper_neck"}.get(name, name)] for name in LAYOUTS["coco18"].joints]
    last = [*range(17), at["upper_neck"]]
    for track in read(pose2sim_frames, size=(1920, 1080)).tracks:
        for row in track.values:
            assert settle_layout(Detections(), row[None, openpose], None) == "coco18"
            assert settle_layout(Detections(), row[None, last], None) == "coco17"


def test_our_own_clips_lie_as_they_should() -> None:
    """Real people, some of them bent over or on the floor, are never taken for the other order."""
    for clip in bundled_clips().values():
        values = np.concatenate([clip, np.ones((*clip.shape[:2], 1), np.float32)], axis=-1)
        for row in values:  # even frame by frame, as a stream is judged
            assert settle_layout(Detections(layout="h36m17"), row[None], None) == "h36m17"


@pytest.mark.parametrize("key", ["likelihood", "presence", "probability", "score", "c"])
def test_confidences_by_other_names(key: str, tmp_path: Path) -> None:
    film = files.film("coco17", 4)
    texts = [
        json.dumps({"frame": frame, "keypoints": [
            {"x": x, "y": y, key: 0.0 if joint == WRIST else 0.9}
            for joint, (x, y) in enumerate(people[0].tolist())]})
        for frame, people in enumerate(film)
    ]  # fmt: skip
    (tmp_path / "k.jsonl").write_text("\n".join(texts))
    (track,) = read(tmp_path / "k.jsonl", size=SIZE).tracks
    assert np.flatnonzero(np.isnan(track.values[0, :, 0])).tolist() == [WRIST]


@pytest.mark.parametrize("key", ["scores", "confidence", "keypoint_scores", "kp_score"])
@pytest.mark.parametrize("flat", [False, True])
def test_confidences_beside_the_points(key: str, flat: bool, tmp_path: Path) -> None:
    scores = [0.0 if joint == WRIST else 0.9 for joint in range(17)]
    texts = []
    for frame, people in enumerate(files.film("coco17", 4)):
        points = people[0].ravel() if flat else people[0]
        texts.append(json.dumps({"frame": frame, "keypoints": points.tolist(), key: scores}))
    (tmp_path / "k.jsonl").write_text("\n".join(texts))
    (track,) = read(tmp_path / "k.jsonl", size=SIZE).tracks
    assert np.flatnonzero(np.isnan(track.values[0, :, 0])).tolist() == [WRIST]


def test_joints_that_names_leave_out_are_not_found(tmp_path: Path) -> None:
    """TensorFlow.js's users drop keypoints of a low score."""
    names = {"left_wrist": 9, "left_elbow": 7, "nose": 0, "left_hip": 11, "right_hip": 12,
             "left_shoulder": 5, "right_shoulder": 6, "left_knee": 13}  # fmt: skip
    texts = [
        json.dumps({"frame": frame, "keypoints": [
            {"part": name.replace("_s", "S"), "position": {"x": people[0][place][0],
                                                           "y": people[0][place][1]}}
            for name, place in names.items()]})
        for frame, people in enumerate(files.film("coco17", 3))
    ]  # fmt: skip
    (tmp_path / "k.jsonl").write_text("\n".join(texts))
    (track,) = read(tmp_path / "k.jsonl", size=SIZE).tracks
    assert np.flatnonzero(np.isfinite(track.values[0, :, 0])).tolist() == sorted(names.values())
