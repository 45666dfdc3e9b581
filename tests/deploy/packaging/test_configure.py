"""A CUDA or a TensorRT that does not fit ends the configuration with a sentence, before a compiler
fails on it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from places import ROOT


def nvcc(folder: Path, release: str, architectures: str) -> Path:
    """A stand-in that answers what the configuration asks nvcc."""
    script = folder / "nvcc"
    listed = "\\n".join(f"compute_{number}" for number in architectures.split())
    script.write_text(
        "#!/bin/sh\ncase $1 in\n"
        f'  --version) echo "Cuda compilation tools, release {release}, V{release}.1" ;;\n'
        f'  --list-gpu-arch) printf "{listed}\\n" ;;\n'
        "esac\n"
    )
    script.chmod(0o755)
    return script


def headers(folder: Path, version: str) -> Path:
    """TensorRT's headers, as far as their version is read."""
    major, minor, patch = version.split(".")
    (folder / "NvInferRuntime.h").write_text("")
    (folder / "NvInferVersion.h").write_text(
        f"#define NV_TENSORRT_MAJOR {major}\n#define NV_TENSORRT_MINOR {minor}\n"
        f"#define NV_TENSORRT_PATCH {patch}\n"
    )
    return folder


def refused(folder: Path, *options: str) -> str:
    """What CMake says, on one line."""
    done = subprocess.run(
        ["cmake", "-S", str(ROOT), "-B", str(folder / "build"), *options],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    return " ".join(done.stderr.split())


ORIN = "50 60 70 72 80 86 87 89 90"  # CUDA 12.6
NEWER = "75 80 86 87 88 89 90 100 103 110 120 121"  # CUDA 13.0


@pytest.mark.parametrize(
    ("release", "known", "asked", "words"),
    [
        ("12.6", ORIN, "87-real;110-real", "has 110-real, but CUDA 12.6"),
        ("13.0", NEWER, "72", "has 72, but CUDA 13.0"),
        ("13.0", NEWER, "90a;70-virtual", "has 70-virtual, but CUDA 13.0"),
    ],
)
def test_an_architecture_of_another_cuda(
    release: str, known: str, asked: str, words: str, tmp_path: Path
) -> None:
    compiler = nvcc(tmp_path, release, known)
    said = refused(
        tmp_path, f"-DCMAKE_CUDA_COMPILER={compiler}", f"-DCMAKE_CUDA_ARCHITECTURES={asked}"
    )
    assert words in said
    assert known.replace(" ", ", ") in said


@pytest.mark.parametrize("release", ["11.8", "14.0"])
def test_another_cuda(release: str, tmp_path: Path) -> None:
    compiler = nvcc(tmp_path, release, NEWER)
    said = refused(tmp_path, f"-DCMAKE_CUDA_COMPILER={compiler}", "-DPOSEMAMBA_CUDA=ON")
    assert f"is of CUDA {release}, the kernels are made for CUDA 12 and 13" in said


@pytest.mark.parametrize("version", ["8.6.1", "10.2.0", "12.0.0"])
def test_another_tensorrt(version: str, tmp_path: Path) -> None:
    said = refused(
        tmp_path, "-DPOSEMAMBA_CUDA=OFF", f"-DTENSORRT_INCLUDE_DIR={headers(tmp_path, version)}"
    )
    assert f"are those of TensorRT {version}, the plugins are made for TensorRT 10.3" in said


def test_plugins_without_cuda(tmp_path: Path) -> None:
    folder = headers(tmp_path, "10.3.0")
    said = refused(
        tmp_path, "-DPOSEMAMBA_CUDA=OFF", "-DPOSEMAMBA_TENSORRT=ON", f"-DTENSORRT_ROOT={folder}"
    )
    assert "the CUDA kernels are not (POSEMAMBA_CUDA=OFF)" in said


def test_headers_that_are_not_there(tmp_path: Path) -> None:
    said = refused(tmp_path, "-DPOSEMAMBA_CUDA=OFF", f"-DTENSORRT_INCLUDE_DIR={tmp_path}")
    assert "no NvInferRuntime.h" in said


@pytest.mark.parametrize("option", ["ON", "OFF"])
def test_missing_headers_are_fetched_where_cuda_is(option: str, tmp_path: Path) -> None:
    """By the repository's script; a stand-in of it brings headers of a release told apart."""
    shutil.copytree(ROOT / "cmake", tmp_path / "cmake")
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.21)\nproject(part LANGUAGES CXX)\n"
        "set(POSEMAMBA_CUDA AUTO)\nset(POSEMAMBA_TENSORRT AUTO)\n"
        'list(APPEND CMAKE_MODULE_PATH "${PROJECT_SOURCE_DIR}/cmake")\n'
        "include(CheckCuda)\ninclude(CheckTensorRT)\n"
    )
    ready = tmp_path / "ready"
    ready.mkdir()
    headers(ready, "10.3.7")
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "trt_headers.py").write_text(
        "import pathlib, shutil\nhere = pathlib.Path(__file__).parents[1]\n"
        "shutil.copytree(here / 'ready', here / 'build' / 'tensorrt-headers')\n"
    )
    done = subprocess.run(
        ["cmake", "-S", str(tmp_path), "-B", str(tmp_path / "b"),
         f"-DCMAKE_CUDA_COMPILER={nvcc(tmp_path, '13.0', NEWER)}",
         f"-DPOSEMAMBA_TENSORRT_HEADERS={option}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    fetched = "built against the headers of TensorRT 10.3.7" in done.stdout
    absent = "not built (no NvInferRuntime.h" in done.stdout
    assert (fetched, absent) == (option == "ON", option == "OFF"), done.stdout
