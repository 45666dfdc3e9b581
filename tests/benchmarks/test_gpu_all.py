"""The one call that measures everything, with stand-ins for every program: no GPU is here."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from places import ROOT

#: What every program of a machine with a GPU is here: it tells how it was called, and may fail.
STAND_IN = """#!/bin/bash
echo "$(basename "$0") $* [$CUDA_VISIBLE_DEVICES]" >>"{calls}"
if [[ $(basename "$0") == nvidia-smi ]]; then echo "GPU 0"; echo "GPU 1"; fi
if [[ "$(basename "$0") $*" == *{fails}* ]]; then exit 3; fi
if [[ "$(basename "$0") $*" == *{hangs}* ]]; then sleep 100; fi
"""
PROGRAMS = ("nvidia-smi", "cmake", "compute-sanitizer", "nvcc", "stand-in-python")
EVERYTHING = {
    "build": "cmake --build build/gpu",
    "export": "benchmarks.networks.ort export --variant L --precision fp16-sums",
    "compare": "benchmarks.compare.run",
    "cost": "benchmarks.networks.forward --variants L --batches 1,2,4,8,16,32,64",
    "tests": "-m pytest -v -m gpu",
    "ort": "tests/gpu/test_ort_cuda.py",
    "drift": "-m pmexport check",
    "trt": "tests/native/tensorrt",
    "sanitize": "compute-sanitizer --tool racecheck",
    "resources": "benchmarks.kernels.resources",
    "orin": "-B build/orin",
}
TIMED = ("compare", "cost", "export")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    (tree / "bin").mkdir(parents=True)
    shutil.copytree(ROOT / "benchmarks", tree / "benchmarks")
    bench = tree / "build/gpu/trt_plugins/kernels/cuda/posemamba_block_bench"
    bench.parent.mkdir(parents=True)
    for path in (bench, *(tree / "bin" / name for name in PROGRAMS)):
        path.touch(mode=0o755)
    return tree


def call(tree: Path, fails: str = "no such", hangs: str = "no such", limit: int = 60) -> list[str]:
    """Runs it; what was called."""
    calls = tree / "calls"
    text = STAND_IN.format(calls=calls, fails=f'"{fails}"', hangs=f'"{hangs}"')
    for path in (*(tree / "bin").iterdir(), *(tree / "build").rglob("posemamba_block_bench")):
        path.write_text(text, encoding="utf-8")
    environment = os.environ | {
        "PATH": f"{tree / 'bin'}:{os.environ['PATH']}",
        "PYTHON": "stand-in-python",
        "LIMIT": f"{limit}",
        "OUT": f"{tree / 'back'}",
    }
    script = tree / "benchmarks/gpu_all.sh"
    done = subprocess.run(
        [script], env=environment, capture_output=True, text=True, timeout=limit + 30, check=False
    )
    assert done.returncode == 0, done.stderr
    assert f"end: {tree / 'back/all.tgz'}" in done.stdout
    return [*calls.read_text(encoding="utf-8").splitlines(), *done.stdout.splitlines()]


def missing(lines: list[str]) -> set[str]:
    return {name for name, text in EVERYTHING.items() if not any(text in line for line in lines)}


def test_it_runs_everything_and_keeps_timings_by_themselves(tree: Path) -> None:
    lines = call(tree)
    assert missing(lines) == set()
    for batch in (1, 8, 32):
        assert f"posemamba_block_bench time {batch} [0]" in lines
    for name, text in EVERYTHING.items():
        gpu = "[0]" if name in TIMED else "[1]"
        seen = [line for line in lines if text in line]
        assert name == "build" or all(line.endswith(gpu) for line in seen), seen
    with tarfile.open(tree / "back/all.tgz") as kept:
        assert {"./compare.log", "./tests.log", "./block-32.log"} <= set(kept.getnames())


@pytest.mark.parametrize(
    "broken", ["benchmarks.compare.run", "-m pytest", "compute-sanitizer", "cmake --build"]
)
def test_what_fails_costs_itself_alone(tree: Path, broken: str) -> None:
    lines = call(tree, fails=broken)
    assert missing(lines) == set()
    assert any(line.endswith((": 1", ": 3")) for line in lines)


def test_what_hangs_is_ended_in_time(tree: Path) -> None:
    lines = call(tree, hangs="tests/gpu/test_ort_cuda.py", limit=30)
    assert missing(lines) == set()
    assert any(line.endswith("ort: 124") for line in lines)
