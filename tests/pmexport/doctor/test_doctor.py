"""The doctor: finds what is there, names one command for what is not, and tries the operators."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from places import ROOT

from pmexport.cli.main import cli
from pmexport.doctor import diagnose as doctor
from pmexport.doctor.jobs import _engines, command_in, mend
from pmexport.doctor.report import doctor_lines
from pmexport.format.environment import package_versions
from pmexport.runtimes.registry import RUNTIMES
from posemamba.native import library as native


@pytest.fixture
def no_kernels(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A machine without the native kernels."""
    missing = tmp_path / "libposemamba_kernels.so"
    monkeypatch.setenv(native.LIBRARY_VARIABLE, str(missing))
    native.load_cpu_library.cache_clear()
    yield missing
    native.load_cpu_library.cache_clear()


def test_main_job_works_here() -> None:
    diagnosis = doctor.diagnose()
    assert diagnosis.ok, diagnosis
    assert [test.passed for test in diagnosis.self_tests] == [True, True]
    assert diagnosis.native["kernels"]["isa"]
    assert diagnosis.native["kernels"]["abi"] == native.ABI_VERSION
    assert "CPUExecutionProvider" in diagnosis.providers


def test_json_is_complete() -> None:
    result = CliRunner().invoke(cli, ["doctor", "--json"])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["schema"] == 1
    assert report["ok"] is True
    assert set(doctor.PACKAGES) == set(report["packages"])
    assert all(test["max_abs"] <= 1e-5 for test in report["self_tests"])
    assert {"python", "platform", "machine"} == set(report["system"])


def test_tensorrt_rows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("POSEMAMBA_TRT_LIB", str(tmp_path / "libposemamba_trt.so"))
    diagnosis = doctor.diagnose()
    assert set(diagnosis.tensorrt) == {"tensorrt", "tensorrt-rtx", "plugin"}
    assert diagnosis.tensorrt["plugin"]["found"] is False
    text = "\n".join(doctor_lines(diagnosis))
    assert f"TensorRT plugin: no TensorRT plugin library at '{tmp_path}" in text
    rtx = diagnosis.tensorrt["tensorrt-rtx"]
    if rtx["version"] is None:
        assert "tensorrt-rtx: not installed (pip install '.[tensorrt-rtx]')" in text
    else:
        assert rtx["problem"] is None
        assert f"tensorrt-rtx: {rtx['version']}, builds for sm75, sm80, sm86" in text
    assert diagnosis.ok  # TensorRT is no part of the main job


def test_lines_end_with_the_verdict() -> None:
    lines = doctor_lines(doctor.diagnose())
    assert lines[-1] == "Doctor: the main job works"
    assert sum(line.startswith("Self test: ") for line in lines) == 2


def test_missing_kernels_fail_with_one_fix(no_kernels: Path) -> None:
    result = CliRunner().invoke(cli, ["doctor"])
    assert result.exit_code == 1
    found = [line for line in result.stdout.splitlines() if line.startswith("Missing: ")]
    assert len(found) == 1
    assert str(no_kernels) in found[0]
    assert found[0].endswith("fix: unset POSEMAMBA_KERNELS_LIB")  # which names what is not there
    assert result.stdout.splitlines()[-1] == "Doctor: the main job does not work yet"


def test_broken_custom_op_library_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "libposemamba_ort.so"
    broken.write_bytes(b"not a library")
    monkeypatch.setenv("POSEMAMBA_ORT_LIB", str(broken))
    diagnosis = doctor.diagnose()
    assert not diagnosis.ok
    assert diagnosis.native["onnxruntime_ops"]["found"]
    assert not diagnosis.native["onnxruntime_ops"]["usable"]
    fixes = [finding.fix for finding in diagnosis.missing if finding.required]
    assert fixes == ["unset POSEMAMBA_ORT_LIB"]
    assert {job.fix for job in diagnosis.jobs if "self test" in job.why} == set(fixes)


@pytest.mark.parametrize(
    ("name", "variable"),
    [("PyTorch op", "KERNELS"), ("ONNX Runtime op", "ORT"), ("plugin", "TRT")],
)
def test_what_was_installed_is_installed_again(
    name: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"POSEMAMBA_{variable}_LIB", "")
    assert mend(name) == "pip install ."
    monkeypatch.setenv(f"POSEMAMBA_{variable}_LIB", "mine.so")
    assert mend(name) == f"unset POSEMAMBA_{variable}_LIB"


def test_gpu_tools_are_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, text in (
        ("nvidia-smi", "NVIDIA Orin, 8.7, 540.4.0"),
        ("nvcc", "Cuda compilation tools, release 12.6, V12.6.68"),
    ):
        tool = tmp_path / name
        tool.write_text(f"#!/bin/sh\necho '{text}'\n")
        tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    diagnosis = doctor.diagnose()
    assert diagnosis.gpu["gpus"] == [{"name": "NVIDIA Orin", "compute_capability": "8.7"}]
    assert diagnosis.gpu["driver"] == "540.4.0"
    assert diagnosis.gpu["nvcc"] == "12.6"
    if diagnosis.packages["tensorrt"] is None:  # only worth saying where there is a GPU
        fixes = [finding.fix for finding in diagnosis.missing]
        assert "pip install '.[tensorrt]'" in fixes


def test_failing_gpu_tools_are_no_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'driver mismatch'; exit 18\n")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert doctor.diagnose().gpu["gpus"] == []


def test_fixes_are_extras_of_the_project() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for _, extra in doctor._OPTIONAL.values():
        assert f"\n{extra} = [" in text


def test_versions_need_no_import() -> None:
    versions = package_versions(["numpy", "no_such_package_at_all"])
    assert versions["numpy"]
    assert versions["no_such_package_at_all"] is None


def test_each_job_says_whether_it_works() -> None:
    found = {job.command: job for job in doctor.diagnose().jobs}
    for command in ("onnx", "lift", "check and bench --runtime ort-cpu"):
        assert found[command].works, found[command]
    assert {f"check and bench --runtime {name}" for name in RUNTIMES} < set(found)
    for job in found.values():
        assert job.works == (job.why == "")
        assert job.works or "GPU" in job.why or job.fix, job


def test_engines_cannot_be_built_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The main job works all the same."""
    monkeypatch.setenv("POSEMAMBA_TRT_LIB", str(tmp_path / "libposemamba_trt.so"))
    lines = doctor_lines(doctor.diagnose())
    assert lines[-1] == "Doctor: the main job works"
    assert lines[-2].startswith("Doctor: does not work here: ")
    assert lines[-2].endswith(", trt")
    (line,) = [line for line in lines if line.startswith("  trt: ")]
    assert line.endswith("; fix: unset POSEMAMBA_TRT_LIB")


@pytest.mark.parametrize(
    ("version", "problem", "targets", "works"),
    [
        ("1.7", None, ["sm86"], True),
        (None, None, [], False),
        ("1.7", "it does not start", ["sm86"], False),
        ("10.3", None, [], False),
    ],
)
def test_when_engines_can_be_built(
    version: str | None, problem: str | None, targets: list[str], works: bool
) -> None:
    row = {"version": version, "problem": problem, "targets": targets, "plugin_loads": True}
    other = {"version": None, "problem": None, "targets": []}
    plugin = {"found": True, "problem": None}
    job = _engines({"tensorrt": other, "tensorrt-rtx": row, "plugin": plugin})
    assert job.works is works
    assert works or job.fix == "pip install '.[tensorrt-rtx]'"


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("x: run 'pip install onnxruntime-gpu' in place of it", "pip install onnxruntime-gpu"),
        ("elsewhere 'pip install tensorrt', or 'pip install a b'", "pip install tensorrt"),
        ("pip install '.[tensorrt-rtx]'", "pip install '.[tensorrt-rtx]'"),
        ("run 'pip install .' where nvcc is on PATH", "pip install ."),
        ("sees no GPU: run it on a machine with one", ""),
    ],
)
def test_the_command_in_a_message(text: str, command: str) -> None:
    assert command_in(text) == command
