"""Runtimes: one interface, and one clear line for every file they cannot run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from pmexport.onnx_export import ExportOptions, export_onnx
from pmexport.runtimes import RUNTIMES, OrtCpu, RuntimeOptions, own_operators, require_custom_ops
from posemamba.checkpoint import load_checkpoint
from posemamba.errors import InputError

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
CKPT = GOLDEN / "official_tiny.pth.tr"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runtimes") / "tiny.onnx"
    export_onnx(load_checkpoint(CKPT), path, ExportOptions())
    return path


@pytest.mark.parametrize("name", RUNTIMES)
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


def test_threads_reach_onnx_runtime(model: Path) -> None:
    options = OrtCpu(RuntimeOptions(threads=1)).session(model).get_session_options()
    assert options.intra_op_num_threads == 1


def test_own_operators(model: Path) -> None:
    assert own_operators(model) == {"CrossSelectiveScan"}


def test_external_data_that_is_gone(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "split.onnx"
    onnx.save(onnx.load(model), path, save_as_external_data=True, location="split.data",
              size_threshold=100)  # fmt: skip
    assert OrtCpu().load(path)(np.zeros((1, 2, 17, 2), np.float32)).shape == (1, 2, 17, 3)
    (tmp_path / "split.data").unlink()
    with pytest.raises(InputError, match=r"split\.onnx.*ONNX Runtime cannot load it"):
        OrtCpu().load(path)


def test_library_is_only_needed_by_own_operators(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "standard.onnx"
    export_onnx(load_checkpoint(CKPT), path, ExportOptions(frames=2, batch=1, ops="standard"))
    monkeypatch.setenv("POSEMAMBA_ORT_LIB", str(tmp_path / "gone.so"))
    assert OrtCpu().load(path)(np.zeros((1, 2, 17, 2), np.float32)).shape == (1, 2, 17, 3)
    with pytest.raises(InputError, match=r"no custom-op library at .*gone\.so.*pip install"):
        require_custom_ops("this test asks for it")
