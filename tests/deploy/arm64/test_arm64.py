"""The SDK cross-built for 64-bit Arm runs end to end under QEMU and gives x86's poses.

Cross-built are the runtime, the op library and, against the installed package, the examples. ONNX
Runtime is the one in its wheel for 64-bit Arm. Nothing here has run on a Jetson.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from absence import lacking
from arm64 import (
    APT,
    TOOLCHAIN,
    absent,
    cross_build,
    onnx_runtime,
    system_root,
)
from example_lines import SIZE, coco_walk, file_text, poses, stream_text
from native_build import install, run
from places import ROOT, TINY

from pmexport.exporting.export import ExportOptions, export_onnx
from posemamba import load_checkpoint
from posemamba_runtime import Lifter

EXAMPLES = ROOT / "deploy" / "cpp" / "examples"
#: The issue's bound on poses in network units; both sides sum float32 in orders of their own.
TOLERANCE = 1e-4
#: Emulation is slow: windows of a few frames.
LIVE, RECORDED = 6, 12

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module", autouse=True)
def _tools() -> None:
    if absent():
        lacking(f"{', '.join(absent())} not found: {APT}", "ARM64")


@pytest.fixture(scope="module")
def prefix(_tools: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(cross_build(), tmp_path_factory.mktemp("arm64") / "usr")


@pytest.fixture(scope="module")
def runtime(_tools: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return onnx_runtime(tmp_path_factory.mktemp("onnxruntime"))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return system_root(tmp_path_factory.mktemp("root") / "system")


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small one, for emulation takes a hundred times as long."""
    path = tmp_path_factory.mktemp("network") / "tiny.onnx"
    export_onnx(load_checkpoint(TINY), path, ExportOptions())
    return path


def program(project: str, name: str, prefix: Path, folder: Path) -> Path:
    """An example, built against the installed package as a user would."""
    run("cmake", "-S", EXAMPLES / project, "-B", folder, f"-DCMAKE_TOOLCHAIN_FILE={TOOLCHAIN}",
        f"-DCMAKE_PREFIX_PATH={prefix}")  # fmt: skip
    run("cmake", "--build", folder)
    return folder / name


def emulated(
    root: Path, runtime: Path, *command: Path, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "POSEMAMBA_LIBRARY_PATH": str(runtime)}
    return subprocess.run(
        ["qemu-aarch64", "-L", str(root), *map(str, command)],
        input=stdin, capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip


def test_the_libraries_are_for_arm(prefix: Path) -> None:
    for name in ("libposemamba_runtime.so", "libposemamba_ort.so"):
        (library,) = prefix.rglob(name)
        assert "AArch64" in run("readelf", "--file-header", library).stdout


def test_live(prefix: Path, runtime: Path, root: Path, network: Path, tmp_path: Path) -> None:
    binary = program("lift_stream", "lift_stream", prefix, tmp_path)
    keypoints = coco_walk(LIVE)[:, 0]
    done = emulated(root, runtime, binary, network, stdin=stream_text(keypoints))
    assert (done.returncode, done.stderr) == (0, "")
    heads, got = poses(done.stdout, 2)
    assert heads[:, 0].tolist() == list(range(LIVE))
    with Lifter(network, "onnxruntime-cpu") as lifter:
        stream = lifter.stream("coco17", SIZE)
        for frame, values in enumerate(keypoints):
            stream.push(values, frame, frame / 30)
            lifter.step()
        expected = np.stack([pose.joints for pose in stream])
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(got, expected, atol=TOLERANCE)


def test_a_recording_in_c(
    prefix: Path, runtime: Path, root: Path, network: Path, tmp_path: Path
) -> None:
    """Two persons, windows blended: as one batch."""
    binary = program("c", "lift_file_c", prefix, tmp_path / "build")
    keypoints = coco_walk(RECORDED, persons=2)
    source = tmp_path / "keypoints.txt"
    source.write_text(file_text(keypoints))
    done = emulated(root, runtime, binary, network, source)
    assert (done.returncode, done.stderr) == (0, "")
    heads, got = poses(done.stdout, 3)
    with Lifter(network, "onnxruntime-cpu") as lifter:
        stream = lifter.stream("coco17", SIZE, policy="blend", rate=30)
        for frame, everybody in enumerate(keypoints):
            for person, values in enumerate(everybody):
                stream.push(values, frame, person=person)
        stream.flush()
        lifter.step()
        expected = {(pose.frame, pose.person): pose.joints for pose in stream}
    keys = [(int(frame), int(person)) for frame, _, person in heads]
    assert sorted(keys) == sorted(expected)
    np.testing.assert_allclose(got, [expected[key] for key in keys], atol=TOLERANCE)


def test_a_missing_runtime_is_a_sentence(
    prefix: Path, root: Path, network: Path, tmp_path: Path
) -> None:
    binary = program("lift_stream", "lift_stream", prefix, tmp_path)
    done = emulated(root, tmp_path, binary, network)
    assert done.returncode == 2
    assert "libonnxruntime" in done.stderr
    assert done.stderr.count("\n") == 1
