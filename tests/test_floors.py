"""The rooms of the house and who may use whom, as docs/design/architecture.md draws them.

Every import counts: at module level, inside functions and under TYPE_CHECKING; so does every
`#include`. A floor may use those below it. Rooms on one floor do not know each other.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from places import ROOT

PAGE = ROOT / "docs" / "design" / "architecture.md"


def floors(part: str) -> tuple[str, ...]:
    """Rooms from the ground up, as the page draws them; what a space joins shares a floor."""
    text = PAGE.read_text(encoding="utf-8")
    (drawn,) = re.findall(rf"^```floors {part}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return tuple(reversed(drawn.splitlines()))


PYTHON = {part: floors(part) for part in ("posemamba_runtime", "posemamba", "pmexport")}
#: With what is in the checkout alone.
HOUSES = PYTHON | {"benchmarks": floors("benchmarks")}
#: Folders of trt_plugins. `kernels/cuda/scan/<design>` is a room each.
CPP = floors("trt_plugins")
FOLDERS = {
    "posemamba_runtime": ROOT / "deploy" / "python" / "posemamba_runtime",
    "posemamba": ROOT / "posemamba",
    "pmexport": ROOT / "export" / "pmexport",
    "benchmarks": ROOT / "benchmarks",
}
#: Packages that only some rooms may import; every other room must do without.
GUARDED = {
    "click": {"posemamba.cli", "pmexport.cli"},
    "matplotlib": {"posemamba.draw"},
    "mamba_ssm": {"posemamba.scan"},
    "onnxruntime": {"pmexport.runtimes", "pmexport.doctor", "pmexport.check"},
    "tensorrt": {"pmexport.trt"},
    "tensorrt_rtx": {"pmexport.trt"},
    "pycuda": set[str](),
    "ray": {"posemamba_runtime.scale"},
    "starlette": {"posemamba_runtime.scale"},
    "uvicorn": {"posemamba_runtime.scale"},
    "prometheus_client": {"posemamba_runtime.scale"},
}
#: Rooms that a machine without PyTorch can use.
WITHOUT_TORCH = ("posemamba.errors", "posemamba.text", "posemamba.skeleton", "posemamba.config",
                 "posemamba.scan_order", "posemamba.pose", "pmexport.libraries")  # fmt: skip
_INCLUDE = re.compile(r'^\s*#include "([^"]+)"', re.MULTILINE)


@dataclass(frozen=True)
class Arrow:
    """One module that names another, and where."""

    source: str
    target: str
    line: int


def modules(package: str) -> dict[str, Path]:
    folder = FOLDERS[package]
    found = {}
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        name = ".".join((package, *parts)).removesuffix(".__init__")
        found[name] = path
    return found


@cache
def imported(path: Path) -> tuple[tuple[str, str, int], ...]:
    """A file's imports: the module, the name taken from it or "", and the line."""
    return tuple(_imported(path))


def _imported(path: Path) -> Iterator[tuple[str, str, int]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "", node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield from ((node.module, alias.name, node.lineno) for alias in node.names)


def arrows(package: str) -> list[Arrow]:
    """Who names whom among the modules of all packages, their roots left out."""
    known = {name for each in HOUSES for name in modules(each)} - set(HOUSES)
    found = []
    for source, path in modules(package).items():
        for module, name, line in imported(path):
            target = f"{module}.{name}" if f"{module}.{name}" in known else module
            if target in known:
                found.append(Arrow(source, target, line))
    return found


def packages(path: Path) -> set[str]:
    """Top-level packages a file imports."""
    return {module.split(".")[0] for module, _, _ in imported(path)}


def room(module: str) -> str:
    return ".".join(module.split(".")[:2])


def floor_of(package: str) -> dict[str, int]:
    return {
        f"{package}.{name}": height
        for height, floor in enumerate(HOUSES[package])
        for name in floor.split()
    }


def circle(edges: dict[str, set[str]]) -> list[str] | None:
    """Some circle of a graph, or None."""
    done: set[str] = set()

    def walk(node: str, path: list[str]) -> list[str] | None:
        if node in path:
            return path[path.index(node) :]
        if node in done:
            return None
        for following in sorted(edges.get(node, ())):
            if (found := walk(following, [*path, node])) is not None:
                return found
        done.add(node)
        return None

    for start in sorted(edges):
        if (found := walk(start, [])) is not None:
            return found
    return None


@pytest.mark.parametrize("package", HOUSES)
def test_every_module_is_in_a_room(package: str) -> None:
    entrances = {package, f"{package}.__main__"}  # these may use everything
    assert {room(name) for name in modules(package)} - entrances == set(floor_of(package))


@pytest.mark.parametrize("package", HOUSES)
def test_imports_go_down(package: str) -> None:
    floors = floor_of(package)
    up = [
        f"{arrow.source}:{arrow.line} uses {arrow.target}"
        for arrow in arrows(package)
        if room(arrow.source) in floors
        and room(arrow.target) != room(arrow.source)
        and floors.get(room(arrow.target), -1) >= floors[room(arrow.source)]
    ]
    assert up == []


@pytest.mark.parametrize("package", HOUSES)
def test_modules_form_no_circle(package: str) -> None:
    edges: dict[str, set[str]] = {}
    for arrow in arrows(package):
        edges.setdefault(arrow.source, set()).add(arrow.target)
    assert circle(edges) is None


def test_a_circle_is_found() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c"]
    assert circle({"a": {"b", "c"}, "b": {"c"}}) is None


def test_posemamba_knows_nothing_above_it() -> None:
    assert [a for a in arrows("posemamba") if a.target.startswith("pmexport")] == []


@pytest.mark.parametrize("package", PYTHON)
def test_what_is_installed_knows_no_benchmark(package: str) -> None:
    assert [a for a in arrows(package) if a.target.startswith("benchmarks")] == []


@pytest.mark.parametrize("guarded", GUARDED)
def test_packages_stay_in_their_rooms(guarded: str) -> None:
    found = {
        room(name)
        for package in PYTHON
        for name, path in modules(package).items()
        if guarded in packages(path)
    }
    assert found <= GUARDED[guarded]


@pytest.mark.parametrize("name", WITHOUT_TORCH)
def test_room_needs_no_torch(name: str) -> None:
    found = [
        module
        for package in PYTHON
        for module, path in modules(package).items()
        if room(module) == name and "torch" in packages(path)
    ]
    assert found == []


def test_posemamba_sees_the_runtimes_ground_floor_and_readers_alone() -> None:
    """Tables and readers; what lifts, writes and shows is above."""
    used = {
        ".".join(module.split(".")[:2])
        for path in modules("posemamba").values()
        for module, _, _ in imported(path)
        if module.split(".")[0] == "posemamba_runtime"
    }
    ground = {*PYTHON["posemamba_runtime"][0].split(), "keypoints"}
    assert used <= {f"posemamba_runtime.{name}" for name in ground}


def test_deploy_imports_nothing_of_ours() -> None:
    offences = [
        path.relative_to(ROOT)
        for path in sorted((ROOT / "deploy").rglob("*.py"))
        if packages(path) & {"posemamba", "torch"}
    ]
    assert offences == []


def cpp_room(path: str) -> str:
    """The longest folder of CPP that holds a file; a scan design is a room of its own."""
    folders = [folder for floor in CPP for folder in floor.split()]
    return max((f for f in folders if path.startswith(f"{f}/")), key=len, default="")


def design(path: str) -> str | None:
    parts = path.removeprefix("kernels/cuda/scan/").split("/")
    return parts[0] if path.startswith("kernels/cuda/scan/") and len(parts) > 1 else None


def includes() -> list[tuple[str, str]]:
    """(file, included file), relative to trt_plugins; headers that are not ours are left out."""
    base = ROOT / "trt_plugins"
    found = []
    for path in sorted(base.rglob("*")):
        if path.suffix not in {".h", ".cc", ".cu", ".cuh"}:
            continue
        for name in _INCLUDE.findall(path.read_text(encoding="utf-8")):
            places = (path.parent / name, base / "include" / name, base / "kernels" / name)
            target = next((p for p in places if p.is_file()), None)
            assert target is not None, f"{path}: '{name}' is not found"
            found.append((str(path.relative_to(base)), str(target.resolve().relative_to(base))))
    return found


def test_includes_go_down() -> None:
    height = {folder: i for i, floor in enumerate(CPP) for folder in floor.split()}
    up = [
        f"{source} includes {target}"
        for source, target in includes()
        if cpp_room(source) != cpp_room(target)
        and height[cpp_room(target)] >= height[cpp_room(source)]
    ]
    assert up == []


def test_adapters_see_the_launchers_alone() -> None:
    """ONNX Runtime's and TensorRT's adapters know the kernels by their C interface."""
    inside = [
        f"{source} includes {target}"
        for source, target in includes()
        if cpp_room(source) in CPP[-1].split() and target.startswith("kernels/")
    ]
    assert inside == []


def test_scan_designs_do_not_know_each_other() -> None:
    across = [
        f"{source} includes {target}"
        for source, target in includes()
        if design(source) and design(target) and design(source) != design(target)
    ]
    assert across == []


def test_kernels_know_no_framework() -> None:
    words = ("onnxruntime", "ort_api", "NvInfer", "torch/", "ATen")
    for folder in ("include", "kernels"):
        for path in sorted((ROOT / "trt_plugins" / folder).rglob("*.[ch]*")):
            included = [line for line in path.read_text().splitlines() if "#include" in line]
            assert not [line for line in included for word in words if word in line], path


@pytest.mark.parametrize("package", PYTHON)
def test_import_needs_no_extra(package: str) -> None:
    blocked = ("tensorrt", "tensorrt_rtx", "pycuda", "mamba_ssm", "matplotlib", "polygraphy")
    code = f"import sys; sys.modules.update(dict.fromkeys({blocked!r})); import {package}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_files_are_short() -> None:
    """A file holds one idea: at most 400 lines."""
    tracked = subprocess.run(
        ["git", "ls-files", "*.py", "*.cc", "*.cu", "*.cuh", "*.h", "*.hpp", "*.c"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    long = [f for f in tracked if len((ROOT / f).read_bytes().splitlines()) > 400]
    assert long == []
