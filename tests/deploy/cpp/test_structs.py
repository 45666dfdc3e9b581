"""Structs of other versions of the header, and handles in another process."""

from __future__ import annotations

import ctypes as c
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runtime_api import (
    BAD_ARGUMENT,
    BAD_MODEL,
    SUCCESS,
    Lifter,
    LifterOptions,
    RawPose,
    Runtime,
    StreamOptions,
)
from runtime_failures import fails
from stream_driving import recording

PIXELS = recording(1, 1)[0]
SIZE: dict[str, Any] = {"keypoints": "h36m17", "width": 1920, "height": 1080}


class Later(c.Structure):
    """A struct of a later header: the known one, and what was added at its end."""

    _fields_ = (("options", StreamOptions), ("added", c.c_int64))


def open_stream(lifter: Lifter, options: Any, size: int) -> int:
    """pm_stream_open with a struct_size; its code."""
    lib = lifter.runtime.lib
    lib.pm_stream_default_options(c.byref(options))
    plain = c.cast(c.byref(options), c.POINTER(StreamOptions)).contents
    plain.keypoints, plain.width, plain.height = b"h36m17", 1920, 1080
    plain.max_gap = -1  # refused, where it is read
    plain.struct_size = size
    if isinstance(options, Later):
        plain.max_gap = 0
        options.added = size % 2
    handle = c.c_void_p()
    code: int = lib.pm_stream_open(lifter.handle, c.byref(options), c.byref(handle))
    lib.pm_stream_close(handle)
    return code


@pytest.mark.parametrize(
    ("kind", "size", "code"),
    [
        (StreamOptions, StreamOptions.max_gap.offset, SUCCESS),  # the first header's
        (StreamOptions, c.sizeof(StreamOptions), BAD_ARGUMENT),
        (StreamOptions, StreamOptions.max_gap.offset - 1, BAD_ARGUMENT),
        (StreamOptions, 0, BAD_ARGUMENT),
        (Later, c.sizeof(Later), SUCCESS),  # what was added is 0: nobody asked for it
        (Later, c.sizeof(Later) - 7, BAD_ARGUMENT),  # and here it is 1
    ],
)
def test_options_of_other_headers(kind: Any, size: int, code: int, stand_in_lifter: Lifter) -> None:
    assert open_stream(stand_in_lifter, kind(), size) == code


@pytest.mark.parametrize("size", [0, c.sizeof(RawPose), c.sizeof(RawPose) + 64])
def test_poses_of_other_headers(size: int, stand_in_lifter: Lifter) -> None:
    stream = stand_in_lifter.stream(**SIZE)
    stream.push(3, PIXELS)
    stand_in_lifter.step()
    room = (c.c_uint8 * (c.sizeof(RawPose) + 64)).from_buffer_copy(
        b"\xee" * (c.sizeof(RawPose) + 64)
    )
    pose = RawPose.from_buffer(room)
    pose.struct_size = size
    assert stream.runtime.lib.pm_stream_poll(stream.handle, room) == SUCCESS
    assert (pose.struct_size, pose.frame) == (c.sizeof(RawPose), 3)
    assert bytes(room[c.sizeof(RawPose) :]) == b"\xee" * 64
    stream.close()


@pytest.mark.parametrize("size", [1, 8, c.sizeof(RawPose) - 1])
def test_a_pose_too_small_is_refused_and_none_is_lost(size: int, stand_in_lifter: Lifter) -> None:
    stream = stand_in_lifter.stream(**SIZE)
    stream.push(3, PIXELS)
    stand_in_lifter.step()
    pose = RawPose(struct_size=size, frame=-5)
    poll = stream.runtime.lib.pm_stream_poll
    fails(lambda: stream.runtime.check(poll(stream.handle, c.byref(pose))), BAD_ARGUMENT,
          f"struct_size is {size}", "sizeof(pm_pose)")  # fmt: skip
    assert (pose.frame, stream.ready()) == (-5, 1)
    stream.close()


def test_defaults_are_those_of_the_header(runtime: Runtime) -> None:
    """RUNTIME's own words: "auto", nothing else set; window 0 and hop 1, which are the model's."""
    lifter, stream = LifterOptions(device=9), StreamOptions(lag=9)
    runtime.lib.pm_lifter_default_options(c.byref(lifter))
    runtime.lib.pm_stream_default_options(c.byref(stream))

    def values(struct: c.Structure) -> dict[str, Any]:
        return {name: getattr(struct, name) for name, *_ in struct._fields_}

    assert values(lifter) == {
        **dict.fromkeys(values(lifter)), "struct_size": c.sizeof(LifterOptions),
        "backend": b"auto", "device": 0, "threads": 0, "cuda_graph": 0, "allow_fallback": 0,
        "tf32": 0,
    }  # fmt: skip
    assert values(stream) == {
        **dict.fromkeys(values(stream), 0), "struct_size": c.sizeof(StreamOptions),
        "keypoints": b"coco17", "policy": b"last", "hop": 1, "max_persons": 16,
    }  # fmt: skip


def test_a_name_that_is_no_utf8(runtime: Runtime, stand_ins: Path, tmp_path: Path) -> None:
    """pm_lifter_info is JSON whatever the file is called."""
    folder = os.fsencode(tmp_path)
    names = {b"caf\xe9.onnx": "caf\ufffd", "\u4eba\U0001f9cd.onnx".encode(): "\u4eba\U0001f9cd",
             b"\xed\xa0\x80\xc0\x80.onnx": "\ufffd" * 5, b'a"\\\n.onnx': 'a"\\\n'}  # fmt: skip
    for name, told in names.items():
        path = folder + b"/" + name
        Path(os.fsdecode(path)).write_bytes(b"\x08\x08 a model")
        lifter = open_bytes(runtime, path, stand_ins / "libonnxruntime.so")
        info = json.loads(runtime.lib.pm_lifter_info(lifter))
        assert info["model"] == f"{tmp_path}/{told}.onnx"
        runtime.lib.pm_lifter_close(lifter)


def open_bytes(runtime: Runtime, path: bytes, library: Path) -> c.c_void_p:
    options = LifterOptions()
    runtime.lib.pm_lifter_default_options(c.byref(options))
    options.runtime_library = str(library).encode()
    handle = c.c_void_p()
    runtime.check(runtime.lib.pm_lifter_open(path, c.byref(options), c.byref(handle)))
    return handle


#: Parent and child of a fork, each with a stream of its own.
FORK = """
import os, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from runtime_api import Runtime, RuntimeFailure
from stream_driving import recording
values = recording(1, 2)
size = {"keypoints": "h36m17", "width": 1920, "height": 1080}
runtime = Runtime(Path(sys.argv[2]))
lifter = runtime.open(sys.argv[3], backend="onnxruntime-cpu", runtime_library=sys.argv[4])
stream = lifter.stream(**size)
stream.push(0, values[0])
child = os.fork()
if child == 0:
    calls = (lambda: stream.push(1, values[1]), lifter.step, stream.poll, stream.flush,
             lambda: lifter.stream(**size))
    for call in calls:
        try:
            call()
            os._exit(1)
        except RuntimeFailure as failure:
            fork = f"in process {os.getppid()}, of which this process is a fork"
            if failure.code != 1 or fork not in failure.sentence:
                os._exit(2)
    own = runtime.open(sys.argv[3], backend="onnxruntime-cpu", runtime_library=sys.argv[4])
    own_stream = own.stream(**size)
    if own.handle.value == lifter.handle.value or own_stream.handle.value == stream.handle.value:
        os._exit(3)
    own_stream.push(5, values[0])
    if own.step() != 1 or own_stream.poll().frame != 5:
        os._exit(4)
    for opened in (stream, lifter, own_stream, own):
        opened.close()
    os._exit(0)
status = os.waitpid(child, 0)[1]
assert status == 0, os.waitstatus_to_exitcode(status)
stream.push(1, values[1])
assert lifter.step() == 2
"""


def test_a_fork_has_none_of_its_parents(
    built: Path, any_model: Path, stand_ins: Path, tmp_path: Path
) -> None:
    """Threads and locks do not follow a child: what was opened before is refused there, its own
    works, and the parent's goes on."""
    done = subprocess.run(
        [sys.executable, "-c", FORK, str(Path(__file__).parent),
         str(built / "libposemamba_runtime.so"), str(any_model),
         str(stand_ins / "libonnxruntime.so")],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_more_frames_than_any_model_takes(
    runtime: Runtime, any_model: Path, stand_ins: Path, stand_in_words: pytest.MonkeyPatch
) -> None:
    """A file that names no frames takes what fits in memory, not every int64."""
    stand_in_words.setenv("STAND_IN_ORT", "max_frames=0")
    lifter = runtime.open(any_model, runtime_library=stand_ins / "libonnxruntime.so")
    clip = np.zeros((1, 1, 17, 2), np.float32)
    for frames in (2**62, 2**20 + 1):
        code = runtime.lib.pm_lifter_lift(
            lifter.handle, clip.ctypes.data, 1, frames, clip.ctypes.data
        )
        fails(lambda code=code: runtime.check(code), BAD_ARGUMENT, f"has {frames} frames")  # type: ignore[misc]
    window = {**SIZE, "window": 16385}
    fails(lambda: lifter.stream(**window), BAD_ARGUMENT, "spans 16385 frames", "give a shorter one")
    lifter.close()


def test_windows_that_would_never_be_due(stand_in_lifter: Lifter) -> None:
    slow = {**SIZE, "rate": 1000.0, "model_rate": 1.0}
    fails(lambda: stand_in_lifter.stream(**slow), BAD_ARGUMENT, "27 spans 27000 frames",
          "model_rate nearer")  # fmt: skip
    stand_in_lifter.stream(**slow, window=16).close()


def test_one_pose_for_a_clip_is_no_stream(
    runtime: Runtime, any_model: Path, stand_ins: Path, stand_in_words: pytest.MonkeyPatch
) -> None:
    """As lifters have it that give the middle frame of their window alone."""
    for words, part in {
        "frames=27;poses=1": "takes clips of frames 27 and gives 1",
        "poses=1": "takes clips of frames any and gives 1",
    }.items():
        stand_in_words.setenv("STAND_IN_ORT", words)
        fails(
            lambda: runtime.open(any_model, runtime_library=stand_ins / "libonnxruntime.so"),
            BAD_MODEL, part, "a pose for each frame",
        )  # fmt: skip
