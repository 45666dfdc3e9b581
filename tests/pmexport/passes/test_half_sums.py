"""``fp16-sums``: from the exporter through both rewrites to what a launcher is told; refusals."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from places import TINY

from pmexport.cli.main import cli
from pmexport.exporting.export import export_onnx
from pmexport.format.file import open_model
from pmexport.format.operators import HALF_SUMS
from pmexport.format.options import ExportOptions, Fusion, OpsMode
from pmexport.passes.optimize import optimize_model
from pmexport.runtimes.base import RuntimeOptions
from pmexport.runtimes.fused_torch import fused_lift
from pmexport.runtimes.ort_cpu import OrtCpu
from posemamba import PoseMamba, PoseMambaConfig
from posemamba.errors import InputError
from posemamba.native import scan_ops
from posemamba.scan_order import own_scan_order

FRAMES = 5
SUMS = ExportOptions(precision="fp16-sums", frames=FRAMES)


def attributes(model: onnx.ModelProto) -> list[int | None]:
    """Of each node of ours that holds a scan."""
    kinds = ("CrossSelectiveScan", "Block", "LastBlock")
    return [
        next((entry.i for entry in node.attribute if entry.name == HALF_SUMS), None)
        for node in model.graph.node
        if node.op_type in kinds
    ]


@pytest.fixture(scope="module")
def network() -> PoseMamba:
    return PoseMamba(PoseMambaConfig(d_model=64, depth=1, frames=FRAMES)).eval()


@pytest.fixture(scope="module")
def model(network: PoseMamba, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sums") / "sums.onnx"
    export_onnx(network, path, SUMS)
    return path


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What each launch of a scan from PyTorch was told."""
    found: list[int] = []
    launch = scan_ops.launch_scan

    def spy(name: str, params: Any, device: Any) -> None:
        found.append(params.half_sums)
        launch(name, params, device)

    monkeypatch.setattr(scan_ops, "launch_scan", spy)
    return found


def test_only_this_precision_writes_the_attribute(
    network: PoseMamba, model: Path, tmp_path: Path
) -> None:
    assert attributes(onnx.load(model)) == [1, 1]
    export_onnx(network, tmp_path / "half.onnx", ExportOptions(precision="fp16", frames=FRAMES))
    assert attributes(onnx.load(tmp_path / "half.onnx")) == [None, None]
    assert open_model(tmp_path / "half.onnx").precision == "fp16"


@pytest.mark.parametrize("fusion", ["fused", "composed"])
def test_a_rewrite_keeps_it(model: Path, fusion: Fusion, told: list[int], tmp_path: Path) -> None:
    made = optimize_model(model, fusion)
    path = tmp_path / "made.onnx"
    path.write_bytes(made.serialised())
    assert attributes(onnx.load(path)) == [1, 1]
    assert open_model(path).precision == "fp16-sums"
    if fusion == "fused":
        fused_lift(made.model)(np.zeros((1, FRAMES, 17, 2), np.float32))
        assert told == [1, 1]


def test_onnx_runtimes_cpu_sums_in_float32(network: PoseMamba, model: Path, tmp_path: Path) -> None:
    """The bits of the fp16 model, which a kernel without such sums gives."""
    half = tmp_path / "half.onnx"
    export_onnx(network, half, ExportOptions(precision="fp16", frames=FRAMES))
    clip = np.random.default_rng(0).uniform(-1, 1, (2, FRAMES, 17, 2)).astype(np.float32)
    runtime = OrtCpu(RuntimeOptions(threads=1))
    assert np.array_equal(runtime.load(model)(clip), runtime.load(half)(clip))


def test_a_kept_scan_sums_in_float32(network: PoseMamba, tmp_path: Path) -> None:
    path, keep = tmp_path / "kept.onnx", ("STEblocks.0.op.scan",)
    export_onnx(network, path, ExportOptions(precision="fp16-sums", frames=FRAMES, keep=keep))
    assert attributes(onnx.load(path)) == [None, 1]


@pytest.mark.parametrize("ops", ["generic", "standard"])
def test_operators_without_such_sums_are_refused(
    network: PoseMamba, ops: OpsMode, tmp_path: Path
) -> None:
    options = ExportOptions(precision="fp16-sums", ops=ops)
    with pytest.raises(InputError, match=f"scan of --ops {ops} has no such sums"):
        export_onnx(network, tmp_path / "m.onnx", options)
    assert not list(tmp_path.iterdir())


def test_a_network_whose_scans_are_all_kept_is_refused(network: PoseMamba, tmp_path: Path) -> None:
    keep = ("STEblocks", "TTEblocks")
    with pytest.raises(InputError, match="no scan of this network has such sums"):
        export_onnx(network, tmp_path / "m.onnx", ExportOptions(precision="fp16-sums", keep=keep))
    assert not list(tmp_path.iterdir())


def test_a_network_that_walks_tables_is_refused(tmp_path: Path) -> None:
    order = own_scan_order({"directions": [{"order": "frame-major", "reset": True}]})
    config = PoseMambaConfig(d_model=16, depth=1, frames=FRAMES, scan_order=order.name)
    with pytest.raises(InputError, match="they walk tables or are kept fp32"):
        export_onnx(PoseMamba(config).eval(), tmp_path / "m.onnx", SUMS)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", [2, -1, 1.0, [1]])
def test_another_value_is_refused(model: Path, value: object, tmp_path: Path) -> None:
    proto = onnx.load(model)
    node = next(n for n in proto.graph.node if n.op_type == "CrossSelectiveScan")
    entry = next(entry for entry in node.attribute if entry.name == HALF_SUMS)
    entry.CopyFrom(onnx.helper.make_attribute(HALF_SUMS, value))
    onnx.save(proto, tmp_path / "m.onnx")
    told = re.escape(f"STEblocks.0.op.scan' has half_sums {value}, not 0 or 1")
    with pytest.raises(InputError, match=told):
        open_model(tmp_path / "m.onnx")


def test_a_float32_node_is_refused(network: PoseMamba, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    export_onnx(network, path, ExportOptions(frames=FRAMES))
    proto = onnx.load(path)
    node = next(n for n in proto.graph.node if n.op_type == "CrossSelectiveScan")
    node.attribute.append(onnx.helper.make_attribute(HALF_SUMS, 1))
    onnx.save(proto, path)
    with pytest.raises(InputError, match="half_sums, which is for fp16, and works on fp32"):
        open_model(path)


@pytest.fixture
def pmexport(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Run a command in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, code: int = 0) -> str:
        done = CliRunner().invoke(cli, arguments)
        assert done.exit_code == code, done.output
        return str(done.output)

    return run


def test_every_command_says_its_name(pmexport: Callable[..., str]) -> None:
    export = ("onnx", "--ckpt", str(TINY), "--precision", "fp16-sums", "--frames", "9")
    pmexport(*export, "--no-check")
    (file,) = (path.name for path in Path().glob("*.fp16-sums.onnx"))
    said = pmexport("inspect", file)
    assert "4 scans may also sum over the states in fp16 (fp16-sums)" in said
    assert "It takes any number of clips of 9 frames" in said
    said = pmexport("check", file, "--ckpt", str(TINY), "--json", "c.json", "--mpjpe-mm", "5")
    assert f"{file} (fp16-sums)" in said
    assert "ort-cpu: sums in fp32, so this is fp16's drift" in said
    said = pmexport("bench", file, "--seconds", "0.01", "--warmup", "0.01", "--json", "b.json")
    assert "fp16-sums" in said
    for report in ("c.json", "b.json"):
        assert json.loads(Path(report).read_text())["model"]["precision"] == "fp16-sums"
    assert "are both given" in pmexport(*export, "--fp16", code=2)
    said = pmexport("check", file, "--ckpt", str(TINY), "--bisect", "--max-drift-mm", "1", code=2)
    assert "is fp16-sums, a keep list is for fp16" in said
