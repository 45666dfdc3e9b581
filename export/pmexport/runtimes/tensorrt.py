"""Engines of ``pmexport trt`` in TensorRT: full, else lean; and in TensorRT-RTX.

The sidecar is believed once it is verified (:mod:`pmexport.engine.fits`), the plugin is registered
once per process, and every call of TensorRT that can fail is asked whether it did.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pmexport.engine import fits
from pmexport.engine.file import EngineFile
from pmexport.engine.gpu import current_architecture
from pmexport.engine.module import INSTALL, TensorRtModule, Trt, load_module, module_name
from pmexport.format.names import INPUT_NAME, OUTPUT_NAME, TENSORRT, TENSORRT_RTX
from pmexport.libraries import tensorrt_plugin_library
from pmexport.runtimes.base import (
    DEFAULT_OPTIONS,
    Bound,
    File,
    FloatArray,
    Lift,
    Reads,
    RuntimeOptions,
)
from pmexport.runtimes.cuda_memory import DeviceMemory, memory_problem, open_memory
from pmexport.runtimes.files import as_engine
from posemamba.errors import InputError
from posemamba.text import plural


@dataclass(frozen=True)
class _Engines:
    """What runs the engines of one flavour."""

    name: ClassVar[str]
    reads: ClassVar[Reads] = "engine"
    options: RuntimeOptions = DEFAULT_OPTIONS

    def available(self) -> str | None:
        if module_name(self.name) is None:
            return f"{self.name} is not installed: {INSTALL[self.name]}"
        if current_architecture() is None:
            return "no GPU is found: run it on a machine with one"
        return memory_problem()

    def load(self, file: File) -> Lift:
        engine, memory = self._open(file, cuda_graph=False)
        held: dict[tuple[int, ...], EngineBound] = {}

        def lift(keypoints_2d: FloatArray) -> FloatArray:
            shape = keypoints_2d.shape
            if shape not in held:
                held.clear()  # the buffers of one shape at a time
                held[shape] = EngineBound(engine, memory, keypoints_2d, cuda_graph=False)
            bound = held[shape]
            bound.keypoints_2d[...] = keypoints_2d
            bound.upload()
            bound.compute()
            return bound.download()

        return lift

    def bind(self, file: File, keypoints_2d: FloatArray) -> Bound:
        wanted = self.options.cuda_graph
        return EngineBound(*self._open(file, wanted), keypoints_2d, wanted)

    def _open(self, file: File, cuda_graph: bool) -> tuple[OpenEngine, DeviceMemory]:
        engine = as_engine(file)
        fits.check_flavour(engine, self.name)
        fits.check_plan(engine)
        name = module_name(self.name)
        if name is None:
            raise InputError(f"{self.name} is not installed: {INSTALL[self.name]}")
        module = load_module(name)
        fits.check_library(engine, module)
        fits.check_gpu(engine, current_architecture())
        library = tensorrt_plugin_library()
        fits.check_plugin(engine, library, module.plugins(library))
        memory = open_memory(cuda_graph)  # first: without CUDA TensorRT's Runtime is a null pointer
        return OpenEngine(engine, module), memory


class TensorRt(_Engines):
    """TensorRT, full or lean, on the GPU the engine was built for."""

    name: ClassVar[str] = TENSORRT


class TensorRtRtx(_Engines):
    """TensorRT-RTX."""

    name: ClassVar[str] = TENSORRT_RTX


class OpenEngine:
    """An engine that TensorRT has opened, and what it was opened with.

    Args:
        file: one that fits here, see :mod:`pmexport.engine.fits`.

    Raises:
        InputError: TensorRT refuses it, or it is not what its sidecar says.
    """

    def __init__(self, file: EngineFile, module: TensorRtModule) -> None:
        self.file, self.module = file, module
        module.log.begin()
        self.runtime = module.trt.Runtime(module.log.native)
        if module.log.errors:
            # It may hold a null pointer, which ends the process when Python lets go of it.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self.runtime))
            raise self.failure("does not start")
        if file.sidecar["options"]["version_compat"] and not module.lean:
            self.runtime.engine_host_code_allowed = True  # it carries its lean runtime as code
        module.log.begin()
        self.native = self.runtime.deserialize_cuda_engine(file.path.read_bytes())
        if self.native is None:
            raise self.failure("cannot open it")
        self._check_tensors()

    def _check_tensors(self) -> None:
        """The sidecar's tensors are the engine's."""
        trt, native = self.module.trt, self.native
        names = [native.get_tensor_name(index) for index in range(native.num_io_tensors)]
        if sorted(names) != sorted((INPUT_NAME, OUTPUT_NAME)):
            raise self.wrong(f"maps {', '.join(names)}, not {INPUT_NAME} to {OUTPUT_NAME}")
        for name in names:
            if native.get_tensor_dtype(name) != trt.float32:
                raise self.wrong(f"has '{name}' as {native.get_tensor_dtype(name)}, not float32")
        if native.num_optimization_profiles != len(self.file.profiles):
            raise self.wrong(
                f"has {native.num_optimization_profiles} profiles, its sidecar tells "
                f"{len(self.file.profiles)}"
            )

    def failure(self, what: str) -> InputError:
        """``what`` TensorRT could not do with this engine, and the first thing it complained of."""
        return InputError(
            f"'{self.file.path}': {self.module.title} {self.module.version} {what}: "
            f"{' '.join(self.module.log.first.split())[:200]}"
        )

    def wrong(self, what: str) -> InputError:
        """The engine is not what its sidecar says."""
        return InputError(f"'{self.file.path}' {what}: build it again with "
                          + fits.rebuild(self.file))  # fmt: skip


class EngineBound:
    """An engine with its input and output at fixed places on the GPU, for one shape.

    Raises:
        InputError: no profile takes the shape, or TensorRT or CUDA refuses a step.
    """

    def __init__(
        self, engine: OpenEngine, memory: DeviceMemory, keypoints_2d: FloatArray, cuda_graph: bool
    ) -> None:
        self._engine, self._memory = engine, memory
        self.keypoints_2d = np.array(keypoints_2d, np.float32, order="C")
        engine.module.log.begin()
        self._context = self._prepared(self.keypoints_2d.shape)
        shape = tuple(self._context.get_tensor_shape(OUTPUT_NAME))
        if shape != (*self.keypoints_2d.shape[:3], 3):
            raise engine.wrong(f"gives poses {shape} for keypoints {self.keypoints_2d.shape}")
        self._poses = np.empty(shape, np.float32)
        self._input = memory.allocate(self.keypoints_2d.nbytes)
        self._output = memory.allocate(self._poses.nbytes)
        for name, address in ((INPUT_NAME, self._input), (OUTPUT_NAME, self._output)):
            self._require(self._context.set_tensor_address(name, address), f"cannot bind '{name}'")
        graph = cuda_graph and memory.records
        self._graph = self._recorded() if graph else None
        self.settings: dict[str, Any] = {
            "tensorrt": engine.module.version,
            "module": engine.module.name,
            "memory": memory.name,
            "io_binding": True,
            "cuda_graph": graph,
        }

    def upload(self) -> None:
        self._memory.upload(self._input, self.keypoints_2d)
        self._memory.synchronize()

    def compute(self) -> None:
        if self._graph is None:
            self._enqueue()
        else:
            self._graph()
        self._memory.synchronize()

    def download(self) -> FloatArray:
        self._memory.download(self._poses, self._output)
        self._memory.synchronize()
        poses_3d: FloatArray = self._poses.copy()
        return poses_3d

    def _prepared(self, shape: tuple[int, ...]) -> Trt:
        """An execution context of the profile that takes the shape."""
        file = self._engine.file
        index = file.takes(shape[0], shape[1])
        if index is None:
            again = fits.rebuild(file, f" --batch {shape[0]}")
            raise InputError(
                f"'{file.path}' takes {file.profile_text()}, not batch {shape[0]} with "
                f"{plural(shape[1], 'frame')}: build it for these with {again}"
            )
        context = self._engine.native.create_execution_context()
        if context is None:
            raise self._engine.failure("makes no execution context")
        chosen = context.set_optimization_profile_async(index, self._memory.stream)
        self._require(chosen, f"cannot take profile {index}")
        self._require(context.set_input_shape(INPUT_NAME, shape), f"refuses the shape {shape}")
        return context

    def _enqueue(self) -> None:
        self._require(self._context.execute_async_v3(self._memory.stream), "cannot run")

    def _recorded(self) -> Callable[[], None]:
        """The work as a CUDA graph, after one run that lets TensorRT set itself up."""
        self._memory.upload(self._input, self.keypoints_2d)
        self._enqueue()
        self._memory.synchronize()
        return self._memory.record(self._enqueue)

    def _require(self, done: bool, what: str) -> None:
        if not done:
            raise self._engine.failure(what)
