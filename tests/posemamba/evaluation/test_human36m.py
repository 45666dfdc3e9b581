"""Human3.6M's protocol against a slow, independent one, and against numbers worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_set_files import CAMERAS, human36m, save_pickle
from float64_tolerance import ROUNDING

from posemamba.evaluation import evaluate_h36m
from posemamba.pose.lift import Floats
from posemamba.pose.preprocess import flip, normalize_2d

WIDTHS = {name: (1000, 1002 if name in ("54138969", "60457274") else 1000) for name in CAMERAS}


def lift(keypoints_2d: Floats) -> Floats:
    """Not symmetric, depends on the frame's place in its clip, and leaves the root off 0."""
    place = np.linspace(0.0, 0.1, keypoints_2d.shape[1])[None, :, None, None]
    depth = 0.3 * keypoints_2d[..., :1] ** 2 - keypoints_2d[..., 1:] + place
    return np.concatenate([keypoints_2d * 1.1 + place, depth], axis=-1).astype(np.float32)


def aligned_error(pose: Any, goal: Any) -> float:
    """P-MPJPE of one frame by Kabsch's algorithm, its own way round."""
    a, b = pose - pose.mean(0), goal - goal.mean(0)
    u, s, vt = np.linalg.svd(b.T @ a)
    d = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    rotation = u @ np.diag(d) @ vt
    scale = (s * d).sum() / (a * a).sum()
    return float(np.linalg.norm(scale * a @ rotation.T - b, axis=1).mean())


def slow(content: Any, frames: int, *, gt: bool, flipped: bool) -> dict[str, tuple[float, float]]:
    test = content["test"]
    n = len(test["source"])
    errors: dict[int, list[tuple[float, float]]] = {}
    start = 0
    while start < n:
        end = start
        while end < n and test["source"][end] == test["source"][start]:
            end += 1
        length = end - start
        clips = [list(range(i, i + frames)) for i in range(start, end - frames + 1, frames)]
        if length < frames:
            clips = [[start + i * length // frames for i in range(frames)]]
        for clip in clips:
            if test["source"][start][:-6] == "s_09_act_05_subact_02":
                continue
            points = []
            for row in clip:
                w, h = WIDTHS[test["camera_name"][row]]
                label = test["joint3d_image"] if gt else test["joint_2d"]
                points.append(normalize_2d(label[row][:, :2], w, h))
            x = np.array(points, dtype=np.float32)[None]
            y = lift(x)
            if flipped:
                y = (y + flip(lift(flip(x)))) / 2
            y[:, :, 0] = 0
            if gt:
                y[..., :2] = x
            for row, pose in zip(clip, y[0].astype(float), strict=True):
                w, h = WIDTHS[test["camera_name"][row]]
                pixels = (pose + np.array([1, h / w, 0])) * w / 2
                mm = pixels * test["2.5d_factor"][row]
                mm -= mm[:1]
                truth = test["joints_2.5d_image"][row] - test["joints_2.5d_image"][row][:1]
                p1 = float(np.linalg.norm(mm - truth, axis=1).mean())
                errors.setdefault(row, []).append((p1, aligned_error(mm, truth)))
        start = end
    actions: dict[str, list[Any]] = {}
    for row, found in errors.items():
        actions.setdefault(test["action"][row], []).append(np.mean(found, axis=0))
    return {name: tuple(np.mean(found, axis=0)) for name, found in actions.items()}


@pytest.mark.parametrize(
    "frames", [4, 8]
)  # 8: a recording of 7 frames is skipped, 9 gives one clip
@pytest.mark.parametrize("gt", [False, True])
@pytest.mark.parametrize("flipped", [False, True])
def test_against_a_slow_one(tmp_path: Path, frames: int, gt: bool, flipped: bool) -> None:
    content = human36m()
    path = save_pickle(tmp_path / "h.pkl", content)
    done: list[int] = []
    report = evaluate_h36m(
        lift, path, use_ground_truth_2d=gt, flip=flipped, frames=frames, on_progress=done.append
    )
    expected = slow(content, frames, gt=gt, flipped=flipped)
    assert set(report.p1) == set(expected)
    for name, (p1, p2) in expected.items():
        # Float64 from the network's output on, in another order of sums.
        assert report.p1[name] == pytest.approx(p1, rel=ROUNDING)
        assert report.p2[name] == pytest.approx(p2, rel=ROUNDING)
    assert report.mpjpe == pytest.approx(np.mean([p1 for p1, _ in expected.values()]), rel=ROUNDING)
    assert report.p_mpjpe == pytest.approx(
        np.mean([p2 for _, p2 in expected.values()]), rel=ROUNDING
    )
    assert sum(done) > 0
    assert report.frames + report.skipped_frames == len(content["test"]["source"])


def test_short_recordings_count_each_frame_once(tmp_path: Path) -> None:
    """12 frames wanted of 9 and 8: repeated frames are averaged, not counted twice."""
    path = save_pickle(tmp_path / "h.pkl", human36m())
    report = evaluate_h36m(lift, path, flip=False, frames=12)
    assert report.frames == 9 + 12 + 8
    assert report.p1["Action 02"] == pytest.approx(
        slow(human36m(), 12, gt=False, flipped=False)["Action 02"][0], rel=ROUNDING
    )


def test_by_hand(tmp_path: Path) -> None:
    """A perfect prediction but for one joint, off by a known number of pixels."""
    content = human36m()
    test = content["test"]
    for row in range(len(test["source"])):
        test["joint3d_image"][row] -= test["joint3d_image"][row][0] * [0, 0, 1]  # root at depth 0
        test["2.5d_factor"][row] = np.float64(4.0)
        test["joints_2.5d_image"][row] = test["joint3d_image"][row] * 4.0
    path = save_pickle(tmp_path / "h.pkl", content)
    truth = test["joint3d_image"]
    unit = (truth - truth[:, :1]) / 500.0
    rows = iter([*range(0, 8), *range(16, 24), *range(28, 36)])

    def perfect(keypoints_2d: Floats) -> Floats:
        out = np.stack([[unit[next(rows)] for _ in range(8)] for _ in keypoints_2d])
        out[:, :, 5, 2] += 17.0 / 500.0  # 17 px of one joint: 68 mm, over 17 joints 4 mm
        return out.astype(np.float32)

    report = evaluate_h36m(perfect, path, flip=False, frames=8)
    assert report.p1 == {
        "Action 02": pytest.approx(4.0, abs=1e-3),  # float32 of values near 1: 0.1 um times 2000
        "Action 03": pytest.approx(4.0, abs=1e-3),
    }
    assert 0.0 < report.p_mpjpe < 68.0


def test_report_says_what_it_is(tmp_path: Path) -> None:
    path = save_pickle(tmp_path / "h.pkl", human36m())
    plain = evaluate_h36m(lift, path, flip=False, frames=4)
    assert "overwritten" not in plain.table()
    assert "2 actions, not 15" in plain.table()
    quirk = evaluate_h36m(lift, path, flip=False, frames=4, use_ground_truth_2d=True)
    assert "errors of depth alone" in quirk.table()
    figures = quirk.to_dict()
    assert figures["use_ground_truth_2d"] is True
    assert "errors of depth alone" in str(figures["note"])
    assert figures["mpjpe_mm"] == quirk.mpjpe
    assert "mean of 2" in quirk.table()
