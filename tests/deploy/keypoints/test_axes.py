"""Nested lists whose outer axis is people and not time: a crowd in each of a few frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keypoint_files as files
import numpy as np
import pytest

from posemamba_runtime.keypoints import InputError, read

SIZE = (files.WIDTH, files.HEIGHT)
FILM = files.film("coco17", 40, people=2).transpose(1, 0, 2, 3)  # (people, frames, ...)

WRONG: dict[str, Any] = {
    "two people": FILM.tolist(),
    "one person": FILM[:1].tolist(),
    "few frames": FILM[:1, :5].tolist(),
    "under a key": {"poses": FILM.tolist()},
    "by name": {"person1": FILM[0].tolist(), "person2": FILM[1].tolist()},
    "flat": {str(who): [files.triples(points) for points in FILM[who]] for who in range(2)},
    "MediaPipe's": [[files.mediapipe_landmarks(one[0]) for one in files.film("mediapipe33", 40)]],
}


@pytest.mark.parametrize("name", WRONG)
def test_time_is_not_taken_for_people(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"people in a frame, each where the one before is"):
        read(files.dump(tmp_path / "k.json", WRONG[name]), size=SIZE)


@pytest.mark.parametrize("shown", [(2, 40), (1, 40), (2, 1)], ids=str)
def test_frames_of_people(shown: tuple[int, int], tmp_path: Path) -> None:
    people, frames = shown
    film = FILM[:people, :frames].transpose(1, 0, 2, 3)
    tracks = read(files.dump(tmp_path / "k.json", film.tolist()), size=SIZE).tracks
    assert [len(track.frames) for track in tracks] == [frames] * people


def test_a_crowd_in_a_picture(tmp_path: Path) -> None:
    """A dozen people in a row stand apart."""
    row = [FILM[0, 0] + [80.0 * place - 300.0, 0.0] for place in range(12)]
    path = files.dump(tmp_path / "k.json", [np.array(row).tolist()])
    assert len(read(path, size=SIZE).tracks) == 12
