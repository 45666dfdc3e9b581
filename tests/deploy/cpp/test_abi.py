"""What the library shows to the outside: its symbols, its needs, its headers, its tables."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
from pathlib import Path

import pytest
from absence import lacking
from places import ROOT
from runtime_api import BAD_MODEL, MISSING, Runtime
from runtime_build import SOURCE

INCLUDE = SOURCE / "include"
HEADER = (INCLUDE / "posemamba" / "runtime" / "lifter.h").read_text()
TESTS = SOURCE / "tests"
STRICT = ("-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Werror")

LIVE = """
#include <posemamba/runtime/lifter.hpp>
#include <array>
#include <cmath>
#include <vector>
int main(int, char** argv) {
  try {
    posemamba::Lifter missing("no such file");
    return 1;
  } catch (const posemamba::Error& error) {
    if (error.code() != PM_MISSING || error.what()[0] == 0) return 2;
  }
  posemamba::LifterOptions how;
  how.backend = "onnxruntime-cpu";
  how.runtime_library = argv[2];
  posemamba::Lifter lifter(argv[1], how);
  posemamba::StreamOptions options;
  options.width = 1920, options.height = 1080;
  posemamba::Stream stream = lifter.stream(options);
  std::vector<std::array<float, 3>> values(17, {100.0F, 200.0F, 0.9F});
  int poses = 0;
  for (std::int64_t frame = 0; frame < 5; ++frame) {
    stream.push(frame, static_cast<double>(frame) / 30.0, 0, values);
    lifter.step();
    while (auto pose = stream.poll()) poses += pose->frame == frame;
  }
  posemamba::Stream moved = std::move(stream);
  return poses == 5 && moved.delay().frames == 0 && !lifter.info().empty() ? 0 : 3;
}
"""

WITHOUT_EXCEPTIONS = """
#define POSEMAMBA_NO_EXCEPTIONS
#include <posemamba/runtime/lifter.hpp>
int main(int, char** argv) {
  auto missing = posemamba::Lifter::open("no such file");
  if (missing || missing.error().code() != PM_MISSING || missing.error().what()[0] == 0) return 1;
  posemamba::LifterOptions how;
  how.backend = "onnxruntime-cpu";
  how.runtime_library = argv[2];
  auto lifter = posemamba::Lifter::open(argv[1], how);
  if (!lifter) return 2;
  posemamba::StreamOptions options;
  options.width = 1920, options.height = 1080;
  auto stream = lifter->stream(options);
  float values[17][2];
  for (auto& value : values) value[0] = 100.0F, value[1] = 200.0F;
  if (!stream || !stream->push(0, 0.0, 0, values)) return 3;
  if (stream->push(0, 0.0, 0, values).code() != PM_BAD_ARGUMENT) return 4;
  auto windows = lifter->step();
  if (!windows || *windows != 1) return 5;
  auto pose = stream->poll();
  return pose && pose->frame == 0 ? 0 : 6;
}
"""


def run(*command: str | Path) -> str:
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout


def test_exports_are_the_header(built: Path) -> None:
    names = set(re.findall(r"\b(pm_\w+)\(", HEADER))
    lines = run("nm", "-D", "--defined-only", built / "libposemamba_runtime.so").splitlines()
    exported = {line.split()[-1].split("@")[0] for line in lines if " T " in line}
    assert exported == names
    assert len(lines) == len(names) + 1  # and the version's own symbol


def test_needs_nothing_but_the_c_library(built: Path) -> None:
    dynamic = run("readelf", "-d", built / "libposemamba_runtime.so")
    needed = set(re.findall(r"NEEDED.*\[(.*?)\]", dynamic))
    assert needed <= {"libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0",
                      "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}  # fmt: skip
    assert "[libposemamba_runtime.so.0]" in dynamic


def test_a_program_that_opens_and_closes_it_does_not_grow(built: Path) -> None:
    """The C++ runtime inside loses its emergency memory whenever it is unmapped: it stays."""
    dynamic = run("readelf", "-d", built / "libposemamba_runtime.so")
    assert "NODELETE" in dynamic


def test_what_it_says_of_itself(runtime: Runtime) -> None:
    version = re.search(r"project\(posemamba VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text())
    assert version is not None
    assert runtime.lib.pm_version().decode() == version[1]
    facts = json.loads(runtime.lib.pm_build_info())
    assert facts["version"] == version[1]
    assert {"commit", "compiler", "onnxruntime", "tensorrt", "cuda"} <= set(facts)


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_header_is_c(compiler: str, tmp_path: Path) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler}")
    source = tmp_path / "c.c"
    source.write_text(
        "#include <posemamba/runtime/lifter.h>\nint main(void) { return PM_SUCCESS; }\n"
    )
    run(compiler, "-std=c99", "-pedantic", *STRICT, f"-I{INCLUDE}", "-c", source, "-o", os.devnull)


@pytest.mark.parametrize("compiler", ["g++", "clang++"])
@pytest.mark.parametrize(
    ("code", "flags"), [(LIVE, ()), (WITHOUT_EXCEPTIONS, ("-fno-exceptions", "-fno-rtti"))]
)
def test_cpp_wrapper(
    code: str, flags: tuple[str, ...], compiler: str, built: Path, stand_ins: Path,
    any_model: Path, tmp_path: Path,
) -> None:  # fmt: skip
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler}")
    source = tmp_path / "live.cc"
    source.write_text(code)
    program = tmp_path / "live"
    run(compiler, "-std=c++17", *STRICT, *flags, f"-I{INCLUDE}", source, "-o", program,
        built / "libposemamba_runtime.so", f"-Wl,-rpath,{built}")  # fmt: skip
    run(program, any_model, stand_ins / "libonnxruntime.so")


def test_each_thread_has_its_own_sentence(runtime: Runtime, tmp_path: Path) -> None:
    sentences = {}

    def fail(name: str) -> None:
        path = tmp_path / name
        if name == "empty":
            path.touch()
        code = runtime.lib.pm_lifter_open(str(path).encode(), None, (b" " * 8))
        sentences[name] = (code, runtime.last_error())

    threads = [threading.Thread(target=fail, args=(name,)) for name in ("absent", "empty")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sentences["absent"][0] == MISSING
    assert sentences["empty"][0] == BAD_MODEL
    assert "absent" in sentences["absent"][1]
    assert "empty" in sentences["empty"][1]


def _folders(variable: str, *others: Path) -> list[Path]:
    named = [Path(name) for name in os.environ.get(variable, "").split(":") if name]
    return named + [folder for folder in others if folder.exists()]


TENSORRT = _folders("POSEMAMBA_TRT_HEADERS", ROOT / "build" / "tensorrt-headers")
ONNXRUNTIME = _folders("POSEMAMBA_ORT_INCLUDE_DIR")


@pytest.mark.parametrize("folder", TENSORRT or [None], ids=lambda folder: folder and folder.name)
def test_places_in_tensorrt(folder: Path | None, tmp_path: Path) -> None:
    if folder is None:
        lacking("no headers of TensorRT: run tools/trt_headers.py", "TRT")
    program = tmp_path / "places"
    run("g++", "-std=c++17", f"-I{SOURCE / 'src'}", "-isystem", folder, "-isystem", TESTS / "stub",
        TESTS / "trt_places.cc", "-o", program)  # fmt: skip
    assert "0 differences" in run(program)


@pytest.mark.parametrize("folder", ONNXRUNTIME or [None], ids=lambda folder: folder and folder.name)
def test_places_in_onnxruntime(folder: Path | None) -> None:
    if folder is None:  # its wheels hold none: only who has them elsewhere can run this
        pytest.skip("POSEMAMBA_ORT_INCLUDE_DIR names no folder")
    source = ROOT / "trt_plugins" / "onnxruntime" / "ort_api_check.cc"
    run("g++", "-std=c++17", "-isystem", folder, "-c", source, "-o", os.devnull)
