"""A check that never fails is useless: wrong weights, orders and NaN are found, noise is not."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from places import TINY as GOLDEN

from pmexport.check.compare import smallest_tolerance
from pmexport.check.report import check_lines
from pmexport.check.run import CheckReport, CheckRequest, run_check
from pmexport.exporting.export import export_onnx
from pmexport.format.files import file_sha256
from pmexport.format.options import ExportOptions
from pmexport.runtimes.registry import RUNTIMES
from posemamba.checkpoint.read import load_checkpoint, read_checkpoint
from posemamba.errors import InputError
from posemamba.skeleton import JOINT_NAMES

BLOCK = "STEblocks.0.op."


def checked(
    model: Path,
    checkpoint: Path = GOLDEN,
    progress: Callable[..., list[Any]] | None = None,
    **options: Any,
) -> CheckReport:
    """A check on one thread: these models are so small that more only wait for each other."""
    return run_check(CheckRequest(model, checkpoint, threads=1, **options), progress)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("check") / "tiny.onnx"
    source = {"checkpoint_sha256": read_checkpoint(GOLDEN).sha256}
    export_onnx(load_checkpoint(GOLDEN), path, ExportOptions(), source=source)
    return path


@pytest.fixture
def changed(model: Path, tmp_path: Path) -> Callable[..., Path]:
    """The model after one change to its graph; metadata and so the hash stay."""

    def change(edit: Callable[[onnx.GraphProto], None]) -> Path:
        proto = onnx.load(model)
        edit(proto.graph)
        path = tmp_path / "changed.onnx"
        onnx.save(proto, path)
        return path

    return change


@pytest.fixture(scope="module")
def report(model: Path) -> CheckReport:
    """The model against its checkpoint, as ``pmexport check`` runs it by default."""
    return checked(model)


def initializer(graph: onnx.GraphProto, name: str, edit: Callable[..., None]) -> None:
    """Edit a constant in place."""
    tensor = next(tensor for tensor in graph.initializer if tensor.name == name)
    values = numpy_helper.to_array(tensor).copy()
    edit(values)
    tensor.CopyFrom(numpy_helper.from_array(values, name))


def scan_attribute(graph: onnx.GraphProto, name: str, values: list[int]) -> None:
    """Set an attribute of the second block's scan, one of four."""
    scans = [node for node in graph.node if node.op_type == "CrossSelectiveScan"]
    attribute = next(a for a in scans[1].attribute if a.name == name)
    attribute.ints[:] = values


def test_the_export_passes(report: CheckReport) -> None:
    result = report.runtimes["ort-cpu"]
    assert report.passed
    assert result.max_abs is not None
    assert result.max_abs < 2e-5  # what the golden files themselves are held to
    assert list(result.per_joint_mm) == list(JOINT_NAMES)


def add(where: object, value: float) -> Callable[[np.ndarray], None]:
    def edit(values: np.ndarray) -> None:
        values[where] += value

    return edit


@pytest.mark.parametrize(
    "edit",
    [
        # (d_inner, 1, 3, 3): one tap of one channel.
        lambda graph: initializer(graph, BLOCK + "conv2d.weight", add((3, 0, 1, 1), 0.01)),
        # (d_inner, K * (R + 2N)): the columns that give B of the first direction.
        lambda graph: initializer(graph, BLOCK + "x_proj_weight", add(np.s_[:, 2:18], 0.01)),
        # (K, d_inner, N): one direction.
        lambda graph: initializer(graph, BLOCK + "A", add(2, -0.1)),
        lambda graph: scan_attribute(graph, "order", [1, 0, 0, 1]),
        lambda graph: scan_attribute(graph, "reverse", [0, 0, 1, 0]),
        lambda graph: scan_attribute(graph, "limb_mask", [1, 0, 0, 0]),
        lambda graph: scan_attribute(
            graph, "limb_index", [0, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15]
        ),
    ],
    ids=["conv tap", "x_proj", "A", "order", "reverse", "limb mask", "parents for limbs"],
)
def test_one_wrong_thing_in_one_block_fails(
    changed: Callable[..., Path], edit: Callable[[onnx.GraphProto], None]
) -> None:
    report = checked(changed(edit))
    assert not report.passed
    result = report.runtimes["ort-cpu"]
    assert result.max_abs is not None
    assert result.max_abs > report.tolerance.max_abs


def test_nan_names_clip_frame_and_joint(changed: Callable[..., Path]) -> None:
    path = changed(lambda graph: initializer(graph, "head.1.bias", lambda bias: bias.fill(np.nan)))
    report = checked(path)
    assert not report.passed
    result = report.runtimes["ort-cpu"]
    assert result.failure == "gives NaN at frame 0, joint root in balancing_cam1[0:27]"
    assert result.max_abs is None
    text = json.dumps(report.to_dict(), allow_nan=False)
    assert json.loads(text)["runtimes"]["ort-cpu"]["max_abs"] is None
    lines = check_lines(report)
    assert lines[-1] == "Check: FAILED"
    assert any("NaN at frame 0, joint root" in line for line in lines)


def test_runtime_that_stops_is_a_failure_not_an_error(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Breaks:
        name, reads = "breaks", "model"

        def __init__(self, options: object) -> None: ...

        def available(self) -> None:
            return None

        def load(self, path: Path) -> Callable[[np.ndarray], np.ndarray]:
            def lift(keypoints_2d: np.ndarray) -> np.ndarray:
                if keypoints_2d.shape[1] == 1:
                    raise RuntimeError("no such\nlength")
                return np.zeros((*keypoints_2d.shape[:3], 3), np.float32)

            return lift

    monkeypatch.setitem(RUNTIMES, "breaks", Breaks)
    report = checked(model, runtimes=("breaks",))
    failure = report.runtimes["breaks"].failure
    assert not report.passed
    assert failure is not None
    assert failure.startswith(
        "cannot run balancing_cam1[0:1] of shape (1, 1, 17, 2): no such length"
    )


def test_runtime_that_is_not_here_is_refused(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Absent:
        reads = "model"

        def __init__(self, options: object) -> None: ...

        def available(self) -> str:
            return "no GPU: use another machine"

    monkeypatch.setitem(RUNTIMES, "absent", Absent)
    with pytest.raises(InputError, match="runtime 'absent' cannot be used: no GPU"):
        checked(model, runtimes=("absent",))


def test_scale_is_linear_and_reported(model: Path) -> None:
    one = checked(model, scan_order="bidirectional")
    two = checked(model, scan_order="bidirectional", mm_per_unit=500.0)
    a, b = one.runtimes["ort-cpu"].mpjpe_mm, two.runtimes["ort-cpu"].mpjpe_mm
    assert a is not None
    assert b is not None
    assert a == pytest.approx(2 * b, rel=1e-6)
    assert any("500 mm per network unit" in line for line in check_lines(two))


def test_baseline_names_its_scan_and_tests_it(report: CheckReport) -> None:
    baseline = report.baseline
    assert baseline.scan == "fused"
    assert baseline.plain_scan_frames == 9
    assert baseline.plain_scan_max_abs is not None
    assert 0.0 < baseline.plain_scan_max_abs < 2e-5  # not the same code, yet the same numbers


def test_wrong_native_kernels_fail_the_check_though_both_sides_use_them(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from posemamba.native import scan_ops as ops

    true_op = ops.cross_selective_scan

    def wrong(*arguments: object) -> object:
        return true_op(*arguments).flip(1)  # type: ignore[arg-type]

    monkeypatch.setattr(ops, "cross_selective_scan", wrong)
    report = checked(model)
    assert not report.passed
    assert report.failure is not None
    assert "native scan" in report.failure


def test_without_native_kernels_the_plain_scan_is_the_baseline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from posemamba.native import library as native

    path = tmp_path / "standard.onnx"
    source = {"checkpoint_sha256": read_checkpoint(GOLDEN).sha256}
    options = ExportOptions(frames=9, batch=48, ops="standard")  # every clip in one slow run
    export_onnx(load_checkpoint(GOLDEN), path, options, source=source)
    monkeypatch.setenv(native.LIBRARY_VARIABLE, str(tmp_path / "gone.so"))
    monkeypatch.setenv("POSEMAMBA_ORT_LIB", str(tmp_path / "gone.so"))
    native.load_cpu_library.cache_clear()
    try:
        report = checked(path)
    finally:
        native.load_cpu_library.cache_clear()
    assert report.passed
    assert report.baseline.scan == "reference"


def test_hash_of_the_checkpoint_must_fit(model: Path, tmp_path: Path) -> None:
    copy = tmp_path / "again.safetensors"
    from posemamba.checkpoint.save import save_checkpoint

    save_checkpoint(load_checkpoint(GOLDEN), copy)
    with pytest.raises(InputError, match=r"another checkpoint .* --any-ckpt"):
        checked(model, checkpoint=copy)
    assert checked(model, checkpoint=copy, any_checkpoint=True).passed


def report_with(report: CheckReport, **values: float) -> CheckReport:
    result = dataclasses.replace(report.runtimes["ort-cpu"], **values)
    return dataclasses.replace(report, runtimes={"ort-cpu": result})


@pytest.mark.parametrize("value", [1.234e-6, 9.99e-5, 9.96e-4, 1e-5, 0.0123, 3.0000001e-7])
def test_smallest_tolerance_is_rounded_up_to_two_digits(report: CheckReport, value: float) -> None:
    smallest = smallest_tolerance(report_with(report, max_abs=value).runtimes.values())
    assert smallest is not None
    assert value <= smallest.max_abs <= 1.1 * value
    assert float(f"{smallest.max_abs:.1e}") == smallest.max_abs


def test_every_clip_and_length_was_run(report: CheckReport) -> None:
    rows = report.runtimes["ort-cpu"].clips
    assert {row.name.split("[")[0] for row in rows} >= {f"balancing_cam{i}" for i in (1, 2, 3, 4)}
    assert {row.frames for row in rows} == {1, 9, 27}
    assert {row.batch for row in rows} == {1, 2}


def test_progress_sees_every_side(model: Path) -> None:
    sides = []

    def progress(runs: list, side: str) -> list:
        sides.append(side)
        return runs

    checked(model, progress=progress)
    assert sides == ["PyTorch", "ort-cpu"]


def test_sha256_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(os.urandom(3 << 20))
    import hashlib

    assert file_sha256(path) == hashlib.sha256(path.read_bytes()).hexdigest()
