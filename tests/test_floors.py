"""Dependencies go one way, and a machine without the extras can import everything."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest
from places import ROOT

#: What each part may import of the project and of the heavy packages, at module level.
FORBIDDEN = {
    "posemamba": {"pmexport", "posemamba_runtime", "onnx", "onnxruntime", "tensorrt", "pycuda"},
    "export/pmexport": {
        "posemamba_runtime",
        "tensorrt",
        "tensorrt_rtx",
        "pycuda",
        "matplotlib",
    },
    "deploy": {"posemamba", "pmexport", "torch"},
}


def module_level_imports(source: str) -> set[str]:
    names: set[str] = set()
    for node in ast.parse(source).body:
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("part", FORBIDDEN)
def test_imports_go_one_way(part: str) -> None:
    offences = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in sorted((ROOT / part).rglob("*.py"))
        for name in module_level_imports(path.read_text()) & FORBIDDEN[part]
    ]
    assert offences == []


def test_kernels_know_no_framework() -> None:
    words = ("onnxruntime", "ort_api", "NvInfer", "torch/", "ATen")
    for folder in ("include", "kernels"):
        for path in sorted((ROOT / "trt_plugins" / folder).rglob("*.[ch]*")):
            included = [line for line in path.read_text().splitlines() if "#include" in line]
            assert not [line for line in included for word in words if word in line], path


@pytest.mark.parametrize("package", ["posemamba", "pmexport"])
def test_import_needs_no_extra(package: str) -> None:
    blocked = ("tensorrt", "tensorrt_rtx", "pycuda", "mamba_ssm", "matplotlib", "polygraphy")
    code = f"import sys; sys.modules.update(dict.fromkeys({blocked!r})); import {package}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
