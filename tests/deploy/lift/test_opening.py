"""On a GPU in ONNX Runtime the rewritten file is opened, once made, never silently.

No GPU is here: a stand-in says which back end was used; the files and the exporter are real.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from places import TINY

from pmexport.cli.main import cli
from pmexport.format.file import open_model
from posemamba_runtime.cli import cache, opening
from posemamba_runtime.lifter import Lifter

CUDA = {"backend": "onnxruntime-cuda", "ops": "fused"}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "tiny.onnx"
    arguments = ["onnx", "--ckpt", str(TINY), "-o", str(path), "--no-check"]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, done.output
    return path


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    return tmp_path / "xdg" / "posemamba"


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were opened, on a machine whose ONNX Runtime uses a GPU."""
    files: list[Path] = []

    class OnGpu(Lifter):
        def __init__(self, model: Path, backend: str, *, threads: int, tf32: bool) -> None:
            files.append(model)
            assert not tf32
            super().__init__(model, "onnxruntime-cpu", threads=threads)

        @property
        def info(self) -> dict[str, Any]:
            return {**super().info, "backend": "onnxruntime-cuda"}

    monkeypatch.setattr(opening, "Lifter", OnGpu)
    return files


def test_the_rewritten_file_is_made_once_and_opened(
    exported: Path, kept: Path, opened: list[Path]
) -> None:
    told: list[str] = []
    with opening.open_lifter(exported, "auto", 1, told.append) as lifter:
        assert lifter.info["variant"] == "custom"
    digest = hashlib.sha256(exported.read_bytes()).hexdigest()[:12]
    made = kept / f"tiny-{digest}.cuda.onnx"
    assert opened == [exported, made]
    assert open_model(made).is_optimized
    assert [line.split(":")[0].split(" '")[0] for line in told] == ["Rewriting", "Model"]
    assert sorted(kept.iterdir()) == [made]
    before, told[:] = made.stat().st_mtime_ns, []
    opening.open_lifter(exported, "auto", 1, told.append).close()
    assert made.stat().st_mtime_ns == before
    assert told == [f"Model: '{exported}' as rewritten for the GPU, '{made}'"]
    # What is rewritten already is opened as it is.
    opened.clear()
    opening.open_lifter(made, "auto", 1, told.append).close()
    assert opened == [made]
    assert len(told) == 1


@pytest.mark.parametrize(
    "info",
    [
        CUDA | {"backend": "onnxruntime-cpu"},
        CUDA | {"backend": "tensorrt"},
        CUDA | {"ops": "generic"},
    ],
)
def test_other_back_ends_and_files_are_left_alone(
    info: dict[str, Any], exported: Path, kept: Path
) -> None:
    told: list[str] = []
    assert opening.rewritten(exported, info, told.append) is None
    assert told == []
    assert not kept.exists()


def no_exporter(monkeypatch: pytest.MonkeyPatch, _kept: Path) -> None:
    monkeypatch.setattr(opening, "has_exporter", lambda: False)


def a_command_that_fails(monkeypatch: pytest.MonkeyPatch, _kept: Path) -> None:
    monkeypatch.setattr(cache.sys, "executable", "/bin/false")


def a_cache_that_is_a_file(_monkeypatch: pytest.MonkeyPatch, kept: Path) -> None:
    kept.parent.mkdir()
    kept.write_text("")


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (no_exporter, "pmexport is not installed here"),
        (a_command_that_fails, "pmexport optimize: no reason given"),
        (a_cache_that_is_a_file, "point XDG_CACHE_HOME at a folder"),
    ],
)
def test_what_cannot_be_rewritten_is_lifted_as_it_is_and_told(
    harm: Callable[[pytest.MonkeyPatch, Path], None],
    why: str,
    exported: Path,
    kept: Path,
    opened: list[Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    harm(monkeypatch, kept)
    told: list[str] = []
    opening.open_lifter(exported, "auto", 1, told.append).close()
    assert opened == [exported]
    assert told[-1].startswith("Remark: ")
    assert why in told[-1]
    assert "'pmexport optimize' makes of it" in told[-1]
