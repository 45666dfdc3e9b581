"""The Python package lifts clips to PyTorch's poses, and every mistake is one of its exceptions."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from golden_cases import CHECKPOINT

import posemamba_runtime
from pmexport import custom_op_library
from posemamba import load_checkpoint
from posemamba.pose.clips import bundled_clips
from posemamba_runtime import BadArgument, BadModel, Lifter, Missing, _library
from posemamba_runtime._library import runtime_library

#: float32 sums in another order: as the golden outputs.
TOLERANCE = 2e-5


@pytest.fixture(scope="module")
def lifter(model: Path) -> Lifter:
    return Lifter(model, "onnxruntime-cpu")


def clips(batch: int, frames: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Real keypoints, another stretch of them in each row."""
    source = next(iter(bundled_clips().values()))
    return np.stack([source[3 * row : 3 * row + frames] for row in range(batch)])


@pytest.mark.parametrize(("batch", "frames"), [(1, 27), (1, 1), (3, 26), (8, 5)])
def test_poses_are_pytorchs(batch: int, frames: int, lifter: Lifter) -> None:
    keypoints = clips(batch, frames)
    with torch.inference_mode():
        expected = load_checkpoint(CHECKPOINT)(torch.from_numpy(keypoints)).numpy()
    np.testing.assert_allclose(lifter.lift(keypoints), expected, atol=TOLERANCE)


@pytest.mark.parametrize("threads", [0, 1, 2, 3])
def test_many_clips_have_the_poses_of_each(threads: int, model: Path, lifter: Lifter) -> None:
    """Threads take whole windows then: the same to the bit, in whichever order they are done."""
    keypoints = clips(24, 27)
    alone = np.stack([lifter.lift(clip) for clip in keypoints])
    with Lifter(model, "onnxruntime-cpu", threads=threads) as many:
        for _ in range(3):
            np.testing.assert_array_equal(many.lift(keypoints), alone)


@pytest.mark.parametrize("change", [Path.unlink, lambda file: file.write_bytes(b"another file")])
def test_a_file_that_changes_is_not_opened_again(
    change: Callable[[Path], object], model: Path, lifter: Lifter, tmp_path: Path
) -> None:
    """One opened model lifts all, whatever becomes of its file."""
    file = shutil.copy(model, tmp_path / "M.onnx")
    keypoints = clips(24, 27)
    with Lifter(file, "onnxruntime-cpu", threads=2) as opened:
        change(file)
        np.testing.assert_allclose(opened.lift(keypoints), lifter.lift(keypoints), atol=TOLERANCE)


def test_one_clip_needs_no_batch(lifter: Lifter) -> None:
    keypoints = clips(1, 9)
    np.testing.assert_array_equal(lifter.lift(keypoints[0]), lifter.lift(keypoints)[0])


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a.astype(np.float64),
        lambda a: a.astype(">f4"),
        lambda a: np.asfortranarray(a),
        lambda a: np.repeat(a, 2, axis=1)[:, ::2],
        lambda a: a.tolist(),
        lambda a: np.require(a, requirements="C").data,  # a memoryview
        lambda a: np.broadcast_to(a, a.shape),  # read-only
        lambda a: np.ma.masked_array(a),
        lambda a: torch.from_numpy(a.copy()),
    ],
)
def test_any_layout_of_numbers(change: Callable[[Any], Any], lifter: Lifter) -> None:
    keypoints = clips(2, 7)
    np.testing.assert_array_equal(lifter.lift(change(keypoints)), lifter.lift(keypoints))


def test_info_says_what_runs(lifter: Lifter) -> None:
    info = lifter.info
    assert info["backend"] == "onnxruntime-cpu"
    text = str(info)
    assert str(runtime_library("onnxruntime")) in text
    assert "libposemamba_ort.so" in text
    info.clear()  # the caller's own
    assert lifter.info


def test_build_info() -> None:
    assert {"compiler", "version"} <= set(posemamba_runtime.build_info())


def nan_frame() -> Any:
    keypoints = clips(1, 5)
    keypoints[0, 3, 7, 1] = np.nan
    return keypoints


@pytest.mark.parametrize(
    ("keypoints", "words"),
    [
        (np.zeros((5, 16, 2)), "(5, 16, 2)"),
        (np.zeros((5, 17, 3)), "(5, 17, 3)"),
        (np.zeros((17, 2)), "(17, 2)"),
        (np.zeros((1, 1, 5, 17, 2)), "(1, 1, 5, 17, 2)"),
        (np.float32(1), "()"),
        (np.zeros((5, 17, 2), complex), "complex128"),
        (np.zeros((5, 17, 2), object), "object"),
        (np.zeros((5, 17, 2), "datetime64[s]"), "datetime64"),
        ([["a"]], "no numbers"),
        (np.zeros((5, 17, 2), bool), "bool"),
        (np.ma.masked_less(np.zeros((1, 5, 17, 2)), 1), "nan at clip 0, frame 0"),
        (torch.zeros((1, 5, 17, 2), requires_grad=True), "keypoints_2d"),
        ([[1.0], [1.0, 2.0]], "keypoints_2d"),
        (None, "no numbers"),
        (np.zeros((0, 17, 2)), "frames"),
        (np.zeros((0, 5, 17, 2)), "batch"),
        (np.zeros((1, 28, 17, 2)), "28"),
        (np.full((1, 5, 17, 2), 1e300), "clip 0, frame"),
        (nan_frame(), "clip 0, frame"),
    ],
)
def test_bad_clips(keypoints: Any, words: str, lifter: Lifter) -> None:
    with pytest.raises(BadArgument) as refused:
        lifter.lift(keypoints)
    assert words in str(refused.value)
    assert isinstance(refused.value, ValueError)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"backend": "directml"}, BadArgument, "directml"),
        ({"backend": "a\0b"}, BadArgument, "zero byte"),
        ({"backend": 3}, BadArgument, "backend is 3"),
        ({"threads": -1}, BadArgument, "threads"),
        ({"threads": 2**40}, BadArgument, "must fit 32 bits"),
        ({"threads": 1.5}, BadArgument, "whole number"),
        ({"allow_fallback": 7}, BadArgument, "allow_fallback"),
        ({"runtime_library": "/no/libonnxruntime.so"}, Missing, "/no/libonnxruntime.so"),
        ({"op_library": "/no/ops.so"}, Missing, "/no/ops.so"),
    ],
)
def test_bad_options(
    options: dict[str, Any], kind: type[Exception], words: str, model: Path
) -> None:
    with pytest.raises(kind) as refused:
        Lifter(model, **options)
    assert words in str(refused.value)


def test_bad_models(model: Path, tmp_path: Path) -> None:
    with pytest.raises(Missing, match=r"no\.onnx"):
        Lifter(tmp_path / "no.onnx")
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(BadModel, match=r"text\.onnx"):
        Lifter(tmp_path / "text.onnx")
    (tmp_path / "half.onnx").write_bytes(model.read_bytes()[:1000])
    with pytest.raises(BadModel, match=r"half\.onnx"):
        Lifter(tmp_path / "half.onnx")
    with pytest.raises(BadArgument, match="zero byte"):
        Lifter("a\0b")


def test_files_of_the_working_folder(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(custom_op_library(), tmp_path / "ops.so")
    shutil.copy(model, tmp_path / "m.onnx")
    monkeypatch.chdir(tmp_path)
    with Lifter("m.onnx", op_library="ops.so") as lifter:
        assert str(tmp_path / "ops.so") in str(lifter.info)


def test_without_onnx_runtime(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_library, "_WHEELS", {})
    code = (
        "from posemamba_runtime import Lifter, Missing, _library\n"
        "_library._WHEELS = {}\n"
        f"try: Lifter({str(model)!r}, 'onnxruntime-cpu')\n"
        "except Missing as error: print(error)"
    )
    environment = {k: v for k, v in os.environ.items() if k not in ("LD_LIBRARY_PATH",)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert "ONNX Runtime" in done.stdout
    assert "pip install onnxruntime" in done.stdout
    assert done.stdout.count("\n") == 1


def test_nothing_heavy_is_imported(model: Path) -> None:
    """Neither PyTorch nor the packages whose libraries are opened."""
    code = (
        "import sys\n"
        "for name in ('torch', 'onnxruntime', 'onnx', 'posemamba', 'pmexport'):\n"
        "    sys.modules[name] = None\n"
        "del sys.modules['onnxruntime'], sys.modules['pmexport']\n"
        "from posemamba_runtime import Lifter\n"
        f"print(Lifter({str(model)!r}).info['backend'])\n"
        "print('onnxruntime' in sys.modules, 'pmexport' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["onnxruntime-cpu", "False False"], done.stderr


def test_a_closed_lifter_is_refused(model: Path) -> None:
    with Lifter(model) as lifter:
        stream = lifter.stream()
    lifter.close()
    for call in (
        lambda: lifter.lift(np.zeros((5, 17, 2))),
        lifter.step,
        lifter.stream,
        lambda: stream.push(np.ones((17, 2)), 0, 0.0),
    ):
        with pytest.raises(BadArgument, match="closed"):
            call()


def test_a_stream_keeps_its_lifter(model: Path) -> None:
    stream = Lifter(model).stream()
    gc.collect()
    stream.push(np.full((17, 2), 300.0), 0, 0.0)
    assert stream.ready == 0


def test_closing_under_calls_of_other_threads(model: Path) -> None:
    """Each thread ends with poses or with the refusal; the process lives."""
    lifter = Lifter(model, threads=1)
    keypoints = clips(1, 9)
    expected = lifter.lift(keypoints)
    refusals = []

    def work() -> None:
        try:
            for _ in range(1000):
                np.testing.assert_array_equal(lifter.lift(keypoints), expected)
        except BadArgument as error:
            refusals.append(str(error))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    lifter.close()
    for thread in threads:
        thread.join()
    assert len(refusals) == 4


def test_the_end_of_the_process_is_quiet(model: Path) -> None:
    """With everything still open, in a cycle, and held by a module."""
    code = (
        "import posemamba_runtime as p, numpy as np\n"
        f"lifter = p.Lifter({str(model)!r}); stream = lifter.stream(); lifter.own = stream\n"
        "stream.push(np.full((17, 2), 300.0), 0, 0.0); lifter.step()\n"
        "p.kept = stream"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
