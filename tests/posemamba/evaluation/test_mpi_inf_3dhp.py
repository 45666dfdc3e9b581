"""MPI-INF-3DHP's protocol against a slow, independent one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_set_files import mpi_test, mpi_train, save_object_npz
from float64_tolerance import ROUNDING

from posemamba.data import mpi_inf_3dhp as mpi
from posemamba.evaluation import evaluate_3dhp
from posemamba.pose.lift import Floats
from posemamba.skeleton import JOINT_NAMES, LIMB_INDEX

# The test-set release's joint groups: head top, neck and the limbs.
COUNTED = list(range(14))


def lift(keypoints_2d: Floats) -> Floats:
    """The middle frame's result depends on the first frame and on the side."""
    depth = keypoints_2d[..., :1] * 0.3 + keypoints_2d[:, :1, :, 1:]
    return np.concatenate([keypoints_2d * 0.2, depth * 0.2], axis=-1).astype(np.float32)


def own_order(h36m: Any) -> Any:
    """Human3.6M's order to the data set's, by the joints' names."""
    names = dict(pelvis="root", spine="belly", head="nose", head_top="head")
    return np.stack([h36m[JOINT_NAMES.index(names.get(n, n))] for n in mpi.JOINT_NAMES])


@pytest.mark.parametrize("frames", [1, 3, 27])
def test_against_a_slow_one(tmp_path: Path, frames: int) -> None:
    content = mpi_test()
    report = evaluate_3dhp(
        lift, save_object_npz(tmp_path / "t.npz", content), frames=frames, flip=False
    )
    everything = []
    for name, part in content.items():
        w, h = (1920, 1080) if name in ("TS5", "TS6") else (2048, 2048)
        n = len(part["data_2d"])
        errors = []
        for t in range(n):
            if not part["valid"][t]:
                continue
            window = [min(max(i, 0), n - 1) for i in range(t - frames // 2, t + frames // 2 + 1)]
            points = (part["data_2d"][window] / w * 2 - [1, h / w]).astype(np.float32)
            ordered = points[:, list(mpi.TO_H36M)]
            pose = own_order(lift(ordered[None])[0, frames // 2].astype(float)) * w / 2
            pose[14] = 0
            truth = part["data_3d"][t] - part["data_3d"][t][14]
            errors.append(np.linalg.norm(pose - truth, axis=1))
        everything += errors
        found, judged = report.sequences[name], np.array(errors)
        assert found.frames == len(errors)
        assert found.mpjpe == pytest.approx(judged.mean(), rel=ROUNDING)
        assert found.pck == pytest.approx((judged[:, COUNTED] < 150).mean() * 100)
    judged = np.array(everything)  # float64, as the report's
    curve = [(judged[:, COUNTED] < limit).mean() * 100 for limit in range(0, 151, 5)]
    assert report.overall.mpjpe == pytest.approx(judged.mean(), rel=ROUNDING)
    assert report.overall.auc == pytest.approx(np.mean(curve))
    assert 0 < report.overall.pck < 100


def test_by_hand(tmp_path: Path) -> None:
    """Zero poses: each joint's error is its distance from the pelvis."""
    n = 5
    pose = np.zeros((n, 17, 3))
    pose[:, 0, 1] = 151.0  # head top: beyond 150
    pose[:, 2, 0] = 149.0  # a shoulder: within
    pose[:, 15] = 1000.0  # the spine counts for MPJPE alone
    part = {"data_2d": np.full((n, 17, 2), 1024.0), "data_3d": pose, "valid": np.ones((n, 1))}
    path = save_object_npz(tmp_path / "t.npz", {"TS1": part})
    report = evaluate_3dhp(
        lambda x: np.zeros((*x.shape[:3], 3), np.float32), path, frames=3, flip=True
    )
    assert report.overall.mpjpe == pytest.approx((151 + 149 + 1000 * 3**0.5) / 17)
    assert report.overall.pck == pytest.approx(13 / 14 * 100)
    # Twelve joints within all thresholds but 0, one (149 mm) within 150 alone, one within none.
    assert report.overall.auc == pytest.approx((12 * 30 / 31 + 1 / 31) / 14 * 100)
    assert report.to_dict()["sequences"] == {"TS1": report.overall.to_dict()}
    assert "PCK@150" in report.table()


def test_flip_averages_both_sides(tmp_path: Path) -> None:
    path = save_object_npz(tmp_path / "t.npz", mpi_test())
    plain = evaluate_3dhp(lift, path, frames=3, flip=False)
    both = evaluate_3dhp(lift, path, frames=3, flip=True)
    assert plain.overall.mpjpe != pytest.approx(both.overall.mpjpe, rel=1e-6)


def test_limb_list_is_remapped_by_name() -> None:
    names = dict(root="pelvis", belly="spine", nose="head", head="head_top")
    for joint, name in enumerate(JOINT_NAMES):
        own = mpi.JOINT_NAMES.index(names.get(name, name))
        neighbour = JOINT_NAMES[LIMB_INDEX[joint]]
        assert mpi.JOINT_NAMES[mpi.LIMB_INDEX[own]] == names.get(neighbour, neighbour)
    assert mpi.LIMB_INDEX != LIMB_INDEX


def test_networks_of_the_own_order_speak_h36m() -> None:
    rng = np.random.default_rng(0)
    keypoints = rng.normal(size=(2, 3, 17, 2)).astype(np.float32)
    seen = []

    def record(own: Floats) -> Floats:
        seen.append(own)
        return np.concatenate([own, own[..., :1]], axis=-1)

    poses = mpi.from_own_order(record)(keypoints)
    np.testing.assert_array_equal(poses[..., :2], keypoints)  # there and back
    np.testing.assert_array_equal(seen[0][..., 14, :], keypoints[..., 0, :])  # pelvis is the root


def test_training_clips(tmp_path: Path) -> None:
    content = mpi_train()
    recordings = mpi.read_train(save_object_npz(tmp_path / "t.npz", content))
    clips = mpi.clip_set(recordings, 27, 9)
    # 40 frames: clips at 0 and 9; 20 frames: one, stretched. Two cameras each.
    assert len(clips) == 2 * (2 + 1)
    assert clips.names[:2] == ("S1 Seq1/0/0", "S1 Seq1/0/9")
    source = content["S1 Seq1"][0]["0"]
    right_knee = source["data_3d"][9:36, 9] - source["data_3d"][9:36, 14]
    np.testing.assert_allclose(  # float32 of values of hundreds
        clips.poses_3d[1, :, 2] * clips.mm_per_unit[1], right_knee, rtol=1e-5, atol=1e-3
    )
