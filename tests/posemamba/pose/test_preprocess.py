"""Scaling, cutting and mirroring: each has an inverse, and the inverse must give back the input."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from float64_tolerance import check
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from posemamba.errors import InputError
from posemamba.pose.preprocess import (
    clip_starts,
    denormalize_2d,
    flip,
    flip_tta,
    merge_clips,
    normalize_2d,
    resample,
    split_clips,
)
from posemamba.skeleton import JOINT_NAMES

Array = npt.NDArray[np.float64]
seeds = st.integers(0, 2**32 - 1)
sides = st.integers(16, 8192)


def test_normalisation_is_the_published_formula() -> None:
    corners = np.array([[0.0, 0.0], [1000.0, 1002.0], [500.0, 501.0]])
    expected = [[-1.0, -1.002], [1.0, 1.002], [0.0, 0.0]]
    check(normalize_2d(corners, 1000, 1002), expected)


@given(seeds, sides, sides)
def test_normalise_and_back(seed: int, width: int, height: int) -> None:
    points = np.random.default_rng(seed).uniform(-50, 8192, (3, 17, 2))
    back = denormalize_2d(normalize_2d(points, width, height), width, height)
    np.testing.assert_allclose(back, points, atol=1e-8)  # float64 at 8192 pixels


def test_types_are_kept() -> None:
    assert normalize_2d(np.zeros((1, 2), np.float32), 10, 10).dtype == np.float32
    assert normalize_2d(np.zeros((1, 2), np.int64), 10, 10).dtype == np.float64
    assert resample(np.zeros((3, 17, 2), np.float32), 5).dtype == np.float32
    assert split_clips(np.zeros((3, 17, 2), np.float32), 2).dtype == np.float32
    assert merge_clips(np.zeros((2, 2, 17, 3), np.float32), 3).dtype == np.float32


@pytest.mark.parametrize(("width", "height"), [(0, 10), (10, -1), (float("nan"), 5)])
def test_image_without_area(width: float, height: float) -> None:
    with pytest.raises(InputError, match="give width and height in pixels"):
        normalize_2d(np.zeros((1, 2)), width, height)


@given(seeds, st.integers(2, 40), st.integers(1, 60))
def test_linear_resampling_is_exact_on_straight_lines(seed: int, old: int, new: int) -> None:
    start, slope = np.random.default_rng(seed).normal(size=(2, 17, 2))
    line = start + np.linspace(0.0, 1.0, old)[:, None, None] * slope
    expected = start + np.linspace(0.0, 1.0, new)[:, None, None] * slope
    check(resample(line, new), expected)


def test_resampling_by_index_repeats_frames() -> None:
    frames = np.arange(3.0)[:, None]
    assert resample(frames, 7, linear=False)[:, 0].tolist() == [0, 0, 0, 1, 1, 2, 2]
    assert resample(frames, 2, linear=False)[:, 0].tolist() == [0, 1]


@given(seeds, st.integers(1, 60))
def test_resampling_to_the_same_length_changes_nothing(seed: int, frames: int) -> None:
    clip = np.random.default_rng(seed).normal(size=(frames, 2))
    np.testing.assert_array_equal(resample(clip, frames), clip)
    np.testing.assert_array_equal(resample(clip, frames, linear=False), clip)


@given(seeds, st.integers(1, 200), st.integers(1, 60))
def test_split_and_merge(seed: int, total: int, frames: int) -> None:
    sequence = np.random.default_rng(seed).normal(size=(total, 2, 3)).astype(np.float32)
    clips = split_clips(sequence, frames)
    assert clips.shape == (-(-total // frames), min(frames, total), 2, 3)
    # Weighted means of equal float32 values are taken in float64, and so give them back exactly.
    np.testing.assert_array_equal(merge_clips(clips, total), sequence)


@pytest.mark.parametrize(
    ("total", "starts"),
    [(1, [0]), (243, [0]), (244, [0, 1]), (486, [0, 243]), (500, [0, 243, 257])],
)
def test_last_clip_is_full_and_overlaps(total: int, starts: list[int]) -> None:
    assert clip_starts(total) == starts


def test_merge_fades_from_one_clip_to_the_next() -> None:
    clips = np.stack([np.zeros((10, 1)), np.ones((10, 1))])
    merged = merge_clips(clips, 15)[:, 0]
    assert (merged[:5] == 0).all()
    assert (merged[10:] == 1).all()
    assert (np.diff(merged[4:11]) > 0).all()
    assert np.diff(merged).max() < 0.25, "a jump at the seam"


def test_cutting_nothing() -> None:
    with pytest.raises(InputError, match="give"):
        split_clips(np.zeros((0, 17, 2)))
    with pytest.raises(InputError, match="frames is 0"):
        split_clips(np.zeros((5, 17, 2)), 0)
    with pytest.raises(InputError, match="no cut of 40 frames"):
        merge_clips(np.zeros((2, 10, 17, 3)), 40)


@given(seeds, st.sampled_from([2, 3]))
def test_flip_twice_changes_nothing(seed: int, channels: int) -> None:
    pose = np.random.default_rng(seed).normal(size=(2, 5, 17, channels))
    kept = pose.copy()
    np.testing.assert_array_equal(flip(flip(pose)), pose)
    np.testing.assert_array_equal(pose, kept)  # not written to
    tensor = torch.from_numpy(pose)
    assert torch.equal(flip(tensor), torch.from_numpy(flip(pose)))


def test_flip_swaps_sides_and_mirrors_x() -> None:
    pose = np.zeros((17, 2))
    wrist = JOINT_NAMES.index("left_wrist")
    pose[wrist] = [0.5, 0.2]
    flipped = flip(pose)
    assert flipped[JOINT_NAMES.index("right_wrist")].tolist() == [-0.5, 0.2]
    assert flipped[wrist].tolist() == [0.0, 0.0]
    with pytest.raises(InputError, match="17"):
        flip(np.zeros((16, 2)))


def test_flip_augmentation_is_symmetric_and_rooted() -> None:
    weight = torch.randn(17 * 2, 17 * 3, generator=torch.Generator().manual_seed(0))

    def network(keypoints: Tensor) -> Tensor:
        return (keypoints.flatten(-2) @ weight).unflatten(-1, (17, 3))

    keypoints = torch.randn(2, 4, 17, 2, generator=torch.Generator().manual_seed(1))
    poses = flip_tta(network, keypoints)
    assert (poses[..., 0, :] == 0).all()
    mean = (network(keypoints) + flip(network(flip(keypoints)))) / 2
    assert torch.equal(poses[..., 1:, :], mean[..., 1:, :])
    # A mirrored input must give the mirrored pose; float32 sums of 34 terms in another order.
    torch.testing.assert_close(flip_tta(network, flip(keypoints)), flip(poses), atol=1e-5, rtol=0)
