"""The repository as a part of another project, as FetchContent makes it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from native_build import run
from places import ROOT

import pmexport
from posemamba_runtime._library import runtime_library

LISTS = f"""
cmake_minimum_required(VERSION 3.21)
project(robot LANGUAGES CXX)
include(FetchContent)
set(POSEMAMBA_CUDA OFF)
FetchContent_Declare(posemamba SOURCE_DIR "{ROOT}")
FetchContent_MakeAvailable(posemamba)
add_executable(robot main.cc)
target_link_libraries(robot PRIVATE posemamba::runtime)
"""
CONSUMER = """
cmake_minimum_required(VERSION 3.21)
project(other LANGUAGES CXX)
find_package(posemamba 0.2 CONFIG REQUIRED)
add_executable(other main.cc)
target_link_libraries(other PRIVATE posemamba::runtime)
"""
PROGRAM = """
#include <cstdio>
#include <posemamba/runtime/lifter.hpp>
int main(int, char** argv) {
  try {
    std::puts(posemamba::Lifter(argv[1]).info().c_str());
  } catch (const posemamba::Error& error) {
    std::puts(error.what());
    return 1;
  }
}
"""


def project(folder: Path, lists: str, *options: str) -> Path:
    """A project configured in a folder of its own; its build folder."""
    folder.mkdir()
    (folder / "CMakeLists.txt").write_text(lists)
    (folder / "main.cc").write_text(PROGRAM)
    run("cmake", "-S", folder, "-B", folder / "b", *options)
    return folder / "b"


@pytest.fixture(scope="module")
def robot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The build folder of a project that says no build type."""
    build = project(tmp_path_factory.mktemp("parent") / "robot", LISTS)
    run("cmake", "--build", build, "--target", "robot", "-j2")
    # The op library would take as long again: this one is built already.
    place = build / "_deps" / "posemamba-build" / "lib" / "libposemamba_ort.so"
    scripts = (build / "_deps" / "posemamba-build").rglob("cmake_install.cmake")
    assert any(f'"{place}"' in script.read_text() for script in scripts)
    shutil.copy(pmexport.custom_op_library(), place)
    return build


def lifts(program: Path, model: Path) -> None:
    """It opens a model, with ONNX Runtime's place given and nothing else."""
    library = runtime_library("onnxruntime")
    assert library is not None
    environment = {**os.environ, "POSEMAMBA_LIBRARY_PATH": str(Path(library).parent)}
    done = subprocess.run(
        [str(program), str(model)], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stdout
    assert json.loads(done.stdout)["backend"] == "onnxruntime-cpu"


def test_it_runs_where_it_was_built(robot: Path, model: Path) -> None:
    lifts(robot / "robot", model)


def test_it_is_optimised_where_the_parent_says_nothing(robot: Path) -> None:
    (flags,) = robot.rglob("posemamba_runtime.dir/flags.make")
    assert "-O3 -DNDEBUG" in flags.read_text()


def test_what_its_parent_installs_is_found(robot: Path, model: Path, tmp_path: Path) -> None:
    run("cmake", "--install", robot, "--prefix", tmp_path / "a prefix")
    other = project(tmp_path / "other", CONSUMER, f"-DCMAKE_PREFIX_PATH={tmp_path / 'a prefix'}")
    run("cmake", "--build", other)
    lifts(other / "other", model)
