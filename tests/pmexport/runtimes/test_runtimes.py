"""Runtimes: one interface, and one clear line for every file they cannot run."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto
from places import GOLDEN

from pmexport.exporting.export import export_onnx
from pmexport.format.file import open_model
from pmexport.format.macs import concrete_shapes
from pmexport.format.names import CUDA_PROVIDER
from pmexport.format.options import ExportOptions
from pmexport.libraries import custom_op_providers
from pmexport.runtimes import ort_cuda
from pmexport.runtimes.base import Bindable, RuntimeOptions
from pmexport.runtimes.ort_cpu import OrtCpu
from pmexport.runtimes.ort_cuda import OrtCuda
from pmexport.runtimes.registry import RUNTIMES
from pmexport.runtimes.session import require_custom_ops
from posemamba.checkpoint.read import load_checkpoint
from posemamba.errors import InputError

CKPT = GOLDEN / "official_tiny.pth.tr"
CPU = "CPUExecutionProvider"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runtimes") / "tiny.onnx"
    export_onnx(load_checkpoint(CKPT), path, ExportOptions())
    return path


ON_THE_HOST = [name for name in RUNTIMES if not name.endswith("-cuda") and "tensorrt" not in name]


@pytest.mark.parametrize("name", ON_THE_HOST)
def test_every_runtime_gives_the_golden_poses(model: Path, name: str) -> None:
    golden = np.load(GOLDEN / "official_tiny_io.npz")
    runtime = RUNTIMES[name](RuntimeOptions(threads=1))
    assert runtime.name == name
    assert runtime.available() is None
    lift = runtime.load(model if runtime.reads == "model" else CKPT)
    poses_3d = lift(golden["keypoints_2d"])
    assert poses_3d.dtype == np.float32
    # 2e-5: the bound the golden files are held to everywhere, fp32 rounding of 459 steps.
    assert np.abs(poses_3d - golden["poses_3d"]).max() < 2e-5


@pytest.mark.parametrize("name", RUNTIMES)
def test_one_interface(name: str) -> None:
    runtime = RUNTIMES[name](RuntimeOptions())
    assert runtime.name == name
    assert runtime.reads in ("model", "checkpoint", "engine")
    problem = runtime.available()
    assert problem is None or ": " in problem, "a reason, and what to do about it"
    assert (problem is None) or name not in ON_THE_HOST
    assert isinstance(runtime, Bindable) == (name not in ON_THE_HOST)


def onnxruntime_with(provider: str) -> SimpleNamespace:
    """What ``available`` asks of the package."""
    return SimpleNamespace(
        __version__="9.9", __spec__=object(), get_available_providers=lambda: [provider]
    )


def test_onnxruntime_without_cuda_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = onnxruntime_with(CPU)
    monkeypatch.setitem(sys.modules, "onnxruntime", fake)
    problem = OrtCuda().available()
    assert problem is not None
    assert "9.9" in problem
    assert "onnxruntime-gpu" in problem


def test_a_library_without_cuda_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = onnxruntime_with(CUDA_PROVIDER)
    monkeypatch.setitem(sys.modules, "onnxruntime", fake)
    monkeypatch.setattr(ort_cuda, "custom_op_providers", lambda: [CPU])
    problem = OrtCuda().available()
    assert problem is not None
    assert "without CUDA" in problem
    assert "nvcc" in problem


def test_a_provider_that_does_not_start_is_told(model: Path) -> None:
    """onnxruntime falls back to the CPU by itself; a GPU runtime must not."""
    if CUDA_PROVIDER in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has the CUDA provider")
    with (
        pytest.raises(InputError, match="CUDA provider does not start here"),
        pytest.warns(UserWarning, match="CUDAExecutionProvider"),
    ):
        OrtCuda(RuntimeOptions(optimize="off")).session(model, cuda_graph=False)


def test_the_library_says_what_it_has() -> None:
    assert custom_op_providers()[0] == CPU
    assert set(custom_op_providers()) <= {CPU, CUDA_PROVIDER}


def test_threads_reach_onnx_runtime(model: Path) -> None:
    options = OrtCpu(RuntimeOptions(threads=1)).session(model).get_session_options()
    assert options.intra_op_num_threads == 1


def test_own_operators(model: Path) -> None:
    assert open_model(model).own_operators == {"CrossSelectiveScan"}


def test_external_data_that_is_gone(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "split.onnx"
    onnx.save(onnx.load(model), path, save_as_external_data=True, location="split.data",
              size_threshold=100)  # fmt: skip
    assert OrtCpu().load(path)(np.zeros((1, 2, 17, 2), np.float32)).shape == (1, 2, 17, 3)
    (tmp_path / "split.data").unlink()
    with pytest.raises(InputError, match=r"split\.onnx.*split\.data', which is missing"):
        OrtCpu().load(path)


@pytest.fixture(scope="module")
def half_ends(model: Path) -> Path:
    """The model as other tools convert it: fp16 at both ends, casts that say no shape."""
    proto = onnx.load(model)
    for node in proto.graph.node:
        node.input[:] = ["taken" if name == "keypoints_2d" else name for name in node.input]
        node.output[:] = ["given" if name == "poses_3d" else name for name in node.output]
    for end in (*proto.graph.input, *proto.graph.output):
        end.type.tensor_type.elem_type = TensorProto.FLOAT16
    make = onnx.helper.make_node
    proto.graph.node.insert(0, make("Cast", ["keypoints_2d"], ["taken"], to=TensorProto.FLOAT))
    proto.graph.node.append(make("Cast", ["given"], ["poses_3d"], to=TensorProto.FLOAT16))
    path = model.parent / "half_ends.onnx"
    onnx.save(proto, path)
    return path


def test_other_floats_at_the_ends_are_refused(half_ends: Path) -> None:
    with pytest.raises(InputError, match=r"keypoints_2d is tensor\(float16\).*tensor\(float\)"):
        OrtCpu().load(half_ends)


def test_shapes_that_nobody_stated_are_inferred(model: Path, half_ends: Path) -> None:
    found = concrete_shapes(open_model(half_ends), {"batch": 2, "frames": 9})
    assert (found["taken"], found["given"]) == ((2, 9, 17, 2), (2, 9, 17, 3))
    assert found.items() >= concrete_shapes(open_model(model), {"batch": 2, "frames": 9}).items()


def test_library_is_only_needed_by_own_operators(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "standard.onnx"
    export_onnx(load_checkpoint(CKPT), path, ExportOptions(frames=2, batch=1, ops="standard"))
    monkeypatch.setenv("POSEMAMBA_ORT_LIB", str(tmp_path / "gone.so"))
    assert OrtCpu().load(path)(np.zeros((1, 2, 17, 2), np.float32)).shape == (1, 2, 17, 3)
    with pytest.raises(InputError, match=r"no custom-op library at .*gone\.so.*pip install"):
        require_custom_ops("this test asks for it")
