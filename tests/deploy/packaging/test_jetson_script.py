"""The script that the Jetson guide and both Dockerfiles run, on this machine's CPU parts."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from native_build import run
from places import ROOT

JETSON = ROOT / "deploy" / "jetson"
SCRIPT = JETSON / "build.sh"


@pytest.mark.slow
def test_it_installs_a_program_that_runs(tmp_path: Path) -> None:
    prefix = tmp_path / "usr"
    without = ("-DPOSEMAMBA_CUDA=OFF", "-DPOSEMAMBA_TENSORRT=OFF")
    run("sh", SCRIPT, ROOT, prefix, "87-real", *without)
    done = subprocess.run(
        [str(prefix / "bin" / "lift_stream"), str(tmp_path / "no.onnx")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "no.onnx" in done.stderr


def test_without_cuda_it_ends_with_a_sentence(tmp_path: Path) -> None:
    done = subprocess.run(
        ["sh", str(SCRIPT), str(ROOT), str(tmp_path / "usr"), "87-real", "-DPOSEMAMBA_CUDA=OFF"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "The TensorRT plugins were asked for" in done.stderr
    assert not (tmp_path / "usr").exists()


@pytest.mark.parametrize("dockerfile", sorted(JETSON.glob("*.Dockerfile")), ids=lambda p: p.stem)
def test_dockerfiles_name_what_exists(dockerfile: Path) -> None:
    text = dockerfile.read_text()
    (command,) = re.findall(
        r"^RUN sh /src/(\S+) /src /opt/posemamba \$\{ARCHITECTURES\}$", text, re.M
    )
    assert ROOT / command == SCRIPT
    assert f"-f deploy/jetson/{dockerfile.name}" in text
    assert dockerfile.name in (JETSON / "README.md").read_text()
