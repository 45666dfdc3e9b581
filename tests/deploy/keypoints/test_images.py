"""Which frame an image of an annotation file is, and who is who where numbers count no frames."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keypoint_files as files
import numpy as np
import pytest

from posemamba_runtime.keypoints import InputError, Recording, read

SIZE = (files.WIDTH, files.HEIGHT)
FILM = files.film("coco17", 10, people=2)
Images = list[dict[str, Any]]


def _is_the_film(recording: Recording) -> bool:
    """Both people in all frames, whoever is called 0."""
    tracks = sorted(recording.tracks, key=lambda track: float(track.values[0, 0, 0]))
    want = FILM.transpose(1, 0, 2, 3)
    return len(tracks) == 2 and all(
        track.values.shape[0] == len(FILM)
        and np.abs(track.values[..., :2] - one).max() < files.EXACT
        for track, one in zip(tracks, want, strict=True)
    )


def _annotations(path: Path, change: Callable[[Images], object]) -> Path:
    document = files.coco_annotations(FILM)
    change(document["images"])
    return files.dump(path, document)


def _all(**values: Any) -> Callable[[Images], object]:
    return lambda images: [image.update(values) for image in images]


READ: dict[str, Callable[[Images], object]] = {
    "base": _all(),
    "the video's name": _all(file_name="walk.mp4"),
    "no name": lambda images: [image.pop("file_name") for image in images],
    "one video": _all(video_id=3),
    "an image twice": lambda images: images.append(images[0]),
}

REFUSED: dict[str, tuple[Callable[[Images], object], str]] = {
    "two videos": (lambda images: images[-1].update(video_id=4), r"several videos \(4, None\)"),
    "a name twice": (
        lambda images: images[-1].update(file_name=images[0]["file_name"]),
        "several images are called 'v/000000.jpg'",
    ),
    "an id twice": (lambda images: images[-1].update(id=0), "two images have the id 0"),
}


@pytest.mark.parametrize("name", READ)
def test_images_are_frames(name: str, tmp_path: Path) -> None:
    assert _is_the_film(read(_annotations(tmp_path / "a.json", READ[name])))


@pytest.mark.parametrize("name", REFUSED)
def test_images_that_are_no_frames(name: str, tmp_path: Path) -> None:
    change, says = REFUSED[name]
    with pytest.raises(InputError, match=says):
        read(_annotations(tmp_path / "a.json", change))


@pytest.mark.parametrize("step", [1, 33, 1000])
def test_people_are_followed_whatever_numbers_count(step: int, tmp_path: Path) -> None:
    """Names of milliseconds go up by 33: no gaps of 32 frames, over which nobody is known again."""
    results = files.coco_results(FILM)
    for entry in results:
        entry["image_id"] *= step
    assert _is_the_film(read(files.dump(tmp_path / "r.json", results), size=SIZE))
