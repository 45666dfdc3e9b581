"""lifter.hpp as strangers use it: strict compilers, any container, with and without exceptions;
what cannot be right does not compile."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from runtime_build import SOURCE

COMPILERS = [name for name in ("g++", "clang++") if shutil.which(name)]
STRICT = ("-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Wsign-conversion",
          "-Wold-style-cast", "-Wnon-virtual-dtor", "-Werror")  # fmt: skip
BOTH = ("-std=c++17", "-std=c++20")
WITHOUT = ("-fno-exceptions", "-fno-rtti", "-DPOSEMAMBA_NO_EXCEPTIONS")

#: The loop of the interface's description, around a camera of our own.
LOOP = """
#include <array>
#include <cstdio>
#include <deque>
#include <vector>
#include <posemamba/runtime/lifter.hpp>
#if __cplusplus >= 202002L
#include <span>
#endif
static void draw(const posemamba::Pose& pose) {
  std::printf("%lld ", static_cast<long long>(pose.frame));
}
struct Matrix {  // as Eigen's
  static constexpr bool IsRowMajor = false, IsVectorAtCompileTime = false;
  const float* data() const { return numbers; }
  std::size_t size() const { return 51; }
  float operator[](std::size_t i) const { return numbers[i]; }
  float numbers[51];
};
[[maybe_unused]] static void fill(float* numbers, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) numbers[i] = i % 2 == 0 ? 300.0F : 400.0F;
}
template <class T>
constexpr bool moves_only = std::is_nothrow_move_constructible_v<T> &&
                            std::is_nothrow_move_assignable_v<T> &&
                            !std::is_copy_constructible_v<T> && !std::is_copy_assignable_v<T>;
static_assert(moves_only<posemamba::Lifter> && moves_only<posemamba::Stream>);
static int run(posemamba::Lifter& lifter, posemamba::Stream& stream) {
  for (std::int64_t frame = 0; frame < 3; ++frame) {
    @VALUES@
    stream.push(frame, static_cast<double>(frame) / 30.0, 0, values)@CHECK@;
    lifter.step()@CHECK@;
    while (const auto pose = stream.poll()) draw(*pose);
  }
  return 0;
}
"""
THROWING = """
int main(int, char** argv) try {
  posemamba::LifterOptions how;
  how.backend = "onnxruntime-cpu", how.runtime_library = argv[2];
  posemamba::Lifter lifter(argv[1], how);
  posemamba::StreamOptions options;
  options.keypoints = "coco17", options.width = 1920, options.height = 1080;
  posemamba::Stream stream = lifter.stream(options);
  return run(lifter, stream);
} catch (const posemamba::Error& error) {
  std::printf("%d %s", static_cast<int>(error.code()), error.what());
  return 0;
}
"""
NOT_THROWING = """
int main(int, char** argv) {
  posemamba::LifterOptions how;
  how.backend = "onnxruntime-cpu", how.runtime_library = argv[2];
  auto lifter = posemamba::Lifter::open(argv[1], how);
  if (!lifter) return 3;
  posemamba::StreamOptions options;
  options.keypoints = "coco17", options.width = 1920, options.height = 1080;
  auto stream = lifter->stream(options);
  if (!stream) return 4;
  const int code = run(*lifter, *stream);
  auto none = stream->poll();
  if (none || none.error().code() != PM_NOT_READY || none.error().what()[0] == 0) return 5;
  return code;
}
"""
VECTOR = "std::vector<float> values(34); fill(values.data(), 34);"


def program(values: str, main: str) -> str:
    check = ".code()" if main is NOT_THROWING else ""
    body = LOOP.replace("@VALUES@", values)
    if check:  # a result that is not looked at does not compile
        body = body.replace("    stream.push", "    (void)stream.push")
        body = body.replace("    lifter.step()@CHECK@", "    (void)lifter.step()")
    return body.replace("@CHECK@", check) + main


def compiled(code: str, compiler: str, flags: tuple[str, ...], built: Path, to: Path) -> str:
    """What the compiler said; "" where there is a program."""
    source = to / "main.cc"
    source.write_text(code)
    command = [compiler, *STRICT, *flags, f"-I{SOURCE / 'include'}", str(source)]
    command += ["-o", str(to / "main"), str(built / "libposemamba_runtime.so")]
    command.append(f"-Wl,-rpath,{built}")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == (done.stderr == "")
    return done.stderr


def output(to: Path, any_model: Path, stand_ins: Path) -> str:
    done = subprocess.run(
        [str(to / "main"), str(any_model), str(stand_ins / "libonnxruntime.so")],
        capture_output=True, text=True, check=False, timeout=20,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("flags", BOTH)
@pytest.mark.parametrize("main", [THROWING, NOT_THROWING], ids=["throwing", "not throwing"])
def test_one_loop_for_all(
    main: str, flags: str, compiler: str, built: Path, any_model: Path, stand_ins: Path,
    tmp_path: Path,
) -> None:  # fmt: skip
    without = WITHOUT if main is NOT_THROWING else ()
    assert compiled(program(VECTOR, main), compiler, (flags, *without), built, tmp_path) == ""
    assert output(tmp_path, any_model, stand_ins) == "0 1 2 "


VALUES = {
    "float values[17][2]; fill(values[0], 34);": "0 1 2 ",
    "std::array<float, 51> values{}; fill(values.data(), 51);": "0 1 2 ",
    "std::vector<std::array<float, 3>> values(17); fill(values[0].data(), 51);": "0 1 2 ",
    "float room[34]; fill(room, 34); std::span<const float> values(room);": "0 1 2 ",
    "const std::vector<std::array<float, 3>> values;": "1 values is NULL",
    "const std::vector<float> values;": "1 values is NULL",
    "std::vector<float> values(33, 300.0F);": "1 33 keypoints were pushed",
    "std::array<std::array<float, 4>, 17> values{};": "1 columns is 4",
}


@pytest.mark.parametrize("values", VALUES)
def test_containers(
    values: str, built: Path, any_model: Path, stand_ins: Path, tmp_path: Path
) -> None:
    assert compiled(program(values, THROWING), "g++", ("-std=c++20",), built, tmp_path) == ""
    assert output(tmp_path, any_model, stand_ins).startswith(VALUES[values])


#: In several pieces of memory, of other numbers, or by columns: it would be read wrongly.
REFUSED = {
    "std::vector<std::vector<float>> values(17, std::vector<float>(3));": "a row is an array",
    "std::vector<double> values(51);": "push takes float",
    "std::array<std::array<double, 2>, 17> values{};": "push takes float",
    "std::deque<float> values(51);": "data",
    "Matrix values{};": "row-major",
}


@pytest.mark.parametrize("values", REFUSED)
def test_what_would_be_read_wrongly_does_not_compile(
    values: str, built: Path, tmp_path: Path
) -> None:
    said = compiled(program(values, THROWING), "g++", ("-std=c++17",), built, tmp_path)
    assert REFUSED[values] in said
