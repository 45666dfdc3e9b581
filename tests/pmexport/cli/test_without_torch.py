"""What a device does without PyTorch, onnxscript and the network's code; what says so where not."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from places import ROOT, TINY

#: As on a machine where none of them was installed.
_BLOCKED = """
import sys
sys.modules.update({name: None for name in ("torch", "onnxscript", "onnx_ir", "posemamba.model")})
from pmexport.cli.main import cli
cli(prog_name="pmexport")
"""


def run(folder: Path, line: str, program: str = _BLOCKED) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program, *line.split()], cwd=folder,
                          capture_output=True, text=True, check=False, timeout=300)  # fmt: skip


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what was copied to a device: a model, its reference, keypoints."""
    folder = tmp_path_factory.mktemp("device")
    (folder / "tiny.pth.tr").symlink_to(TINY)
    (folder / "clips.npz").symlink_to(ROOT / "posemamba" / "assets" / "pose2sim_balancing.npz")
    program = "from pmexport.cli.main import cli; cli(prog_name='pmexport')"
    done = run(folder, "onnx --ckpt tiny.pth.tr -o M.onnx", program)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize(
    "line",
    [
        "trt --onnx M.onnx --target sm87 --dry-run",
        "bench M.onnx --seconds 0.1 --runs 5 --json times.json",
        "check M.onnx --reference M.reference.npz --json report.json",
        "inspect M.onnx",
        "inspect M.reference.npz",
        "doctor",
        "lift M.onnx clips.npz --clip balancing_cam1 -o poses.csv",
        "--version",
    ],
)
def test_a_device_needs_no_torch(device: Path, line: str) -> None:
    done = run(device, line)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "line",
    [
        "onnx --ckpt tiny.pth.tr -o N.onnx",
        "trt --ckpt tiny.pth.tr --target sm87 --dry-run",
        "check M.onnx --ckpt tiny.pth.tr",
        "bench M.onnx --runtime torch --ckpt tiny.pth.tr",
        "optimize M.onnx -o O.onnx",
        "inspect tiny.pth.tr",
    ],
)
def test_what_needs_torch_names_the_extra(device: Path, line: str) -> None:
    done = run(device, line)
    assert done.returncode == 2
    (said,) = done.stderr.splitlines()
    assert re.fullmatch(
        r"Error: (torch|onnxscript) is not installed.*pip install '\.\[export\]'", said
    )
    assert not (device / "N.onnx").exists()


def test_messages_name_what_can_be_installed() -> None:
    """No registry has this project: what is printed installs from a checkout."""
    for folder in ("posemamba", "export", "deploy/python", "tools"):
        for path in (ROOT / folder).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"pmexport\[|pip install '?(pmexport|posemamba)", text), path
