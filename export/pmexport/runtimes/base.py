"""Everything that can run an exported model, behind one interface.

A runtime says whether it can work here, and turns a file into a function from ``keypoints_2d``
(batch, frames, joints, 2) to ``poses_3d`` (batch, frames, joints, 3), float32 on both sides. A new
one is a class and a row in :data:`RUNTIMES`. Runtimes with a device of their own can also be bound
to one input (:class:`Bindable`), so that a benchmark times copies and computing apart.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from pmexport.format.files import is_utf8
from posemamba.errors import InputError

if TYPE_CHECKING:
    from pmexport.runtimes.cuda import OrtCuda, TorchCuda

FloatArray = NDArray[np.float32]
Lift = Callable[[FloatArray], FloatArray]

INPUT_NAME, OUTPUT_NAME = "keypoints_2d", "poses_3d"
OP_DOMAIN = "posemamba"


@dataclass(frozen=True)
class RuntimeOptions:
    """What a caller may ask of any runtime.

    Attributes:
        threads: threads inside one operator; None lets the runtime decide.
        scan_order: the checkpoint's scan order where only the caller knows it.
        precision: of a runtime that reads the checkpoint on a GPU; a model has its own.
        cuda_graph: record the work of one input shape and replay it, where a runtime can.
        optimize: how a model is rewritten for the runtime's device first, where there is a rewrite:
            see :data:`pmexport.check.optimize.Fusion`, or ``off``.
        tf32: let float32 products on a GPU round their inputs to 10 bits.
    """

    threads: int | None = None
    scan_order: str | None = None
    precision: Literal["fp32", "fp16"] = "fp32"
    cuda_graph: bool = True
    optimize: Literal["auto", "fused", "composed", "off"] = "auto"
    tf32: bool = False


DEFAULT_OPTIONS = RuntimeOptions()


class Runtime(Protocol):
    """What runs a model.

    Attributes:
        name: how the command line calls it.
        reads: the file :meth:`load` takes, the exported model or the checkpoint it came from.
    """

    name: ClassVar[str]
    reads: ClassVar[Literal["model", "checkpoint"]]

    def available(self) -> str | None:
        """None, or why it cannot work on this machine and what to do about it."""
        ...

    def load(self, path: Path) -> Lift:
        """Prepare the file to be run.

        Raises:
            InputError: the file is no such model, or needs what is missing here.
        """
        ...


class Bound(Protocol):
    """A model made ready for inputs of one shape. Each step returns when it is done.

    Attributes:
        settings: what a reader of its times has to know, for the report.
    """

    settings: dict[str, Any]

    def upload(self) -> None:
        """Copy the input to the device."""
        ...

    def compute(self) -> None:
        """Run the network."""
        ...

    def download(self) -> FloatArray:
        """Copy the poses to the host."""
        ...


@runtime_checkable
class Bindable(Protocol):
    """A runtime whose copies can be told from its computing."""

    def bind(self, path: Path, keypoints_2d: FloatArray) -> Bound:
        """Prepare the file for inputs of this shape.

        Raises:
            InputError: as :meth:`Runtime.load`.
        """
        ...


@dataclass(frozen=True)
class OrtCpu:
    """ONNX Runtime on the CPU, with the project's custom-op library."""

    name: ClassVar[str] = "ort-cpu"
    reads: ClassVar[Literal["model", "checkpoint"]] = "model"
    options: RuntimeOptions = DEFAULT_OPTIONS

    def available(self) -> str | None:
        if importlib.util.find_spec("onnxruntime") is None:
            return "onnxruntime is not installed: run 'pip install onnxruntime'"
        return None

    def load(self, path: Path) -> Lift:
        return session_lift(self.session(path))

    def session(self, path: Path) -> Any:  # noqa: ANN401
        """The ``onnxruntime.InferenceSession`` itself, for profiling and I/O binding.

        Raises:
            InputError: as :meth:`load`.
        """
        return open_session(path, self.options.threads, ["CPUExecutionProvider"])


def open_session(
    path: Path, threads: int | None, providers: list[Any], model: bytes | None = None
) -> Any:  # noqa: ANN401
    """An ``onnxruntime.InferenceSession`` with the project's operators.

    Args:
        threads: inside one operator on the CPU.
        providers: as onnxruntime takes them.
        model: what to run, where it is not what the file holds.

    Raises:
        InputError: the file is no model of ours, or needs what is missing here.
    """
    import onnxruntime as ort

    operators = own_operators(path)
    options = ort.SessionOptions()
    options.log_severity_level = 4  # every error reaches us as an exception, said once
    if threads is not None:
        options.intra_op_num_threads = threads
    if operators:
        _register_custom_ops(options, f"'{path}' needs {', '.join(sorted(operators))}")
    if model is None and not is_utf8(path):  # as onnxruntime wants names to be
        model = path.read_bytes()
    try:
        session = ort.InferenceSession(
            model or str(path), sess_options=options, providers=providers
        )
    except Exception as error:  # onnxruntime raises many classes of its own
        raise InputError(f"'{path}': {_session_error(error)}") from None
    inputs = [value.name for value in session.get_inputs()]
    outputs = [value.name for value in session.get_outputs()]
    if inputs != [INPUT_NAME] or outputs != [OUTPUT_NAME]:
        raise InputError(
            f"'{path}' maps {', '.join(inputs)} to {', '.join(outputs)}, not {INPUT_NAME} to "
            f"{OUTPUT_NAME}: it is no PoseMamba model written by 'pmexport onnx'"
        )
    return session


def session_lift(session: Any) -> Lift:  # noqa: ANN401
    """An ``onnxruntime.InferenceSession`` as a function of NumPy arrays."""

    def lift(keypoints_2d: FloatArray) -> FloatArray:
        poses_3d: FloatArray = session.run([OUTPUT_NAME], {INPUT_NAME: keypoints_2d})[0]
        return poses_3d

    return lift


@dataclass(frozen=True)
class TorchPlainScan:
    """The checkpoint in PyTorch with the plain, step-by-step scan: slow, and independent of every
    native kernel."""

    name: ClassVar[str] = "torch"
    reads: ClassVar[Literal["model", "checkpoint"]] = "checkpoint"
    options: RuntimeOptions = DEFAULT_OPTIONS

    def available(self) -> str | None:
        return None

    def load(self, path: Path) -> Lift:
        from posemamba.checkpoint.read import load_checkpoint

        model = load_checkpoint(path, scan_order=self.options.scan_order)
        return torch_lift(model.set_scan("reference"), self.options.threads)


def torch_lift(model: Any, threads: int | None = None) -> Lift:  # noqa: ANN401
    """A PyTorch model as a function of NumPy arrays, run on so many threads."""
    import torch

    def lift(keypoints_2d: FloatArray) -> FloatArray:
        usual = torch.get_num_threads()
        torch.set_num_threads(threads or usual)  # the whole process's, hence set back
        try:
            with torch.inference_mode():
                poses_3d: FloatArray = model(torch.from_numpy(keypoints_2d)).numpy()
        finally:
            torch.set_num_threads(usual)
        return poses_3d

    return lift


def _ort_cuda(options: RuntimeOptions) -> OrtCuda:
    from pmexport.runtimes.cuda import OrtCuda

    return OrtCuda(options)


def _torch_cuda(options: RuntimeOptions) -> TorchCuda:
    from pmexport.runtimes.cuda import TorchCuda

    return TorchCuda(options)


#: The runtimes ``--runtime`` knows.
RUNTIMES: dict[str, Callable[[RuntimeOptions], Runtime]] = {
    OrtCpu.name: OrtCpu,
    TorchPlainScan.name: TorchPlainScan,
    "ort-cuda": _ort_cuda,
    "torch-cuda": _torch_cuda,
}


def own_operators(path: Path) -> set[str]:
    """Names of this project's operators in an ONNX file; empty for standard operators only.

    Raises:
        InputError: the file is missing, or is no ONNX model.
    """
    graph = read_onnx(path).graph
    return {node.op_type for node in graph.node if node.domain == OP_DOMAIN}


def read_onnx(path: Path) -> Any:  # noqa: ANN401
    """The ``onnx.ModelProto`` of a file, external data left where it is.

    Raises:
        InputError: the file is missing, is no ONNX model, or contradicts itself.
    """
    import onnx

    from pmexport.format.integrity import fault

    if path.is_dir():
        raise InputError(f"'{path}' is a directory: give the ONNX file")
    if path.suffix.lower() == ".engine":
        from pmexport.trt.sidecar import read_engine

        onnx_file = read_engine(path)["onnx"]["file"]
        raise InputError(
            f"'{path}' is a TensorRT engine: this command reads ONNX models, its own is {onnx_file}"
        )
    if not path.is_file():
        raise InputError(f"'{path}' does not exist: write it with 'pmexport onnx --ckpt C'")
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception:  # protobuf's decode error, under whatever name this version has
        raise InputError(
            f"'{path}' is not an ONNX model, or is truncated: export it again with 'pmexport onnx'"
        ) from None
    if not model.graph.node or not model.graph.output:
        raise InputError(f"'{path}' holds no ONNX graph: export it again with 'pmexport onnx'")
    wrong = fault(model)
    if wrong is not None:
        raise InputError(f"'{path}' is damaged, {wrong}: export it again with 'pmexport onnx'")
    return model


def require_custom_ops(why: str) -> None:
    """Make sure the custom-op library is there and loads.

    Raises:
        InputError: it is not; ``why`` says what needs it.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4
    _register_custom_ops(options, why)


def _register_custom_ops(options: Any, why: str) -> None:  # noqa: ANN401
    from pmexport.libraries import custom_op_library

    other = f"or export with --ops standard; {why}"
    try:
        library = custom_op_library()
    except InputError as error:
        raise InputError(f"{error}, {other}") from None
    try:
        options.register_custom_ops_library(library)
    except Exception as error:
        raise InputError(
            f"custom-op library '{library}' cannot be loaded ({_reason(error)}): build it again "
            f"with 'pip install .', {other}"
        ) from None


def _session_error(error: Exception) -> str:
    """What ONNX Runtime found wrong, without its source lines and status codes."""
    text = str(error)
    missing = re.search(rf"({OP_DOMAIN}:\w+)\(?-?\d*\)? is not a registered", text)
    if missing:
        return (
            f"it needs the operator {missing.group(1)}, which this custom-op library lacks: "
            "update it with 'pip install .'"
        )
    homeless = re.search(r"Could not find an implementation for (\w+)\(", text)
    if homeless:
        return (
            f"its operator {homeless.group(1)} has no kernel on this device: a file of 'pmexport "
            "optimize' runs with --runtime ort-cuda, the one it was made from anywhere"
        )
    return f"ONNX Runtime cannot load it: {_reason(error)}"


def _reason(error: Exception) -> str:
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", str(error).strip())
    text = re.sub(r"\S*/onnxruntime/\S+ ", "", text)  # the place in its own sources
    return " ".join(text.split())[:200]
