"""tools/trt_headers.py: what it takes from a wheel, and what it does where it cannot."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest
import trt_harness

SCRIPT = trt_harness.ROOT / "tools" / "trt_headers.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("trt_headers", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def wheel(folder: Path, *names: str) -> Path:
    path = folder / "some-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, f"// {name}\n")
    return path


def test_takes_the_headers_alone(script: ModuleType, tmp_path: Path) -> None:
    names = [f"{script.PREFIX}{n}" for n in ("NvInferRuntime.h", "NvInferVersion.h", "README")]
    to = tmp_path / "into" / "headers"
    script.extract(wheel(tmp_path, *names, "some/other.h", "some/__init__.py"), to)
    assert sorted(p.name for p in to.iterdir()) == ["NvInferRuntime.h", "NvInferVersion.h"]
    assert [p.name for p in to.parent.iterdir()] == ["headers"], "nothing beside them"


def test_a_wheel_without_headers_changes_nothing(script: ModuleType, tmp_path: Path) -> None:
    to = tmp_path / "headers"
    to.mkdir()
    (to / "kept.h").write_text("kept")
    with pytest.raises(script.Unavailable, match=r"holds no .*NvInferRuntime\.h"):
        script.extract(wheel(tmp_path, "some/other.h"), to)
    assert [p.name for p in to.iterdir()] == ["kept.h"]


def test_another_file_of_that_name_is_refused(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel(tmp_path, f"{script.PREFIX}NvInferRuntime.h")
    done = subprocess.CompletedProcess([], 0, "", "")
    monkeypatch.setattr(script.subprocess, "run", lambda *_, **__: done)
    with pytest.raises(script.Unavailable, match="SHA-256"):
        script.download(tmp_path)


def test_without_a_registry_it_says_so(tmp_path: Path) -> None:
    to = tmp_path / "headers"
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--to", str(to)],
        capture_output=True,
        text=True,
        env={**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path)},
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("TensorRT headers: pip could not get")
    assert done.stderr.endswith("the plugins will not be built\n")
    assert done.stderr.count("\n") == 1
    assert not to.exists()


def test_headers_that_are_there_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "NvInferRuntime.h").write_text("mine")
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--to", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "NvInferRuntime.h").read_text() == "mine"
