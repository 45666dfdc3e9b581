"""The real lean runtime of TensorRT, and TensorRT-RTX, on this CPU: plugins registered, broken
engines refused.

Their libraries are 100 to 230 MB: POSEMAMBA_TENSORRT_LIBRARIES names files of any releases,
separated by ':' (libnvinfer_lean.so.10 of the wheel tensorrt-lean-cu13-libs, libtensorrt_rtx.so.1
of tensorrt-rtx-cu13-libs).
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from absence import lacking
from runtime_api import BAD_MODEL, MISMATCH, MISSING

from pmexport.engine.gpu import current_architecture
from pmexport.format.operators import OPERATORS
from pmexport.libraries import plugin_path

LIBRARIES = [
    Path(name) for name in os.environ.get("POSEMAMBA_TENSORRT_LIBRARIES", "").split(":") if name
]
PLUGIN = plugin_path()

LIBRARY = pytest.mark.parametrize(
    "library", LIBRARIES or [None], ids=lambda path: path and path.name
)


@pytest.fixture(scope="session", autouse=True)  # before anything is built
def _there() -> None:
    if not LIBRARIES:
        lacking("POSEMAMBA_TENSORRT_LIBRARIES names no library", "TRT")
    if not PLUGIN.exists():
        lacking("the plugin library is not built here", "TRT")


#: Opens an engine, then asks TensorRT's own registry for our plugin, by its place in the table.
CODE = """
import ctypes as c, json, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from runtime_api import Runtime, RuntimeFailure
runtime = Runtime(Path(sys.argv[2]))
try:
    runtime.open(sys.argv[3], backend=sys.argv[6], runtime_library=sys.argv[4],
                 op_library=sys.argv[5])
except RuntimeFailure as failure:
    result = {"code": failure.code, "sentence": failure.sentence}
lean = c.CDLL(sys.argv[4])
lean.getPluginRegistry.restype = c.c_void_p
registry = lean.getPluginRegistry()
table = c.cast(registry, c.POINTER(c.POINTER(c.c_void_p)))[0]
place = 14 if lean.getInferLibMajorVersion() == 10 else 10
creator = c.CFUNCTYPE(c.c_void_p, c.c_void_p, c.c_char_p, c.c_char_p, c.c_char_p)(table[place])
result["plugins"] = [
    creator(registry, name, b"1", b"posemamba") is not None
    for name in (*map(str.encode, sys.argv[7].split(",")), b"Unknown")
]
print(json.dumps(result))
"""


def is_rtx(library: Path) -> bool:
    return "rtx" in library.name


def plan(library: Path, size: int) -> bytes:
    return (b"vtrt" if is_rtx(library) else b"ftrt") + bytes(size)


def open_engine(built: Path, engine: Path, library: Path) -> dict[str, object]:
    command = [sys.executable, "-c", CODE, str(Path(__file__).parent)]
    command += [str(built / "libposemamba_runtime.so"), str(engine), str(library), str(PLUGIN)]
    command += ["tensorrt-rtx" if is_rtx(library) else "tensorrt-lean", ",".join(OPERATORS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    result: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return result


@LIBRARY
def test_plugins_are_registered(built: Path, library: Path, tmp_path: Path) -> None:
    """The plugins are there; the engine of zeros is refused, for want of a driver or as broken."""
    engine = tmp_path / "E.engine"
    engine.write_bytes(plan(library, 1000))
    result = open_engine(built, engine, library)
    assert result["plugins"] == [True] * len(OPERATORS) + [False]
    if current_architecture() is None:
        assert result["code"] == MISSING
        assert "libcuda.so.1" in str(result["sentence"])
    else:  # which release wrote zeros, or whether one did, TensorRT cannot say
        assert result["code"] == MISMATCH
        assert f"'{engine}' cannot be opened by" in str(result["sentence"])


@LIBRARY
def test_broken_engines_are_refused(built: Path, library: Path, tmp_path: Path) -> None:
    engine = tmp_path / "broken.engine"
    engine.write_bytes(b"garbage" * 100)
    sidecar = engine.with_name("broken.engine.json")
    sidecar.write_text("{}")
    result = open_engine(built, engine, library)
    assert result["code"] == BAD_MODEL
    assert "'pmexport trt" in str(result["sentence"])
    engine.write_bytes(plan(library, 1000))
    whole = hashlib.sha256(engine.read_bytes()).hexdigest()
    facts = {
        "schema_version": 1,
        "engine": {"sha256": whole},
        "tensorrt": {"flavour": "tensorrt", "version": "10.3.0"},
        "plugin": {"version": "1"},
    }
    sidecar.write_text(json.dumps(facts))
    result = open_engine(built, engine, library)
    assert result["code"] == MISMATCH
    reason = "was built by TensorRT 10.3.0" if is_rtx(library) else "not version-compatible"
    assert reason in str(result["sentence"])
    engine.write_bytes(plan(library, 999))  # cut short
    result = open_engine(built, engine, library)
    assert result["code"] == MISMATCH
    assert "SHA-256" in str(result["sentence"])
