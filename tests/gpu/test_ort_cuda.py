"""The operators in ONNX Runtime CUDA: against the oracles, in CUDA graphs, in threads."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import ort_cases as cases
import pytest
import torch
from two_nodes import split_blocks

from pmexport import custom_op_library
from pmexport.exporting.export import export_onnx
from pmexport.format.names import CUDA_PROVIDER
from pmexport.format.options import ExportOptions
from pmexport.passes.optimize import optimize_model
from pmexport.runtimes.base import RuntimeOptions
from pmexport.runtimes.ort_cuda import OrtCuda
from pmexport.runtimes.torch_cuda import TorchCuda
from posemamba import PoseMamba, PoseMambaConfig
from posemamba.checkpoint.save import save_checkpoint
from posemamba_runtime.cli.opening import open_lifter
from posemamba_runtime.lifter import Lifter

pytestmark = pytest.mark.gpu

NORMS: dict[str, object] = {"epsilon": cases.EPSILON, "shared_epsilon": cases.SHARED_EPSILON}
#: Operator: its inputs in a type, its attributes, and what every output should be.
OPERATORS: dict[str, tuple[Callable[..., cases.Arrays], dict[str, object], Callable[..., Any]]] = {
    "CrossSelectiveScan": (cases.cross_inputs, cases.CROSS_ATTRIBUTES, cases.cross_expected),
    "SelectiveScan": (cases.scan_inputs, cases.SCAN_ATTRIBUTES, cases.scan_expected),
    "ConvSilu": (cases.conv_silu_inputs, {}, cases.conv_silu_expected),
    "GatedNorm": (cases.gated_norm_inputs, NORMS, cases.gated_norm_expected),
    "AddNorm": (cases.add_norm_inputs, NORMS, cases.add_norm_expected),
}
#: float32 products without TF32 add in another order; float16 as test_inference.py has it, of
#: which a scan's own error, 2e-4 or with float16 sums 6e-4 of its values, is a small part.
NETWORK_BOUNDS = {"fp32": 1e-4, "fp16": 5e-3, "fp16-sums": 5e-3}


@pytest.fixture(autouse=True)
def _one_runtime_of_cuda() -> None:
    """PyTorch's CUDA libraries serve ONNX Runtime, so they come first."""
    torch.cuda.init()


@pytest.mark.parametrize(("dtype", "bound"), cases.BOUNDS)
@pytest.mark.parametrize("op", OPERATORS)
def test_operator(op: str, dtype: type, bound: float, tmp_path: Path) -> None:
    make, attributes, oracle = OPERATORS[op]
    inputs = make(dtype)
    session = cases.session(
        op, inputs, attributes, provider=CUDA_PROVIDER, profile=str(tmp_path / "profile")
    )
    got = session.run(None, inputs)
    again = session.run(None, inputs)
    want = oracle(inputs)
    for one, twice, expected in zip(
        got, again, want if isinstance(want, tuple) else (want,), strict=True
    ):
        assert cases.relative_error(one, expected) < bound
        assert np.array_equal(one, twice)
    events = json.loads(Path(session.end_profiling()).read_text())
    providers = {e["args"]["provider"] for e in events if e.get("args", {}).get("op_name") == op}
    assert providers == {CUDA_PROVIDER}


@pytest.mark.parametrize("absent", [("z",), ("D", "delta_bias", "z"), ("D",)], ids=str)
def test_selective_scan_with_absent_inputs(absent: tuple[str, ...]) -> None:
    inputs = {n: a for n, a in cases.scan_inputs().items() if n not in absent}
    session = cases.session(
        "SelectiveScan", inputs, cases.SCAN_ATTRIBUTES, absent=absent, provider=CUDA_PROVIDER
    )
    (got,) = session.run(None, inputs)
    assert cases.relative_error(got, cases.scan_expected(inputs)) < cases.BOUNDS[0][1]


def test_sizes_the_kernels_refuse_are_one_line() -> None:
    inputs = {
        n: a[..., : cases.INNER - 1] if n == "x" else a for n, a in cases.cross_inputs().items()
    }
    for name in ("dt_weight", "dt_bias", "A", "D"):
        inputs[name] = np.ascontiguousarray(inputs[name][:, : cases.INNER - 1])
    inputs["x"] = np.ascontiguousarray(inputs["x"])
    session = cases.session(
        "CrossSelectiveScan", inputs, cases.CROSS_ATTRIBUTES, provider=CUDA_PROVIDER
    )
    with pytest.raises(Exception, match="posemamba::CrossSelectiveScan: CUDA error"):
        session.run(None, inputs)


def test_one_session_serves_several_threads_and_lengths() -> None:
    lengths = [1, 2, 7, 27] * 8
    inputs = {frames: cases.cross_inputs(frames=frames) for frames in set(lengths)}
    expected = {frames: cases.cross_expected(case) for frames, case in inputs.items()}
    session = cases.session(
        "CrossSelectiveScan", inputs[1], cases.CROSS_ATTRIBUTES, provider=CUDA_PROVIDER
    )
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda frames: session.run(None, inputs[frames])[0], lengths))
    for frames, got in zip(lengths, results, strict=True):
        assert cases.relative_error(got, expected[frames]) < cases.BOUNDS[0][1]


@pytest.fixture(scope="module")
def network() -> PoseMamba:
    torch.manual_seed(0)
    return PoseMamba(PoseMambaConfig(d_model=64, depth=3, frames=81)).eval()


@pytest.fixture(scope="module", params=list(NETWORK_BOUNDS))
def model(
    request: pytest.FixtureRequest, network: PoseMamba, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, float]:
    """An exported file, and how far from the float32 network it may be."""
    path = tmp_path_factory.mktemp(request.param) / "M.onnx"
    export_onnx(network, path, ExportOptions(precision=request.param))
    return path, NETWORK_BOUNDS[request.param]


def keypoints(seed: int, batch: int = 2, frames: int = 81) -> np.ndarray[Any, Any]:
    draw = np.random.default_rng(seed).uniform(-1, 1, (batch, frames, 17, 2))
    return draw.astype(np.float32)


def expected_poses(network: PoseMamba, clip: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    with torch.inference_mode():
        return network(torch.from_numpy(clip)).numpy()


@pytest.mark.parametrize("optimize", ["auto", "composed", "off"])
def test_network(network: PoseMamba, model: tuple[Path, float], optimize: Any) -> None:
    path, bound = model
    lift = OrtCuda(RuntimeOptions(optimize=optimize)).load(path)
    for shape in ((2, 81), (1, 1), (3, 27)):
        clip = keypoints(1, *shape)
        assert np.abs(lift(clip) - expected_poses(network, clip)).max() < bound


@pytest.mark.parametrize("optimize", ["auto", "composed", "off"])
def test_cuda_graph_replays_new_inputs(model: tuple[Path, float], optimize: Any) -> None:
    """Bound buffers and the provider's CUDA graph give what plain runs give."""
    path, limit = model
    runtime = OrtCuda(RuntimeOptions(optimize=optimize, cuda_graph=True))
    plain = OrtCuda(RuntimeOptions(optimize=optimize)).load(path)
    first = keypoints(1)
    bound = runtime.bind(path, first)
    assert bound.settings["cuda_graph"] is True
    for seed in (1, 2, 3):
        clip = keypoints(seed)
        first[...] = clip  # the array the bound model uploads from
        bound.upload()
        bound.compute()
        got, want = bound.download(), plain(clip)
        # Our kernels give the same bits; cuBLAS may choose others while a graph is recorded.
        assert np.abs(got - want).max() < limit
        if optimize == "auto" and path.parent.name.startswith("fp16"):
            assert np.array_equal(got, want)


@pytest.mark.parametrize("optimize", ["auto", "composed"])
def test_one_session_serves_several_threads(model: tuple[Path, float], optimize: Any) -> None:
    """Outputs that lie over inputs are a call's own."""
    lift = OrtCuda(RuntimeOptions(optimize=optimize)).load(model[0])
    clips = [keypoints(seed, 1 + seed % 3, 27) for seed in range(6)]
    alone = [lift(clip) for clip in clips]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lift, clips * 3))
    for got, want in zip(together, alone * 3, strict=True):
        # The same kernels; cuBLAS may take another one beside another thread's.
        assert np.abs(got - want).max() < model[1]
        if optimize == "auto" and model[0].parent.name.startswith("fp16"):
            assert np.array_equal(got, want)


def test_files_with_two_nodes_a_block_still_run(network: PoseMamba, tmp_path: Path) -> None:
    """As they were optimised before a block became one node."""
    path, bound = tmp_path / "M.onnx", NETWORK_BOUNDS["fp16"]
    export_onnx(network, path, ExportOptions(precision="fp16"))
    rewritten = optimize_model(path, "fused")
    split_blocks(rewritten.model)
    older = tmp_path / "older.onnx"
    older.write_bytes(rewritten.serialised())
    lift = OrtCuda().load(older)
    for shape in ((2, 81), (1, 1), (3, 27)):
        clip = keypoints(1, *shape)
        assert np.abs(lift(clip) - expected_poses(network, clip)).max() < bound
    assert lift(keypoints(1, 0, 5)).shape == (0, 5, 17, 3)


@pytest.mark.parametrize("fusion", ["auto", "composed"])
def test_graph_is_wholly_on_the_gpu(
    model: tuple[Path, float],
    fusion: Any,
    tmp_path: Path,
) -> None:
    """After the rewrite nothing but the shape's arithmetic is left to the CPU, and no copy."""
    path, _ = model
    options = ort.SessionOptions()
    options.enable_profiling = True
    options.profile_file_prefix = str(tmp_path / "profile")
    options.register_custom_ops_library(custom_op_library())
    data = optimize_model(path, fusion).serialised()
    session = ort.InferenceSession(data, options, providers=[CUDA_PROVIDER])
    session.run(None, {"keypoints_2d": keypoints(1)})
    events = json.loads(Path(session.end_profiling()).read_text())
    nodes = [e["args"] for e in events if "op_name" in e.get("args", {})]
    on_cpu = {n["op_name"] for n in nodes if n["provider"] != CUDA_PROVIDER}
    kinds = {n["op_name"] for n in nodes}
    assert on_cpu <= {"Shape"}
    assert not any(kind.startswith("Memcpy") for kind in kinds)
    assert not {"Transpose", "Conv"} & kinds


@pytest.mark.parametrize("precision", NETWORK_BOUNDS)
def test_torch_runtime(network: PoseMamba, precision: Any, tmp_path: Path) -> None:
    checkpoint = tmp_path / "C.safetensors"
    save_checkpoint(network, checkpoint)
    options = RuntimeOptions(precision=precision)
    clip = keypoints(1)
    want = expected_poses(network, clip)
    assert TorchCuda(options).available() is None
    assert (
        np.abs(TorchCuda(options).load(checkpoint)(clip) - want).max() < NETWORK_BOUNDS[precision]
    )
    for cuda_graph in (True, False):
        bound = TorchCuda(replace(options, cuda_graph=cuda_graph)).bind(checkpoint, clip)
        bound.upload()
        bound.compute()
        assert np.abs(bound.download() - want).max() < NETWORK_BOUNDS[precision]


def test_lift_opens_what_the_gpu_runs_fastest(
    model: tuple[Path, float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The runtime's library on the GPU: the rewritten file, and the poses of the exported one."""
    path, limit = model
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    told: list[str] = []
    clip = keypoints(1)
    with open_lifter(path, "onnxruntime-cuda", 1, told.append) as lifter:
        assert Path(lifter.info["model"]).parent == tmp_path / "posemamba"
        got = lifter.lift(clip)
    assert told[-1].startswith("Model: ")
    with Lifter(path, "onnxruntime-cuda", threads=1) as lifter:
        assert np.abs(got - lifter.lift(clip)).max() < 2 * limit


#: Python's session, the runtime's own ONNX Runtime opened and closed, then Python's sessions again.
TURNS = """
import sys
import numpy as np
import torch
from pmexport.runtimes.base import RuntimeOptions
from pmexport.runtimes.ort_cuda import OrtCuda
from posemamba_runtime.lifter import Lifter

torch.cuda.init()
clip = np.zeros((1, 27, 17, 2), np.float32)
runtime = OrtCuda(RuntimeOptions(optimize="composed"))
early = runtime.load(sys.argv[1])
first = early(clip)
for _ in range(2):
    with Lifter(sys.argv[1], "onnxruntime-cuda", threads=1) as lifter:
        assert np.abs(lifter.lift(clip) - first).max() < float(sys.argv[2])
    assert np.abs(early(clip) - first).max() < float(sys.argv[2])
    assert np.abs(runtime.load(sys.argv[1])(clip) - first).max() < float(sys.argv[2])
"""


def test_the_runtime_beside_pythons_sessions(model: tuple[Path, float]) -> None:
    """Both open the CUDA provider's one library; closing one must leave the other its kernels."""
    path, limit = model
    command = [sys.executable, "-X", "faulthandler", "-c", TURNS, str(path), str(2 * limit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
