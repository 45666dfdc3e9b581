"""``config.pbtxt``: what Triton is told of a model, as text of its ``ModelConfig`` message.

The message is defined in Triton's ``model_config.proto``; the tests parse every text with it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pmexport.format.names import INPUT_NAME, OUTPUT_NAME

DEVICES = {"auto": "KIND_AUTO", "cpu": "KIND_CPU", "gpu": "KIND_GPU"}
"""AUTO: a GPU where the server has one."""

_QUEUED_BATCHES = 8
"""Batches that may wait; what comes beyond is refused at once, for a late pose is of no use."""


@dataclass(frozen=True)
class Settings:
    """What the user chooses.

    Attributes:
        max_batch: clips that Triton joins to one batch at most; None: the model's own limit.
        instances: of the model, each with memory of its own.
        threads: inside one operator on the CPU; 0: ONNX Runtime's choice.
        queue_delay_ms: that a clip waits for others.
    """

    name: str
    max_batch: int | None
    instances: int
    device: str
    threads: int
    queue_delay_ms: float


@dataclass(frozen=True)
class Served:
    """A model as Triton sees it.

    Attributes:
        backend: "onnxruntime" or "tensorrt".
        file: its name in the version's folder.
        batch: clips at once at most; None: the batch is part of the shapes, and Triton joins none.
        shape: of a clip, or of the whole input where ``batch`` is None; -1 is any.
        poses: the same of the output, exactly as the model states it: Triton compares the two.
        longest: frames to warm up with.
        library: custom-op library as the server sees it; None: the model needs none.
        profiles: of an engine, all of which each instance may use.
    """

    backend: str
    file: str
    batch: int | None
    shape: tuple[int, ...]
    poses: tuple[int, ...]
    longest: int
    library: str | None = None
    profiles: int = 0


def config_text(served: Served, settings: Settings) -> str:
    """The whole file."""
    lines = [
        f"name: {_quoted(settings.name)}",
        f"backend: {_quoted(served.backend)}",
        f"default_model_filename: {_quoted(served.file)}",
        f"max_batch_size: {served.batch or 0}",
        *_tensor("input", INPUT_NAME, served.shape),
        *_tensor("output", OUTPUT_NAME, served.poses),
        *_instances(served, settings),
        *(_batching(served.batch, settings.queue_delay_ms) if served.batch else ()),
        *_warm_up(served),
        *(_onnxruntime(served, settings) if served.backend == "onnxruntime" else ()),
    ]
    return "\n".join(lines) + "\n"


def _tensor(kind: str, name: str, shape: Sequence[int]) -> list[str]:
    dims = ", ".join(map(str, shape))
    return [
        f"{kind} [",
        f"  {{ name: {_quoted(name)} data_type: TYPE_FP32 dims: [ {dims} ] }}",
        "]",
    ]


def _instances(served: Served, settings: Settings) -> list[str]:
    device = DEVICES["gpu" if served.backend == "tensorrt" else settings.device]
    numbers = ", ".join(_quoted(str(number)) for number in range(served.profiles))
    profiles = f" profile: [ {numbers} ]" if served.profiles else ""
    return [
        "instance_group [",
        f"  {{ count: {settings.instances} kind: {device}{profiles} }}",
        "]",
    ]


def _batching(batch: int, delay_ms: float) -> list[str]:
    """Clips of one length are joined; Triton joins no clips of different lengths."""
    return [
        "dynamic_batching {",
        f"  preferred_batch_size: [ {batch} ]",
        f"  max_queue_delay_microseconds: {round(delay_ms * 1000)}",
        "  default_queue_policy {",
        f"    timeout_action: REJECT max_queue_size: {batch * _QUEUED_BATCHES}",
        "  }",
        "}",
    ]


def _warm_up(served: Served) -> list[str]:
    """The first run of a size allocates and picks kernels: it shall be none of a client's.

    Triton passes over a warm-up of batch 0: where it joins nothing a request is a batch of 1.
    """
    frames = ", ".join(str(served.longest if size == -1 else size) for size in served.shape)
    lines = []
    for batch in sorted({1, served.batch or 1}):
        lines += [
            "model_warmup {",
            f"  name: {_quoted(f'batch of {batch}')}",
            f"  batch_size: {batch}",
            f"  inputs {{ key: {_quoted(INPUT_NAME)} value {{",
            f"    data_type: TYPE_FP32 dims: [ {frames} ] zero_data: true",
            "  } }",
            "}",
        ]
    return lines


def _onnxruntime(served: Served, settings: Settings) -> Iterable[str]:
    if served.library is not None:
        yield f"model_operations {{ op_library_filename: {_quoted(served.library)} }}"
    yield (
        'parameters { key: "intra_op_thread_count" '
        f'value {{ string_value: "{settings.threads}" }} }}'
    )
    if settings.device != "cpu":  # products in float32 are float32, as in every runtime of ours
        yield "optimization { execution_accelerators { gpu_execution_accelerator ["
        yield '  { name: "cuda" parameters { key: "use_tf32" value: "0" } }'
        yield "] } }"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
