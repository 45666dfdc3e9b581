# ruff: noqa: ANN001, ANN002, ANN201, ANN202, ANN204, T201 (as untyped as the original)
"""Stands in for TensorRT's Python module: the calls ``pmexport`` makes, over ``onnx``.

It builds nothing: a plan is a short text, a plugin library a JSON file of operator name to version.
An engine runs in ONNX Runtime, from and to the addresses it is given, when its stream comes to it.
Words in ``FAKE_TENSORRT`` make it misbehave:

- ``crash``, ``refuse``, ``warn``, ``slow`` the build does so; ``deaf`` it never asks to go on
- ``retype`` a tensor has another type than in the model; ``no-plugin-layers``
- ``closed`` an engine cannot be opened; ``engine-fp32``, ``eleven`` what its inspector shows
- ``no-runtime``, ``no-context``, ``no-profile``, ``no-shape``, ``no-address``, ``no-run`` that call
  fails; ``renamed``, ``half``, ``profiles``, ``narrow`` the engine is another than its sidecar says
- ``wrong`` its poses are off by 0.1
"""

import enum
import functools
import json
import os
import time
from pathlib import Path

__version__ = "10.3.0"

WORDS = os.environ.get("FAKE_TENSORRT", "").split()


def _enum(name, members):
    return enum.IntEnum(name, {member: index for index, member in enumerate(members)})


NetworkDefinitionCreationFlag = _enum("NetworkDefinitionCreationFlag", ["STRONGLY_TYPED"])
BuilderFlag = _enum("BuilderFlag", ["TF32", "VERSION_COMPATIBLE", "STRIP_PLAN", "REFIT"])
MemoryPoolType = _enum("MemoryPoolType", ["WORKSPACE"])
ProfilingVerbosity = _enum("ProfilingVerbosity", ["LAYER_NAMES_ONLY", "DETAILED"])
LayerInformationFormat = _enum("LayerInformationFormat", ["JSON"])
HardwareCompatibilityLevel = _enum(
    "HardwareCompatibilityLevel", ["NONE", "AMPERE_PLUS", "SAME_COMPUTE_CAPABILITY"]
)
ComputeCapability = _enum("ComputeCapability", ["SM75", "SM80", "SM86", "SM89", "SM120", "SM121"])
DataType = _enum("DataType", ["FLOAT", "HALF", "INT64"])
LayerType = _enum("LayerType", ["PLUGIN_V3", "OTHER"])
Severity = _enum("Severity", ["INTERNAL_ERROR", "ERROR", "WARNING", "INFO"])
float32 = DataType.FLOAT
_TYPES = {1: DataType.FLOAT, 10: DataType.HALF}


class ILogger:
    pass


class IProgressMonitor:
    pass


class _Creator:
    plugin_namespace = "posemamba"

    def __init__(self, name, version):
        self.name, self.plugin_version = name, version


class _Registry:
    def __init__(self):
        self.all_creators = []

    def load_library(self, path):
        try:
            operators = json.loads(Path(path).read_text())
        except ValueError:
            LOGGERS[-1].log(Severity.ERROR, f"Unable to load library: {path}")
            return None
        self.all_creators = [_Creator(*item) for item in operators.items()]
        return object()


_REGISTRY = _Registry()
LOGGERS = []


def get_plugin_registry():
    return _REGISTRY


class _Tensor:
    def __init__(self, name, dtype, shape=()):
        self.name, self.dtype, self.shape = name, dtype, shape


class _Layer:
    def __init__(self, node, dtypes):
        plugin = node.domain == "posemamba" and "no-plugin-layers" not in WORDS
        self.type = LayerType.PLUGIN_V3 if plugin else LayerType.OTHER
        named = zip(node.output, dtypes, strict=True)
        self._outputs = [_Tensor(name, dtype) for name, dtype in named]

    num_outputs = property(lambda self: len(self._outputs))
    is_half = property(lambda self: DataType.HALF in [one.dtype for one in self._outputs])

    def get_output(self, index):
        return self._outputs[index]


class _Network:
    def __init__(self):
        self.layers, self.inputs, self.outputs = [], [], []

    num_layers = property(lambda self: len(self.layers))
    num_inputs = property(lambda self: len(self.inputs))
    num_outputs = property(lambda self: len(self.outputs))

    def get_layer(self, index):
        return self.layers[index]

    def get_input(self, index):
        return self.inputs[index]

    def get_output(self, index):
        return self.outputs[index]


class _ParserError:
    def __init__(self, node):
        self._node = node

    def node_name(self):
        return self._node.name

    def node_operator(self):
        return self._node.op_type

    def desc(self):
        return "Plugin not found"


class OnnxParser:
    def __init__(self, network, logger):
        self.network, self.errors = network, []

    num_errors = property(lambda self: len(self.errors))

    def get_error(self, index):
        return self.errors[index]

    def parse_from_file(self, path):
        import onnx  # a second that only a build should cost

        self.network.path = str(Path(path).resolve())
        graph = onnx.load(path).graph
        values = [*graph.input, *graph.value_info, *graph.output]
        types = {value.name: value.type.tensor_type.elem_type for value in values}
        known = {creator.name for creator in _REGISTRY.all_creators}
        for node in graph.node:
            if node.domain and node.op_type not in known:
                self.errors.append(_ParserError(node))
                return False
            dtypes = [_TYPES.get(types[name], DataType.INT64) for name in node.output]
            self.network.layers.append(_Layer(node, dtypes))
        if "retype" in WORDS:
            layer = next(one for one in self.network.layers if "fc1" in one.get_output(0).name)
            layer.get_output(0).dtype = DataType.FLOAT
        self.network.inputs = [_Tensor("keypoints_2d", DataType.FLOAT, (-1, -1, 17, 2))]
        self.network.outputs = [_Tensor("poses_3d", DataType.FLOAT, (-1, -1, 17, 3))]
        return True


class _Profile:
    def set_shape(self, name, *shapes):
        self.shapes = (name, shapes)


class _Config:
    def __init__(self):
        self.flags, self.profiles, self.settings = {BuilderFlag.TF32}, [], {}
        self.progress_monitor = None
        self.targets = {}

    def add_optimization_profile(self, profile):
        self.profiles.append(profile.shapes)
        return len(self.profiles) - 1

    def set_flag(self, flag):
        self.flags.add(flag)

    def clear_flag(self, flag):
        self.flags.discard(flag)

    def set_memory_pool_limit(self, pool, size):
        self.settings[pool.name] = size

    def set_compute_capability(self, target, index):
        self.targets[index] = target.name

    def create_timing_cache(self, data):
        return data

    def set_timing_cache(self, cache, _ignore_mismatch):
        self.timing_cache = cache
        return not cache.startswith(b"other")

    def get_timing_cache(self):
        config = self

        class Cache:
            def serialize(self):
                return config.timing_cache + b"+timings"

        return Cache()


class Builder:
    plan_start = b"ftrt"

    def __init__(self, logger):
        self.logger = logger
        LOGGERS.append(logger)

    def create_network(self, flags):
        assert flags == 1 << NetworkDefinitionCreationFlag.STRONGLY_TYPED
        return _Network()

    def create_builder_config(self):
        return _Config()

    def create_optimization_profile(self):
        return _Profile()

    def build_serialized_network(self, network, config):
        if "crash" in WORDS:
            print("terminate called without an active exception", flush=True)
            os.abort()
        if "refuse" in WORDS:
            self.logger.log(Severity.ERROR, "no tactics to implement the operation")
            return None
        if "warn" in WORDS:
            self.logger.log(Severity.WARNING, "the weights are doubtful")
        monitor = config.progress_monitor
        steps = 600 if {"slow", "deaf"} & set(WORDS) else 3
        monitor.phase_start("Building engine", None, 2)
        monitor.phase_start("Timing graph nodes", "Building engine", steps)
        for step in range(steps):
            if steps > 3:
                time.sleep(0.1)
            if "deaf" not in WORDS and not monitor.step_complete("Timing graph nodes", step):
                return None
        monitor.phase_finish("Timing graph nodes")
        monitor.phase_finish("Building engine")
        plan = {
            "onnx": network.path,
            "flags": sorted(flag.name for flag in config.flags),
            "profiles": config.profiles,
            "settings": config.settings,
            "targets": config.targets,
            "level": getattr(config, "builder_optimization_level", None),
            "hardware": int(getattr(config, "hardware_compatibility_level", 0)),
            "half": sum(one.is_half for one in network.layers),
            "layers": len(network.layers),
        }
        return self.plan_start + json.dumps(plan).encode()


class _Inspector:
    def __init__(self, plan):
        self.plan = plan

    def get_engine_information(self, _format):
        half = 0 if "engine-fp32" in WORDS else self.plan["half"]
        kinds = ["Half"] * half + ["Float"] * (self.plan["layers"] - half)
        outputs = [[{"Name": "t", "Format/Datatype": f"Row major linear {k}"}] for k in kinds]
        if "eleven" in WORDS:
            outputs = [[{"Name": "t", "DataType": k, "Format": "Row major"}] for k in kinds]
        return json.dumps({"Layers": [{"Name": "l", "Outputs": one} for one in outputs]})


class ICudaEngine:
    def __init__(self, plan, logger):
        self.plan, self.logger = plan, logger
        self.num_io_tensors = 2
        self.num_optimization_profiles = len(plan["profiles"]) + ("profiles" in WORDS)

    def create_engine_inspector(self):
        return _Inspector(self.plan)

    def get_tensor_name(self, index):
        return ("keypoints_2d", "poses" if "renamed" in WORDS else "poses_3d")[index]

    def get_tensor_dtype(self, name):
        return DataType.HALF if "half" in WORDS and name == "poses_3d" else DataType.FLOAT

    def create_execution_context(self):
        return None if self._fails("no-context") else IExecutionContext(self)

    def _fails(self, word):
        if word in WORDS:
            self.logger.log(Severity.ERROR, f"IExecutionContext: {word} as asked")
        return word in WORDS


class IExecutionContext:
    """``set_tensor_address`` takes what ``fake_device`` gave, and nothing else."""

    def __init__(self, engine):
        self.engine, self.addresses, self.shape, self.profile = engine, {}, None, 0

    def set_optimization_profile_async(self, profile_index, stream_handle):
        self.profile = profile_index
        return not self.engine._fails("no-profile")

    def set_input_shape(self, name, shape):
        assert name == "keypoints_2d"
        (_, (low, _, high)) = self.engine.plan["profiles"][self.profile]
        self.shape = tuple(shape)
        fits = all(a <= b <= c for a, b, c in zip(low, shape, high, strict=True))
        return fits and not self.engine._fails("no-shape")

    def get_tensor_shape(self, name):
        width = {"keypoints_2d": self.shape[3], "poses_3d": 2 if "narrow" in WORDS else 3}[name]
        return (*self.shape[:3], width)

    def set_tensor_address(self, name, memory):
        self.addresses[name] = memory
        return not self.engine._fails("no-address")

    def execute_async_v3(self, stream_handle):
        import fake_device

        if self.engine._fails("no-run"):
            return False
        fake_device.queue(stream_handle, self._run)
        return True

    def _run(self):
        import fake_device
        import numpy as np

        keypoints = fake_device.array(self.addresses["keypoints_2d"], self.shape)
        poses = _session(self.engine.plan["onnx"]).run(None, {"keypoints_2d": keypoints.copy()})[0]
        off = np.float32(0.1 if "wrong" in WORDS else 0.0)
        fake_device.array(self.addresses["poses_3d"], poses.shape)[...] = poses + off


@functools.cache
def _session(path):
    import onnxruntime

    from pmexport.libraries import custom_op_library

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.register_custom_ops_library(custom_op_library())
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


class Runtime:
    engine_host_code_allowed = False

    def __init__(self, logger):
        self.logger = logger
        if "no-runtime" in WORDS:
            logger.log(Severity.ERROR, "CUDA initialization failure with error: 35")

    def deserialize_cuda_engine(self, serialized_engine):
        if "closed" in WORDS:
            self.logger.log(Severity.ERROR, "no such device")
            return None
        return ICudaEngine(json.loads(bytes(serialized_engine)[4:]), self.logger)
