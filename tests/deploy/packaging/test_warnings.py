"""Warnings are errors in our own builds, and in nobody else's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from native_build import run
from places import ROOT

PARENT = """
cmake_minimum_required(VERSION 3.21)
project(robot LANGUAGES C CXX)
set(POSEMAMBA_CUDA OFF)
include(FetchContent)
{takes}
"""
FETCH = """
FetchContent_Declare(posemamba SOURCE_DIR "{root}")
FetchContent_MakeAvailable(posemamba)
"""
ADD = 'add_subdirectory("{root}/{part}" part)'
PARTS = [".", "deploy/cpp", "trt_plugins/kernels"]
"""What can be configured by itself without nvcc."""


def commands(source: Path, build: Path, *options: str) -> list[str]:
    """How each file of the libraries would be compiled."""
    run("cmake", "-S", source, "-B", build, "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON", *options)
    entries = json.loads((build / "compile_commands.json").read_text())
    found = [entry["command"] for entry in entries if "/tests/" not in entry["file"]]
    assert found
    return found


def in_a_project(takes: str, folder: Path, *options: str) -> list[str]:
    (folder / "CMakeLists.txt").write_text(PARENT.format(takes=takes))
    return commands(folder, folder / "b", *options)


@pytest.mark.parametrize("part", PARTS)
def test_our_own_builds_bear_none(part: str, tmp_path: Path) -> None:
    found = commands(ROOT / part, tmp_path, "-DPOSEMAMBA_CUDA=OFF")
    assert all(" -Werror " in command for command in found)


@pytest.mark.parametrize("takes", [FETCH, *(ADD.replace("{part}", part) for part in PARTS)])
def test_a_project_that_takes_us_in_only_sees_them(takes: str, tmp_path: Path) -> None:
    found = in_a_project(takes.format(root=ROOT), tmp_path)
    assert all(" -Wall " in command and "-Werror" not in command for command in found)


def test_a_project_may_ask_for_it(tmp_path: Path) -> None:
    found = in_a_project(FETCH.format(root=ROOT), tmp_path, "-DPOSEMAMBA_WERROR=ON")
    assert all(" -Werror " in command for command in found)


def test_no_target_has_it_of_its_own() -> None:
    """The CUDA parts too, which only a machine with nvcc configures."""
    lists = [ROOT / "CMakeLists.txt"]
    for room in ("cmake", "deploy", "trt_plugins"):
        lists += [*(ROOT / room).rglob("CMakeLists.txt"), *(ROOT / room).rglob("*.cmake")]
    lines = [line for path in lists for line in path.read_text().splitlines() if "-Werror" in line]
    assert lines
    assert all("$<BOOL:${POSEMAMBA_WERROR}>" in line for line in lines)
