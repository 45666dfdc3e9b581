"""Pictures of clips: both sides are drawn, nothing else is left, wrong requests are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from posemamba.draw.skeleton import draw_comparison
from posemamba.errors import InputError
from posemamba.pose.clips import bundled_clips


def test_drawing_is_a_picture_and_leaves_nothing_else(tmp_path: Path) -> None:
    clip = bundled_clips()["balancing_cam1"]
    pose = np.concatenate([clip, clip[..., :1]], axis=-1)
    draw_comparison(clip, pose, tmp_path / "p.png", "title")
    assert [path.name for path in tmp_path.iterdir()] == ["p.png"]
    from matplotlib.image import imread

    image = imread(tmp_path / "p.png")[..., :3]
    assert min(image.shape[:2]) > 500
    # Both sides' colours are there, in the upper half (2D) and in the lower (3D).
    for half in np.array_split(image, 2):
        for colour in ((0, 114, 178), (213, 94, 0)):
            near = np.abs(half - np.array(colour) / 255).max(axis=-1) < 0.02
            assert near.sum() > 100


@pytest.mark.parametrize(
    ("name", "frames", "words"),
    [
        ("missing/p.png", None, "does not exist: create it"),
        ("", None, "is a directory"),
        ("p.docx", None, "use .png"),
        ("p.png", [100], r"frames \[100\] of 100"),
        ("p.png", [], "name frames that exist"),
    ],
)
def test_drawing_refuses(tmp_path: Path, name: str, frames: list[int] | None, words: str) -> None:
    clip = bundled_clips()["balancing_cam1"]
    with pytest.raises(InputError, match=words) as error:
        draw_comparison(clip, np.zeros((100, 17, 3)), tmp_path / name, "title", frames)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_the_pose_is_seen_from_aside_and_its_axes_have_units() -> None:
    """From the camera, at elevation 0 and azimuth -90, it would be the 2D input again."""
    from posemamba.draw.figures import new_figure
    from posemamba.draw.skeleton import _Scene

    poses = np.random.default_rng(0).normal(size=(2, 17, 3))
    space = new_figure(3, 3).add_subplot(projection="3d")
    _Scene(poses[..., :2], poses, None).draw_deep(space, 0, [0, 1])
    assert abs(space.azim + 90) >= 30
    labels = [getattr(space, f"get_{axis}label")() for axis in "xyz"]
    assert all("units" in label for label in labels), labels
    assert all(len(getattr(space, f"get_{axis}ticks")()) >= 2 for axis in "xyz")
