"""The process that imports TensorRT: ``python -m pmexport.trt.worker``, driven by ``build``.

A request comes as JSON on stdin, events go out as one JSON object per line on stdout. It is a
process of its own because TensorRT may end its process instead of raising, because TensorRT-RTX
needs a library path that only a new process can be given, and so that Ctrl-C can always be obeyed.
Whatever native code prints goes to stderr. Neither PyTorch nor ONNX is imported.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from pmexport.engine.module import Log, Trt, plugin_creators
from pmexport.format.operators import OPERATORS
from posemamba.errors import InputError

#: Called with an event's name and its fields.
Emit = Callable[..., None]

_STEP_SECONDS = 0.05
#: What the inspector calls a tensor's type: one field up to TensorRT 10, two from 11.
_TYPE_KEYS = ("Format/Datatype", "DataType", "Format")


def _is_of_an_option(warning: str) -> bool:
    """Whether TensorRT's parser warns that a node lacks an attribute which it may lack."""
    return any(
        f"Attribute {name} not found in plugin node" in warning
        for operator in OPERATORS.values()
        for name in (*operator.optional_ints, *operator.further_ints)
    )


class Failure(Exception):
    """What the parent tells the user, in one line."""


class Session:
    """TensorRT's builder with its log, and whether the build was called off.

    Attributes:
        trt: the module, ``tensorrt`` or ``tensorrt_rtx``.
        log: what it logged as errors.
    """

    def __init__(self, trt: ModuleType, emit: Emit) -> None:
        self.trt = trt
        self.emit = emit
        self.cancelled = False
        self.log = Log()
        self.logger = self._logger()
        self.builder = trt.Builder(self.logger)

    def _logger(self) -> Trt:
        session = self

        class Logger(self.trt.ILogger):  # type: ignore[name-defined, misc]
            def __init__(self) -> None:
                session.trt.ILogger.__init__(self)

            def log(self, severity: Trt, message: str) -> None:
                if severity.name in ("ERROR", "INTERNAL_ERROR"):
                    session.log.errors.append(message)
                if severity.name == "WARNING" and not _is_of_an_option(message):
                    session.emit("warning", text=message)

        return Logger()

    def monitor(self) -> Trt:
        """A progress monitor that reports phases and stops the build when it was called off."""
        session = self

        class Monitor(self.trt.IProgressMonitor):  # type: ignore[name-defined, misc]
            def __init__(self) -> None:
                session.trt.IProgressMonitor.__init__(self)
                self.last = 0.0

            def phase_start(self, name: str, parent: str | None, steps: int) -> None:
                session.emit("phase", name=name, parent=parent, steps=steps)

            def step_complete(self, name: str, step: int) -> bool:
                now = time.monotonic()
                if now - self.last >= _STEP_SECONDS:
                    self.last = now
                    session.emit("step", name=name, step=step + 1)
                return not session.cancelled

            def phase_finish(self, name: str) -> None:
                session.emit("phase_end", name=name)

        return Monitor()

    def failure(self, what: str) -> Failure:
        """``what``, and the first thing TensorRT complained of since the log was begun."""
        return Failure(f"{what}: {self.log.first}")


def load_plugin(session: Session, path: str) -> list[dict[str, str]]:
    """Register the plugin library; its creators (name, version).

    Raises:
        InputError: it cannot be loaded, or holds no creator of ours.
    """
    registry = (
        session.trt.get_plugin_registry()
        if hasattr(session.trt, "get_plugin_registry")
        else session.builder.get_plugin_registry()
    )
    return plugin_creators(registry, path, session.log)


def parse(session: Session, onnx: str) -> tuple[Trt, Trt]:
    """The strongly typed network of an ONNX file, and the parser, which owns the weights.

    Raises:
        Failure: TensorRT cannot read it.
    """
    trt = session.trt
    flags = trt.NetworkDefinitionCreationFlag
    typed = 1 << int(flags.STRONGLY_TYPED) if hasattr(flags, "STRONGLY_TYPED") else 0
    network = session.builder.create_network(typed)
    parser = trt.OnnxParser(network, session.logger)
    if not parser.parse_from_file(onnx) or network.num_outputs == 0:
        if parser.num_errors:
            error = parser.get_error(0)
            raise Failure(f"TensorRT cannot read node '{error.node_name()}' "
                          f"({error.node_operator()}): {error.desc()}")  # fmt: skip
        raise session.failure("TensorRT cannot read the model")
    return network, parser


def describe(network: Trt) -> dict[str, Any]:
    """Layers, plugin layers, boundary tensors, and the type of every floating-point tensor."""
    types = {"FLOAT": "fp32", "HALF": "fp16", "BF16": "bf16"}
    tensors: dict[str, str] = {}
    plugins = 0
    for index in range(network.num_layers):
        layer = network.get_layer(index)
        plugins += layer.type.name == "PLUGIN_V3"
        for number in range(layer.num_outputs):
            tensor = layer.get_output(number)
            if tensor is not None and tensor.dtype.name in types:
                tensors[tensor.name] = types[tensor.dtype.name]

    def signature(tensor: Trt) -> dict[str, Any]:
        name = types.get(tensor.dtype.name, tensor.dtype.name.lower())
        return {"name": tensor.name, "dtype": name, "shape": list(tensor.shape)}

    return {
        "layers": network.num_layers,
        "plugin_layers": plugins,
        "tensors": tensors,
        "inputs": [signature(network.get_input(i)) for i in range(network.num_inputs)],
        "outputs": [signature(network.get_output(i)) for i in range(network.num_outputs)],
    }


def configure(session: Session, spec: Mapping[str, Any]) -> Trt:
    """A builder configuration for the request."""
    trt = session.trt
    config = session.builder.create_builder_config()
    for shapes in spec["profiles"]:
        profile = session.builder.create_optimization_profile()
        for name, sizes in shapes.items():
            profile.set_shape(name, *(tuple(sizes[key]) for key in ("min", "opt", "max")))
        if config.add_optimization_profile(profile) < 0:
            raise session.failure(f"TensorRT refuses the profile {shapes}")
    # TensorRT's default is TF32; what the ONNX model types as fp32 is computed so unless asked.
    if hasattr(trt.BuilderFlag, "TF32") and not spec["tf32"]:
        config.clear_flag(trt.BuilderFlag.TF32)
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # the inspector needs the types
    if spec["workspace"] is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, spec["workspace"])
    if spec["optimization_level"] is not None:
        config.builder_optimization_level = spec["optimization_level"]
    if spec["hardware_compat"] is not None:
        level = getattr(trt.HardwareCompatibilityLevel, spec["hardware_compat"], None)
        if level is None:
            raise Failure(f"this TensorRT has no hardware compatibility {spec['hardware_compat']}")
        config.hardware_compatibility_level = level
    if spec["version_compat"]:
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
    if spec["strip_weights"]:
        config.set_flag(trt.BuilderFlag.STRIP_PLAN)
        config.set_flag(trt.BuilderFlag.REFIT)
    if spec["cross_builds"]:
        config.num_compute_capabilities = len(spec["targets"])
        for index, target in enumerate(spec["targets"]):
            config.set_compute_capability(getattr(trt.ComputeCapability, target.upper()), index)
    if spec["timing_cache"] is not None:
        path = Path(spec["timing_cache"])
        cache = config.create_timing_cache(path.read_bytes() if path.is_file() else b"")
        if not config.set_timing_cache(cache, False):
            raise Failure(f"the timing cache '{path}' is of another TensorRT or GPU: name another")
    if hasattr(trt, "IProgressMonitor"):
        config.progress_monitor = session.monitor()
    return config


def inspect_engine(session: Session, plan: Trt) -> dict[str, Any]:
    """Open an engine and count its layers that read or give fp16, and fp32.

    TensorRT fuses layers, so there are fewer than in the network, and one may count as both.
    ``opened`` is False where the engine cannot be opened.
    """
    trt = session.trt
    runtime = trt.Runtime(session.logger)
    engine = runtime.deserialize_cuda_engine(plan)
    if engine is None:
        return {"opened": False, "why": str(session.failure("TensorRT cannot open it here"))}
    text = engine.create_engine_inspector().get_engine_information(trt.LayerInformationFormat.JSON)
    layers = [layer for layer in json.loads(text).get("Layers", []) if isinstance(layer, dict)]
    kinds = {"fp16": 0, "fp32": 0}
    for layer in layers:
        tensors = [*layer.get("Inputs", []), *layer.get("Outputs", [])]
        formats = " ".join(
            str(tensor.get(key, "")) for tensor in tensors for key in _TYPE_KEYS
        ).lower()
        kinds["fp16"] += "half" in formats or "fp16" in formats
        kinds["fp32"] += "float" in formats or "fp32" in formats
    return {"opened": True, "layers": len(layers), **kinds}


def run(spec: Mapping[str, Any], session: Session) -> None:
    """Do what a request says, and emit what comes of it.

    Raises:
        Failure: it cannot be done.
        OSError: the plan cannot be written.
    """
    trt, emit = session.trt, session.emit
    emit("version", version=str(trt.__version__))
    if spec["plugin"] is not None:
        emit("plugin", creators=load_plugin(session, spec["plugin"]))
    if spec["onnx"] is None:
        return
    session.log.begin()
    network, _parser = parse(session, spec["onnx"])  # kept: it must outlive the build
    emit("network", **describe(network))
    session.log.begin()
    config = configure(session, spec)
    plan = session.builder.build_serialized_network(network, config)
    if session.cancelled:
        emit("cancelled")
        return
    if plan is None:
        raise session.failure("TensorRT cannot build the engine")
    data = memoryview(plan)
    with Path(spec["plan"]).open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    emit("plan", size_bytes=data.nbytes)
    if spec["timing_cache"] is not None:
        Path(spec["timing_cache_out"]).write_bytes(config.get_timing_cache().serialize())
    if spec["open_engine"]:
        session.log.begin()
        emit("engine", **inspect_engine(session, plan))


def main() -> int:
    """Read a request, run it; 0 if all went well."""
    events = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)  # native code prints there
    spec = json.loads(sys.stdin.read())
    session: Session | None = None

    def emit(event: str, **fields: Any) -> None:
        try:
            events.write(json.dumps({"event": event, **fields}) + "\n")
        except OSError:  # the parent is gone, so nobody wants the engine
            if session is not None:
                session.cancelled = True

    def cancel(*_: object) -> None:
        if session is None:
            sys.exit(0)
        session.cancelled = True

    signal.signal(signal.SIGTERM, cancel)
    try:
        trt = importlib.import_module(spec["module"])
        session = Session(trt, emit)
        run(spec, session)
    except (Failure, InputError) as failure:
        emit("failure", text=str(failure))
    except OSError as error:
        emit("failure", text=f"'{error.filename or spec['plan']}': {error.strerror or error}")
    except ImportError as error:
        emit("failure", text=f"{spec['module']} cannot be imported: {error}")
    else:
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
