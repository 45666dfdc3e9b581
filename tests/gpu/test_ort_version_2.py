"""Version 2 of the operators, and the forks that need it, in ONNX Runtime CUDA."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kernel_cases as cases
import kernel_v2 as v2
import numpy as np
import pytest
import torch
from fork_cases import CASES, TOLERANCE
from ort_cases import BOUNDS
from ort_v2 import run_cross, run_scan, scan_given

from pmexport.exporting.export import export_onnx
from pmexport.format.names import CUDA_PROVIDER
from pmexport.format.options import ExportOptions
from pmexport.runtimes.base import RuntimeOptions
from pmexport.runtimes.ort_cuda import OrtCuda
from posemamba.checkpoint.read import load_checkpoint

pytestmark = pytest.mark.gpu

#: Both designs of the kernel, with all that a table can say.
CROSS: dict[str, dict[str, object]] = {
    "tour": {},
    "breadth first": {"tables": v2.order_tables("bfs", 9)},
    "limbs and resets": {"tables": v2.order_tables("global-local", 9), "reset": (17, 9, 0, 5)},
    "channels": {"d_inner": 21},
    "states": {"d_state": 200},
}


@pytest.fixture(autouse=True)
def _one_runtime_of_cuda() -> None:
    """PyTorch's CUDA libraries serve ONNX Runtime, so they come first."""
    torch.cuda.init()


@pytest.mark.parametrize(("dtype", "bound"), BOUNDS)
@pytest.mark.parametrize("name", CROSS)
def test_tables(name: str, dtype: type, bound: float) -> None:
    case = v2.indexed_case(dtype=np.dtype(dtype).name, **CROSS[name])
    truth = v2.indexed_scan(case)
    y = run_cross(case, provider=CUDA_PROVIDER)
    assert np.abs(y - truth).max() < bound * np.abs(truth).max()


@pytest.mark.parametrize(("dtype", "bound"), BOUNDS)
def test_states(dtype: type, bound: float) -> None:
    case = cases.scan_case(dtype=np.dtype(dtype).name)
    start = np.random.default_rng(3).standard_normal((2, *case.A.shape)).astype(np.float32)
    truth, end = v2.stateful_scan(case, start)
    y, state = run_scan(scan_given(case, start), case.u.dtype.name, CUDA_PROVIDER)
    assert np.abs(y - truth).max() < bound * np.abs(truth).max()
    # A state is float32 in every type.
    assert np.abs(state - end).max() < dict(BOUNDS)[np.float32] * np.abs(end).max()


@pytest.mark.parametrize("given", [True, False])
def test_a_piece_of_no_steps_keeps_the_state(given: bool) -> None:
    case = cases.scan_case(length=0)
    start = np.random.default_rng(3).standard_normal((2, *case.A.shape)).astype(np.float32)
    inputs = scan_given(case, start if given else None)
    y, state = run_scan(inputs, "float32", CUDA_PROVIDER)
    assert y.shape == case.u.shape
    assert np.array_equal(state, start if given else np.zeros_like(start))


def root_mean_square(values: Any) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("name", CASES)
def test_forks(name: str, precision: Any, tmp_path: Path) -> None:
    case = CASES[name]
    network = load_checkpoint(case.checkpoint, scan_order=case.scan)
    export_onnx(network, tmp_path / "m.onnx", ExportOptions(precision=precision))
    golden = np.load(case.outputs)  # float64's
    lift = OrtCuda(RuntimeOptions(precision=precision, optimize="off")).load(tmp_path / "m.onnx")
    error = lift(golden["keypoints_2d"]) - golden["poses_3d"]
    if precision == "fp32":
        assert np.abs(error).max() < TOLERANCE
        return
    # Every product, convolution and activation rounds to float16, as in PyTorch's autocast, which
    # keeps a little more in float32: 1.2 to 1.3 times its error was measured. Another scan is
    # 0.6 away.
    keypoints = torch.from_numpy(golden["keypoints_2d"]).cuda()
    with torch.inference_mode(), torch.autocast("cuda", torch.float16):
        halves = network.cuda()(keypoints).float().cpu().numpy()
    assert root_mean_square(error) < 2 * root_mean_square(halves - golden["poses_3d"])
