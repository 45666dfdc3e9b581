"""Triton's own message reads the configuration; ONNX Runtime runs the model as it says."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from click.testing import CliRunner, Result
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as protocol

from pmexport.cli.main import cli
from pmexport.format.files import file_sha256

Triton = Callable[..., Result]


@pytest.fixture
def triton(here: Path) -> Triton:
    def run(*arguments: str, code: int = 0) -> Result:
        done = CliRunner().invoke(cli, ["triton", *arguments, "-o", "repository"])
        assert done.exit_code == code, done.output
        return done

    return run


def config(name: str = "tiny") -> Any:
    text = Path("repository", name, "config.pbtxt").read_text("utf-8")
    return text_format.Parse(text, protocol.ModelConfig())


def triton_takes(told: Any, session: Any) -> None:
    """What Triton's ONNX Runtime back end compares when it loads a model, or the model is down.

    Joined batches need a model that takes any number. Inputs may be freer in the configuration
    only where the model is; outputs are as the model states them.
    """
    for values, tensors in ((session.get_inputs(), told.input),
                            (session.get_outputs(), told.output)):  # fmt: skip
        for value, tensor in zip(values, tensors, strict=True):
            model = [size if isinstance(size, int) else -1 for size in value.shape]
            dims = list(tensor.dims)
            if told.max_batch_size:
                assert model[0] == -1
                dims = [-1, *dims]
            assert len(model) == len(dims)
            exact = tensors is told.output
            assert all(m == d or (m == -1 and not exact) for m, d in zip(model, dims, strict=True))


def run_as_told(name: str = "tiny") -> None:
    """ONNX Runtime with the library, threads and warm-up shapes that the file names."""
    told = config(name)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(told.parameters["intra_op_thread_count"].string_value)
    for library in told.model_operations.op_library_filename:
        options.register_custom_ops_library(library)
    path = Path("repository", name, "1", told.default_model_filename)
    session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    assert [value.name for value in session.get_inputs()] == [one.name for one in told.input]
    assert [value.name for value in session.get_outputs()] == [one.name for one in told.output]
    triton_takes(told, session)
    for warm_up in told.model_warmup:
        assert warm_up.batch_size >= 1, "Triton passes over it"
        batch = [warm_up.batch_size] if told.max_batch_size else []
        shape = [*batch, *warm_up.inputs["keypoints_2d"].dims]
        (poses,) = session.run(None, {"keypoints_2d": np.zeros(shape, np.float32)})
        assert poses.shape == (*shape[:-1], 3)
        sizes = [*batch, *told.output[0].dims]
        assert all(want in (-1, got) for want, got in zip(sizes, poses.shape, strict=True))


def test_an_exported_model(triton: Triton) -> None:
    done = triton("tiny.onnx", "--threads", "1", "--max-batch", "16", "--instances", "2")
    told = config()
    assert (told.name, told.backend, told.max_batch_size) == ("tiny", "onnxruntime", 16)
    assert list(told.input[0].dims) == [-1, 17, 2]
    assert list(told.output[0].dims) == [-1, 17, 3]
    (group,) = told.instance_group
    assert (group.count, group.kind) == (2, protocol.ModelInstanceGroup.KIND_AUTO)
    assert told.dynamic_batching.max_queue_delay_microseconds == 1000
    assert told.dynamic_batching.default_queue_policy.max_queue_size == 128
    (cuda,) = told.optimization.execution_accelerators.gpu_execution_accelerator
    assert (cuda.name, dict(cuda.parameters)) == ("cuda", {"use_tf32": "0"})
    assert [warm_up.batch_size for warm_up in told.model_warmup] == [1, 16]
    assert list(told.model_warmup[1].inputs["keypoints_2d"].dims) == [27, 17, 2]
    run_as_told()
    assert "No Triton server has run this here" in done.output
    command = f"tritonserver --model-repository={Path('repository').resolve()}"
    assert done.output.splitlines()[-1].strip() == command


SHAPES = {
    "batch": (["--batch", "4"], 0, [4, -1, 17, 2]),
    "one": (["--batch", "1"], 0, [1, -1, 17, 2]),
    "fp16": (["--fp16", "--batch", "1", "--frames", "9"], 0, [1, 9, 17, 2]),
    "generic": (["--ops", "generic"], 64, [-1, 17, 2]),
    "frames": (["--frames", "9"], 64, [9, 17, 2]),
    "both": (["--batch", "2", "--frames", "9"], 0, [2, 9, 17, 2]),
    "standard": (["--ops", "standard", "--frames", "3"], 64, [3, 17, 2]),
}


@pytest.mark.parametrize("case", SHAPES)
def test_shapes_that_are_fixed(triton: Triton, case: str) -> None:
    words, batch, dims = SHAPES[case]
    made = ["onnx", "--ckpt", "tiny.pth.tr", *words, "-o", f"{case}.onnx", "--no-check"]
    assert CliRunner().invoke(cli, made).exit_code == 0
    triton(f"{case}.onnx", "--threads", "1", "--device", "cpu")
    told = config(case)
    assert told.max_batch_size == batch
    assert list(told.input[0].dims) == dims
    assert told.HasField("dynamic_batching") == (batch > 0)
    assert told.HasField("model_operations") == (case != "standard")
    assert not told.HasField("optimization")
    run_as_told(case)


def test_weights_beside_the_model_go_with_it(triton: Triton, here: Path) -> None:
    import onnx

    model = onnx.load("tiny.onnx")
    (here / "beside" / "deep").mkdir(parents=True)
    onnx.save(model, "beside/net.onnx", save_as_external_data=True, location="deep/w.bin",
              size_threshold=256)  # fmt: skip
    triton("beside/net.onnx", "--threads", "1", "--device", "cpu")
    assert Path("repository/net/1/deep/w.bin").stat().st_size > 1000
    run_as_told("net")


def test_models_that_are_no_posemamba(here: Path, refused: Any) -> None:
    import onnx
    from onnx import TensorProto, helper

    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, [1]) for n in ("x\n", "poses_3d"))
    graph = helper.make_graph([helper.make_node("Abs", ["x\n"], ["poses_3d"])], "g", [x], [y])
    onnx.save(helper.make_model(graph), "other.onnx")
    refused(("triton", "other.onnx", "-o", "repository"), "maps x to poses_3d, not keypoints_2d")
    model = onnx.load("tiny.onnx")
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    onnx.save(model, "other.onnx")
    refused(("triton", "other.onnx", "-o", "repository"), "keypoints_2d is fp16 of 4 axes")
    model = onnx.load("tiny.onnx")
    del model.graph.output[0].type.tensor_type.shape.dim[:]
    onnx.save(model, "other.onnx")
    refused(("triton", "other.onnx", "-o", "repository"), "poses_3d is fp32 of 0 axes")


def test_no_batch_is_chosen_where_the_model_has_one(here: Path, refused: Any) -> None:
    made = ["onnx", "--ckpt", "tiny.pth.tr", "--batch", "1", "-o", "one.onnx", "--no-check"]
    assert CliRunner().invoke(cli, made).exit_code == 0
    words = ("triton", "one.onnx", "-o", "repository", "--max-batch", "1")
    refused(words, "--max-batch 1", "takes 1 clip, no more")


def test_the_path_that_the_server_sees(triton: Triton) -> None:
    done = triton("tiny.onnx", "--served-at", "/models/", "--name", "pose-1")
    assert list(config("pose-1").model_operations.op_library_filename) == [
        "/models/pose-1/libposemamba_ort.so"
    ]
    assert done.output.splitlines()[-1].strip() == "tritonserver --model-repository=/models"


def test_a_path_with_odd_letters(triton: Triton, tmp_path: Path) -> None:
    odd = '/m "a"\\ü'
    triton("tiny.onnx", "--served-at", odd)
    (library,) = config().model_operations.op_library_filename
    assert library == f"{odd}/tiny/libposemamba_ort.so"


def engine(folder: Path, **changes: Any) -> Path:
    """A plan that no TensorRT has seen, and the sidecar of one."""
    path = folder / "M.engine"
    path.write_bytes(b"ftrt")
    shape = changes.pop("shape", [-1, -1, 17, 2])
    sidecar = {
        "schema_version": 1, "created": "2026-01-01T00:00:00Z",
        "tool": {"name": "pmexport", "version": "0.2.0"},
        "engine": {"file": path.name, "sha256": file_sha256(path), "bytes": 4},
        "onnx": {"file": "M.onnx", "sha256": "0" * 64, "bytes": 4},
        "plugin": {"file": "p.so", "sha256": "0" * 64, "version": "1", "namespace": "posemamba",
                   "creators": ["CrossSelectiveScan"], "gpu_code": ["sm87"]},
        "tensorrt": {"flavour": changes.pop("flavour", "tensorrt"), "version": "10.3.0"},
        "targets": ["sm87"],
        "inputs": [{"name": "keypoints_2d", "dtype": "fp32", "shape": shape}],
        "outputs": [{"name": "poses_3d", "dtype": "fp32", "shape": [*shape[:-1], 3]}],
        "profiles": changes.pop("profiles", [
            {"batch": {"min": 1, "opt": 1, "max": 8}, "frames": {"min": 27, "opt": 81, "max": 81}},
        ]),
        "options": {"workspace_bytes": None, "optimization_level": None, "hardware_compat": None,
                    "version_compat": changes.pop("version_compat", False),
                    "strip_weights": False, "tf32": False},
    }  # fmt: skip
    assert not changes
    path.with_name("M.engine.json").write_text(json.dumps(sidecar))
    return path


@pytest.fixture(autouse=True)
def _schema_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sidecars here hold what a repository needs; tests/pmexport/trt keeps the schema."""
    monkeypatch.setattr("pmexport.engine.sidecar.schema_problem", lambda sidecar: None)


@pytest.fixture
def plugin(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = here / "libposemamba_trt.so"
    path.write_bytes(b"plugin")
    monkeypatch.setenv("POSEMAMBA_TRT_LIB", str(path))
    return path


def test_an_engine(triton: Triton, here: Path, plugin: Path) -> None:
    batch, frames = {"min": 1, "opt": 4, "max": 32}, {"min": 243, "opt": 243, "max": 243}
    first = {"batch": {"min": 1, "opt": 1, "max": 8}, "frames": frames}
    path = engine(here, profiles=[first, {"batch": batch, "frames": frames}], version_compat=True)
    done = triton(str(path), "--served-at", "/m", "--name", "net")
    told = config("net")
    assert (told.backend, told.max_batch_size) == ("tensorrt", 32)
    assert list(told.input[0].dims) == [-1, 17, 2]
    (group,) = told.instance_group
    assert group.kind == protocol.ModelInstanceGroup.KIND_GPU
    assert list(group.profile) == ["0", "1"]
    assert [one.batch_size for one in told.model_warmup] == [1, 32]
    assert not told.HasField("model_operations")
    assert done.output.splitlines()[-1].strip() == (
        "tritonserver --model-repository=/m "
        "--backend-config=tensorrt,plugins=/m/net/libposemamba_trt.so "
        "--backend-config=tensorrt,version-compatible=true"
    )
    assert sorted(str(p.relative_to("repository/net")) for p in Path("repository/net").rglob("*.*")
                  ) == ["1/model.plan", "1/model.plan.json", "config.pbtxt",
                        "libposemamba_trt.so"]  # fmt: skip


def test_engines_that_triton_cannot_serve(here: Path, plugin: Path, refused: Any) -> None:
    words = ("triton", "M.engine", "-o", "repository")
    engine(here, flavour="tensorrt-rtx")
    refused(words, "TensorRT-RTX", "no back end")
    row = {"batch": {"min": 4, "opt": 4, "max": 8}, "frames": {"min": 1, "opt": 9, "max": 9}}
    engine(here, profiles=[row])
    refused(words, "no single clip")
    engine(here)
    refused((*words, "--device", "cpu"), "leave --device cpu out")
    refused((*words, "--max-batch", "9"), "at most", "8")


def test_requests_that_are_refused(here: Path, refused: Any) -> None:
    words = ("triton", "tiny.onnx", "-o", "repository")
    refused((*words, "--name", "a/b"), "--name 'a/b'")
    refused((*words, "--name", ""), "--name ''")
    refused((*words, "--served-at", ""), "--served-at is empty")
    refused(("triton", "tiny.onnx", "-o", ""), "the name is empty")
    refused((*words, "--served-at", "models"), "whole path")
    refused((*words, "--device", "gpi"), "gpu")
    refused(("triton", "none.onnx", "-o", "repository"), "none.onnx")
    refused(("triton", "tiny.pth.tr", "-o", "repository"), "not an ONNX model")
    refused(("triton", "tiny.onnx", "-o", "tiny.onnx"), "tiny.onnx")


def test_what_is_there_is_kept(triton: Triton, here: Path) -> None:
    triton("tiny.onnx")
    before = Path("repository/tiny/config.pbtxt").stat().st_mtime_ns
    done = triton("tiny.onnx", code=2)
    assert "is there already" in done.output
    assert Path("repository/tiny/config.pbtxt").stat().st_mtime_ns == before
    shutil.rmtree("repository/tiny")
    assert list(Path("repository").iterdir()) == []
