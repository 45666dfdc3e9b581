"""Good keypoint files of every format, damage to them, and what a reader may make of the rest.

For ``tests/deploy/keypoints/test_fuzz.py``, which looks for a moment, and ``tools/fuzz.py``, which
looks for minutes.
"""

from __future__ import annotations

import copy
import json
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keypoint_files as files
import numpy as np

from posemamba_runtime.keypoints import InputError, read
from posemamba_runtime.keypoints.complete import complete
from posemamba_runtime.keypoints.recording import Recording

SIZE = (files.WIDTH, files.HEIGHT)

_COCO = files.film("coco17", 3, 2)
DOCUMENTS: dict[str, Any] = {
    "openpose": files.openpose_frame(files.film("body25", 1, 2)[0]),
    "openpose list": [files.openpose_frame(p) for p in files.film("coco18", 3, 2)],
    "alphapose": files.coco_results(files.film("halpe26", 3, 2)),
    "alphapose cmu": files.alphapose_cmu(files.film("coco18", 3, 2)),
    "coco": files.coco_annotations(_COCO),
    "mmpose": files.mmpose_saved(_COCO),
    "yolo": [files.yolo_frame(people) for people in _COCO],
    "mediapipe": [
        {"frame": frame, "pose_landmarks": [files.mediapipe_landmarks(p) for p in people]}
        for frame, people in enumerate(files.film("mediapipe33", 3, 2))
    ],
    "lines": [json.loads(line) for line in files.lines(_COCO, size=[1280, 720]).splitlines()],
    "points by name": [
        {"frame": frame, "timestamp": 33 * frame, "keypoints": {
            name: [*point, 0.9] for name, point in zip(
                ("nose", "l_eye", "r_eye", "l_ear", "r_ear", "l_shoulder", "r_shoulder",
                 "l_elbow", "r_elbow", "l_wrist", "r_wrist", "l_hip", "r_hip", "l_knee", "r_knee",
                 "l_ankle", "r_ankle"), people[0].tolist(), strict=True)}}
        for frame, people in enumerate(_COCO)
    ],
}  # fmt: skip
ODD: list[Any] = [
    *(None, True, 0, -1, 1.5, 1e308, -1e308, 10**400, float("nan"), float("inf")),
    *("", "7", "a\n\x1b[0m"),
    *([], {}, [[]], [None], {"x": 1}, [1, 2], [[1, 2, 3]] * 33, "[" * 50, {"people": []}),
]


def _clips(path: Path) -> None:
    np.savez(path, a=files.film("h36m17", 3)[:, 0], width=1280, height=720, fps=25)


def _videopose3d(path: Path) -> None:
    files.write_videopose3d(path, {"v": files.film("coco17", 3)[:, 0]})


def _detectron(path: Path) -> None:
    files.write_detectron(path, _COCO)


ARCHIVES: dict[str, Callable[[Path], None]] = {
    "npz": _clips,
    "videopose3d": _videopose3d,
    "detectron": _detectron,
}


def outcome(path: Path, **options: Any) -> Recording | None:
    """A recording that holds together, or None for one that was refused in a line."""
    try:
        recording = read(path, **options)
    except InputError as error:
        text = str(error)
        assert text
        assert "\n" not in text
        assert text.isprintable()
        assert len(text) < 600
        return None
    for track in recording.tracks:
        assert (np.diff(track.frames) > 0).all()
        assert (np.diff(track.timestamps) > 0).all()
        assert track.values.shape[0] == len(track.frames) == len(track.timestamps)
        seen = np.isfinite(track.values).all(axis=-1)
        assert (seen == np.isfinite(track.values).any(axis=-1)).all()
        assert np.abs(track.values[seen]).max(initial=0.0) < 1e7
        for stretch in complete(track, recording.layout).stretches:
            assert np.isfinite(stretch.points).all()
    return recording


def write_document(name: str, document: Any, folder: Path) -> Path:
    """As its tool writes it: one document, or one a line."""
    path = folder / "f.json"
    if name == "lines" and isinstance(document, list):
        path.write_text("\n".join(map(json.dumps, document)))
    else:
        path.write_text(json.dumps(document))
    return path


def damaged(document: Any, rng: random.Random) -> Any:
    """A copy with one to three things replaced, removed, doubled or renamed."""
    document = copy.deepcopy(document)
    for _ in range(rng.randint(1, 3)):
        places = _places(document)
        if not places:
            break
        *way, last = rng.choice(places)
        parent = document
        for step in way:
            parent = parent[step]
        action = rng.choice(("replace", "remove", "double", "rename"))
        if action == "replace":
            parent[last] = copy.deepcopy(rng.choice(ODD))
        elif action == "remove":
            del parent[last]
        elif isinstance(parent, list):
            parent.insert(last, copy.deepcopy(parent[last]))
        elif action == "rename":
            parent[f"{last}_"] = parent.pop(last)
    return document


def damaged_bytes(content: bytes, rng: random.Random) -> bytes:
    """With some bytes changed, and perhaps cut short."""
    changed = bytearray(content)
    for _ in range(rng.randint(1, 6)):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    end = rng.randrange(len(changed)) if rng.random() < 0.3 else len(changed)
    return bytes(changed[:end])


def damage_archive(path: Path, rng: random.Random) -> None:
    """Bytes of the file; or of an array in it, so that the check sums are right."""
    if rng.random() < 0.3:
        path.write_bytes(damaged_bytes(path.read_bytes(), rng))
        return
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    chosen = rng.choice(sorted(members))
    members[chosen] = damaged_bytes(members[chosen], rng)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def _places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths to everything in a document, the numbers of long lists but for the first two."""
    found = [at] if at else []
    if isinstance(value, dict):
        for key, item in value.items():
            found += _places(item, (*at, key))
    elif isinstance(value, list):
        for index, item in enumerate(value[:2] if len(value) > 8 else value):
            found += _places(item, (*at, index))
    return found
