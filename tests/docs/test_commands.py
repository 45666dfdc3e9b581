"""Commands in the documentation work as printed.

README and every page of the site are read from top to bottom. The ``$`` lines of ``console`` blocks
and the ``python`` blocks run in order, one new folder and one clean environment a page, and the
page fails on the first that fails. The folder holds what a reader would have: the checkout's
``posemamba/assets`` and ``export/examples``, and what stands for a reader's own files: a checkpoint
``tiny.pth.tr`` and keypoints ``clips.npz``. Other lines of a ``console`` block are output. A line
that ends in ``# exits 1`` or ``# exits 2`` must do so.

What cannot run here has its reason above it, where a reader sees it as well:
``<!-- not run here: needs a GPU -->``.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from places import ROOT
from places import TINY as GOLDEN

from posemamba.pose.clips import bundled_clips

PAGES = [ROOT / name for name in ("README.md", "deploy/README.md", "deploy/jetson/README.md")]
PAGES += sorted((ROOT / "docs").rglob("*.md"))

_FENCE = re.compile(
    r"(?:^<!-- not run here: (?P<reason>[^\n]+?) -->\n)?^```(?P<kind>[^\n]*)\n(?P<body>.*?)^```",
    re.MULTILINE | re.DOTALL,
)
_COMMAND = re.compile(r"^\$ (.*?)(?:\s+# exits (\d))?$", re.MULTILINE)
#: Shell text that is no console block would never be run: it says why, or it is one.
_SHELL = ("bash", "sh", "shell")
_STARTS = re.compile(
    r"^(?:sudo|pip|pmexport|posemamba|cmake|make|python3?|npm|apt-get) ", re.MULTILINE
)
#: Variables that choose a processor's kernels; the rest of the environment is the test's own.
_KEPT = ("OPENBLAS", "OMP_", "LANG", "LC_")


@dataclass(frozen=True)
class Step:
    """One thing a page asks its reader to run, and the exit code it must have."""

    text: str
    python: bool = False
    code: int = 0


def steps(page: str) -> list[Step]:
    """What a page asks for, in order.

    Raises:
        ValueError: shell text that is neither run nor says why not.
    """
    found = []
    for fence in _FENCE.finditer(page):
        kind, body = fence["kind"].strip(), fence["body"]
        if fence["reason"] is not None:
            continue
        if kind in _SHELL or (kind in ("", "text") and _STARTS.search(body)):
            raise ValueError(
                f"write a console block, or '<!-- not run here: why -->' above:\n{body}"
            )
        if kind == "console":
            for line, code in _COMMAND.findall(body.replace("\\\n", " ")):
                found.append(Step(line, code=int(code or 0)))
        elif kind == "python":
            found.append(Step(body, python=True))
    return found


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's home that nobody has used; `lift demo` keeps its export there."""
    return tmp_path_factory.mktemp("home")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_run(page: Path, tmp_path: Path, home: Path) -> None:
    shutil.copy(GOLDEN, tmp_path / "tiny.pth.tr")
    np.savez(tmp_path / "clips.npz", **bundled_clips())
    (tmp_path / "posemamba").mkdir()  # no package: the installed one is found
    (tmp_path / "posemamba" / "assets").symlink_to(ROOT / "posemamba" / "assets")
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "examples").symlink_to(ROOT / "export" / "examples")
    environment = {name: value for name, value in os.environ.items() if name.startswith(_KEPT)}
    environment |= {"HOME": str(home), "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    for step in steps(page.read_text(encoding="utf-8")):
        done = subprocess.run(
            [sys.executable, "-c", step.text] if step.python else ["bash", "-c", step.text],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=590,
        )
        assert done.returncode == step.code, f"{page.name}: {step.text}\n{done.stdout}{done.stderr}"
        if step.python and page.name == "README.md":
            assert done.stdout, "README's Python prints poses"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_tells_what_its_reader_must_bring(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    commands = " ".join(step.text for step in steps(text))
    for name in ("tiny.pth.tr", "clips.npz"):
        assert name not in commands or f"`{name}`" in text, f"nobody has {name}"


def test_harness_finds_what_to_run() -> None:
    page = (
        "```console\n$ pmexport doctor\nDoctor: ok\n$ posemamba init \\\n  -o a.safetensors\n"
        "$ pmexport check m  # exits 1\n```\n```python\nprint(1)\n```\n"
        "<!-- not run here: needs a GPU -->\n```bash\npmexport onnx\n```\n"
        "```cpp\nint main() {}\n```\n```\npmexport: a sentence it prints\n```\n"
    )
    assert [(" ".join(step.text.split()), step.python, step.code) for step in steps(page)] == [
        ("pmexport doctor", False, 0),
        ("posemamba init -o a.safetensors", False, 0),
        ("pmexport check m", False, 1),
        ("print(1)", True, 0),
    ]


@pytest.mark.parametrize("block", ["```bash\nls\n```\n", "```\nsudo apt-get install x\n```\n"])
def test_harness_refuses_what_nobody_would_run(block: str) -> None:
    with pytest.raises(ValueError, match="not run here"):
        steps(block)


def test_the_command_page_shows_every_command() -> None:
    text = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    shown = {" ".join(step.text.split()[:2]) for step in steps(text)}
    assert shown == {
        *(
            f"pmexport {name}"
            for name in (
                "onnx",
                "export-module",
                "check",
                "optimize",
                "bench",
                "regress",
                "inspect",
                "doctor",
                "trt",
                "triton",
                "lift",
            )
        ),
        *(f"posemamba {name}" for name in ("count", "init")),
    }
