"""Readers of the data sets' files: content, clips, pickles of every protocol, windows."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_set_files import human36m, mpi_test, save_object_npz, save_pickle

from posemamba.data import human36m as reader
from posemamba.data.pose_files import film, read_poses
from posemamba.data.windows import centred_rows, clip_rows, recordings
from posemamba.errors import InputError
from posemamba.files.array_pickle import load_array_pickle
from posemamba.pose.preprocess import normalize_2d


def same(a: Any, b: Any) -> bool:  # noqa: ANN401
    if isinstance(b, np.ndarray) and b.dtype == object:
        b = b.tolist() if b.shape else b.item()
    if isinstance(b, dict):
        return set(a) == set(b) and all(same(a[key], b[key]) for key in b)
    if isinstance(b, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return bool(np.array_equal(a, b))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_of_arrays_are_read(tmp_path: Path, protocol: int) -> None:
    content = {
        "set": human36m(),
        "types": [
            np.arange(6).astype(t).reshape(2, 3)
            for t in ("i1", "u2", "<i4", ">i8", "f2", "f4", ">f8", "?")
        ],
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "names": np.array(["a", "bcd"]),
        "objects": np.array(["x", "yz"], dtype=object),
        "empty": np.zeros((0, 17, 3)),
        "numbers": (np.float32(1.5), np.int64(-3), np.bool_(True)),
    }
    assert same(load_array_pickle(save_pickle(tmp_path / "p.pkl", content, protocol)), content)


def test_names_of_numpy_1_are_known(tmp_path: Path) -> None:
    """The files in the wild were written by NumPy 1, whose module has another name."""
    content = save_pickle(tmp_path / "p.pkl", human36m(), 2).read_bytes()
    assert b"numpy._core" in content
    old = content.replace(b"numpy._core", b"numpy.core")
    (tmp_path / "old.pkl").write_bytes(old)
    assert same(load_array_pickle(tmp_path / "old.pkl"), human36m())


class Runs:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.path, "ran")


def test_nothing_is_run(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    for number, content in enumerate(
        (Runs(mark), {"train": Runs(mark)}, [np.array([Runs(mark)], dtype=object)])
    ):
        path = save_pickle(tmp_path / f"{number}.pkl", content)
        with pytest.raises(InputError, match="nothing was run"):
            load_array_pickle(path)
    path = save_object_npz(tmp_path / "x.npz", {"TS1": Runs(mark)})
    from posemamba.data.mpi_inf_3dhp import read_test

    with pytest.raises(InputError, match="nothing was run"):
        read_test(path)
    assert not mark.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"cnumpy\ndtype\n(S'V8'\nI0\nI1\ntR.",  # raw memory
        b"cnumpy\ndtype\n(S'f8'\nI0\nI1\ntR(I3\nS'<'\nN(S'a'\ntNI8\nI8\nI0\ntb.",  # fields
        b"c_codecs\nencode\n(S'a'\nS'zip'\ntR.",
        b"cos\nsystem\n(S'true'\ntR.",
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"cnumpy\nfromfile\n.",
    ],
)
def test_other_names_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "p.pkl").write_bytes(content)
    with pytest.raises(InputError, match="refused"):
        load_array_pickle(tmp_path / "p.pkl")


def test_every_truncation_is_one_error(tmp_path: Path) -> None:
    content = save_pickle(tmp_path / "p.pkl", human36m()).read_bytes()
    for length in range(0, len(content), max(1, len(content) // 200)):
        (tmp_path / "cut.pkl").write_bytes(content[:length])
        with pytest.raises(InputError, match="truncated"):
            load_array_pickle(tmp_path / "cut.pkl")


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
    assert same(train.keypoints_px, content["train"]["joint_2d"].astype(np.float64))
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


def test_windows() -> None:
    sources = ["a"] * 7 + ["b"] * 3 + ["c"] * 5
    assert recordings(sources) == [("a", 0, 7), ("b", 7, 10), ("c", 10, 15)]
    rows = clip_rows(sources, 5, 2)
    assert rows[:, 0].tolist() == [0, 2, 7, 10]
    assert rows[2].tolist() == [7, 7, 8, 8, 9]  # floor(i * 3 / 5)
    assert centred_rows(4, 3).tolist() == [[0, 0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 3]]
    assert centred_rows(3, 4)[:, 1].tolist() == [0, 1, 2]
    for bad in ((0, 1), (1, 0)):
        with pytest.raises(InputError, match="at least 1"):
            clip_rows(sources, *bad)
    with pytest.raises(InputError, match="one name a frame"):
        clip_rows([], 5, 2)
    with pytest.raises(InputError, match="at least 1"):
        centred_rows(0, 3)
