"""The plugin inside TensorRT-RTX itself: loaded, parsed, built for three GPUs, on the CPU.

Engines are built here and not run: TensorRT-RTX needs a GPU of compute capability 7.5, 8.x or 12.x.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from absence import lacking

from pmexport.format.operators import OPERATORS, SCANS

#: Two versions of each scan, one of the others.
CREATORS = sorted([op, version] for op in OPERATORS for version in ("12" if op in SCANS else "1"))
SCRIPT = Path(__file__).parent / "rtx_build.py"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """For a process that uses TensorRT-RTX.

    Its ONNX parser opens the library by a name the wheel lacks; without it, a plugin node ends the
    process. A folder of ours holds that name, and the installed package stays as it is.
    """
    found = importlib.util.find_spec("tensorrt_rtx_libs")
    if found is None or found.origin is None or importlib.util.find_spec("tensorrt_rtx") is None:
        lacking("TensorRT-RTX is not installed (tensorrt-rtx-cu13)", "TRT")
    folder = tmp_path_factory.mktemp("rtx")
    library = Path(found.origin).parent / "libtensorrt_rtx.so.1"
    (folder / "libtensorrt_rtx.so").symlink_to(library)
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("LD_LIBRARY_PATH")]))
    return {**os.environ, "LD_LIBRARY_PATH": path}


def build(environment: dict[str, str], *arguments: str | Path) -> dict[str, Any]:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, env=environment, check=False
    )
    assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}{done.stderr}"
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


@pytest.mark.parametrize(("dtype", "name"), [("float32", "FLOAT"), ("float16", "HALF")])
def test_builds_for_three_gpus(
    plugin: Path, environment: dict[str, str], dtype: str, name: str
) -> None:
    result = build(environment, plugin, dtype)
    assert result["loaded"]
    assert result["creators"] == CREATORS
    assert result["parsed"], result["errors"]
    assert result["plugin_layers"] == 2
    assert result["outputs"] == [["y", name], ["s", name]]
    assert result["plan_bytes"] > 0, result["errors"]
    # Said through the log of a release whose ILogger is not that of the headers.
    said = [line for line in result["plugin_log"] if "built against the headers of" in line]
    assert said == result["plugin_log"]
    assert len(said) == 2, "one line a load"


@pytest.mark.parametrize(("dtype", "name"), [("float32", "FLOAT"), ("float16", "HALF")])
def test_version_2_builds_too(
    plugin: Path, environment: dict[str, str], dtype: str, name: str
) -> None:
    """Tables as constants of int32; a state in and out, float32 whatever the activations are."""
    result = build(environment, plugin, dtype, "--version-2")
    assert result["parsed"], result["errors"]
    assert result["plugin_layers"] == 2
    assert result["outputs"] == [["y", name], ["s", name], ["final_state", "FLOAT"]]
    assert result["plan_bytes"] > 0, result["errors"] + result["plugin_log"]


def test_a_second_load_is_refused_and_harmless(plugin: Path, environment: dict[str, str]) -> None:
    result = build(environment, plugin, "float32")
    assert not result["loaded_again"], "TensorRT does not register a library twice"
    assert result["creators"] == CREATORS
    assert result["plan_bytes"] > 0


def test_a_plan_may_carry_the_library(plugin: Path, environment: dict[str, str]) -> None:
    result = build(environment, plugin, "float32", "--carry")
    assert result["plan_bytes"] > plugin.stat().st_size, result["errors"]


def test_a_contradiction_is_one_sentence(plugin: Path, environment: dict[str, str]) -> None:
    result = build(environment, plugin, "float32", "--d-state", "8")
    assert result["plan_bytes"] == 0
    errors = [line for line in result["plugin_log"] if line.startswith("ERROR")]
    assert errors == [
        "ERROR: posemamba: CrossSelectiveScan 'cross': input 'x_dbl' is [8, 8, 17, 144], it must be"
        " [8, 8, 17, 80]"
    ]
