"""The operators in ONNX Runtime under AddressSanitizer and UndefinedBehaviorSanitizer."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from native_build import run
from places import ROOT

FLAGS = "-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -O1"
#: This folder's, and networks whose every block is of our operators, in both types.
TESTS = (
    "tests/native/onnxruntime/test_ops.py",
    "tests/native/onnxruntime/test_version_2.py",
    "tests/native/onnxruntime/test_in_place.py::test_a_stream_that_is_still_read_stays",
    "tests/native/onnxruntime/test_two_runtimes.py",
    "tests/pmexport/passes/test_optimize.py::test_composed_nodes",
)
#: The sanitizers' own library is not there without the compiler's.
NOT_THESE = "not without_cuda"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler (a wheel needs none)")
def test_operators_are_clean(tmp_path: Path) -> None:
    run(
        "cmake", "-S", ROOT, "-B", tmp_path, "-DCMAKE_CXX_COMPILER=g++", "-DCMAKE_BUILD_TYPE=Debug",
        f"-DCMAKE_CXX_FLAGS={FLAGS}", "-DPOSEMAMBA_CUDA=OFF", "-DPOSEMAMBA_TENSORRT=OFF",
        "-DPOSEMAMBA_RUNTIME=OFF",
    )  # fmt: skip
    run("cmake", "--build", tmp_path, "-j2", "--target", "posemamba_ort")
    libraries = [
        subprocess.run(
            ["g++", f"-print-file-name=lib{name}.so"], capture_output=True, text=True, check=True
        ).stdout.strip()
        for name in ("asan", "ubsan")
    ]
    environment = os.environ | {
        "LD_PRELOAD": ":".join(libraries),  # Python itself is built without
        "ASAN_OPTIONS": "detect_leaks=0",  # of Python there are many
        "POSEMAMBA_ORT_LIB": str(tmp_path / "trt_plugins" / "onnxruntime" / "libposemamba_ort.so"),
    }
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", NOT_THESE, *TESTS],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=500,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "runtime error" not in done.stderr
