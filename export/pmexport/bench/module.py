"""Time a network of one's own in ONNX Runtime on the CPU, on random inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pmexport.bench.measure import HostBound, measure
from pmexport.bench.run import BenchRequest
from pmexport.format.environment import environment
from pmexport.format.failures import reason
from pmexport.format.file import ModelFile
from pmexport.format.names import CPU_PROVIDER
from pmexport.runtimes.base import FloatArray
from pmexport.runtimes.files import other_runtimes
from pmexport.runtimes.session import open_any_session
from posemamba.errors import InputError
from posemamba.text import plural

SCHEMA = 1


def run_module_bench(request: BenchRequest, model: ModelFile) -> dict[str, Any]:
    """Times at the shapes the model was exported with.

    Args:
        model: of ``pmexport export-module``.

    Raises:
        InputError: an option that only a PoseMamba has a use for, or ONNX Runtime fails.
    """
    given = {
        "--ckpt": request.checkpoint,
        "--weights": request.weights,
        "--batch": request.batch,
        "--frames": request.frames,
        "--precision": request.precision,
        **other_runtimes(request.runtimes),
    }
    model.refuse_options(given, ", timed with --runtime ort-cpu at the shapes it was exported with")
    session = open_any_session(model, request.threads, [CPU_PROVIDER])
    said = model.metadata["inputs"]
    feeds = {name: _numbers(one["shape"], one["dtype"]) for name, one in said.items()}
    wanted = {value.name for value in session.get_inputs()}
    feeds = {name: array for name, array in feeds.items() if name in wanted}

    def run(_first: FloatArray) -> FloatArray:
        found: FloatArray = session.run(None, feeds)[0]
        return found

    try:
        measured = measure(HostBound(run, next(iter(feeds.values()))), request.effort)
    except Exception as error:  # onnxruntime has many
        raise InputError(f"'{model.path}' cannot run: {reason(error)}") from None
    return {
        "schema": SCHEMA,
        "model": {"path": str(model.path), "sha256": model.sha256, "module": model.module},
        "inputs": {name: list(array.shape) for name, array in feeds.items()},
        "runtimes": {
            "ort-cpu": {
                "runs": measured.runs,
                "total": vars(measured.total),
                "unstable": measured.unstable,
            }
        },
        "environment": environment(request.threads),
    }


def module_bench_lines(found: dict[str, Any]) -> list[str]:
    """The same for people."""
    shapes = ", ".join(
        f"{name} {'x'.join(map(str, shape))}" for name, shape in found["inputs"].items()
    )
    times = found["runtimes"]["ort-cpu"]
    total = times["total"]
    unsteady = "; unstable, the times vary too much" if times["unstable"] else ""
    return [
        f"{found['model']['path']} ({found['model']['module']}), random inputs: {shapes}",
        f"ort-cpu: median {total['median']:.2f} ms, p90 {total['p90']:.2f}, p95 "
        f"{total['p95']:.2f}, p99 {total['p99']:.2f}, {plural(times['runs'], 'run')}{unsteady}",
    ]


def _numbers(shape: list[int], dtype: str) -> npt.NDArray[Any]:
    """Normal numbers, or zeros where they are whole: row 0 of an embedding is always there."""
    if dtype == "float32":
        return np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    return np.zeros(shape, dtype)
