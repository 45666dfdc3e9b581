"""Runs of a check: every frame once, several lengths and batches, no invented motion."""

from __future__ import annotations

import numpy as np
import pytest

from pmexport.check.cases import bounce, build_cases, cut


def clip(frames: int, start: float = 0.0) -> np.ndarray:
    """Frame t holds the number start + t everywhere, so that frames can be told apart."""
    ramp = np.arange(frames, dtype=np.float32) + start
    return np.broadcast_to(ramp[:, None, None], (frames, 17, 2)).copy()


def frame_numbers(keypoints: np.ndarray) -> list[int]:
    return keypoints[..., 0, 0].astype(int).ravel().tolist()


@pytest.mark.parametrize(
    ("frames", "wanted", "numbers"),
    [
        (3, 7, [0, 1, 2, 1, 0, 1, 2]),
        (1, 3, [0, 0, 0]),
        (2, 4, [0, 1, 0, 1]),
        (5, 2, [0, 1]),
    ],
)
def test_bounce_plays_back_and_forth(frames: int, wanted: int, numbers: list[int]) -> None:
    assert frame_numbers(bounce(clip(frames), wanted)) == numbers


def test_cut_covers_every_frame_and_ends_with_the_clip() -> None:
    windows = cut("c", clip(10), 4)
    assert list(windows) == ["c[0:4]", "c[4:8]", "c[6:10]"]
    assert {n for window in windows.values() for n in frame_numbers(window)} == set(range(10))
    assert list(cut("c", clip(8), 4)) == ["c[0:4]", "c[4:8]"]


def test_free_model_runs_full_length_one_frame_and_a_batch() -> None:
    clips = {"a": clip(5), "b": clip(6, 100.0)}
    shapes = [
        c.keypoints_2d.shape[:2] for c in build_cases(clips, longest=9, frames=None, batch=None)
    ]
    assert shapes == [(1, 5), (1, 6), (1, 9), (1, 1), (2, 1)]


def test_batch_holds_two_different_clips() -> None:
    clips = {"a": clip(9), "b": clip(9, 100.0)}
    pair = build_cases(clips, longest=9, frames=None, batch=None)[-1].keypoints_2d
    assert pair.shape == (2, 3, 17, 2)
    assert not np.array_equal(pair[0], pair[1])


def test_fixed_frames_are_kept() -> None:
    clips = {"short": clip(2), "long": clip(10)}
    cases = build_cases(clips, longest=27, frames=4, batch=None)
    assert {case.keypoints_2d.shape[1] for case in cases} == {4}
    assert cases[0].name == "short bounced to 4"


def test_fixed_batch_is_filled_up_with_the_first_windows() -> None:
    cases = build_cases({"a": clip(10)}, longest=27, frames=4, batch=2)
    assert [case.keypoints_2d.shape for case in cases] == [(2, 4, 17, 2)] * 2
    assert frame_numbers(cases[1].keypoints_2d) == [6, 7, 8, 9, 0, 1, 2, 3]


def test_every_frame_of_long_inputs_is_run() -> None:
    cases = build_cases({"a": clip(100)}, longest=27, frames=None, batch=None)
    seen = {n for case in cases for n in frame_numbers(case.keypoints_2d)}
    assert seen == set(range(100))
