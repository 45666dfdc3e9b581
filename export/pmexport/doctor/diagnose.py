"""What this machine has, what it lacks, the command that fixes it, and whether the op works."""

from __future__ import annotations

import platform
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pmexport.doctor.jobs import Job, jobs, mend
from pmexport.doctor.self_test import SelfTest, try_onnx_op, try_torch_op
from pmexport.doctor.tensorrt import flavours
from pmexport.format.environment import has_module, package_versions
from pmexport.format.failures import reason
from pmexport.format.names import CUDA_PROVIDER
from pmexport.libraries import custom_op_library, custom_op_providers
from posemamba.errors import InputError

SCHEMA = 1

PACKAGES = (
    *("pmexport", "numpy", "torch", "onnx", "onnxruntime", "onnxscript", "matplotlib"),
    *("tensorrt", "tensorrt_rtx", "cuda", "pycuda", "polygraphy", "pynvml", "mamba_ssm"),
)

#: Optional package -> what is missing without it, and the extra of pyproject.toml that brings it.
_OPTIONAL: dict[str, tuple[str, str]] = {
    "torch": ("export of checkpoints, and checks against PyTorch", "export"),
    "onnxscript": ("export of checkpoints, and pmexport optimize", "export"),
    "matplotlib": ("pictures of poses", "plot"),
    "tensorrt": ("TensorRT engines", "tensorrt"),
    "tensorrt_rtx": ("TensorRT engines built without a GPU", "tensorrt-rtx"),
    "cuda": ("TensorRT engines in Python", "tensorrt"),
    "pynvml": ("power and energy in bench by NVML (nvidia-smi is asked instead)", "power"),
    "mamba_ssm": ("training with mamba-ssm's CUDA kernels", "mamba"),
}


@dataclass(frozen=True)
class Finding:
    """Something that is missing.

    Attributes:
        what: what does not work without it.
        why: what was looked for and not found.
        fix: one command.
        required: the main job (an exported model run on the CPU, and checked) needs it.
    """

    what: str
    why: str
    fix: str
    required: bool


@dataclass(frozen=True)
class Diagnosis:
    """Everything the doctor found; ``to_dict`` is what ``--json`` prints."""

    system: dict[str, str]
    packages: dict[str, str | None]
    native: dict[str, dict[str, Any]]
    gpu: dict[str, Any]
    providers: list[str]
    tensorrt: dict[str, dict[str, Any]]
    self_tests: list[SelfTest]
    missing: list[Finding]
    jobs: list[Job]

    @property
    def ok(self) -> bool:
        """The main job works."""
        return all(test.passed for test in self.self_tests) and not any(
            finding.required for finding in self.missing
        )

    def to_dict(self) -> dict[str, Any]:
        found = {"schema": SCHEMA, "ok": self.ok, **asdict(self)}
        for row, job in zip(found["jobs"], self.jobs, strict=True):
            row["works"] = job.works
        return found


def diagnose() -> Diagnosis:
    """Look around, and run ``CrossSelectiveScan`` in ONNX Runtime, and in PyTorch where it is."""
    packages = package_versions(PACKAGES)
    native = {"kernels": _kernels(), "onnxruntime_ops": _custom_ops()}
    gpu = _gpu()
    providers = _providers()
    tests = [try_torch_op()] if has_module("torch") else []
    tests.append(try_onnx_op())
    tensorrt = flavours()
    return Diagnosis(
        system={
            "python": platform.python_version(),
            "platform": platform.platform(),
            "machine": platform.machine(),
        },
        packages=packages,
        native=native,
        gpu=gpu,
        providers=providers,
        tensorrt=tensorrt,
        self_tests=tests,
        missing=list(_findings(packages, native, gpu, providers)),
        jobs=jobs(packages, tests, tensorrt),
    )


def _kernels() -> dict[str, Any]:
    from posemamba.native import library as native

    path = native.library_path()
    found: dict[str, Any] = {"path": str(path), "found": path.is_file()}
    try:
        library = native.load_cpu_library()
    except InputError as error:
        return found | {"usable": False, "problem": str(error)}
    return found | {
        "usable": True,
        "abi": library.pm_abi_version(),
        "isa": library.pm_cpu_isa().decode(),
    }


def _custom_ops() -> dict[str, Any]:
    try:
        path = Path(custom_op_library())
    except InputError as error:
        return {"path": None, "found": False, "usable": False, "problem": str(error)}
    try:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.log_severity_level = 4
        options.register_custom_ops_library(str(path))
    except Exception as error:  # a missing package, or one of onnxruntime's own classes
        return {"path": str(path), "found": True, "usable": False, "problem": reason(error)}
    try:
        providers = custom_op_providers()
    except InputError as error:
        return {"path": str(path), "found": True, "usable": False, "problem": str(error)}
    return {"path": str(path), "found": True, "usable": True, "providers": providers}


def _providers() -> list[str]:
    try:
        import onnxruntime as ort
    except ImportError:
        return []
    return list(ort.get_available_providers())


def _gpu() -> dict[str, Any]:
    """GPUs and CUDA tools; their absence is normal."""
    found: dict[str, Any] = {"gpus": [], "driver": None, "nvcc": None, "torch_cuda": None}
    query = _output(
        "nvidia-smi", "--query-gpu=name,compute_cap,driver_version", "--format=csv,noheader"
    )
    for line in (query or "").splitlines():
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) == 3:
            found["gpus"].append({"name": cells[0], "compute_capability": cells[1]})
            found["driver"] = cells[2]
    release = [
        line for line in (_output("nvcc", "--version") or "").splitlines() if "release" in line
    ]
    if release:
        found["nvcc"] = release[0].split("release")[-1].split(",")[0].strip()
    if has_module("torch"):
        import torch

        found["torch_cuda"] = torch.version.cuda
    return found


def _output(*command: str) -> str | None:
    """What a tool prints, None if it is not there or fails."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


def _findings(
    packages: Mapping[str, str | None],
    native: Mapping[str, Mapping[str, Any]],
    gpu: Mapping[str, Any],
    providers: Iterable[str],
) -> Iterable[Finding]:
    for name in ("onnx", "onnxruntime", "numpy"):
        if packages[name] is None:
            yield Finding("the main job", f"{name} is not installed", "pip install .", True)
    for key, test, what in (
        ("kernels", "PyTorch op", "the native scan in PyTorch (a slow plain one is used)"),
        (
            "onnxruntime_ops",
            "ONNX Runtime op",
            "exported models in ONNX Runtime (--ops standard still runs, slowly)",
        ),
    ):
        if not native[key]["usable"]:
            yield Finding(what, str(native[key]["problem"]), mend(test), True)
    if gpu["gpus"]:
        yield from _cuda_findings(native["onnxruntime_ops"], providers)
    for name, (what, extra) in _OPTIONAL.items():
        needs_gpu = extra in ("tensorrt", "mamba", "power")
        if packages[name] is None and (gpu["gpus"] or not needs_gpu):
            yield Finding(what, f"{name} is not installed", f"pip install '.[{extra}]'", False)


def _cuda_findings(library: Mapping[str, Any], providers: Iterable[str]) -> Iterable[Finding]:
    """What ONNX Runtime lacks on a machine with a GPU."""
    what = "ONNX Runtime on the GPU"
    if CUDA_PROVIDER not in providers:
        fix = "pip uninstall -y onnxruntime; pip install onnxruntime-gpu"
        yield Finding(what, "this onnxruntime has no CUDA provider", fix, False)
    if library["usable"] and CUDA_PROVIDER not in library["providers"]:
        why = "the custom-op library was built without nvcc: it has no CUDA operators"
        yield Finding(
            what,
            why,
            "PATH=/usr/local/cuda/bin:$PATH pip install --force-reinstall --no-deps .",
            False,
        )
