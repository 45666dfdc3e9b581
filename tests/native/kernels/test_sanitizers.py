"""The CPU kernels, forward and backward, under AddressSanitizer and UndefinedBehaviorSanitizer."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from native_build import run
from places import ROOT

FLAGS = "-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("c++") is None, reason="no C++ compiler (a wheel needs none)")
def test_selfcheck_is_clean(tmp_path: Path) -> None:
    """Every instruction set of the machine; odd sizes, so that a lane too far is seen."""
    run(
        "cmake", "-S", ROOT / "trt_plugins" / "kernels", "-B", tmp_path,
        "-DCMAKE_BUILD_TYPE=Debug", f"-DCMAKE_CXX_FLAGS={FLAGS} -O1", "-DBUILD_TESTING=ON",
    )  # fmt: skip
    run("cmake", "--build", tmp_path, "-j2", "--target", "posemamba_selfcheck")
    done = subprocess.run(
        [str(tmp_path / "posemamba_selfcheck")],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
