"""Metrics against values known by construction."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch
from float64_tolerance import ROUNDING
from hypothesis import given, settings
from hypothesis import strategies as st

from posemamba.errors import InputError
from posemamba.pose import metrics

Array = npt.NDArray[np.float64]
seeds = st.integers(0, 2**32 - 1)
ALL: list[Callable[..., object]] = [
    *(metrics.mpjpe, metrics.mpjpe_per_joint, metrics.p_mpjpe, metrics.n_mpjpe),
    *(metrics.velocity_error, metrics.pck, metrics.auc),
]


#: Of errors that should be none, in millimetres, between joints up to two metres off the origin.
NOTHING = 2000 * ROUNDING


def poses(seed: int, frames: int = 6) -> Array:
    return np.random.default_rng(seed).normal(scale=400.0, size=(frames, 17, 3))


def rotations(seed: int, frames: int = 6) -> Array:
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(frames, 3, 3)))
    return q * np.sign(np.linalg.det(q))[:, None, None]  # proper ones


@pytest.mark.parametrize("metric", [metrics.mpjpe, metrics.p_mpjpe, metrics.n_mpjpe,
                                    metrics.velocity_error])  # fmt: skip
def test_perfect_prediction_has_no_error(metric: Callable[[Array, Array], float]) -> None:
    assert metric(poses(0), poses(0)) <= NOTHING


def test_known_offset() -> None:
    target = poses(0)
    predicted = target + np.array([3.0, 4.0, 12.0])  # 13 long
    assert metrics.mpjpe(predicted, target) == pytest.approx(13.0)
    assert metrics.mpjpe_per_joint(predicted, target) == pytest.approx(np.full(17, 13.0))
    assert metrics.velocity_error(predicted, target) <= NOTHING
    assert metrics.p_mpjpe(predicted, target) == pytest.approx(0.0, abs=1e-6)


def test_per_joint_tells_joints_apart() -> None:
    target = poses(0)
    predicted = target.copy()
    predicted[:, 16, 1] += 34.0
    per_joint = metrics.mpjpe_per_joint(predicted[None], target[None])
    assert per_joint[16] == pytest.approx(34.0)
    assert per_joint[:16].max() == 0.0
    assert metrics.mpjpe(predicted, target) == pytest.approx(2.0)


@given(seeds)
def test_procrustes_undoes_a_similarity(seed: int) -> None:
    target = poses(seed)
    rng = np.random.default_rng(seed)
    scale = rng.uniform(0.1, 10.0, (6, 1, 1))
    moved = scale * target @ rotations(seed) + rng.normal(scale=1e3, size=(6, 1, 3))
    # Coordinates of thousands in float64.
    assert metrics.p_mpjpe(moved, target) < 1e-7


@given(seeds)
def test_procrustes_is_the_best_similarity(seed: int) -> None:
    target, predicted = poses(seed), poses(seed + 1)
    aligned = metrics.procrustes_align(predicted, target)
    best = ((aligned - target) ** 2).sum()
    rng = np.random.default_rng(seed)
    centre = aligned.mean(axis=1, keepdims=True)
    for _ in range(5):
        turn, _ = np.linalg.qr(np.eye(3) + rng.normal(scale=0.05, size=(6, 3, 3)))
        turn = turn * np.sign(np.diagonal(turn, axis1=1, axis2=2))[:, None, :]
        other = (aligned - centre) @ turn * rng.uniform(0.9, 1.1) + centre + rng.normal(size=3)
        assert ((other - target) ** 2).sum() >= best


@given(seeds)
def test_procrustes_never_reflects(seed: int) -> None:
    target = poses(seed)
    mirrored = target * [-1.0, 1.0, 1.0]
    aligned = metrics.procrustes_align(mirrored, target)
    # The map from one centred pose to the other has a positive determinant: no mirror image.
    a = mirrored - mirrored.mean(axis=1, keepdims=True)
    b = aligned - aligned.mean(axis=1, keepdims=True)
    assert (np.linalg.det(np.linalg.pinv(a) @ b) > 0).all()
    assert metrics.p_mpjpe(mirrored, target) > 1.0


def test_poses_without_extent() -> None:
    target = poses(0)
    point = np.zeros_like(target)
    aligned = metrics.procrustes_align(point, target)
    np.testing.assert_allclose(aligned, np.repeat(target.mean(axis=1, keepdims=True), 17, axis=1))
    assert metrics.n_mpjpe(point, target) == pytest.approx(metrics.mpjpe(point, target))


@given(seeds)
def test_scale_is_undone_frame_by_frame(seed: int) -> None:
    target = poses(seed)
    scale = np.random.default_rng(seed).uniform(0.2, 5.0, (6, 1, 1))
    assert metrics.n_mpjpe(scale * target, target) <= NOTHING


def test_velocity_is_per_frame() -> None:
    target = np.zeros((2, 5, 17, 3))
    predicted = target + np.arange(5.0)[:, None, None] * [0.0, 2.0, 0.0]
    assert metrics.velocity_error(predicted, target) == pytest.approx(2.0)
    with pytest.raises(InputError, match="2 frames"):
        metrics.velocity_error(predicted[:, :1], target[:, :1])


def test_pck_and_auc_by_hand() -> None:
    target = np.zeros((1, 4, 3))
    predicted = target.copy()
    predicted[0, :, 0] = [0.0, 75.0, 149.9, 150.0]
    assert metrics.pck(predicted, target) == 75.0  # 150 itself is not within
    # Of the 31 thresholds 0, 5 .. 150, those above the error: 30, 15 (80 to 150), 1 and 0.
    assert metrics.auc(predicted, target) == pytest.approx((30 + 15 + 1 + 0) / 31 / 4 * 100)
    assert len(metrics.AUC_THRESHOLDS) == 31


@settings(max_examples=20)
@given(seeds)
def test_tensors_and_arrays_agree(seed: int) -> None:
    a, b = poses(seed), poses(seed + 1)
    for metric in ALL:
        of_tensors = metric(torch.from_numpy(a).requires_grad_(), torch.from_numpy(b))
        np.testing.assert_array_equal(of_tensors, metric(a, b))


@pytest.mark.parametrize("metric", ALL)
@pytest.mark.parametrize(
    ("predicted", "target", "words"),
    [
        (np.zeros((2, 17, 3)), np.zeros((2, 16, 3)), "must be the same"),
        (np.zeros((2, 17, 2)), np.zeros((2, 17, 2)), r"expected \(\.\.\., joints, 3\)"),
        (np.zeros((0, 17, 3)), np.zeros((0, 17, 3)), "not empty"),
        (np.full((2, 17, 3), np.nan), np.zeros((2, 17, 3)), "predicted poses hold 102 NaN"),
        (np.zeros((2, 17, 3)), np.full((2, 17, 3), np.inf), "target poses hold 102 NaN"),
    ],
)
def test_wrong_poses_are_one_line(
    metric: Callable[..., object], predicted: Array, target: Array, words: str
) -> None:
    with pytest.raises(InputError, match=words) as error:
        metric(predicted, target)
    assert "\n" not in str(error.value)
