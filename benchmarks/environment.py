"""Where and with what a report was measured: the same record in every report."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from pathlib import Path

from pmexport.format.environment import package_versions

_PACKAGES = ("torch", "onnxruntime")
_SMI = ("nvidia-smi", "--query-gpu=name,driver_version,clocks.max.sm,power.limit")


def environment() -> dict[str, object]:
    """Date, machine and versions; the GPU's facts where there is one."""
    record: dict[str, object] = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }
    record |= package_versions(_PACKAGES)
    smi = _nvidia_smi()
    if smi is not None:
        import torch

        record |= {"gpu": smi.split(",")[0], "nvidia_smi": smi, "cuda": torch.version.cuda}
    return record


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _nvidia_smi() -> str | None:
    """Name, driver, highest clock and power limit of the first GPU; None where there is none."""
    try:
        done = subprocess.run(
            [*_SMI, "--format=csv,noheader"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.splitlines()[0].strip() if done.stdout.strip() else None
