"""Null stands for what a program does not know; another key, or nothing, tells it then."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keypoint_files as files
import numpy as np
import pytest

from posemamba_runtime.keypoints import InputError, read

SIZE = (files.WIDTH, files.HEIGHT)
FILM = files.film("coco17", 6)
FIRST, STEP = 40, 2


def _points(frame: int, **beside: Any) -> list[dict[str, Any]]:
    return [{"x": x, "y": y, "score": 0.8, **beside} for x, y in FILM[frame, 0].tolist()]


def _write(path: Path, header: Mapping[str, Any], **beside: Any) -> Path:
    """A person a line, in frames 40, 42, ...; ``beside``: what each line says first."""
    entries = [
        {**beside, "frame_id": FIRST + STEP * n, "track_id": 7, "keypoints": _points(n)}
        for n in range(len(FILM))
    ]
    path.write_text("\n".join(map(json.dumps, [header, *entries])))
    return path


HEADER = {"fps": 50, "width": SIZE[0], "height": SIZE[1]}

ROWS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "base": (HEADER, {}),
    "frame": (HEADER, {"frame": None}),
    "person": (HEADER, {"person": None}),
    "rate": ({"rate": None, **HEADER}, {}),
    "a rate as ffprobe writes it": (HEADER | {"fps": "50000/1000"}, {}),
    "size": ({**HEADER, "width": None, "height": None, "size": list(SIZE)}, {}),
    "size of every frame": (HEADER, {"width": None, "height": None}),
    "a box": (HEADER, {"x": 3, "y": 4, "width": 120, "height": 300}),
    "a box of short names": (HEADER, {"x": 3, "y": 4, "w": 120, "h": 300}),
}


@pytest.mark.parametrize("name", ROWS)
def test_the_next_key_tells(name: str, tmp_path: Path) -> None:
    header, beside = ROWS[name]
    recording = read(_write(tmp_path / "k.jsonl", header, **beside))
    (track,) = recording.tracks
    assert (track.person, recording.rate, recording.size) == (7, 50, SIZE)
    assert track.frames[[0, -1]].tolist() == [FIRST, FIRST + STEP * (len(FILM) - 1)]
    assert np.abs(track.values[::STEP, :, :2] - FILM[:, 0]).max() < files.EXACT


@pytest.mark.parametrize("rate", ["0/0", "abc", "1/2/3", "nan"])
def test_texts_that_are_no_rate(rate: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"a rate of {rate} frames a second is none"):
        read(_write(tmp_path / "k.jsonl", HEADER | {"fps": rate}))


@pytest.mark.parametrize(
    ("beside", "found"), [({"confidence": None}, True), ({"score": None}, False)]
)
def test_a_confidence(beside: dict[str, Any], found: bool, tmp_path: Path) -> None:
    """Of several the one that is known; where none is, the keypoint was not found."""
    frames = [{"people": [{"keypoints": _points(n)}]} for n in range(3)]
    frames[1]["people"][0]["keypoints"][9] |= beside
    path = files.dump(tmp_path / "k.json", frames)
    (track,) = read(path, size=SIZE).tracks
    assert np.isfinite(track.values[1, 9, 0]) == found


def test_images_without_a_size(tmp_path: Path) -> None:
    document = files.coco_annotations(FILM)
    for image in document["images"]:
        image |= {"width": None, "height": None}
    path = files.dump(tmp_path / "c.json", document)
    assert read(path, size=SIZE).size == SIZE


POSETRACK = [
    *("nose", "head_bottom", "head_top", "left_ear", "right_ear"),
    *("left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist"),
    *("left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle"),
]


def test_the_limbs_of_coco_and_another_head(tmp_path: Path) -> None:
    """PoseTrack's names: its head's ends stand where COCO has eyes."""
    document = files.coco_annotations(FILM)
    document["categories"] = [{"id": 1, "name": "person", "keypoints": POSETRACK}]
    with pytest.raises(InputError, match=r"'nose', 'head_bottom', .*: no layout read here has"):
        read(files.dump(tmp_path / "c.json", document))
