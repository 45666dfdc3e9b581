"""Calls on streams and lifters that are wrong: a code and one sentence with a fix; nothing ends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runtime_api import BACKEND_FAILED, BAD_ARGUMENT, BAD_MODEL, Lifter, Runtime, Stream
from runtime_failures import fails
from stream_driving import recording

PIXELS = recording(1, 1)[0]
SIZE: dict[str, Any] = {"keypoints": "h36m17", "width": 1920, "height": 1080}

STREAMS: dict[str, tuple[dict[str, Any], str]] = {
    "keypoints": ({"keypoints": "coco19"}, "use one of h36m17, coco17"),
    "keypoints NULL": ({"keypoints": None}, "keypoints is 'NULL'"),
    "no size": ({"width": 0, "height": 0}, "0 x 0"),
    "no height": ({"height": 0}, "1920 x 0"),
    "negative width": ({"width": -5}, "-5 x 1080"),
    "huge width": ({"width": 1 << 20}, "1048576"),
    "window negative": ({"window": -1}, "window is -1"),
    "window too long": ({"window": 28}, "takes 1 to 27 frames"),
    "hop negative": ({"hop": -1}, "hop is -1"),
    "hop of blend": ({"policy": "blend", "hop": 27}, "at most 26"),
    "policy": ({"policy": "newest"}, "use last, center, lag or blend"),
    "policy NULL": ({"policy": None}, "policy is 'NULL'"),
    "lag of last": ({"lag": 3}, "only policy 'lag' uses"),
    "lag too long": ({"policy": "lag", "lag": 27}, "give 0 to 26"),
    "lag negative": ({"policy": "lag", "lag": -1}, "lag is -1"),
    "rate": ({"rate": -30.0}, "rate is -30"),
    "rate NaN": ({"rate": float("nan")}, "rate is nan"),
    "model_rate": ({"model_rate": float("inf")}, "model_rate is inf"),
    "model_rate stretched": ({"rate": 0.02, "model_rate": 30.0}, "model_rate is 30, and rate 0.02"),
    "min_confidence": ({"min_confidence": float("nan")}, "min_confidence is nan"),
    "smoothing": ({"smoothing": -1.0}, "smoothing is -1"),
    "height_m": ({"height_m": 180.0}, "height_m is 180"),
    "height_m negative": ({"height_m": -1.7}, "height_m is -1.7"),
    "height_m NaN": ({"height_m": float("nan")}, "height_m is nan"),
    "flip negative": ({"flip": -1}, "flip is -1"),
    "flip": ({"flip": 2}, "flip is 2"),
    "no persons": ({"max_persons": 0}, "max_persons is 0"),
    "many persons": ({"max_persons": 257}, "give 1 to 256"),
    "max_gap": ({"max_gap": -1}, "max_gap is -1"),
}


@pytest.mark.parametrize("name", STREAMS)
def test_stream_options(name: str, stand_in_lifter: Lifter) -> None:
    options, part = STREAMS[name]
    fails(lambda: stand_in_lifter.stream(**{**SIZE, **options}), BAD_ARGUMENT, part)


def _with(index: Any, value: Any) -> Any:
    values = np.array(PIXELS)
    values[index] = value
    return values


PUSHES: dict[str, tuple[Callable[[Stream], None], str]] = {
    "16 joints": (lambda s: s.push(9, PIXELS[:16]), "16 keypoints were pushed, h36m17 has 17"),
    "0 joints": (lambda s: s.push(9, PIXELS[:0]), "0 keypoints"),
    "4 columns": (lambda s: s.push(9, np.ones((17, 4))), "columns is 4"),
    "1 column": (lambda s: s.push(9, np.ones((17, 1))), "columns is 1"),
    "person": (lambda s: s.push(9, PIXELS, -1), "person is -1"),
    "frame again": (lambda s: s.push(5, PIXELS), "frame 5 of person 0 follows frame 5"),
    "frame backwards": (lambda s: s.push(-7, PIXELS), "push frames in order of time"),
    "time backwards": (lambda s: s.push(6, PIXELS, 0, 0.9), "timestamp 0.900000 of frame 6"),
    "time infinite": (lambda s: s.push(6, PIXELS, 0, float("inf")), "timestamp is inf"),
    "time in ns": (lambda s: s.push(6, PIXELS, 0, 1.7e18), "timestamp is 1.7e+18: give seconds"),
    "fractions": (lambda s: s.push(6, PIXELS / [1920, 1080]), "multiply x by the width"),
    "normalised": (lambda s: s.push(6, PIXELS / 960 - [1, 0.56]), "as fractions do"),
    "far outside": (lambda s: s.push(6, _with((3, 0), 4e4)), "keypoint 3 is at (40000,"),
    "another image": (lambda s: s.push(6, PIXELS + 4000), "give the size of the image"),
}


@pytest.mark.parametrize("name", PUSHES)
def test_pushes(name: str, stand_in_lifter: Lifter) -> None:
    stream = stand_in_lifter.stream(**SIZE)
    stream.push(5, PIXELS, 0, 1.0)
    action, part = PUSHES[name]
    fails(lambda: action(stream), BAD_ARGUMENT, part)
    assert stand_in_lifter.step() == 1  # nothing was changed
    assert [pose.frame for pose in stream.poses()] == [5]
    stream.close()


@pytest.mark.parametrize("values", [float("nan"), float("inf"), -float("inf"), 0.0, -1.0], ids=str)
def test_points_that_are_none_are_no_mistake(values: float, stand_in_lifter: Lifter) -> None:
    stream = stand_in_lifter.stream(**SIZE)
    stream.push(0, np.full((17, 2), values))
    stream.push(1, PIXELS)
    assert stand_in_lifter.step() == 1
    assert [pose.frame for pose in stream.poses()] == [1]
    stream.close()


@pytest.mark.parametrize(
    ("options", "time", "part"),
    [
        ({"smoothing": 0.5}, float("nan"), "smoothing needs it"),
        ({"smoothing": 0.5}, 1.0, "is not after 1.000000"),
        ({"rate": 30.0, "model_rate": 60.0}, 1.0, "is not after 1.000000"),
    ],
)
def test_times_that_are_needed(
    options: dict[str, Any], time: float, part: str, stand_in_lifter: Lifter
) -> None:
    stream = stand_in_lifter.stream(**SIZE, **options)
    stream.push(0, PIXELS, 0, 1.0)
    fails(lambda: stream.push(1, PIXELS, 0, time), BAD_ARGUMENT, part)
    stream.close()


def test_times_run_forwards_past_one_that_is_unknown(stand_in_lifter: Lifter) -> None:
    stream = stand_in_lifter.stream(**SIZE)
    for frame, time in enumerate((float("nan"), 5.0, float("nan"), float("nan"))):
        stream.push(frame, PIXELS, 0, time)
    fails(lambda: stream.push(4, PIXELS, 0, 3.0), BAD_ARGUMENT, "is not after 5.000000")
    stream.push(4, PIXELS, 0, 5.0)
    stream.reset()
    stream.push(0, PIXELS, 0, 3.0)  # another recording
    stream.close()


CLIP = np.zeros((1, 5, 17, 2), dtype=np.float32)
LIFTS: dict[str, tuple[Any, str]] = {
    "no clip": (CLIP[:0], "batch is 0"),
    "no frame": (CLIP[:, :0], "has 0 frames"),
    "long clip": (np.zeros((1, 28, 17, 2)), "has 28 frames"),
    "NaN": (np.where(np.arange(2) == 1, np.nan, CLIP), "is nan at clip 0, frame 0, joint 0"),
    "infinity": (np.where(np.arange(17)[:, None] == 4, np.inf, CLIP), "is inf at clip 0"),
    "pixels": (CLIP + 500, "normalise pixels"),
}


@pytest.mark.parametrize("name", LIFTS)
def test_lift(name: str, stand_in_lifter: Lifter) -> None:
    values, part = LIFTS[name]
    fails(lambda: stand_in_lifter.lift(values), BAD_ARGUMENT, part)


def test_who_is_not_there(stand_in_lifter: Lifter) -> None:
    stream = stand_in_lifter.stream(**SIZE)
    fails(lambda: stream.end(3), BAD_ARGUMENT, "person 3 is not in this stream")
    fails(lambda: stream.reset(-2), BAD_ARGUMENT, "person is -2")
    stream.reset(7)
    assert stream.poll() is None
    assert "no pose is due" in stream.runtime.last_error()


def test_after_close(runtime: Runtime, any_model: Path, stand_ins: Path) -> None:
    lifter = runtime.open(any_model, runtime_library=stand_ins / "libonnxruntime.so")
    closed, open_still = lifter.stream(**SIZE), lifter.stream(**SIZE)
    open_still.push(0, PIXELS)
    lifter.step()
    closed.close()
    fails(closed.flush, BAD_ARGUMENT, "was closed")
    fails(lambda: closed.push(0, PIXELS), BAD_ARGUMENT, "was closed")
    closed.close()
    lifter.close()
    fails(lifter.step, BAD_ARGUMENT, "was closed")
    fails(lambda: lifter.stream(**SIZE), BAD_ARGUMENT, "was closed")
    fails(lambda: open_still.push(1, PIXELS), BAD_ARGUMENT, "lifter of this stream was closed")
    assert [pose.frame for pose in open_still.poses()] == [0]
    lifter.close()
    again = runtime.open(any_model, runtime_library=stand_ins / "libonnxruntime.so")
    fails(lifter.step, BAD_ARGUMENT, "was closed")  # the new one is another handle
    again.close()


@pytest.mark.parametrize("function", ["Run", "CreateTensorWithDataAsOrtValue"])
def test_a_run_that_fails_keeps_what_was_due(
    function: str, stand_in_lifter: Lifter, stand_in_words: pytest.MonkeyPatch
) -> None:
    stream = stand_in_lifter.stream(**SIZE, window=13)
    for frame in range(3):
        stream.push(frame, PIXELS)
    stand_in_words.setenv("STAND_IN_ORT", f"fail={function};message=out of luck")
    if function == "Run":
        fails(stand_in_lifter.step, BACKEND_FAILED, "out of luck", "any.onnx")
    stand_in_words.delenv("STAND_IN_ORT")
    assert stand_in_lifter.step() == 3
    assert [pose.frame for pose in stream.poses()] == [0, 1, 2]
    stream.close()


def test_a_network_that_gives_nan(
    stand_in_lifter: Lifter, stand_in_words: pytest.MonkeyPatch
) -> None:
    stream = stand_in_lifter.stream(**SIZE)
    stream.push(0, PIXELS)
    stand_in_words.setenv("STAND_IN_ORT", "nan=1")
    fails(stand_in_lifter.step, BACKEND_FAILED, "NaN or infinity in 1 of 1 windows")
    stand_in_words.delenv("STAND_IN_ORT")
    stream.push(1, PIXELS)
    assert stand_in_lifter.step() == 1
    assert [pose.frame for pose in stream.poses()] == [1]
    stream.close()


def test_nan_keeps_no_other_window_waiting(
    stand_in_lifter: Lifter, stand_in_words: pytest.MonkeyPatch
) -> None:
    """Windows of one and of two frames are two batches; the first clip of each is no number."""
    first, second = (stand_in_lifter.stream(**SIZE) for _ in range(2))
    first.push(0, PIXELS)
    second.push(0, PIXELS)
    second.push(1, PIXELS)
    stand_in_words.setenv("STAND_IN_ORT", "nan=1")
    fails(stand_in_lifter.step, BACKEND_FAILED, "NaN or infinity in 2 of 3 windows")
    assert stand_in_lifter.step() == 0
    assert [[pose.frame for pose in stream.poses()] for stream in (first, second)] == [[], [0]]
    first.close()
    second.close()


def test_a_model_that_names_no_frames(
    runtime: Runtime, any_model: Path, stand_ins: Path, stand_in_words: pytest.MonkeyPatch
) -> None:
    stand_in_words.setenv("STAND_IN_ORT", "max_frames=0")
    lifter = runtime.open(any_model, runtime_library=stand_ins / "libonnxruntime.so")
    fails(lambda: lifter.stream(**SIZE), BAD_MODEL, "does not say how many frames", "set window")
    lifter.stream(**SIZE, window=500)


def test_a_file_of_fixed_frames_takes_no_other_window(
    runtime: Runtime, any_model: Path, stand_ins: Path, stand_in_words: pytest.MonkeyPatch
) -> None:
    stand_in_words.setenv("STAND_IN_ORT", "frames=27")
    lifter = runtime.open(any_model, runtime_library=stand_ins / "libonnxruntime.so")
    fails(lambda: lifter.stream(**SIZE, window=9), BAD_ARGUMENT, "exactly 27 frames")
