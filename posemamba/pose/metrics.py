"""Errors of 3D poses, as the field reports them.

Arguments are NumPy arrays or torch tensors of shape (..., joints, 3); everything is computed in
NumPy float64. Results carry the arguments' unit; PCK and AUC expect millimetres. Nothing is made
root-relative here: subtract the root first where the protocol asks for it.

Sources: protocols 1 and 2 of Human3.6M (MPJPE, P-MPJPE), Rhodin et al., CVPR 2018 (N-MPJPE),
Pavllo et al., CVPR 2019 (MPJVE), Mehta et al., 3DV 2017 with the MPI-INF-3DHP test-set release
(PCK, AUC).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from posemamba.errors import InputError
from posemamba.pose.arrays import real_numbers
from posemamba.text import plural

Array = npt.NDArray[np.float64]
Poses = npt.ArrayLike

PCK_THRESHOLD = 150.0
"""Millimetres within which MPI-INF-3DHP calls a joint correct: about half a head."""

AUC_THRESHOLDS = np.arange(0.0, PCK_THRESHOLD + 1.0, 5.0)
"""The 31 thresholds, 0 to 150 mm in steps of 5, of the curve whose mean is the AUC. These are the
thresholds of the test-set release's ``mpii_compute_3d_pck`` that the literature quotes; copies of
that script that go on to 200 mm give larger values, not to be compared."""


def joint_errors(predicted: Poses, target: Poses) -> Array:
    """Distance of each joint: (..., joints, 3) twice to (..., joints).

    Raises:
        InputError: shapes that differ or are not (..., joints, 3), no joint, NaN or infinity.
    """
    return _distance(*_checked(predicted, target))


def mpjpe(predicted: Poses, target: Poses) -> float:
    """Mean per-joint position error (protocol 1)."""
    return float(joint_errors(predicted, target).mean())


def mpjpe_per_joint(predicted: Poses, target: Poses) -> Array:
    """MPJPE of each joint: (joints,)."""
    errors = joint_errors(predicted, target)
    means: Array = errors.reshape(-1, errors.shape[-1]).mean(axis=0)
    return means


def procrustes_align(predicted: Poses, target: Poses) -> Array:
    """Lay each frame's pose over its target: scale, rotation and translation in least squares.

    The rotation is a proper one: where a reflection would fit better, the weakest axis is turned
    back (Umeyama, 1991). A pose shrunk to one point goes to the target's mean.

    Args:
        predicted: (..., joints, 3).
        target: the same shape.

    Returns:
        (..., joints, 3), ``predicted`` transformed.

    Raises:
        InputError: as :func:`joint_errors`.
    """
    pose, goal = _checked(predicted, target)
    goal_mean = goal.mean(axis=-2, keepdims=True)
    pose = pose - pose.mean(axis=-2, keepdims=True)
    goal = goal - goal_mean
    # pose' = scale * pose @ rotation, with the rotation from U S V' = pose' goal.
    u, s, vt = np.linalg.svd(pose.swapaxes(-1, -2) @ goal)  # (..., 3, 3), (..., 3), (..., 3, 3)
    sign = np.ones_like(s)
    sign[..., -1] = np.where(np.linalg.det(u) * np.linalg.det(vt) < 0.0, -1.0, 1.0)
    rotation = (u * sign[..., None, :]) @ vt
    spread = (pose**2).sum(axis=(-2, -1))
    scale = _ratio((s * sign).sum(axis=-1), spread)
    aligned: Array = scale[..., None, None] * (pose @ rotation) + goal_mean
    return aligned


def p_mpjpe(predicted: Poses, target: Poses) -> float:
    """MPJPE after :func:`procrustes_align` of every frame (protocol 2)."""
    return float(_distance(procrustes_align(predicted, target), _array(target, "target")).mean())


def n_mpjpe(predicted: Poses, target: Poses) -> float:
    """MPJPE after the best scale of every frame, in least squares about the origin."""
    pose, goal = _checked(predicted, target)
    scale = _ratio((pose * goal).sum(axis=(-2, -1)), (pose**2).sum(axis=(-2, -1)))
    return float(_distance(scale[..., None, None] * pose, goal).mean())


def velocity_error(predicted: Poses, target: Poses) -> float:
    """MPJVE: mean error of the joints' movement from each frame to the next.

    Args:
        predicted: (..., frames, joints, 3).
        target: the same shape.

    Returns:
        unit of the arguments per frame.

    Raises:
        InputError: as :func:`joint_errors`, or fewer than two frames.
    """
    pose, goal = _checked(predicted, target)
    if pose.ndim < 3 or pose.shape[-3] < 2:
        raise InputError(
            f"poses have shape {pose.shape}: velocity needs (..., frames, joints, 3), 2 frames"
        )
    return float(_distance(np.diff(pose, axis=-3), np.diff(goal, axis=-3)).mean())


def pck(predicted: Poses, target: Poses, threshold: float = PCK_THRESHOLD) -> float:
    """Percentage of joints nearer to their target than ``threshold`` mm.

    Raises:
        InputError: as :func:`joint_errors`, or a threshold that is no number.
    """
    if np.isnan(threshold):
        raise InputError("the threshold of PCK is NaN: give millimetres")
    return float((joint_errors(predicted, target) < threshold).mean() * 100.0)


def auc(predicted: Poses, target: Poses) -> float:
    """Mean of :func:`pck` over :data:`AUC_THRESHOLDS`, in percent.

    Threshold 0 is one of them and never met, so a perfect prediction has 30 / 31 = 96.8 %.
    """
    errors = joint_errors(predicted, target)
    return float(np.mean([(errors < limit).mean() for limit in AUC_THRESHOLDS]) * 100.0)


def _array(poses: Poses, label: str) -> Array:
    return real_numbers(poses, f"{label} poses").astype(np.float64)


def _checked(predicted: Poses, target: Poses) -> tuple[Array, Array]:
    pose, goal = _array(predicted, "predicted"), _array(target, "target")
    if pose.shape != goal.shape:
        raise InputError(
            f"predicted poses have shape {pose.shape}, targets {goal.shape}: they must be the same"
        )
    if pose.ndim < 2 or pose.shape[-1] != 3 or pose.size == 0:
        raise InputError(f"poses have shape {pose.shape}: expected (..., joints, 3), not empty")
    for label, values in (("predicted", pose), ("target", goal)):
        wrong = int((~np.isfinite(values)).sum())
        if wrong:
            raise InputError(
                f"{label} poses hold {plural(wrong, 'NaN or infinite value')}: "
                "leave those frames out"
            )
    return pose, goal


def _distance(pose: Array, goal: Array) -> Array:
    distance: Array = np.linalg.norm(pose - goal, axis=-1)
    return distance


def _ratio(part: Array, whole: Array) -> Array:
    """``part / whole``, 0 where a pose has no extent to scale."""
    result: Array = np.divide(part, whole, out=np.zeros_like(part), where=whole > 0.0)
    return result
