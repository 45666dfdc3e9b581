"""The matrices of the layouts against training's sums, and completion against its gap filling."""

from __future__ import annotations

import keypoint_files as files
import numpy as np
import pytest
from float64_tolerance import check

from posemamba.pose.keypoints import detections_to_h36m, to_h36m
from posemamba_runtime.keypoints.complete import complete
from posemamba_runtime.keypoints.layouts import LAYOUTS
from posemamba_runtime.keypoints.recording import PersonTrack
from posemamba_runtime.skeleton import JOINT_NAMES


def _track(points: files.Array, frames: list[int] | None = None) -> PersonTrack:
    numbers = np.array(frames or range(len(points)))
    values = np.concatenate([points, np.ones((*points.shape[:2], 1))], axis=-1)
    values[np.isnan(points[..., 0])] = np.nan
    return PersonTrack(0, numbers, numbers / 30, values)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_matrices_are_the_sums(layout: str) -> None:
    points = np.random.default_rng(0).uniform(0, 1000, (3, len(LAYOUTS[layout].joints), 2))
    mine = np.stack([points[..., a] @ LAYOUTS[layout].matrices()[a].T for a in range(2)], -1)
    check(mine, to_h36m(points, layout), largest=1000)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_gaps_are_filled_as_in_training(layout: str) -> None:
    points = np.random.default_rng(1).uniform(0, 1000, (40, len(LAYOUTS[layout].joints), 2))
    points[np.random.default_rng(2).random(points.shape[:2]) < 0.3] = np.nan
    whole = complete(_track(points), layout)
    (stretch,) = whole.stretches
    assert np.abs(stretch.points - detections_to_h36m(points, layout)).max() < files.EXACT
    assert not whole.placed
    assert not whole.lost


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name != "h36m17"])
def test_faces_never_seen_take_the_stand_ins(layout: str) -> None:
    points = np.random.default_rng(1).uniform(0, 1000, (5, len(LAYOUTS[layout].joints), 2))
    points[:, list(LAYOUTS[layout].joints).index("nose")] = np.nan
    (stretch,) = complete(_track(points), layout).stretches
    assert np.abs(stretch.points - detections_to_h36m(points, layout)).max() < files.EXACT
    assert stretch.filled[:, JOINT_NAMES.index("nose")].all()


def test_filled_marks_what_was_not_seen() -> None:
    film = files.film("coco17", 6)[:, 0]
    film[2, 9] = np.nan  # left wrist
    film[4, 11] = np.nan  # left hip, of which root and belly are made too
    whole = complete(_track(film), "coco17")
    (stretch,) = whole.stretches
    marked = [(f, JOINT_NAMES[j]) for f, j in zip(*np.nonzero(stretch.filled), strict=True)]
    assert marked == [(2, "left_wrist"), (4, "root"), (4, "left_hip"), (4, "belly")]
    assert (np.isnan(whole.keypoints_2d[..., 0]) == stretch.filled).all()


def test_legs_never_seen_hang_below_the_hips() -> None:
    film = files.film("coco17", 6)[:, 0]
    film[:, 13:] = np.nan
    whole = complete(_track(film), "coco17")
    (stretch,) = whole.stretches
    assert whole.placed == ("left_knee", "right_knee", "left_ankle", "right_ankle")
    hip, knee, ankle = (JOINT_NAMES.index(f"left_{name}") for name in ("hip", "knee", "ankle"))
    assert (stretch.points[:, hip, 0] == stretch.points[:, ankle, 0]).all()
    assert (np.diff(stretch.points[:, [hip, knee, ankle], 1], axis=1) > 50).all()
    assert stretch.filled[:, [knee, ankle]].all()


def test_without_hips_nothing_is_invented() -> None:
    film = files.film("coco17", 6)[:, 0]
    film[:, 11:] = np.nan
    whole = complete(_track(film), "coco17")
    assert whole.stretches == ()
    assert whole.lost == (
        ("left_hip, right_hip, left_knee, right_knee, ... not found in any frame", 6),
    )


def test_a_long_gap_makes_two_stretches() -> None:
    film = files.film("coco17", 10)[:, 0]
    whole = complete(_track(film, [*range(5), *range(50, 55)]), "coco17")
    assert [s.frames.tolist() for s in whole.stretches] == [list(range(5)), list(range(50, 55))]
