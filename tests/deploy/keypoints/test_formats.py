"""Every format, as its tool writes it, gives the positions that were written."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keypoint_files as files
import numpy as np
import pytest

from posemamba_runtime.keypoints import read
from posemamba_runtime.keypoints.recording import Recording

SIZE = (files.WIDTH, files.HEIGHT)
Array = files.Array


class Case(NamedTuple):
    """Who wrote it: the format's name, the layout, the writer, and what the user has to say."""

    format: str
    layout: str
    write: Callable[[Path, Array], Path]
    size: tuple[int, int] | None = SIZE
    exact: float = files.EXACT


def _file(name: str, make: Callable[[Array], object]) -> Callable[[Path, Array], Path]:
    return lambda folder, film: files.dump(folder / name, make(film))


def _folder(make: Callable[[Array], object], name: str) -> Callable[[Path, Array], Path]:
    def write(folder: Path, film: Array) -> Path:
        for frame, people in enumerate(film):
            files.dump(folder / name.format(frame), make(people))
        return folder

    return write


def _text(name: str, make: Callable[[Array], str]) -> Callable[[Path, Array], Path]:
    def write(folder: Path, film: Array) -> Path:
        (folder / name).write_text(make(film), encoding="utf-8")
        return folder / name

    return write


def _clips(folder: Path, film: Array) -> Path:
    clips: dict[str, Any] = {
        f"cam{who}": film[:, who].astype(np.float32) for who in range(film.shape[1])
    }
    np.savez(folder / "clips.npz", **clips, width=files.WIDTH, height=files.HEIGHT)
    return folder / "clips.npz"


def _normalised(folder: Path, film: Array) -> Path:
    np.savez(folder / "clips.npz", keypoints_2d=files.normalised(film.transpose(1, 0, 2, 3)))
    return folder / "clips.npz"


def _videopose3d(folder: Path, film: Array) -> Path:
    clips = {f"v{who}.mp4": film[:, who] for who in range(film.shape[1])}
    return files.write_videopose3d(folder / "data_2d_custom_me.npz", clips)


def _detectron(folder: Path, film: Array) -> Path:
    return files.write_detectron(folder / "v.mp4.npz", film)


_LONG = {"sho": "shoulder", "elb": "elbow", "wri": "wrist", "kne": "knee", "ank": "ankle"}
_SIDE = {"l": "left", "r": "right"}
NAMES = [
    "nose" if name == "nose" else f"{_SIDE[name[0]]}_{_LONG.get(name[1:], name[1:])}"
    for name in files.COCO
]
BY_NAME = sorted(range(17), key=lambda place: NAMES[place])
H36M_NAMES = (
    *("root", "right_hip", "right_knee", "right_foot", "left_hip", "left_knee", "left_foot"),
    *("spine", "thorax", "neck_base", "head", "left_shoulder", "left_elbow", "left_wrist"),
    *("right_shoulder", "right_elbow", "right_wrist"),
)


def _annotated(film: Array, names: Sequence[str], order: Sequence[int]) -> dict[str, Any]:
    document = files.coco_annotations(film[:, :, list(order)])
    document["categories"][0]["keypoints"] = list(names)
    return document


def _by_frame(film: Array, key: str, person: Callable[[Array], object]) -> list[dict[str, Any]]:
    return [{"frame": str(n), key: [person(p) for p in people]} for n, people in enumerate(film)]


def _landmarks(points: Array) -> Array:
    return np.column_stack([points / SIZE, np.full(33, -0.1), np.full(33, 0.9)])


def _mmpose_named(film: Array) -> dict[str, Any]:
    document = files.mmpose_saved(film, "mine")
    document["meta_info"]["keypoint_id2name"] = {str(n): name for n, name in enumerate(NAMES)}
    return document


CASES = {
    **{
        f"openpose {layout}": Case("openpose", layout, files.write_openpose)
        for layout in ("coco18", "body25", "body25b")
    },
    "openpose, old key": Case(
        "openpose", "coco18",
        _folder(lambda people: {"people": [{"pose_keypoints": files.triples(p)} for p in people]},
                "f{:04d}.json"),
    ),
    "openpose with a canvas": Case(
        "openpose", "coco18",
        _file("poses.json", lambda film: [
            {**files.openpose_frame(people), "canvas_width": 1280, "canvas_height": 720}
            for people in film]),
        None,
    ),
    "alphapose halpe26": Case(
        "alphapose", "halpe26", lambda folder, film: files.write_alphapose(folder / "a.json", film)
    ),
    "alphapose without ids": Case(
        "alphapose", "coco17",
        lambda folder, film: files.write_alphapose(folder / "results.json", film, ids=False),
    ),
    "alphapose cmu": Case("alphapose", "coco18", _file("a.json", files.alphapose_cmu)),
    "alphapose open": Case(
        "openpose", "coco18",
        _file("a.json", lambda film: {f"{frame}.jpg": files.openpose_frame(people)
                                      for frame, people in enumerate(film)}),
    ),
    "alphapose sep-json": Case(
        "alphapose", "coco18",
        _folder(lambda people: {"bodies": [{"joints": files.triples(p)} for p in people]},
                "{}.json"),
    ),
    "alphapose tracked": Case(
        "alphapose", "coco17",
        _file("forvis.json", lambda film: {
            f"{frame}.jpg": [{"keypoints": files.triples(p), "scores": 2.9, "idx": who}
                             for who, p in enumerate(people)]
            for frame, people in enumerate(film)}),
    ),
    "coco, its joints named": Case(
        "coco", "h36m17", _file("p.json", lambda film: _annotated(film, H36M_NAMES, range(17))),
        None,
    ),
    "coco, named in another order": Case(
        "coco", "coco17",
        _file("p.json", lambda film: _annotated(film, [NAMES[p] for p in BY_NAME], BY_NAME)), None,
    ),
    "coco results": Case("coco", "coco17", _file("r.json", files.coco_results)),
    "coco whole body": Case("coco", "wholebody133", _file("r.json", files.coco_results)),
    "coco annotations": Case("coco", "coco17", _file("person.json", files.coco_annotations), None),
    "coco, a file an image": Case(
        "coco", "coco17",
        _folder(lambda people: [{"keypoints": files.triples(p), "score": 0.9, "category_id": 1,
                                 "bbox": [0, 0, 9, 9]} for p in people],
                "{:06d}.jpg.predictions.json"),
    ),
    "mmpose saved": Case("mmpose", "coco17", _file("r.json", files.mmpose_saved)),
    "mmpose h36m": Case(
        "mmpose", "h36m17", _file("r.json", lambda film: files.mmpose_saved(film, "h36m"))
    ),
    "mmpose video": Case("mmpose", "wholebody133", _file("video.json", files.mmpose_video)),
    "mmpose images": Case("mmpose", "halpe26", _folder(files.mmpose_instances, "{:04d}.json")),
    "mmpose predictions": Case(
        "mmpose", "coco17",
        _file("r.json", lambda film: {"predictions": [files.mmpose_instances(p) for p in film]}),
    ),
    "mmpose, named joints": Case("mmpose", "coco17", _file("r.json", _mmpose_named)),
    "mmpose, a list deeper": Case(
        "mmpose", "coco17",
        _file("r.json", lambda film: [{"instances": [
            {"keypoints": [p.tolist()], "keypoint_scores": [[0.9] * 17]} for p in people]}
            for people in film]),
    ),
    "openpose, the people alone": Case(
        "openpose", "body25",
        _file("o.json", lambda film: [files.openpose_frame(p)["people"] for p in film]),
    ),
    "yolo in numbered frames": Case(
        "yolo", "coco17",
        _file("y.json", lambda film: [{"frame": str(n), "detections": files.yolo_frame(p)}
                                      for n, p in enumerate(film)]),
    ),
    "yolo list": Case(
        "yolo", "coco17", _file("y.json", lambda film: [files.yolo_frame(p) for p in film])
    ),
    "yolo texts": Case(
        "yolo", "coco17",
        _file("y.json", lambda film: [json.dumps(files.yolo_frame(p), indent=2) for p in film]),
    ),
    "yolo, a file a frame": Case("yolo", "coco17", _folder(files.yolo_frame, "video_{}.json")),
    "yolo, fractions": Case(
        "yolo", "coco17",
        _file("y.json", lambda film: [files.yolo_frame(p / SIZE) for p in film]),
    ),
    **{
        f"yolo labels {after}": Case(
            "yolo", "coco17",
            lambda folder, film, after=after: files.write_yolo_labels(folder, film, after=after),  # type: ignore[misc]
            exact=1e-3,  # six digits of 1280 pixels
        )
        for after in ("", "conf", "id", "conf id")
    },
    "mediapipe landmark objects": Case(
        "mediapipe", "mediapipe33",
        _file("m.json", lambda film: [
            {"frame": frame, "pose_landmarks": [files.mediapipe_landmarks(p) for p in people]}
            for frame, people in enumerate(film)]),
        exact=files.EXACT,
    ),
    "mediapipe task results": Case(
        "mediapipe", "mediapipe33",
        _file("m.json", lambda film: [
            {"landmarks": [files.mediapipe_landmarks(p) for p in people], "worldLandmarks": [[]]}
            for people in film]),
    ),
    "mediapipe nested lists": Case(
        "mediapipe", "mediapipe33",
        _file("m.json", lambda film: {"frames": [
            [np.column_stack([p / SIZE, np.full(33, -0.2), np.full(33, 0.9)]).tolist()
             for p in people] for people in film], "fps": 25}),
    ),
    "mediapipe flat": Case(
        "mediapipe", "mediapipe33",
        _text("m.jsonl", lambda film: "\n".join(
            json.dumps({"frame": n, "id": who, "landmarks": _landmarks(p).ravel().tolist()})
            for n, people in enumerate(film) for who, p in enumerate(people))),
    ),
    "detectron": Case("detectron", "coco17", _detectron, None),
    "videopose3d": Case("videopose3d", "coco17", _videopose3d, None, 1e-4),  # float32
    "clips in pixels": Case("npz", "h36m17", _clips, None, 1e-4),
    "clips, normalised": Case("npz", "h36m17", _normalised),
    "lines": Case("ndjson", "coco17", _text("k.jsonl", files.lines)),
    "lines with a header": Case(
        "ndjson", "coco17",
        _text("k.jsonl", lambda film: files.lines(film, size=list(SIZE), rate=50, layout="coco17")),
        None,
    ),
    "lines, a person each": Case(
        "ndjson", "body25",
        _text("k.ndjson", lambda film: "\n".join(
            json.dumps({"frame": frame, "track_id": who, "keypoints": points.tolist()})
            for frame, people in enumerate(film) for who, points in enumerate(people))),
    ),
    "lines of points by name": Case(
        "ndjson", "coco17",
        _text("k.jsonl", lambda film: "\n".join(map(json.dumps, _by_frame(
            film, "people", lambda p: {"keypoints": {NAMES[j]: [*p[j], 0.9] for j in BY_NAME}})))),
    ),
    "lines of points with names": Case(
        "ndjson", "coco17",
        _text("k.jsonl", lambda film: "\n".join(map(json.dumps, _by_frame(
            film, "people", lambda p: {"keypoints": [
                {"name": NAMES[j], "x": p[j][0], "y": p[j][1], "score": 0.9}
                for j in BY_NAME]})))),
    ),
    "lists of people's points": Case(
        "ndjson", "coco17", _file("k.json", lambda film: film.tolist()),
    ),
    "lines of openpose": Case(
        "openpose", "body25",
        _text("k.jsonl", lambda film: "\n".join(json.dumps(files.openpose_frame(p)) for p in film)),
    ),
}  # fmt: skip


def _same(recording: Recording, film: Array, exact: float) -> None:
    """Tracks hold the film's people, in whichever order they were numbered."""
    assert len(recording.tracks) == film.shape[1]
    who = []
    for track in recording.tracks:
        assert track.frames.tolist() == list(range(track.frames[0], track.frames[0] + len(film)))
        distance = np.abs(track.values[:, None, :, :2] - film).max(axis=(0, 2, 3))
        assert distance.min() <= exact
        who.append(int(distance.argmin()))
    assert sorted(who) == list(range(film.shape[1]))


@pytest.mark.parametrize("people", [1, 2])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_positions_come_back(case: Case, people: int, tmp_path: Path) -> None:
    film = files.film(case.layout, 12, people)
    recording = read(case.write(tmp_path, film), size=case.size)
    assert recording.layout == case.layout
    assert recording.summary.format == case.format
    assert recording.size == SIZE
    assert recording.summary.not_found == 0
    _same(recording, film, case.exact)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_the_format_may_be_said(case: Case, tmp_path: Path) -> None:
    film = files.film(case.layout, 3)
    recording = read(case.write(tmp_path, film), size=case.size, format=case.format)
    assert recording.summary.format == case.format


@pytest.mark.parametrize("name", ["yolo", "YOLO", "YOLO-pose", "ultralytics", "yolov8", "auto"])
def test_formats_have_other_names(name: str, tmp_path: Path) -> None:
    path = files.dump(tmp_path / "y.json", [files.yolo_frame(p) for p in files.film("coco17", 3)])
    assert read(path, size=SIZE, format=name).summary.format == "yolo"


def test_standard_input_is_read_line_by_line() -> None:
    film = files.film("coco17", 5, 2)
    stdin = io.BytesIO(files.lines(film).encode())
    recording = read("-", size=SIZE, stdin=stdin)
    _same(recording, film, files.EXACT)


def test_without_a_size_the_networks_units_stay_what_they_are(tmp_path: Path) -> None:
    """Whatever canvas is assumed, normalising again gives the file's numbers."""
    clip = files.normalised(files.film("h36m17", 6)[:, 0]) - [0.4, 0.9]  # partly above the image
    np.savez(tmp_path / "c.npz", keypoints_2d=clip)
    recording = read(tmp_path / "c.npz")
    width, height = recording.canvas
    again = recording.tracks[0].values[..., :2] / width * 2 - [1, height / width]
    assert recording.size is None
    assert np.abs(again - clip).max() < 3e-7  # float32, and the network takes no more
    assert recording.tracks[0].values[..., 1].min() >= 0


@pytest.mark.parametrize(("layout", "count"), [("halpe26", 136), ("body25b", 135)])
def test_bodies_with_faces_and_hands(layout: str, count: int, tmp_path: Path) -> None:
    """AlphaPose's Halpe-136 and OpenPose's BODY_135 begin with the body."""
    film = files.film(layout, 4)
    rest = np.full((4, 1, count - film.shape[2], 2), 300.0)
    path = files.write_alphapose(tmp_path / "a.json", np.concatenate([film, rest], axis=2))
    recording = read(path, size=SIZE)
    assert recording.layout == layout
    _same(recording, film, files.EXACT)


def test_the_real_openpose_files_are_body_25b(pose2sim_frames: Path) -> None:
    recording = read(pose2sim_frames, size=(1088, 1920))
    assert recording.layout == "body25b"
    assert recording.tracks[0].frames.tolist() == [0, 1]


def test_utf_16_and_byte_order_marks(tmp_path: Path) -> None:
    """PowerShell's redirection writes UTF-16."""
    film = files.film("coco17", 3)
    text = json.dumps([files.yolo_frame(p) for p in film])
    for encoding in ("utf-8-sig", "utf-16"):
        path = tmp_path / f"{encoding}.json"
        path.write_text(text, encoding=encoding)
        _same(read(path, size=SIZE), film, files.EXACT)
        lines = tmp_path / f"{encoding}.jsonl"
        lines.write_text(files.lines(film), encoding=encoding)
        _same(read(lines, size=SIZE), film, files.EXACT)
