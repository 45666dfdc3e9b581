"""What a report says of the machine and the packages it was made with."""

from __future__ import annotations

import importlib.util
import os
import platform
import subprocess
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

#: Import name to the distributions that may carry it: PyPI has several per CUDA version.
DISTRIBUTIONS: dict[str, tuple[str, ...]] = {
    "onnxruntime": ("onnxruntime", "onnxruntime-gpu"),
    "tensorrt": ("tensorrt", "tensorrt-cu13", "tensorrt-cu12"),
    "tensorrt_rtx": ("tensorrt-rtx-cu13", "tensorrt-rtx-cu12", "tensorrt-rtx"),
    "mamba_ssm": ("mamba-ssm",),
    "pynvml": ("nvidia-ml-py",),
    "cuda": ("cuda-python", "cuda-bindings"),
}
REPORTED = ("pmexport", "numpy", "onnx", "onnxruntime", "torch")
"""Packages whose versions every report names."""


def tool_version() -> str:
    """Version of this package, ``unknown`` when it runs from a tree that was never installed."""
    return _installed("pmexport") or "unknown"


def package_versions(names: Iterable[str] = REPORTED) -> dict[str, str | None]:
    """Installed version of each package, None if it is not there; nothing is imported."""
    return {name: package_version(name) for name in names}


def package_version(name: str, otherwise: str = "not installed as a package") -> str | None:
    """Version of one package, by the name it is imported by; None if it is not there.

    Args:
        otherwise: for a source tree on the path, or a package that came with the system, as
            TensorRT on a Jetson.
    """
    return _installed(name) or (otherwise if has_module(name) else None)


def has_module(name: str) -> bool:
    """Whether a package can be imported; it is not."""
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):  # blocked, or broken
        return False


def _installed(name: str) -> str | None:
    from importlib import metadata  # slow to import, and the command line waits for this module

    for distribution in DISTRIBUTIONS.get(name, (name,)):
        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
    return None


def environment(threads: int | None = None) -> dict[str, Any]:
    """Machine, system, GPU, CUDA, versions and date, for the report of a measurement.

    Args:
        threads: on the CPU, where somebody chose.
    """
    return {
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": _cores(),
        "threads": threads,
        "system": platform.platform(),
        **_gpu(),
        "versions": package_versions(),
        "date": timestamp(),
    }


def _processor() -> str:
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
        return next((line.partition(":")[2].strip() for line in lines
                     if line.startswith(("model name", "Model"))), "")  # fmt: skip
    return platform.processor()


def _cores() -> int | None:
    """That this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return os.cpu_count() if affinity is None else len(affinity(0))


def _gpu() -> dict[str, str | None]:
    """As PyTorch names them; without it, the driver's name for the first GPU."""
    if has_module("torch"):
        import torch

        name = torch.cuda.get_device_name() if torch.cuda.is_available() else None
        return {"gpu": name, "cuda": torch.version.cuda}
    try:
        done = subprocess.run(
            ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"],
            capture_output=True, text=True, timeout=20, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return {"gpu": None, "cuda": None}
    return {"gpu": next(iter(done.stdout.splitlines()), None), "cuda": None}


def timestamp() -> str:
    """Now, in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
