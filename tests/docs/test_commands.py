"""Commands in the documentation work as printed.

Every ``console`` block of README.md and docs/*.md is read; its lines that begin with ``$ pmexport``
or ``$ posemamba`` run in order, one directory a file, which holds what a reader would have: the
checkout's ``posemamba/assets`` and ``export/examples``, a checkpoint ``tiny.pth.tr`` and keypoints
``clips.npz``. Other lines of a block are output or need more than this machine has. A line that
ends in ``# exits 1`` or ``# exits 2`` must do so. README's Python runs after its commands, among
their files.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from places import ROOT
from places import TINY as GOLDEN

from posemamba.pose.clips import bundled_clips

PAGES = [page for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
         if page.is_file()]  # fmt: skip

_BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
_PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"^\$ ((?:pmexport|posemamba)\b.*?)(?:\s+# exits (\d))?$", re.MULTILINE)


def commands(text: str) -> list[tuple[str, int]]:
    """Command lines and the exit code each must have."""
    lines = []
    for block in _BLOCK.findall(text):
        joined = block.replace("\\\n", " ")
        lines += [(line, int(code or 0)) for line, code in _COMMAND.findall(joined)]
    return lines


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_run(page: Path, tmp_path: Path) -> None:
    shutil.copy(GOLDEN, tmp_path / "tiny.pth.tr")
    np.savez(tmp_path / "clips.npz", **bundled_clips())
    (tmp_path / "posemamba").mkdir()  # no package: the installed one is found
    (tmp_path / "posemamba" / "assets").symlink_to(ROOT / "posemamba" / "assets")
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "examples").symlink_to(ROOT / "export" / "examples")
    text = page.read_text(encoding="utf-8")
    for line, code in commands(text):
        tool, *arguments = shlex.split(line)
        done = run(tmp_path, "-m", tool, *arguments)
        assert done.returncode == code, f"{page.name}: $ {line}\n{done.stdout}{done.stderr}"
    if page.name == "README.md":
        for program in _PYTHON.findall(text):
            done = run(tmp_path, "-c", program)
            assert done.returncode == 0, f"{program}\n{done.stderr}"
            assert done.stdout, "README's Python prints poses"


def test_harness_finds_commands() -> None:
    page = (
        "```console\n$ pmexport doctor\nDoctor: ok\n$ make demo\n"
        "$ posemamba init \\\n  -o a.safetensors\n$ pmexport check m  # exits 1\n```\n"
        "```bash\n$ pmexport onnx\n```\n"
    )
    found = [(" ".join(line.split()), code) for line, code in commands(page)]
    assert found == [
        ("pmexport doctor", 0),
        ("posemamba init -o a.safetensors", 0),
        ("pmexport check m", 1),
    ]


def test_the_command_page_shows_every_command() -> None:
    text = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    shown = {line.split()[0] + " " + line.split()[1] for line, _ in commands(text)}
    assert shown == {
        *(
            f"pmexport {name}"
            for name in (
                "onnx",
                "export-module",
                "check",
                "optimize",
                "bench",
                "inspect",
                "doctor",
                "trt",
                "triton",
                "lift",
            )
        ),
        *(f"posemamba {name}" for name in ("count", "init")),
    }
