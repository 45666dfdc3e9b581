"""Readers of the data sets' files: content and clips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from data_set_files import human36m, mpi_test, save_object_npz, save_pickle

from posemamba.data import human36m as reader
from posemamba.data.pose_files import film, read_poses
from posemamba.pose.preprocess import normalize_2d


def test_human36m_clips(tmp_path: Path) -> None:
    content = human36m()
    train, test = reader.clip_sets(save_pickle(tmp_path / "h.pkl", content), 6)
    # Training: every 2 frames of 9 and of 14; test: 9, 7, 12 and 8 frames, none overlapping.
    assert len(train) == 2 + 5
    assert [name.split("/")[2] for name in test.names] == ["0", "9", "16", "22", "28"]
    assert test.names[0] == "s_09_act_02_subact_01/ca_01/0"
    part = content["test"]
    expected = normalize_2d(part["joint_2d"][:6].astype(np.float64), 1000, 1002)
    np.testing.assert_allclose(test.keypoints_2d[0], expected, atol=1e-6)  # float32 near 1
    label = part["joint3d_image"][9:15]
    np.testing.assert_allclose(
        test.poses_3d[1], (label - label[:, :1]) / 500.0, atol=1e-6, err_msg="z too by the width"
    )
    assert test.mm_per_unit[1] == pytest.approx(np.mean(part["2.5d_factor"][9:15]) * 500.0)
    # The made-up bodies of both splits are alike, so the estimate is near the test split's scale.
    assert train.mm_per_unit.mean() == pytest.approx(test.mm_per_unit.mean(), rel=0.15)


def test_human36m_training_split_needs_no_actions(tmp_path: Path) -> None:
    """Listings of the field's file differ in whether its training split has them."""
    content = human36m()
    del content["train"]["action"]
    train, test = reader.read_human36m(save_pickle(tmp_path / "p.pkl", content))
    np.testing.assert_array_equal(train.keypoints_px, content["train"]["joint_2d"])
    assert list(test.actions) == content["test"]["action"]


def test_mpi_test_clips(tmp_path: Path) -> None:
    from posemamba.data.mpi_inf_3dhp import clip_set, read_test

    path = save_object_npz(tmp_path / "t.npz", mpi_test())
    recordings_ = read_test(path)
    assert [r.mm_per_unit for r in recordings_] == [1024.0, 960.0, 960.0]
    assert [int(r.valid.sum()) for r in recordings_] == [7, 5, 3]
    clips = clip_set(recordings_, 4, 4)
    assert clips.names == ("TS1/0/0", "TS1/0/4", "TS5/0/0", "TS6/0/0")


def test_amass_motions_are_filmed_upright(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    motion = rng.normal(0, 0.3, (17, 20, 3)) + np.array([0.0, 0.0, 1.0])
    motion[0] = [0.0, 0.0, 1.0]
    motion[10] = [0.0, 0.0, 1.8]  # the head, above
    path = save_pickle(tmp_path / "a.pkl", [motion, motion[:, :5]])
    clips = film(read_poses(path), 8, 4, 0)
    assert clips.names == (
        "motion0/camera0/0", "motion0/camera1/4", "motion0/camera2/8", "motion0/camera3/12",
        "motion1/camera4/0",
    )  # fmt: skip
    assert (clips.keypoints_2d[:, :, 10, 1] < clips.keypoints_2d[:, :, 0, 1]).all()  # y is down
    head = np.linalg.norm(clips.poses_3d[:, :, 10], axis=-1) * clips.mm_per_unit[:, None]
    np.testing.assert_allclose(head, 800, rtol=1e-5)
    # Not mirrored: the sign of a triple product survives the change of axes.
    world = motion.swapaxes(0, 1)[0] - motion[0, 0]
    triple = np.linalg.det(world[[1, 2, 3]])
    seen = np.linalg.det(clips.poses_3d[0, 0, [1, 2, 3]].astype(np.float64))
    assert np.sign(triple) == np.sign(seen)


@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_plain_arrays(tmp_path: Path, suffix: str) -> None:
    poses = np.random.default_rng(0).uniform(0, 1, (12, 17, 3))
    path = tmp_path / f"walk.{suffix}"
    if suffix == "npy":
        np.save(path, poses)
    else:
        np.savez(path, walk=poses)
    ((name, found),) = read_poses(path)
    assert name == "walk"
    np.testing.assert_array_equal(found, poses)
