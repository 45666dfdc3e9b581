"""The libraries that pip installed are found in their packages, which are never imported."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

import pytest

import posemamba_runtime
from posemamba_runtime import Lifter, Missing, _library

WHEELS = {
    "onnxruntime": ("onnxruntime", "capi/libonnxruntime.so.1.99.0"),
    "tensorrt": ("tensorrt_libs", "libnvinfer.so.10"),
    "tensorrt-lean": ("tensorrt_lean_libs", "libnvinfer_lean.so.11"),
    "tensorrt-rtx": ("tensorrt_rtx_libs", "libtensorrt_rtx.so.1"),
}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packages that come before the installed ones."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delenv(_library.SEARCH_VARIABLE, raising=False)
    for package, _ in WHEELS.values():  # one that another test imported would be taken as it is
        monkeypatch.delitem(sys.modules, package, raising=False)
    return folder


def put(site: Path, package: str, name: str) -> Path:
    path = site / package / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    (site / package / "__init__.py").write_text("raise RuntimeError('this must not be imported')")
    return path


@pytest.mark.parametrize("family", WHEELS)
def test_wheels(family: str, site: Path) -> None:
    path = put(site, *WHEELS[family])
    assert _library.runtime_library(family) == str(path)


def test_what_is_not_installed_is_left_to_the_native_library(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package, _ = WHEELS["tensorrt-lean"]
    without = [folder for folder in sys.path if not Path(folder, package).is_dir()]
    monkeypatch.setattr(sys, "path", without)
    assert _library.runtime_library("tensorrt-lean") is None
    put(site, package, "other.txt")
    assert _library.runtime_library("tensorrt-lean") is None
    assert _library.runtime_library("a name the library refuses") is None


def test_the_variable_comes_first(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(site, *WHEELS["onnxruntime"])
    own = site / "own"
    own.mkdir()
    monkeypatch.setenv(_library.SEARCH_VARIABLE, f"/nowhere:{own}")
    assert _library.runtime_library("onnxruntime") is not None
    (own / "libonnxruntime.so").touch()
    assert _library.runtime_library("onnxruntime") is None


@pytest.mark.parametrize(
    ("start", "family"),
    [
        (b"\x08\x0a", "onnxruntime"),
        (b"", "onnxruntime"),
        (b"ftrt\0\0", "tensorrt"),
        (b"vtrt\0\0", "tensorrt-rtx"),
    ],
)
def test_auto_goes_by_the_first_bytes(start: bytes, family: str, tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(start)
    assert _library.family(str(tmp_path / "model"), "auto") == family
    assert _library.family(str(tmp_path / "model"), "tensorrt-lean") == "tensorrt-lean"
    assert _library.family(str(tmp_path / "model"), "onnxruntime-cuda") == "onnxruntime"


def test_the_lean_runtime_stands_in(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where its wheel alone is installed, "auto" finds it in the process."""
    lean = put(site, *WHEELS["tensorrt-lean"])
    (site / "m.engine").write_bytes(b"ftrt" + bytes(100))
    opened: list[str] = []
    monkeypatch.setattr(_library, "_opens", lambda path: opened.append(path) or False)
    with pytest.raises(Missing, match=r"libnvinfer"):
        Lifter(site / "m.engine")
    assert opened == [str(lean)]


def test_cuda_is_opened_before_the_provider(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each library after those it needs; one that cannot be opened stops nothing."""
    names = ("libcudnn.so.9", "libcublas.so.13", "libcublasLt.so.13", "libcudart.so.13")
    for name in names:
        put(site, "nvidia", f"cu13/lib/{name}")
    runtime = put(site, *WHEELS["onnxruntime"])
    opened: list[str] = []
    driver = True

    def opens(path: str) -> None:
        if path == "libcuda.so.1":
            if not driver:
                raise OSError
            return
        opened.append(Path(path).name)
        raise OSError

    monkeypatch.setattr(ctypes, "CDLL", opens)
    _library.preload_cuda(str(runtime))
    assert opened == []  # a build for the CPU
    runtime.with_name("libonnxruntime_providers_cuda.so").touch()
    driver = False
    _library.preload_cuda(str(runtime))
    assert opened == []
    driver = True
    _library.preload_cuda(str(runtime))
    assert opened == ["libcudart.so.13", "libcublasLt.so.13", "libcublas.so.13", "libcudnn.so.9"]


def test_a_native_library_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(_library.LIBRARY_VARIABLE, str(tmp_path / "no.so"))
    _library.load.cache_clear()
    try:
        with pytest.raises(Missing, match=r"no\.so"):
            posemamba_runtime.version()
        (tmp_path / "no.so").write_text("no library")
        with pytest.raises(Missing, match="cannot be opened"):
            posemamba_runtime.version()
    finally:
        _library.load.cache_clear()
