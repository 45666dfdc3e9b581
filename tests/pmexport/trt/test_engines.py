"""Engines that are run, in a TensorRT and a CUDA of host memory: every call, every failure."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from trt_machine import gpu

from pmexport.cli.main import cli
from pmexport.engine import fits, module
from pmexport.engine.file import open_engine
from pmexport.runtimes import cuda_memory
from pmexport.runtimes.base import FloatArray, RuntimeOptions
from pmexport.runtimes.ort_cpu import OrtCpu
from pmexport.runtimes.tensorrt import TensorRt, TensorRtRtx
from posemamba.errors import InputError

Misbehave = Callable[..., None]
Trt = Callable[..., Result]
BUILD = ("--onnx", "tiny.fp32.onnx", "-o", "e.engine")
ENGINE = Path("e.engine")


def clip(batch: int, frames: int, seed: int = 0) -> FloatArray:
    draw = np.random.default_rng(seed).uniform(-1, 1, (batch, frames, 17, 2))
    return draw.astype(np.float32)


def hide(monkeypatch: pytest.MonkeyPatch, place: Any, *names: str) -> None:
    """Make packages not installed, as far as a module of ours can see."""
    has = place.has_module
    monkeypatch.setattr(place, "has_module", lambda name: name not in names and has(name))


def refusal(file: Path = ENGINE, runtime: type[TensorRt] = TensorRt) -> str:
    """The one line of an engine that is not run."""
    with pytest.raises(InputError) as caught:
        runtime(RuntimeOptions()).load(file)(clip(1, 5))
    text = str(caught.value)
    assert "\n" not in text
    return text


def change(path: Path, **edits: Any) -> None:
    """Edit a sidecar in place: ``section__key=value``."""
    file = path.with_name(f"{path.name}.json")
    told = json.loads(file.read_text())
    for name, value in edits.items():
        section, _, key = name.partition("__")
        if key:
            told[section][key] = value
        else:
            told[section] = value
    file.write_text(json.dumps(told))


@pytest.mark.parametrize("without", ["pycuda", "cuda.bindings"])
def test_poses_are_the_models(engine: Path, without: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shapes of both profiles, back and forth, each with another clip: nothing stale is read."""
    hide(monkeypatch, cuda_memory, without)
    lift, model = (
        TensorRt().load(engine),
        OrtCpu(RuntimeOptions(threads=1)).load(Path("tiny.fp32.onnx")),
    )
    for seed, (batch, frames) in enumerate([(1, 27), (8, 3), (12, 9), (1, 27), (1, 27), (1, 1)]):
        keypoints = clip(batch, frames, seed)
        assert np.array_equal(lift(keypoints), model(keypoints)), (batch, frames)


def test_steps_of_a_benchmark(engine: Path) -> None:
    keypoints = clip(2, 27)
    bound = TensorRt().bind(engine, keypoints)
    assert bound.settings == {
        "tensorrt": "10.3.0", "module": "tensorrt", "memory": "cuda-python",
        "io_binding": True, "cuda_graph": True,
    }  # fmt: skip
    import fake_device  # type: ignore[import-not-found]

    fake_device.LOG.clear()
    for _ in range(2):
        bound.upload()
        bound.compute()
        poses = bound.download()
    wait = "cudaStreamSynchronize"
    assert ["cudaMemcpyAsync", wait, "cudaGraphLaunch", wait,
                               "cudaMemcpyAsync", wait] * 2 == fake_device.LOG  # fmt: skip
    expected = OrtCpu(RuntimeOptions(threads=1)).load(Path("tiny.fp32.onnx"))(keypoints)
    assert np.array_equal(poses, expected)


def test_pycuda_has_no_graph_and_says_so(engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, cuda_memory, "cuda.bindings")
    bound = TensorRt().bind(engine, clip(1, 27))
    assert (bound.settings["memory"], bound.settings["cuda_graph"]) == ("pycuda", False)


def test_everything_is_given_back(engine: Path) -> None:
    for cuda_graph in (True, False):
        bound = TensorRt(RuntimeOptions(cuda_graph=cuda_graph)).bind(engine, clip(1, 27))
        import fake_device  # type: ignore[import-not-found]

        assert len(fake_device.LIVE) == 2
        del bound
        assert fake_device.LIVE == {}
        assert fake_device.STREAMS == {}


def test_the_plugin_is_loaded_once(engine: Path) -> None:
    TensorRt().load(engine)
    trt: Any = sys.modules["tensorrt"]
    trt._REGISTRY.load_library = lambda _path: pytest.fail("loaded twice")
    TensorRt().load(engine)


#: What TensorRT does, and what of it the one line says.
TENSORRT_FAILS = {
    "no-runtime": ("tensorrt 10.3.0 does not start", "CUDA initialization failure"),
    "closed": ("cannot open it", "no such device"),
    "renamed": ("maps keypoints_2d, poses, not keypoints_2d to poses_3d", "build it again"),
    "half": ("has 'poses_3d' as", "not float32"),
    "profiles": ("has 3 profiles, its sidecar tells 2",),
    "no-context": ("makes no execution context", "no-context as asked"),
    "no-profile": ("cannot take profile 0", "no-profile as asked"),
    "no-shape": ("refuses the shape (1, 5, 17, 2)", "no-shape as asked"),
    "narrow": ("gives poses (1, 5, 17, 2) for keypoints (1, 5, 17, 2)",),
    "no-address": ("cannot bind 'keypoints_2d'", "no-address as asked"),
    "no-run": ("cannot run", "no-run as asked"),
}


@pytest.mark.parametrize(("words", "told"), TENSORRT_FAILS.items(), ids=str)
def test_tensorrt_fails(
    engine: Path, engines: Misbehave, words: str, told: tuple[str, ...]
) -> None:
    engines(tensorrt=words)
    text = refusal()
    assert text.startswith("'e.engine'")
    for piece in told:
        assert piece in text


@pytest.mark.parametrize(
    "call", ["cudaStreamCreate", "cudaMalloc", "cudaMemcpyAsync", "cudaStreamSynchronize",
             "cudaStreamBeginCapture", "cudaStreamEndCapture", "cudaGraphInstantiate",
             "cudaGraphLaunch"],
)  # fmt: skip
def test_cuda_python_fails(engine: Path, engines: Misbehave, call: str) -> None:
    engines(cuda=call)

    def run() -> None:
        bound = TensorRt().bind(engine, clip(1, 5))
        bound.upload()
        bound.compute()

    with pytest.raises(InputError, match=f"{call} failed: unknown error"):
        run()


@pytest.mark.parametrize("call", ["autoprimaryctx", "Stream"])
def test_pycuda_does_not_start(
    engine: Path, engines: Misbehave, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    engines(cuda=call)
    hide(monkeypatch, cuda_memory, "cuda.bindings")
    assert refusal() == f"pycuda cannot use the GPU: {call}"


#: A sidecar's edit -> pieces of the sentence: what the engine has, what is here, what mends it.
MISMATCHES: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "version": (
        {"tensorrt__version": "10.9.0"},
        ("by tensorrt 10.9.0", "here is tensorrt 10.3.0", "'pmexport trt --onnx tiny.fp32.onnx"),
    ),
    "older is no newer": (
        {"tensorrt__version": "10.2.0"}, ("by tensorrt 10.2.0", "here is tensorrt 10.3.0"),
    ),
    "flavour": (
        {"tensorrt__flavour": "tensorrt-rtx"},
        ("built by tensorrt-rtx", "--runtime tensorrt cannot", "use --runtime tensorrt-rtx"),
    ),
    "gpu": ({"targets": ["sm86"]}, ("is for sm86, the GPU here is sm87", "pmexport trt")),
    "plugin version": (
        {"plugin__version": "7"}, ("needs version 7 of the plugin", "has versions 1 and 2"),
    ),
    "plugin lacks it": (
        {"plugin__creators": ["CrossSelectiveScan", "Other"]}, ("the plugin Other", "lacks it"),
    ),
    "hash": (
        {"engine__sha256": "0" * 64}, ("has SHA-256", "its sidecar describes 000000000000"),
    ),
    "stripped": (
        {"options__strip_weights": True}, ("--strip-weights", "build it whole, 'pmexport trt"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISMATCHES)
def test_a_mismatch_is_one_sentence(engine: Path, name: str) -> None:
    edits, told = MISMATCHES[name]
    change(engine, **edits)
    text = refusal()
    for piece in told:
        assert piece in text


@pytest.mark.parametrize("needed", ["1", "2"])
def test_a_library_of_both_versions_of_the_scan_fits(engine: Path, needed: str) -> None:
    """As the real one is, whose other operators have one version."""
    change(engine, plugin__version=needed, plugin__creators=["ConvSilu", "CrossSelectiveScan"])
    scans = {version: {"name": "CrossSelectiveScan", "version": version} for version in "12"}
    block = {"name": "ConvSilu", "version": "1"}
    fits.check_plugin(open_engine(ENGINE), "library.so", [*scans.values(), block])
    del scans[needed]
    (other,) = scans
    with pytest.raises(InputError, match=f"'library.so' has version {other}"):
        fits.check_plugin(open_engine(ENGINE), "library.so", [*scans.values(), block])


@pytest.mark.parametrize(
    ("edits", "device"),  # not "here": that fixture is the folder this runs in
    [
        ({"options__version_compat": True, "tensorrt__version": "10.2.9"}, "sm87"),
        ({"tensorrt__version": "10.3.0.30"}, "sm87"),  # a rebuild of the same TensorRT
        ({"options__hardware_compat": "ampere+", "targets": ["sm86"]}, "sm90"),
        ({"targets": ["sm86", "sm90"]}, "sm90"),
    ],
)
def test_what_fits_is_run(
    engine: Path, edits: dict[str, Any], device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu(monkeypatch, device)
    change(engine, **edits)
    assert TensorRt().load(engine)(clip(1, 5)).shape == (1, 5, 17, 3)


@pytest.mark.parametrize("version", ["11.0.0", "10.4.0", "9.3.0"])
def test_version_compatible_has_its_limits(engine: Path, version: str) -> None:
    change(engine, options__version_compat=True, tensorrt__version=version)
    assert f"by tensorrt {version}, here is tensorrt 10.3.0" in refusal()


def test_no_gpu(engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu(monkeypatch, None)
    assert TensorRt().available() == "no GPU is found: run it on a machine with one"
    assert "is for sm87, and no GPU is found here" in refusal()


def test_no_package_for_memory(engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, cuda_memory, "cuda.bindings", "cuda.cudart", "pycuda")
    assert "pip install cuda-python" in str(TensorRt().available())
    assert refusal().startswith("neither cuda-python nor pycuda is installed: run 'pip install")


@pytest.mark.parametrize("runtime", [TensorRt, TensorRtRtx])
def test_not_installed(
    engine: Path, runtime: type[TensorRt], monkeypatch: pytest.MonkeyPatch
) -> None:
    hide(monkeypatch, module, *module.MODULES[runtime.name])
    assert str(runtime().available()).startswith(f"{runtime.name} is not installed: ")
    assert "pip install" in str(runtime().available())


def test_broken_module(engine: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An installed TensorRT whose library is missing."""
    (tmp_path / "site" / "tensorrt").mkdir(parents=True)
    (tmp_path / "site" / "tensorrt" / "__init__.py").write_text("raise OSError('libnvinfer.so')")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert refusal().startswith("tensorrt cannot be imported (libnvinfer.so): ")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"vtrt" + bytes(100), "is a plan of tensorrt-rtx, its sidecar says tensorrt"),
        (b"ftrt", "is no TensorRT plan"),
        (b"", "is no TensorRT plan"),
        (b"ONNX" * 40, "is no TensorRT plan"),
    ],
)
def test_what_is_no_plan_never_reaches_tensorrt(
    engine: Path, engines: Misbehave, content: bytes, told: str
) -> None:
    import hashlib

    engine.write_bytes(content)
    change(engine, engine__sha256=hashlib.sha256(content).hexdigest())
    engines(tensorrt="no-runtime")
    assert told in refusal()


def test_a_size_of_no_profile(engine: Path) -> None:
    lift = TensorRt().load(engine)
    with pytest.raises(InputError) as caught:
        lift(clip(9, 27))
    text = str(caught.value)
    assert "takes batch 1 to 8 with 1 to 27 frames; batch 12 with 9 frames" in text
    assert "not batch 9 with 27 frames" in text


def test_rtx_runs_its_own(engines: Misbehave, trt: Trt, monkeypatch: pytest.MonkeyPatch) -> None:
    trt(*BUILD, "--backend", "tensorrt-rtx", "--target", "sm86")
    gpu(monkeypatch, "sm86")
    poses = TensorRtRtx().load(ENGINE)(clip(2, 27))
    assert np.array_equal(poses, OrtCpu(RuntimeOptions(threads=1)).load(Path("tiny.fp32.onnx"))(
        clip(2, 27)))  # fmt: skip
    assert "--runtime tensorrt cannot open it: use --runtime tensorrt-rtx" in refusal()


def test_the_lean_runtime_is_second(
    engine: Path, engines: Misbehave, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where full TensorRT is not installed, the lean one runs version-compatible engines alone."""
    full = sys.modules.get("tensorrt") or __import__("tensorrt")
    hide(monkeypatch, module, "tensorrt", "tensorrt_lean")
    monkeypatch.setitem(sys.modules, "tensorrt_lean_bindings", full)
    has = module.has_module
    monkeypatch.setattr(module, "has_module", lambda n: n == "tensorrt_lean_bindings" or has(n))
    text = refusal()
    assert "was built for full TensorRT, here is TensorRT's lean runtime" in text
    assert "--version-compat" in text
    change(engine, options__version_compat=True)
    bound = TensorRt().bind(engine, clip(1, 27))
    assert bound.settings["module"] == "tensorrt_lean_bindings"


def test_check_and_bench_take_an_engine(engine: Path) -> None:
    """``check`` runs the sizes of both profiles, without saying which runtime."""
    args = ["check", "e.engine", "--ckpt", "inputs/tiny.pth.tr", "--json", "r.json"]
    done = CliRunner().invoke(cli, args)
    assert done.exit_code == 0, done.output
    told = json.loads(Path("r.json").read_text())
    assert list(told["runtimes"]) == ["tensorrt"]
    assert told["passed"] is True
    shapes = {(row["batch"], row["frames"]) for row in told["runtimes"]["tensorrt"]["clips"]}
    assert {(12, 9), (1, 27), (2, 9), (1, 1)} <= shapes
    args = ["bench", "e.engine", "--runs", "3", "--seconds", "0.1", "--warmup", "0.01", "--json",
            "b.json"]  # fmt: skip
    done = CliRunner().invoke(cli, args)
    assert done.exit_code == 0, done.output
    told = json.loads(Path("b.json").read_text())["runtimes"]["tensorrt"]
    assert told["settings"]["cuda_graph"] is True
    assert set(told["steps"]) >= {"upload", "compute", "download"}


def test_a_wrong_engine_fails_the_check(engine: Path, engines: Misbehave) -> None:
    engines(tensorrt="wrong")
    done = CliRunner().invoke(cli, ["check", "e.engine", "--ckpt", "inputs/tiny.pth.tr"])
    assert done.exit_code == 1, done.output
    assert "Check: FAILED" in done.output


def test_opened_once_is_believed(engine: Path) -> None:
    told = open_engine(engine)
    assert open_engine(told) is told
    assert (told.batch, told.frames, told.channels, told.most_frames) == (None, None, 2, 27)
    assert told.takes(12, 9) == 1
    assert told.takes(8, 9) == 0
    assert told.takes(12, 10) is None
