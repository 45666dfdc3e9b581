"""Converters: COCO's rule step by step, what every format must obey, gaps, real detections."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from float64_tolerance import check
from hypothesis import given, settings
from hypothesis import strategies as st
from places import DATA

from posemamba.errors import InputError
from posemamba.pose.keypoints import detections_to_h36m, fill_missing, get_format, to_h36m
from posemamba.skeleton import JOINT_NAMES, LEFT_JOINTS, RIGHT_JOINTS
from posemamba_runtime.keypoints import read
from posemamba_runtime.keypoints.layouts import LAYOUTS

Array = npt.NDArray[np.float64]
EXCERPT = DATA / "pose2sim_excerpt/Pose2Sim/Demo/pose/cam1_json"
COUNTS = {"coco17": 17, "body25": 25, "body25b": 25, "halpe26": 26, "mediapipe33": 33,
          "coco18": 18, "wholebody133": 133, "h36m17": 17}  # fmt: skip
MIRROR = {**dict(zip(LEFT_JOINTS, RIGHT_JOINTS, strict=True)),
          **dict(zip(RIGHT_JOINTS, LEFT_JOINTS, strict=True))}  # fmt: skip


def coco_step_by_step(k: Array) -> Array:
    """The published rule, in its own order of assignments and corrections."""
    h = np.zeros((17, 2))
    middle = (k[5] + k[6]) / 2
    for ours, theirs in zip(
        (9, 11, 14, 12, 15, 13, 16, 4, 1, 5, 2, 6, 3), (0, *range(5, 17)), strict=True
    ):
        h[ours] = k[theirs]
    h[0] = (k[11] + k[12]) / 2
    h[7] = (k[5] + k[6] + k[11] + k[12]) / 4
    h[8] = middle + (k[0] - middle) / 3
    h[10] = k[1:5, 0].mean(), k[1, 1] + k[2, 1] - k[0, 1]
    h[9] -= (h[9] - middle) / 4
    h[7, 0] += 2 * (h[7, 0] - (h[0, 0] + h[8, 0]) / 2)
    h[8, 1] -= 2 / 3 * ((k[1, 1] + k[2, 1]) / 2 - k[0, 1])
    return h


@given(st.integers(0, 2**32 - 1))
def test_coco_weights_are_the_published_rule(seed: int) -> None:
    k = np.random.default_rng(seed).uniform(0, 1920, (17, 2))
    check(to_h36m(k, "COCO-17"), coco_step_by_step(k), largest=1920)


@pytest.mark.parametrize("name", LAYOUTS)
def test_weights_sum_to_one_and_name_joints_of_the_format(name: str) -> None:
    source = LAYOUTS[name]
    assert len(source.joints) == len(set(source.joints)) == COUNTS[name]
    for joint in JOINT_NAMES:
        for weights in source.weights(joint):
            assert set(weights) <= set(source.joints), joint
            assert sum(weights.values()) == pytest.approx(1.0), joint
    for joint, others in source.stand_ins.items():
        assert {joint, *others} <= set(source.joints)


@pytest.mark.parametrize("name", LAYOUTS)
def test_mirrored_person_gives_the_mirrored_joints(name: str) -> None:
    """Catches a left joint taken for a right one anywhere in a table."""
    source = LAYOUTS[name]
    points = np.random.default_rng(1).normal(size=(5, len(source.joints), 2))
    swapped = [_other_side(joint, source.joints) for joint in source.joints]
    mirrored = points[:, [source.joints.index(joint) for joint in swapped]] * [-1.0, 1.0]
    expected = to_h36m(points, name)[:, [MIRROR.get(j, j) for j in range(17)]] * [-1.0, 1.0]
    check(to_h36m(mirrored, name), expected)


def _other_side(joint: str, joints: tuple[str, ...]) -> str:
    for here, there in (("left", "right"), ("right", "left")):
        if here in joint:
            assert joint.replace(here, there) in joints
            return joint.replace(here, there)
    return joint


#: Where each detector's own documentation puts these joints.
INDICES = {
    "coco17": {"left_shoulder": 5, "right_wrist": 10, "left_hip": 11, "right_ankle": 16},
    "body25": {"neck": 1, "right_wrist": 4, "mid_hip": 8, "left_ankle": 14, "right_ear": 17},
    "body25b": {"right_ankle": 16, "upper_neck": 17, "head_top": 18, "left_heel": 21},
    "halpe26": {"head_top": 17, "neck": 18, "mid_hip": 19, "left_big_toe": 20, "right_heel": 25},
    "mediapipe33": {"left_ear": 7, "left_shoulder": 11, "right_wrist": 16, "left_thumb": 21,
                    "left_hip": 23, "right_ankle": 28, "right_foot_index": 32},
    "coco18": {"neck": 1, "right_shoulder": 2, "left_wrist": 7, "right_hip": 8, "left_ear": 17},
    "wholebody133": {"right_ankle": 16, "left_big_toe": 17, "right_heel": 22, "face_0": 23,
                     "left_hand_0": 91, "right_hand_20": 132},
    "h36m17": {"root": 0, "right_ankle": 3, "left_wrist": 13, "right_wrist": 16},
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_joint_order(name: str) -> None:
    for joint, index in INDICES[name].items():
        assert LAYOUTS[name].joints[index] == joint


def test_confidence_is_the_smallest_of_the_sources() -> None:
    points = np.random.default_rng(0).uniform(0.5, 1.0, (4, 17, 3))
    points[:, 11, 2] = 0.1  # left hip: root and belly need it too
    confidence = to_h36m(points, "coco17")[..., 2]
    assert (confidence[:, [0, 4, 7]] == 0.1).all()
    assert (np.delete(confidence, [0, 4, 7], axis=1) >= 0.5).all()


def test_nan_reaches_only_joints_that_need_it() -> None:
    points = np.ones((17, 2))
    points[9] = np.nan  # left wrist
    assert np.isnan(to_h36m(points, "coco17")).all(axis=-1).nonzero()[0].tolist() == [13]


def test_type_and_leading_dimensions() -> None:
    points = np.ones((2, 3, 33, 3), dtype=np.float32)
    result = to_h36m(points, "mediapipe33")
    assert result.shape == (2, 3, 17, 3)
    assert result.dtype == np.float32
    assert to_h36m(np.ones((26, 2), dtype=np.int32), "halpe26").dtype == np.float64


def test_format_names_are_forgiving() -> None:
    assert get_format("BODY_25B") is LAYOUTS["body25b"]
    with pytest.raises(InputError, match=r"'body26'.*coco17, coco18, body25"):
        get_format("body26")


@pytest.mark.parametrize("shape", [(17, 2), (3, 25, 4), (25,)])
def test_wrong_shape_is_one_line(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"needs \(\.\.\., 25, 2 or 3\)") as error:
        to_h36m(np.zeros(shape), "body25")
    assert "\n" not in str(error.value)


def test_fill_missing_interpolates_and_holds() -> None:
    points = np.zeros((7, 1, 3))
    points[[1, 5], 0] = [[10.0, 0.0, 0.9], [18.0, -8.0, 0.9]]
    filled = fill_missing(points)
    assert filled[:, 0, 0].tolist() == [10, 10, 12, 14, 16, 18, 18]
    assert filled[:, 0, 1].tolist() == [0, 0, -2, -4, -6, -8, -8]


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.floats(0.0, 0.7))
def test_fill_missing_keeps_what_was_seen(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(12, 4, 2))
    lost = rng.random((12, 4)) < share
    lost[rng.integers(12)] = False
    with_gaps = np.where(lost[..., None], np.nan, points)
    filled = fill_missing(with_gaps)
    assert np.isfinite(filled).all()
    np.testing.assert_array_equal(filled[~lost], points[~lost])
    # Interpolation stays between the values it has.
    assert (filled <= np.nanmax(with_gaps, axis=0)).all()
    assert (filled >= np.nanmin(with_gaps, axis=0)).all()


@pytest.mark.parametrize("zero", [(0.0, 0.0), (-1.0, -1.0), (0.0, 300.0)])
@pytest.mark.parametrize("confidence", [None, 0.4])
def test_zeroed_keypoints_are_not_found(
    zero: tuple[float, float], confidence: float | None
) -> None:
    """YOLO zeroes what it is unsure of and keeps the confidence."""
    points = np.tile(np.random.default_rng(0).uniform(200, 400, (1, 17, 2)), (6, 1, 1))
    expected = detections_to_h36m(points, "coco17")
    points[2:4, 9] = zero
    if confidence is not None:
        points = np.concatenate([points, np.full((6, 17, 1), confidence)], axis=-1)
    np.testing.assert_allclose(detections_to_h36m(points, "coco17"), expected)


def test_never_seen_joint_is_named() -> None:
    points = np.ones((3, 17, 3))
    points[:, 15, 2] = 0.0
    with pytest.raises(InputError, match=r"'left_ankle' is missing in all of 3 frames"):
        detections_to_h36m(points, "coco17")
    with pytest.raises(InputError, match=r"shape \(0, 17, 2\)"):
        fill_missing(np.ones((0, 17, 2)))


def test_unused_joints_may_be_missing() -> None:
    points = np.ones((3, 25, 3))
    points[:, 19:, 2] = 0.0  # feet
    np.testing.assert_allclose(detections_to_h36m(points, "body25"), 1.0)


def test_hidden_face_takes_its_stand_in() -> None:
    points = np.tile(np.arange(17.0)[:, None], (2, 1, 3)) + 1.0
    points[:, 3, 2] = 0.0  # left ear never seen: the right one (value 5) instead
    head = detections_to_h36m(points, "coco17")[:, 10, 0]
    np.testing.assert_allclose(head, (2 + 3 + 5 + 5) / 4)
    from_behind = np.ones((2, 25, 3))
    from_behind[:, 17, :2], from_behind[:, 18, :2] = 4.0, 8.0  # upper neck and head top
    from_behind[:, 0] = 0.0
    assert (detections_to_h36m(from_behind, "body25b")[:, 9] == 6.0).all()


def _excerpt() -> Array:
    """(frames, 25, 3) of the one person in it."""
    (track,) = read(EXCERPT, size=(1088, 1920), min_confidence=0, person="largest").tracks
    return np.nan_to_num(track.values.astype(np.float64))


def test_real_person_stands_upright_and_faces_the_camera() -> None:
    person = _excerpt()
    pose = detections_to_h36m(person, "body25b")[0]
    y = dict(zip(JOINT_NAMES, pose[:, 1], strict=True))  # down
    x = dict(zip(JOINT_NAMES, pose[:, 0], strict=True))
    assert y["head"] < y["nose"] < y["neck"] < y["belly"] < y["root"] < y["right_knee"]
    assert y["right_knee"] < y["right_ankle"]
    for joint in ("hip", "shoulder", "elbow", "wrist"):
        assert x[f"right_{joint}"] < x[f"left_{joint}"], "a person facing us has the right at left"


def test_formats_agree_on_a_real_person() -> None:
    """BODY_25B begins with COCO's 17 joints, so the same detection can go both ways."""
    person = _excerpt()
    by_coco = detections_to_h36m(person[:, :17], "coco17")
    by_body = detections_to_h36m(person, "body25b")
    torso = np.linalg.norm(by_body[:, 8] - by_body[:, 0], axis=-1)
    apart = np.linalg.norm(by_coco - by_body, axis=-1) / torso[:, None]
    limbs = [*range(7), *range(11, 17)]
    check(by_coco[:, limbs], by_body[:, limbs], largest=1920)
    # The middle line is guessed by COCO's rule; on this trial it is within a third of the torso.
    assert apart.max() < 1 / 3
