"""Programs outside the tree build against the installed package, by CMake and by pkg-config, and
lift what the Python package lifts."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from example_lines import SIZE, coco_walk, file_text, poses, stream_text
from native_build import run
from places import ROOT

import posemamba_runtime
from posemamba_runtime._library import runtime_library

EXAMPLES = ROOT / "deploy" / "cpp" / "examples"
C_FLAGS = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic")
CPP_FLAGS = ("-std=c++17", "-Wall", "-Wextra", "-Werror", "-pedantic")
#: The programs print six digits.
PRINTED = 2e-5


def pkg_config(prefix: Path, *options: str) -> list[str]:
    """What pkg-config says of the installed package."""
    (pc,) = prefix.rglob("posemamba.pc")
    environment = {**os.environ, "PKG_CONFIG_PATH": str(pc.parent)}
    done = subprocess.run(
        ["pkg-config", *options, "posemamba"],
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    return shlex.split(done.stdout)


def by_cmake(source: Path, prefix: Path, to: Path) -> dict[str, Path]:
    """Copy a project out of the tree and build it."""
    shutil.copytree(source, to / "source")
    run("cmake", "-S", to / "source", "-B", to / "build", f"-DCMAKE_PREFIX_PATH={prefix}")
    run("cmake", "--build", to / "build")
    return {path.name: path for path in (to / "build").glob("lift_*") if path.is_file()}


def by_pkg_config(
    compiler: str, flags: tuple[str, ...], source: Path, prefix: Path, to: Path
) -> Path:
    """Compile one file as a Makefile would."""
    found = pkg_config(prefix, "--cflags", "--libs")
    folder = pkg_config(prefix, "--variable=libdir")[0]
    run(compiler, *flags, source, *found, f"-Wl,-rpath,{folder}", "-o", to)
    return to


@pytest.fixture(scope="module")
def programs(prefix: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every example, built each way."""
    to = tmp_path_factory.mktemp("consumers")
    built = {}
    for project in ("lift_stream", "lift_file", "c"):
        made = by_cmake(EXAMPLES / project, prefix, to / project)
        built.update({f"cmake {name}": path for name, path in made.items()})
    for name in ("lift_stream", "lift_file"):
        built[f"pkg-config {name}"] = by_pkg_config(
            "c++", CPP_FLAGS, EXAMPLES / name / f"{name}.cc", prefix, to / name / "by_hand"
        )
        built[f"pkg-config {name}_c"] = by_pkg_config(
            "cc", C_FLAGS, EXAMPLES / "c" / f"{name}.c", prefix, to / "c" / f"{name}_by_hand"
        )
    return built


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """Where a C program finds ONNX Runtime."""
    library = runtime_library("onnxruntime")
    assert library is not None
    folder = tmp_path_factory.mktemp("onnxruntime")
    (folder / "libonnxruntime.so").symlink_to(library)
    return {**os.environ, "LD_LIBRARY_PATH": str(folder)}


def output(program: Path, environment: Mapping[str, str], *arguments: Path, stdin: str = "") -> str:
    done = subprocess.run(
        [str(program), *map(str, arguments)],
        input=stdin, capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


BUILDS = ("cmake lift_{}", "cmake lift_{}_c", "pkg-config lift_{}", "pkg-config lift_{}_c")


@pytest.mark.parametrize("name", BUILDS)
def test_live(
    name: str, programs: dict[str, Path], environment: Mapping[str, str], model: Path
) -> None:
    keypoints = coco_walk(30)[:, 0]
    text = output(programs[name.format("stream")], environment, model, stdin=stream_text(keypoints))
    heads, got = poses(text, 2)
    assert heads.tolist() == [[frame, 0] for frame in range(30)]
    with posemamba_runtime.Lifter(model) as lifter:
        stream = lifter.stream("coco17", SIZE)
        for frame, values in enumerate(keypoints):
            stream.push(values, frame, frame / 30)
            lifter.step()
        expected = [pose.joints for pose in stream]
    np.testing.assert_allclose(got, expected, atol=PRINTED)


@pytest.mark.parametrize("name", BUILDS)
def test_a_recording(
    name: str,
    programs: dict[str, Path],
    environment: Mapping[str, str],
    model: Path,
    tmp_path: Path,
) -> None:
    keypoints = coco_walk(60, persons=2)
    source = tmp_path / "keypoints.txt"
    source.write_text(file_text(keypoints))
    heads, got = poses(output(programs[name.format("file")], environment, model, source), 3)
    order = np.lexsort((heads[:, 0], heads[:, 2]))
    assert heads[order][:, [0, 2]].tolist() == [[f, p] for p in range(2) for f in range(60)]
    np.testing.assert_allclose(heads[:, 1], heads[:, 0] / 30, atol=1e-6)
    with posemamba_runtime.Lifter(model) as lifter:
        stream = lifter.stream("coco17", SIZE, policy="blend", rate=30)
        for frame, everybody in enumerate(keypoints):
            for person, values in enumerate(everybody):
                stream.push(values, frame, person=person)
                lifter.step()
        stream.flush()
        lifter.step()
        found = {(pose.person, pose.frame): pose.joints for pose in stream}
    np.testing.assert_allclose(got[order], [found[key] for key in sorted(found)], atol=PRINTED)


@pytest.mark.parametrize("name", BUILDS)
def test_a_missing_model_is_one_sentence(
    name: str, programs: dict[str, Path], environment: Mapping[str, str], tmp_path: Path
) -> None:
    missing = tmp_path / "no.onnx"
    done = subprocess.run(
        [str(programs[name.format("stream")]), str(missing)],
        input="", capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    assert str(missing) in done.stderr


SMALLEST = """
#include <posemamba/runtime/lifter.hpp>
int main(int argc, char** argv) {
  posemamba::Lifter lifter(argv[1]);
  posemamba::StreamOptions options;
  options.keypoints = "coco17", options.width = 1920, options.height = 1080;
  posemamba::Stream stream = lifter.stream(options);
  for (std::int64_t frame = 0; next_keypoints(values); ++frame) {
    stream.push(frame, frame / 30.0, 0, values);
    lifter.step();
    while (auto pose = stream.poll()) draw(*pose);
  }
}
"""


@pytest.mark.parametrize(
    "values",
    [
        "std::vector<float> values(51);",
        "std::array<float, 51> values;",
        "float values[17][3];",
        "std::array<std::array<float, 2>, 17> values;",
        "std::vector<std::array<float, 3>> values(17);",
    ],
)
def test_the_smallest_program(values: str, prefix: Path, tmp_path: Path) -> None:
    """As the interface's description has it, with a camera and a screen of our own before it."""
    (tmp_path / "main.cc").write_text(
        "#include <array>\n#include <vector>\n#include <posemamba/runtime/lifter.hpp>\n"
        f"static {values}\n"
        "template <typename Values> bool next_keypoints(Values&) { return false; }\n"
        "void draw(const posemamba::Pose&) {}\n" + SMALLEST
    )
    (tmp_path / "CMakeLists.txt").write_text(
        (EXAMPLES / "lift_stream" / "CMakeLists.txt")
        .read_text()
        .replace("lift_stream.cc", "main.cc")
    )
    run("cmake", "-S", tmp_path, "-B", tmp_path / "b", f"-DCMAKE_PREFIX_PATH={prefix}")
    run("cmake", "--build", tmp_path / "b")


WITHOUT_EXCEPTIONS = """
#include <cstdio>
#include <posemamba/runtime/lifter.hpp>
int main(int, char** argv) {
  auto lifter = posemamba::Lifter::open(argv[1]);
  if (!lifter) return std::fprintf(stderr, "Error: %s\\n", lifter.error().what()), 2;
  posemamba::StreamOptions options;
  options.width = 1920, options.height = 1080;
  auto stream = lifter->stream(options);
  float values[17][2];
  for (auto& point : values) point[0] = 300.0F, point[1] = 400.0F;
  if (!stream || !stream->push(0, 0.0, 0, values) || !lifter->step()) return 1;
  auto pose = stream->poll();
  return pose && pose->frame == 0 ? 0 : 1;
}
"""


@pytest.mark.parametrize("standard", ["c++17", "c++20"])
def test_without_exceptions(
    standard: str, prefix: Path, environment: Mapping[str, str], model: Path, tmp_path: Path
) -> None:
    (tmp_path / "main.cc").write_text(WITHOUT_EXCEPTIONS)
    flags = (*CPP_FLAGS[1:], f"-std={standard}", "-fno-exceptions", "-DPOSEMAMBA_NO_EXCEPTIONS")
    program = by_pkg_config("c++", flags, tmp_path / "main.cc", prefix, tmp_path / "main")
    output(program, environment, model)
    done = subprocess.run(
        [str(program), "no.onnx"], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 2
    assert "no.onnx" in done.stderr


WITH_EXCEPTIONS = """
#include <cstdio>
#include <posemamba/runtime/lifter.hpp>
int without(int, char** argv);
int main(int count, char** argv) {
  posemamba::Lifter lifter(argv[1]);
  posemamba::StreamOptions options;
  options.width = 1920, options.height = 1080;
  auto stream = lifter.stream(options);
  float values[17][2];
  for (auto& point : values) point[0] = 300.0F, point[1] = 400.0F;
  stream.push(0, 0.0, 0, values);
  try {
    stream.push(0, 0.0, 0, values);
    return 1;
  } catch (const posemamba::Error&) {
  }
  return without(count, argv);
}
"""


def test_files_with_and_without_exceptions_in_one_program(
    prefix: Path, environment: Mapping[str, str], model: Path, tmp_path: Path
) -> None:
    """Not inlined, both would be one function for the linker, and one kind called the other's."""
    (tmp_path / "with.cc").write_text(WITH_EXCEPTIONS)
    without = WITHOUT_EXCEPTIONS.replace(
        "int main(", "int without(int, char** argv);\nint without("
    )
    (tmp_path / "without.cc").write_text("#define POSEMAMBA_NO_EXCEPTIONS\n" + without)
    found = pkg_config(prefix, "--cflags", "--libs")
    sources = (tmp_path / "with.cc", tmp_path / "without.cc")
    folder = pkg_config(prefix, "--variable=libdir")[0]
    program = tmp_path / "both"
    run("c++", *CPP_FLAGS, "-O0", *sources, *found, f"-Wl,-rpath,{folder}", "-o", program)
    output(program, environment, model)


STRICT_C = ("-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion", "-Wshadow",
            "-Wstrict-prototypes")  # fmt: skip


@pytest.mark.parametrize("standard", ["c99", "c11", "c17"])
def test_strict_c(standard: str, prefix: Path, tmp_path: Path) -> None:
    for name in ("lift_stream", "lift_file"):
        source = EXAMPLES / "c" / f"{name}.c"
        by_pkg_config("cc", (f"-std={standard}", *STRICT_C), source, prefix, tmp_path / name)


def test_a_static_program_links_the_same(prefix: Path) -> None:
    """There is one library, a shared one: `--static` asks for nothing that is not installed."""
    assert pkg_config(prefix, "--static", "--libs") == pkg_config(prefix, "--libs")


def test_a_part_of_an_older_project(prefix: Path, tmp_path: Path) -> None:
    """A project of older policies, two of whose subdirectories find the package."""
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.10)\nproject(robot C CXX)\n"
        "add_subdirectory(one)\nadd_subdirectory(two)\n"
    )
    lists = (
        "find_package(posemamba 0.2 CONFIG REQUIRED)\nadd_executable({0} ../main.{1})\n"
        "target_link_libraries({0} posemamba::runtime)\n"
    )
    (tmp_path / "main.c").write_text((EXAMPLES / "c" / "lift_stream.c").read_text())
    (tmp_path / "main.cc").write_text((EXAMPLES / "lift_file" / "lift_file.cc").read_text())
    for name, suffix in (("one", "c"), ("two", "cc")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "CMakeLists.txt").write_text(lists.format(name, suffix))
    options = ("-DCMAKE_CXX_STANDARD=20", "-DCMAKE_C_STANDARD=11")
    run("cmake", "-S", tmp_path, "-B", tmp_path / "b", f"-DCMAKE_PREFIX_PATH={prefix}", *options)
    run("cmake", "--build", tmp_path / "b")
    for name in ("one", "two"):
        done = subprocess.run(
            [str(tmp_path / "b" / name / name)], capture_output=True, text=True, check=False
        )
        assert (done.returncode, "usage: " in done.stderr) == (2, True)


def lines_of_code(path: Path, comment: str) -> int:
    lines = (line.strip() for line in path.read_text().splitlines())
    return sum(bool(line) and not line.startswith(comment) for line in lines)


def test_the_live_example_is_short() -> None:
    assert lines_of_code(EXAMPLES / "lift_stream" / "lift_stream.cc", "//") <= 25
    assert lines_of_code(EXAMPLES / "lift_stream" / "CMakeLists.txt", "#") <= 6


@pytest.mark.parametrize("component", ["CUDA", "TensorRT"])
@pytest.mark.parametrize("built_with", [True, False])
def test_what_the_package_lacks_is_said(
    component: str, built_with: bool, prefix: Path, tmp_path: Path
) -> None:
    """A package built for the CPU is refused to a program for a GPU, before anything compiles."""
    copy = shutil.copytree(prefix, tmp_path / "usr", symlinks=True)
    (config,) = copy.rglob("posemambaConfig.cmake")
    known = re.compile(f"set\\(posemamba_{component}_FOUND (ON|OFF)\\)")
    value = "ON" if built_with else "OFF"
    text, found = known.subn(f"set(posemamba_{component}_FOUND {value})", config.read_text())
    assert found == 1
    config.write_text(text)
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.21)\nproject(p LANGUAGES CXX)\n"
        f"find_package(posemamba CONFIG REQUIRED COMPONENTS {component})\n"
    )
    done = subprocess.run(
        ["cmake", "-S", str(tmp_path), "-B", str(tmp_path / "b"), f"-DCMAKE_PREFIX_PATH={copy}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode == 0) == built_with
    said = f"was built without {component}" in " ".join(done.stderr.split())
    assert said != built_with
