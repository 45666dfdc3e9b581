"""What callers hold that is no array of floats: taken as it is meant, or refused in a line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from posemamba.errors import InputError
from posemamba.pose import metrics, preprocess
from posemamba.pose.keypoints import detections_to_h36m, to_h36m

POSES = np.random.default_rng(0).normal(scale=400.0, size=(4, 17, 3))
POINTS = np.random.default_rng(1).uniform(1.0, 400.0, size=(4, 17, 2))
FIFTH = np.arange(17)[:, None] == 5  # joint 5
MASKED = np.ma.masked_array(POINTS, mask=np.broadcast_to(FIFTH, POINTS.shape))

#: Functions of one array, with an array that each takes.
TAKERS: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "mpjpe": (lambda values: metrics.mpjpe(values, POSES), POSES),
    "target of mpjpe": (lambda values: metrics.mpjpe(POSES, values), POSES),
    "p_mpjpe": (lambda values: metrics.p_mpjpe(values, POSES), POSES),
    "normalize_2d": (lambda values: preprocess.normalize_2d(values, 640, 480), POINTS),
    "denormalize_2d": (lambda values: preprocess.denormalize_2d(values, 640, 480), POINTS),
    "resample": (lambda values: preprocess.resample(values, 3), POINTS),
    "split_clips": (lambda values: preprocess.split_clips(values, 3), POINTS),
    "merge_clips": (lambda values: preprocess.merge_clips(values, 4), POINTS[None]),
    "to_h36m": (lambda values: to_h36m(values, "coco17"), POINTS),
    "detections_to_h36m": (lambda values: detections_to_h36m(values, "coco17"), POINTS),
}
ODD: dict[str, Callable[[Any], Any]] = {
    "complex numbers": lambda values: values + 1j,
    "truth values": lambda values: values > 0,
    "text": lambda values: values.astype(str),
    "lists of different lengths": lambda values: [*values.tolist(), values[0].tolist()[:-1]],
    "objects": lambda values: values.astype(object),
    "a sparse tensor": lambda values: torch.tensor(values).to_sparse(),
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("name", TAKERS)
def test_what_is_no_array_of_numbers_is_refused(name: str, odd: str) -> None:
    take, values = TAKERS[name]
    with pytest.raises(InputError, match=r"give (?:real numbers|an array|to_dense)"):
        take(ODD[odd](values))


@pytest.mark.parametrize("name", TAKERS)
def test_tensors_of_a_graph_are_taken(name: str) -> None:
    take, values = TAKERS[name]
    expected = take(values)
    got = take(torch.tensor(values, requires_grad=True))
    assert np.array_equal(got, expected)


def test_what_a_mask_hides_is_not_shown_again() -> None:
    normal = preprocess.normalize_2d(MASKED, 640, 480)
    assert np.isnan(normal[:, 5]).all()
    assert np.isfinite(np.delete(normal, 5, axis=1)).all()
    assert np.isnan(to_h36m(MASKED, "h36m17")[:, 5]).all()
    with pytest.raises(InputError, match="predicted poses hold 12 NaN"):
        metrics.mpjpe(np.ma.masked_where(np.broadcast_to(FIFTH, POSES.shape), POSES), POSES)


def test_a_masked_frame_is_filled_as_one_not_found() -> None:
    points = POINTS.copy()
    points[1, 7] = 9999.0
    hidden = np.ma.masked_array(points, mask=points == 9999.0)
    gap = np.where(points == 9999.0, np.nan, points)
    assert np.array_equal(detections_to_h36m(hidden, "coco17"), detections_to_h36m(gap, "coco17"))


@pytest.mark.parametrize("size", [("640", 480), (None, 480), (640, True), (np.ones(2), 480)])
def test_sizes_that_are_no_numbers(size: tuple[Any, Any]) -> None:
    with pytest.raises(InputError, match="image size is"):
        preprocess.normalize_2d(POINTS, *size)


@pytest.mark.parametrize("frames", [2.5, 243.0, "3", 0])
def test_frames_that_are_no_whole_number(frames: Any) -> None:
    for call in (preprocess.resample, preprocess.split_clips):
        with pytest.raises(InputError, match="whole number"):
            call(POINTS, frames)
    with pytest.raises(InputError, match="whole number"):
        preprocess.clip_starts(frames)


def test_a_threshold_that_is_no_number() -> None:
    with pytest.raises(InputError, match="threshold"):
        metrics.pck(POSES, POSES, float("nan"))


def test_unsigned_numbers_are_not_negated() -> None:
    with pytest.raises(InputError, match="uint8"):
        preprocess.flip(POINTS.astype(np.uint8))


def test_flip_augmentation_of_a_network_that_writes_into_one_array() -> None:
    """As a replayed CUDA graph or a bound output does: the second call overwrites the first's."""
    output = np.zeros((1, 4, 17, 3))

    def bound(keypoints: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        output[..., :2] = keypoints
        return output

    def fresh(keypoints: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return np.array(bound(keypoints))

    expected = preprocess.flip_tta(fresh, POINTS[None])
    assert np.array_equal(preprocess.flip_tta(bound, POINTS[None]), expected)
    assert np.abs(expected).max() > 1.0
