"""Baselines against what they are fitted to, and against a solver of another form."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from demo_baselines import constant_pose, fit_linear

from posemamba.checkpoint.untrained import untrained_network
from posemamba.config import PoseMambaConfig
from posemamba.data.clip_set import ClipSet
from posemamba.errors import InputError
from posemamba.evaluation.clip_sets import clip_errors
from posemamba.model.lift import as_lift
from posemamba.model.network import PoseMamba

CLIPS, FRAMES = 20, 12


def clip_set(poses_3d: np.ndarray, keypoints_2d: np.ndarray) -> ClipSet:
    clips = len(poses_3d)
    return ClipSet(
        keypoints_2d=keypoints_2d.astype(np.float32),
        poses_3d=poses_3d.astype(np.float32),
        mm_per_unit=np.full(clips, 1000.0, dtype=np.float32),
        names=tuple(f"walk/camera/{index}" for index in range(clips)),
    )


def random_keypoints(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(CLIPS, FRAMES, 17, 2))


def affine_truth(keypoints_2d: np.ndarray, shift: int) -> np.ndarray:
    """Poses that are an affine map of the keypoints ``shift`` frames later, held at the end."""
    rng = np.random.default_rng(9)
    weight, bias = rng.normal(size=(34, 51)), rng.normal(size=51)
    later = keypoints_2d[:, np.minimum(np.arange(FRAMES) + shift, FRAMES - 1)]
    return (later.reshape(CLIPS, FRAMES, 34) @ weight + bias).reshape(CLIPS, FRAMES, 17, 3)


@pytest.mark.parametrize(("window", "shift"), [(1, 0), (3, 1), (5, 2), (5, 0)])
def test_an_affine_truth_is_found(window: int, shift: int) -> None:
    train, test = random_keypoints(1), random_keypoints(2)
    poses = affine_truth(train, shift) - affine_truth(train, shift)[..., :1, :]
    expected = affine_truth(test, shift) - affine_truth(test, shift)[..., :1, :]
    lift = fit_linear(clip_set(poses, train), window=window, ridge=0.0)
    found = lift(test.astype(np.float32))
    assert found.dtype == np.float32
    # Inputs and truth are rounded to float32 (6e-8), values reach about 30.
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-4)


def test_a_window_too_short_to_see_the_truth_does_worse() -> None:
    train = random_keypoints(1)
    poses = affine_truth(train, 1) - affine_truth(train, 1)[..., :1, :]
    data = clip_set(poses, train)
    errors = [
        np.abs(fit_linear(data, window=window)(data.keypoints_2d) - data.poses_3d).mean()
        for window in (1, 3)
    ]
    assert errors[1] < 0.1 * errors[0]


def test_ridge_is_least_squares_with_rows_that_pull_to_zero() -> None:
    """The textbook's other form: sqrt(penalty) times unit rows below the features."""
    train = random_keypoints(4)
    poses = random_keypoints(5)[..., :1] * np.ones(3)
    poses -= poses[:, :, :1]
    ridge = 0.3
    lift = fit_linear(clip_set(poses, train), ridge=ridge)
    features = train.astype(np.float32).astype(np.float64).reshape(-1, 34)
    targets = poses.astype(np.float32).astype(np.float64).reshape(-1, 51)
    penalty = ridge * (features**2).sum() / 34
    rows = np.vstack([
        np.hstack([features, np.ones((len(features), 1))]),
        np.sqrt(penalty) * np.eye(34, 35),
    ])  # fmt: skip
    wanted = np.linalg.lstsq(rows, np.vstack([targets, np.zeros((34, 51))]), rcond=None)[0]
    np.testing.assert_allclose(lift.weight, wanted, rtol=0, atol=1e-9)  # float64, well posed


def test_joints_that_always_coincide_do_no_harm() -> None:
    train = random_keypoints(6)
    train[..., 3, :] = train[..., 2, :]
    poses = affine_truth(train, 0) - affine_truth(train, 0)[..., :1, :]
    data = clip_set(poses, train)
    for ridge in (0.0, 1e-4):
        lift = fit_linear(data, ridge=ridge)
        assert np.abs(lift(data.keypoints_2d) - data.poses_3d).mean() < 0.01


def test_constant_pose_is_the_mean_for_any_input() -> None:
    poses = np.random.default_rng(0).normal(size=(CLIPS, FRAMES, 17, 3))
    poses -= poses[:, :, :1]
    lift = constant_pose(clip_set(poses, random_keypoints(0)))
    found = lift(np.zeros((2, 5, 17, 2), dtype=np.float32))
    assert found.shape == (2, 5, 17, 3)
    np.testing.assert_allclose(found[1, 4], poses.mean(axis=(0, 1)), rtol=0, atol=1e-6)
    found[0, 0] = 7.0
    assert np.abs(lift(np.zeros((1, 1, 17, 2), dtype=np.float32))).max() < 7.0


def test_untrained_is_the_seeded_network_and_leaves_the_generator_alone() -> None:
    config = PoseMambaConfig(d_model=8, depth=1, frames=9, d_state=2)
    clip = random_keypoints(3)[:1, :9].astype(np.float32)
    torch.manual_seed(5)
    model = PoseMamba(config).eval()
    state = torch.get_rng_state()
    found = as_lift(untrained_network(config, 5))(clip)
    assert torch.equal(torch.get_rng_state(), state)
    np.testing.assert_array_equal(found, model(torch.from_numpy(clip)).detach().numpy())
    assert np.abs(as_lift(untrained_network(config, 6))(clip) - found).max() > 1e-3


def test_errors_of_a_clip_set_are_in_each_clips_millimetres() -> None:
    """Against sums spelled out; a lifter that is off by a metre of root does not lose by it."""
    keypoints = random_keypoints(7)[:3]
    truth = np.random.default_rng(8).normal(size=(3, FRAMES, 17, 3))
    truth -= truth[:, :, :1]
    scales = np.array([10.0, 100.0, 1000.0])
    data = dataclasses.replace(clip_set(truth, keypoints), mm_per_unit=scales.astype(np.float32))
    offset = np.zeros((FRAMES, 17, 3), dtype=np.float32)
    offset[:, 5, 0] = 0.17  # one joint of 17, so 0.01 on average
    offset[::2, 5, 1] = 0.34
    truths = iter(data.poses_3d)
    found = clip_errors(lambda _: (next(truths) + offset + 1.0)[None], data)
    per_frame = np.linalg.norm(offset, axis=-1).mean(axis=-1)
    assert found["mpjpe_mm"] == pytest.approx(per_frame.mean() * scales.mean(), rel=1e-5)
    # From frame to frame joint 5 jumps by 0.34 to and fro: 0.02 a joint.
    assert found["mpjve_mm"] == pytest.approx(0.02 * scales.mean(), rel=1e-5)
    assert found["p_mpjpe_mm"] > 1.0  # bending one joint is no similarity
    perfect = iter(data.poses_3d)
    zero = clip_errors(lambda _: 3.0 * next(perfect)[None], data)
    assert zero["p_mpjpe_mm"] < 1e-3  # float32 poses of up to some 10 m, aligned in float64
    assert zero["mpjpe_mm"] > 1.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 2}, "window is 2: it must be odd"),
        ({"window": 0}, "window is 0"),
        ({"window": -1}, "window is -1"),
        ({"ridge": -1.0}, "ridge is -1.0"),
        ({"ridge": float("nan")}, "ridge is nan"),
    ],
)
def test_bad_options(options: dict[str, float], message: str) -> None:
    data = clip_set(np.zeros((1, 3, 17, 3)), np.zeros((1, 3, 17, 2)))
    with pytest.raises(InputError, match=message):
        fit_linear(data, **options)
