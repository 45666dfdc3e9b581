"""``.gif`` and ``.png``, opened by Pillow: size, pace, and that people are where they should be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from motions import motion
from PIL import Image

from posemamba_runtime.outputs import write
from posemamba_runtime.outputs.picture import PAPER, Painter


def pages(path: Path) -> list[np.ndarray]:
    with Image.open(path) as picture:
        found = []
        for index in range(getattr(picture, "n_frames", 1)):
            picture.seek(index)
            found.append(np.asarray(picture.convert("RGB")))
        return found


@pytest.mark.parametrize(
    ("rate", "frames", "pictures", "seconds"),
    [
        (30.0, 40, 20, 40 / 30),
        (60.0, 60, 20, 1.0),
        (25.0, 25, 25, 1.0),
        (10.0, 5, 5, 0.5),
        (1 / 3600, 3, 3, 3 * 655.35),
    ],  # the longest a picture may last
)
def test_gif_keeps_time(
    rate: float, frames: int, pictures: int, seconds: float, tmp_path: Path
) -> None:
    path = write(tmp_path / "walk.gif", replace(motion(frames), rate=rate))[0]
    with Image.open(path) as picture:
        assert picture.n_frames == pictures  # type: ignore[attr-defined]
        delays = []
        for index in range(pictures):
            picture.seek(index)
            delays.append(picture.info["duration"])
        assert picture.info["loop"] == 0
    assert sum(delays) == pytest.approx(1000 * seconds, abs=10)  # GIF holds hundredths
    assert min(delays) >= 40  # browsers slow down what is faster than 20 ms


def test_gif_moves_on_both_sides(tmp_path: Path) -> None:
    found = pages(write(tmp_path / "walk.gif", motion())[0])
    half = found[0].shape[1] // 2
    assert (found[0][:, :half] != found[10][:, :half]).any(), "keypoints move"
    assert (found[0][:, half:] != found[10][:, half:]).any(), "the pose turns"
    assert (found[0][0, 0] == PAPER).all()


def test_a_still_pose_turns(tmp_path: Path) -> None:
    one = motion(40).tracks[0]
    still = replace(one, poses_3d=np.repeat(one.poses_3d[:1], 40, axis=0))
    found = pages(write(tmp_path / "walk.gif", replace(motion(), tracks=(still,)))[0])
    half = found[0].shape[1] // 2
    assert (found[0][:, half:] != found[12][:, half:]).any()


@pytest.mark.parametrize(("frames", "columns"), [(1, 1), (3, 3), (5, 5), (40, 5)])
def test_png_has_a_column_per_frame(frames: int, columns: int, tmp_path: Path) -> None:
    (picture,) = pages(write(tmp_path / "walk.png", motion(frames))[0])
    assert picture.shape[1] == 260 * columns
    assert (picture != PAPER).any()


def test_the_person_is_drawn_where_the_pose_says() -> None:
    """From the camera's side: left limbs (blue) right of the right ones (orange), head on top."""
    picture = np.asarray(Painter(motion(1), 320, 360).poses(0, 0.0)).astype(int)
    blue = np.argwhere(picture[..., 2] - picture[..., 0] > 100)
    orange = np.argwhere(picture[..., 0] - picture[..., 2] > 150)
    dark = np.argwhere(picture.max(-1) < 110)
    assert blue[:, 1].mean() > orange[:, 1].mean()
    assert dark[:, 0].min() < min(blue[:, 0].min(), orange[:, 0].min())


def test_several_persons_have_their_colours() -> None:
    picture = np.asarray(Painter(motion(9, people=2), 320, 360).poses(7, 0.3)).astype(int)
    assert (picture[..., 2] - picture[..., 0] > 100).sum() > 50
    assert (picture[..., 0] - picture[..., 2] > 150).sum() > 50
