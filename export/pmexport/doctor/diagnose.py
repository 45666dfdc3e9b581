"""What this machine has, what it lacks, the command that fixes it, and whether the op works."""

from __future__ import annotations

import importlib.util
import platform
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from pmexport.doctor.tensorrt import flavour_lines, flavours
from posemamba.errors import InputError

SCHEMA = 1

#: Import name to the distributions that may carry it: PyPI has several per CUDA version.
_DISTRIBUTIONS: dict[str, tuple[str, ...]] = {
    "onnxruntime": ("onnxruntime", "onnxruntime-gpu"),
    "tensorrt": ("tensorrt", "tensorrt-cu13", "tensorrt-cu12"),
    "tensorrt_rtx": ("tensorrt-rtx", "tensorrt-rtx-cu13", "tensorrt-rtx-cu12"),
    "mamba_ssm": ("mamba-ssm",),
}

PACKAGES = (
    *("pmexport", "numpy", "torch", "onnx", "onnxruntime", "onnxscript", "matplotlib"),
    *("tensorrt", "tensorrt_rtx", "pycuda", "polygraphy", "mamba_ssm"),
)

#: Optional package -> what is missing without it, and the extra of pyproject.toml that brings it.
_OPTIONAL: dict[str, tuple[str, str]] = {
    "matplotlib": ("pictures of poses", "plot"),
    "tensorrt": ("TensorRT engines", "tensorrt"),
    "tensorrt_rtx": ("TensorRT engines built without a GPU", "tensorrt-rtx"),
    "pycuda": ("TensorRT engines in Python", "tensorrt"),
    "mamba_ssm": ("training with mamba-ssm's CUDA kernels", "mamba"),
}

_SELF_TEST_LIMIT = 1e-5
"""Both sides sum a few dozen fp32 products of order 1: differences stay near 1e-6."""


@dataclass(frozen=True)
class Finding:
    """Something that is missing.

    Attributes:
        what: what does not work without it.
        why: what was looked for and not found.
        fix: one command.
        required: the main job (checkpoint to ONNX, run on the CPU, checked) needs it.
    """

    what: str
    why: str
    fix: str
    required: bool


@dataclass(frozen=True)
class SelfTest:
    """A native operator against the plain scan; ``max_abs`` None if it did not run."""

    name: str
    passed: bool
    max_abs: float | None
    detail: str


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

    @property
    def ok(self) -> bool:
        """The main job works."""
        return all(test.passed for test in self.self_tests) and not any(
            finding.required for finding in self.missing
        )

    def to_dict(self) -> dict[str, Any]:
        return {"schema": SCHEMA, "ok": self.ok, **asdict(self)}


def diagnose() -> Diagnosis:
    """Look around, and run ``CrossSelectiveScan`` in PyTorch and in ONNX Runtime."""
    packages = package_versions(PACKAGES)
    native = {"kernels": _kernels(), "onnxruntime_ops": _custom_ops()}
    gpu = _gpu()
    providers = _providers()
    tests = [_test_torch_op(), _test_onnx_op()]
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
        tensorrt=flavours(),
        self_tests=tests,
        missing=list(_findings(packages, native, gpu, providers)),
    )


def package_versions(names: Iterable[str]) -> dict[str, str | None]:
    """Installed version of each package, None if it is not there; nothing is imported."""
    return {name: _version(name) for name in names}


def _version(name: str) -> str | None:
    for distribution in _DISTRIBUTIONS.get(name, (name,)):
        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
    # A source tree on the path, or a package that came with the system, as TensorRT on Jetson.
    return "not installed as a package" if importlib.util.find_spec(name) else None


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
    from pmexport.libraries import custom_op_library

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
        problem = " ".join(str(error).split())
        return {"path": str(path), "found": True, "usable": False, "problem": problem}
    from pmexport.runtimes.cuda import library_providers

    try:
        providers = library_providers()
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
    if importlib.util.find_spec("torch") is not None:
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
    for name in ("torch", "onnx", "onnxruntime", "onnxscript", "numpy"):
        if packages[name] is None:
            yield Finding("the main job", f"{name} is not installed", "pip install .", True)
    for key, what in (
        ("kernels", "the native scan in PyTorch (a slow plain one is used)"),
        ("onnxruntime_ops", "exported models in ONNX Runtime (--ops standard still runs, slowly)"),
    ):
        if not native[key]["usable"]:
            yield Finding(what, str(native[key]["problem"]), "pip install .", True)
    if gpu["gpus"]:
        yield from _cuda_findings(native["onnxruntime_ops"], providers)
    for name, (what, extra) in _OPTIONAL.items():
        needs_gpu = extra in ("tensorrt", "mamba")
        if packages[name] is None and (gpu["gpus"] or not needs_gpu):
            yield Finding(what, f"{name} is not installed", f"pip install '.[{extra}]'", False)


def _cuda_findings(library: Mapping[str, Any], providers: Iterable[str]) -> Iterable[Finding]:
    """What ONNX Runtime lacks on a machine with a GPU."""
    from pmexport.runtimes.cuda import CUDA_PROVIDER

    what = "ONNX Runtime on the GPU"
    if CUDA_PROVIDER not in providers:
        fix = "pip uninstall -y onnxruntime; pip install onnxruntime-gpu"
        yield Finding(what, "this onnxruntime has no CUDA provider", fix, False)
    if library["usable"] and CUDA_PROVIDER not in library["providers"]:
        why = "the custom-op library was built without nvcc: it has no CUDA operators"
        yield Finding(what, why, "pip install . (with nvcc on PATH)", False)


def _sample() -> tuple[dict[str, Any], dict[str, Any], Any]:
    """Small inputs of the fused op, its attributes, and the plain scan's answer."""
    import torch

    from posemamba.scan import reference
    from posemamba.scan_order import get_scan_order
    from posemamba.skeleton import LIMB_INDEX, NUM_JOINTS

    table = get_scan_order("global-local")
    batch, frames, inner, state, rank = 2, 3, 32, 16, 2
    draw = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=draw)

    directions = table.directions
    inputs: dict[str, Any] = {
        "x": normal(batch, frames, NUM_JOINTS, inner),
        "x_dbl": normal(batch, frames, NUM_JOINTS, directions * (rank + 2 * state)),
        "dt_weight": normal(directions, inner, rank),
        "dt_bias": normal(directions, inner),
        "A": -torch.exp(normal(directions, inner, state)),
        "D": normal(directions, inner),
    }
    attributes: dict[str, Any] = {
        "d_state": state,
        "dt_rank": rank,
        "order": [int(code) for code in table.order],
        "reverse": list(table.reverse),
        "limb_mask": list(table.limb_mask),
        "limb_index": list(LIMB_INDEX),
    }
    plain = {name: value for name, value in attributes.items() if name != "dt_rank"}
    double = {name: value.double() for name, value in inputs.items()}
    return inputs, attributes, reference.cross_selective_scan(**double, **plain).float()


def _verdict(name: str, got: Any, want: Any, detail: str) -> SelfTest:  # noqa: ANN401
    """Relative to the largest value, which is far above 1 after 51 steps."""
    error = float((got - want).abs().max() / want.abs().max())
    return SelfTest(name, error <= _SELF_TEST_LIMIT, error, detail)


def _test_torch_op() -> SelfTest:
    name = "PyTorch op"
    try:
        from posemamba.native import scan_ops as ops

        inputs, attributes, want = _sample()
        got = ops.cross_selective_scan(**inputs, **attributes)
    except Exception as error:  # the doctor reports whatever is wrong, and goes on
        return SelfTest(name, False, None, " ".join(str(error).split()))
    return _verdict(name, got, want, "CrossSelectiveScan against the plain fp64 scan")


def _test_onnx_op() -> SelfTest:
    name = "ONNX Runtime op"
    try:
        import onnxruntime as ort
        import torch
        from onnx import TensorProto, helper

        from pmexport.libraries import custom_op_library

        inputs, attributes, want = _sample()
        node = helper.make_node(
            "CrossSelectiveScan",
            list(inputs),
            ["y"],
            domain="posemamba",
            plugin_version="1",
            plugin_namespace="posemamba",
            **attributes,
        )
        graph = helper.make_graph(
            [node],
            "doctor",
            [
                helper.make_tensor_value_info(key, TensorProto.FLOAT, list(value.shape))
                for key, value in inputs.items()
            ],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, list(want.shape))],
        )
        opsets = [helper.make_opsetid("", 20), helper.make_opsetid("posemamba", 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
        options = ort.SessionOptions()
        options.log_severity_level = 4
        options.register_custom_ops_library(custom_op_library())
        session = ort.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        got = session.run(["y"], {key: value.numpy() for key, value in inputs.items()})[0]
    except Exception as error:  # the doctor reports whatever is wrong, and goes on
        return SelfTest(name, False, None, " ".join(str(error).split()))
    return _verdict(name, torch.from_numpy(got), want, "a CrossSelectiveScan model")


def doctor_lines(diagnosis: Diagnosis) -> list[str]:
    """The diagnosis for people; the last line is the verdict."""
    lines = [f"Python {diagnosis.system['python']} on {diagnosis.system['platform']}"]
    lines += [f"  {name:<14} {version or '-'}" for name, version in diagnosis.packages.items()]
    for key, library in diagnosis.native.items():
        if library["usable"]:
            extra = f", ABI {library['abi']}, {library['isa']}" if "abi" in library else ""
            if "providers" in library:
                extra = ", for " + " and ".join(library["providers"])
            lines.append(f"  {key}: {library['path']}{extra}")
        else:
            lines.append(f"  {key}: {library['problem']}")
    gpus = [f"{gpu['name']} (sm {gpu['compute_capability']})" for gpu in diagnosis.gpu["gpus"]]
    lines.append(
        f"  GPU: {', '.join(gpus) or 'none'}; driver {diagnosis.gpu['driver'] or '-'}, "
        f"nvcc {diagnosis.gpu['nvcc'] or '-'}, torch CUDA {diagnosis.gpu['torch_cuda'] or '-'}"
    )
    lines.append(f"  ONNX Runtime providers: {', '.join(diagnosis.providers) or 'none'}")
    lines += flavour_lines(diagnosis.tensorrt)
    for test in diagnosis.self_tests:
        result = "did not run" if test.max_abs is None else f"error {test.max_abs:.1e}"
        verdict = "pass" if test.passed else "FAIL"
        lines.append(f"Self test: {test.name}: {verdict}, {result} ({test.detail})")
    for finding in diagnosis.missing:
        kind = "Missing" if finding.required else "Optional"
        lines.append(f"{kind}: {finding.what}: {finding.why}; fix: {finding.fix}")
    verdict = "the main job works" if diagnosis.ok else "the main job does not work yet"
    return [*lines, f"Doctor: {verdict}"]
