"""What a user came for, and whether it works here: each job with the one command that mends it."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pmexport.doctor.self_test import SelfTest
from pmexport.engine.gpu import current_architecture
from pmexport.format.environment import has_module
from pmexport.format.failures import reason
from pmexport.libraries import ORT_LIBRARY_VARIABLE, TRT_LIBRARY_VARIABLE
from pmexport.runtimes.base import DEFAULT_OPTIONS
from pmexport.runtimes.registry import RUNTIMES
from pmexport.trt.backends import BACKENDS
from posemamba.native.library import LIBRARY_VARIABLE

_REINSTALL = "pip install ."
_NEEDS_TORCH = ("torch", "onnx", "onnxscript", "numpy")
#: The library behind what fails here, and the variable that puts another in its place.
_NAMED_BY = {
    "PyTorch op": LIBRARY_VARIABLE,
    "ONNX Runtime op": ORT_LIBRARY_VARIABLE,
    "plugin": TRT_LIBRARY_VARIABLE,
}
_COMMAND = re.compile(r"pip install (?:'[^']+'|[^\s',;]+)(?: [^\s',;]+)*")


@dataclass(frozen=True)
class Job:
    """One thing people do with this tool.

    Attributes:
        command: as it is typed.
        why: what stands against it; empty if it works.
        fix: one command; empty where none mends it, as a GPU that is not there.
    """

    command: str
    why: str = ""
    fix: str = ""

    @property
    def works(self) -> bool:
        return not self.why

    @property
    def line(self) -> str:
        if self.works:
            return f"  {self.command}: works"
        mended = f"; fix: {self.fix}" if self.fix else ""
        return f"  {self.command}: does not work here: {self.why}{mended}"


def jobs(
    packages: Mapping[str, str | None],
    tests: Sequence[SelfTest],
    tensorrt: Mapping[str, Mapping[str, Any]],
) -> list[Job]:
    """Every job; nothing is run that the doctor has not run already."""
    return [
        _export(packages, tests),
        _lift(),
        *(_runtime(name, tests) for name in RUNTIMES),
        _engines(tensorrt),
    ]


def _export(packages: Mapping[str, str | None], tests: Sequence[SelfTest]) -> Job:
    missing = [name for name in _NEEDS_TORCH if packages[name] is None]
    if missing:
        return Job("onnx", f"{', '.join(missing)} not installed", _REINSTALL)
    return Job("onnx", *_failed(tests))


def _failed(tests: Sequence[SelfTest]) -> tuple[str, str]:
    bad = [test.name for test in tests if not test.passed]
    return (f"the self test of the {bad[0]} failed", mend(bad[0])) if bad else ("", "")


def mend(name: str) -> str:
    """The command that puts our library right: what a variable names was not installed by us.

    Args:
        name: of a self test, or ``plugin``.
    """
    variable = _NAMED_BY.get(name, "")
    return f"unset {variable}" if os.environ.get(variable) else _REINSTALL


def _lift() -> Job:
    if not has_module("posemamba_runtime"):
        return Job("lift", "the package posemamba_runtime is not installed", _REINSTALL)
    from posemamba_runtime import Error, version
    from posemamba_runtime._library import LIBRARY_VARIABLE as RUNTIME_VARIABLE

    try:
        version()
    except (Error, OSError) as error:
        named = os.environ.get(RUNTIME_VARIABLE)
        fix = f"unset {RUNTIME_VARIABLE}" if named else _REINSTALL
        return Job("lift", reason(error), fix)
    return Job("lift")


def _runtime(name: str, tests: Sequence[SelfTest]) -> Job:
    command = f"check and bench --runtime {name}"
    try:
        problem = RUNTIMES[name](DEFAULT_OPTIONS).available()
    except ImportError as error:
        problem = f"{error.name or error} is not installed: run '{_REINSTALL}'"
    if problem is None:
        return Job(command, *(_failed(tests) if name.startswith("ort") else ("", "")))
    return Job(command, problem, command_in(problem))


def command_in(text: str) -> str:
    """The first command to install something in a message; empty if it has none."""
    found = _COMMAND.search(text)
    return found[0] if found else ""


def _engines(tensorrt: Mapping[str, Mapping[str, Any]]) -> Job:
    """``trt`` works where one flavour can build, with our plugin."""
    plugin = tensorrt["plugin"]
    if not plugin["found"]:
        return Job("trt", str(plugin["problem"]), mend("plugin"))
    problems = []
    for name in BACKENDS:
        row = tensorrt[name]
        if row["version"] is None:
            problems.append(f"{name} is not installed")
        elif row["problem"]:
            problems.append(f"{name}: {row['problem']}")
        elif not row["targets"]:
            problems.append(f"{name} builds for the GPU of the machine, and there is none")
        else:
            return Job("trt")
    # A Jetson has its own TensorRT; TensorRT-RTX builds without a GPU.
    jetson = platform.machine() == "aarch64" and current_architecture() is not None
    fix = "sudo apt-get install tensorrt" if jetson else "pip install '.[tensorrt-rtx]'"
    return Job("trt", "; ".join(problems), fix)
