"""The library and its test programs under AddressSanitizer, UndefinedBehaviorSanitizer and
ThreadSanitizer; libFuzzer for a short time on what reads files and on the push path."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from absence import lacking
from runtime_build import build

#: The models of ONNX Runtime and TensorRT's libraries are not instrumented: stand-ins are.
TARGETS = ("exercise", "drive", "onnxruntime", "cuda", "nvinfer")
SECONDS = os.environ.get("POSEMAMBA_FUZZ_SECONDS", "10")


@pytest.mark.slow
@pytest.mark.parametrize("sanitizer", ["address,undefined", "thread"])
def test_clean(sanitizer: str, any_model: Path, tmp_path: Path) -> None:
    name = sanitizer.split(",", maxsplit=1)[0]
    folder = build(name, f"-DPOSEMAMBA_RUNTIME_SANITIZE={sanitizer}", targets=TARGETS) / "tests"
    environment = {
        **os.environ,
        "POSEMAMBA_LIBRARY_PATH": str(folder / "stand_ins"),
        "STAND_IN_ORT": "",
    }
    library = str(folder / "stand_ins" / "libonnxruntime.so")
    engine = tmp_path / "E.engine"
    engine.write_bytes(b"ftrt" + bytes(252))
    plugin = tmp_path / "libposemamba_trt.so"
    plugin.write_bytes(b"a stand-in")
    for command in (
        ["exercise", str(any_model), library],
        ["drive", str(any_model), "onnxruntime-cpu"],
        ["drive", str(engine), "tensorrt", f"op_library={plugin}", "cuda_graph=1"],
    ):
        done = subprocess.run(
            [str(folder / command[0]), *command[1:]],
            env=environment, capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, ""), command
        assert '"difference": 0, "held": 0}' in done.stdout or command[0] == "exercise"


def fuzzers_absent(folder: Path) -> str:
    """What libFuzzer lacks here; empty: nothing. Debian's clang comes without its run-time."""
    if shutil.which("clang++") is None:
        return "libFuzzer needs clang++: apt install clang libclang-rt-dev"
    source = folder / "fuzzer.cc"
    source.write_text(
        "#include <cstddef>\n#include <cstdint>\n"
        'extern "C" int LLVMFuzzerTestOneInput(const uint8_t*, size_t) { return 0; }\n',
        encoding="utf-8",
    )
    command = ["clang++", "-fsanitize=fuzzer,address,undefined", str(source), "-o"]
    linked = subprocess.run([*command, str(folder / "fuzzer")], capture_output=True, check=False)
    if linked.returncode != 0:
        return "clang++ cannot link -fsanitize=fuzzer: apt install libclang-rt-dev"
    return ""


@pytest.mark.slow
@pytest.mark.parametrize("target", ["fuzz_metadata", "fuzz_push"])
def test_fuzzers(target: str, tmp_path: Path) -> None:
    """A short run; POSEMAMBA_FUZZ_SECONDS=600 for the long one."""
    if absent := fuzzers_absent(tmp_path):
        lacking(absent, "FUZZER")
    folder = build(
        "fuzz",
        "-DCMAKE_CXX_COMPILER=clang++", "-DCMAKE_C_COMPILER=clang",
        "-DPOSEMAMBA_RUNTIME_TESTS=OFF", "-DPOSEMAMBA_RUNTIME_FUZZ=ON",
        targets=("fuzz_metadata", "fuzz_push"),
    )  # fmt: skip
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    command = [str(folder / "fuzz" / target), f"-max_total_time={SECONDS}", "-max_len=4096"]
    done = subprocess.run(
        [*command, "-print_final_stats=1", str(corpus)],
        capture_output=True, text=True, check=False, cwd=tmp_path, timeout=int(SECONDS) + 120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "number_of_executed_units" in done.stderr
