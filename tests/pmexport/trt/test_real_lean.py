"""The real lean runtime of TensorRT, on a machine without a GPU: its calls are the stand-in's.

It runs where ``tensorrt_lean_bindings`` is. ``POSEMAMBA_REQUIRE_TRT=1`` makes absence a failure.
"""

from __future__ import annotations

import importlib.util
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from absence import lacking
from places import ROOT

from pmexport.format.names import PLUGIN_VERSIONS
from pmexport.format.operators import OPERATORS, SCANS
from pmexport.libraries import plugin_path

MODULE = "tensorrt_lean_bindings"
FAKE = Path(__file__).parent / "fake" / "tensorrt" / "__init__.py"
SCRIPT = ROOT / "benchmarks" / "machine" / "tensorrt_lean.py"
#: Methods that run an engine: of the stand-in's classes, all that the real ones have.
CLASSES = ("Runtime", "ICudaEngine", "IExecutionContext")


@pytest.fixture(scope="module", autouse=True)
def _available() -> None:
    if importlib.util.find_spec(MODULE) is not None and plugin_path().is_file():
        return
    package = "pip install tensorrt-lean-cu13-bindings"
    lacking(f"not here: {MODULE} ({package}), or the plugin library", "TRT")


@pytest.fixture(scope="module")
def steps() -> dict[str, Any]:
    """What each step of the script told; only those that need no GPU can be right here."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT)], capture_output=True, text=True, check=False
    )
    return {row.pop("step"): row for row in map(json.loads, done.stdout.splitlines())}


def test_the_module_is_imported_and_takes_the_plugin(steps: dict[str, Any]) -> None:
    assert steps["imported"]["ok"] is True
    assert int(steps["imported"]["version"].split(".")[0]) >= 10
    creators = {(each["name"], each["version"]) for each in steps["plugin"]["creators"]}
    assert creators == {
        (name, version)
        for name in OPERATORS
        for version in (PLUGIN_VERSIONS if name in SCANS else PLUGIN_VERSIONS[:1])
    }


def test_without_a_gpu_it_is_refused_before_tensorrt(steps: dict[str, Any]) -> None:
    """TensorRT's own Runtime is a null pointer here and would end the process."""
    if steps["gpu"]["ok"]:
        pytest.skip("a GPU is here: benchmarks/machine/tensorrt_lean.py tells of it")
    for name in ("memory", "broken"):
        assert steps[name]["ok"] is False
        assert "signal" not in steps[name]["why"]


def test_the_stand_in_has_the_real_signatures() -> None:
    code = (
        f"import importlib, json; trt = importlib.import_module({MODULE!r});"
        "print(json.dumps({f'{c}.{m}': getattr(getattr(trt, c), m).__doc__ or ''"
        f" for c in {CLASSES!r} for m in dir(getattr(trt, c)) if not m.startswith('__')}}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    real = json.loads(done.stdout)
    spec = importlib.util.spec_from_file_location("stand_in", FAKE)
    assert spec is not None
    assert spec.loader is not None
    fake = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fake)
    compared = 0
    for name in CLASSES:
        for method, function in inspect.getmembers(getattr(fake, name), inspect.isfunction):
            if method.startswith("_"):
                continue
            told = real[f"{name}.{method}"]
            for parameter in list(inspect.signature(function).parameters)[1:]:
                assert re.search(rf"\b{parameter}\b", told), f"{name}.{method}: {parameter}: {told}"
            compared += 1
    assert compared == 10
