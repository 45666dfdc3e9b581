"""Writing an ONNX model: options, what is left behind, what is left alone."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from pmexport.exporting import export as onnx_export
from pmexport.exporting.export import export_onnx
from pmexport.format.facts import inspect_onnx
from pmexport.format.file import open_model
from pmexport.format.options import OPSETS, ExportOptions, OpsMode, Precision
from pmexport.runtimes.ort_cpu import OrtCpu
from posemamba import InputError, PoseMamba, PoseMambaConfig
from posemamba.skeleton import JOINT_NAMES

FIXED = ExportOptions(frames=2, batch=1)
CLIP = np.linspace(-1, 1, 2 * 17 * 2, dtype=np.float32).reshape(1, 2, 17, 2)


@pytest.fixture
def network() -> PoseMamba:
    torch.manual_seed(0)
    return PoseMamba(PoseMambaConfig(d_model=16, depth=1, frames=27)).eval()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"frames": 0}, ("--frames 0", "1 to 27")),
        ({"frames": 28}, ("--frames 28", "1 to 27")),
        ({"frames": 2.0}, ("--frames 2.0",)),
        ({"frames": True}, ("--frames True",)),
        ({"batch": 0}, ("--batch 0", "at least 1")),
        ({"batch": "many"}, ("--batch 'many'",)),
        ({"opset": 17}, ("--opset 17", "18 to 22")),
        ({"opset": 23}, ("--opset 23", "18 to 22")),
        ({"opset": "20"}, ("--opset '20'",)),
        ({"ops": "tensorrt"}, ("--ops 'tensorrt'", "fused, generic, standard")),
        ({"precision": "int8"}, ("--precision 'int8'", "fp32, fp16")),
    ],
)
def test_wrong_options_are_refused_before_any_work(
    network: PoseMamba,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, Any],
    words: tuple[str, ...],
) -> None:
    monkeypatch.setattr(torch.export, "export", lambda *_a, **_k: pytest.fail("work began"))
    with pytest.raises(InputError) as caught:
        export_onnx(network, tmp_path / "m.onnx", replace(ExportOptions(), **change))
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_weights_that_cannot_be_exported(network: PoseMamba, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    with pytest.raises(InputError, match=r"'Spatial_pos_embed' is torch\.float64.*model\.float"):
        export_onnx(network.double(), path)
    with torch.no_grad():
        network.float().head[1].bias[0] = float("nan")
    with pytest.raises(InputError, match=r"'head\.1\.bias' has values that are not finite"):
        export_onnx(network, path)


def test_report_and_stages(network: PoseMamba, tmp_path: Path) -> None:
    told: list[tuple[str, float]] = []
    path = tmp_path / "m.onnx"
    options = replace(FIXED, precision="fp16")
    report = export_onnx(network, path, options, on_stage=lambda *stage: told.append(stage))
    assert dict(told) == report.seconds
    assert list(report.seconds) == ["trace", "translate", "clean", "fp16", "write"]
    assert (report.path, report.opset, report.scan_nodes) == (path, 20, 2)
    assert report.node_count == len(onnx.load(path).graph.node)
    assert report.size_bytes == path.stat().st_size
    assert not report.external_data
    assert [entry.name for entry in tmp_path.iterdir()] == ["m.onnx"]


def test_the_network_is_left_alone(network: PoseMamba, tmp_path: Path) -> None:
    network.train().set_scan("reference")
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    seed = torch.random.get_rng_state()
    export_onnx(network, tmp_path / "m.onnx", FIXED)
    assert network.training
    assert all(module.training for module in network.modules())
    assert {m.scan for m in network.modules() if hasattr(m, "scan")} == {"reference"}
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert torch.equal(seed, torch.random.get_rng_state())
    # Exported as for inference all the same: dropping paths would show.
    with torch.inference_mode():
        expected = network.eval()(torch.from_numpy(CLIP)).numpy()
    # 2e-5: fp32 rounding.
    assert np.abs(OrtCpu().load(tmp_path / "m.onnx")(CLIP) - expected).max() < 2e-5


@pytest.mark.parametrize(("ops", "precision"), [("fused", "fp32"), ("standard", "fp16")])
def test_equal_exports_are_equal_bytes(
    network: PoseMamba,
    tmp_path: Path,
    ops: OpsMode,
    precision: Precision,
) -> None:
    options = ExportOptions(ops=ops, precision=precision)
    source = {"checkpoint": "c.pth", "checkpoint_sha256": "0" * 64}
    for name in ("one.onnx", "two.onnx"):
        export_onnx(network, tmp_path / name, options, source=source)
    assert (tmp_path / "one.onnx").read_bytes() == (tmp_path / "two.onnx").read_bytes()


def test_interrupted_export_leaves_what_was_there(network: PoseMamba, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"the old model")

    def interrupt(stage: str, _seconds: float) -> None:
        if stage == "clean":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_onnx(network, path, FIXED, on_stage=interrupt)
    assert path.read_bytes() == b"the old model"
    assert [entry.name for entry in tmp_path.iterdir()] == ["m.onnx"]


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left")])
def test_failing_write_leaves_nothing(
    network: PoseMamba, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    def half_written(_model: object, path: Path, **_options: object) -> None:
        path.write_bytes(b"half")
        raise failure

    monkeypatch.setattr(onnx_export.ir, "save", half_written)
    wanted = KeyboardInterrupt if isinstance(failure, KeyboardInterrupt) else InputError
    with pytest.raises(wanted) as caught:
        export_onnx(network, tmp_path / "m.onnx", FIXED)
    if wanted is InputError:
        assert "No space left" in str(caught.value)
        assert "m.onnx" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_weights_beyond_the_protobuf_limit_go_beside_the_model(
    network: PoseMamba, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = export_onnx(network, tmp_path / "whole.onnx", FIXED)
    monkeypatch.setattr(onnx_export, "EXTERNAL_DATA_BYTES", 10_000)
    report = export_onnx(network, tmp_path / "split.onnx", FIXED)
    assert report.external_data
    names = sorted(entry.name for entry in tmp_path.iterdir())
    assert names == ["split.onnx", "split.onnx.data", "whole.onnx"]
    assert report.size_bytes == sum((tmp_path / name).stat().st_size for name in names[:2])
    assert inspect_onnx(report.path)["file"]["external_data"] == ["split.onnx.data"]
    poses = [OrtCpu().load(path)(CLIP) for path in (whole.path, report.path)]
    assert np.array_equal(*poses)


def test_output_that_cannot_be(network: PoseMamba, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"must end in '\.onnx'"):
        export_onnx(network, tmp_path / "m.engine")
    with pytest.raises(InputError, match="mkdir -p"):
        export_onnx(network, tmp_path / "no" / "m.onnx")


@pytest.mark.parametrize("opset", OPSETS)
def test_every_opset_is_valid_and_runs(network: PoseMamba, tmp_path: Path, opset: int) -> None:
    path = tmp_path / "m.onnx"
    export_onnx(network, path, replace(FIXED, opset=opset))
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert {e.domain: e.version for e in model.opset_import} == {"": opset, "posemamba": 1}
    with torch.inference_mode():
        expected = network(torch.from_numpy(CLIP)).numpy()
    assert np.abs(OrtCpu().load(path)(CLIP) - expected).max() < 2e-5  # fp32 rounding


@pytest.mark.parametrize("opset", OPSETS)
def test_standard_files_ask_for_no_newer_runtime_than_their_opset(
    network: PoseMamba, tmp_path: Path, opset: int
) -> None:
    """ONNX's own table says which file format came with an opset; ours are no newer."""
    path = tmp_path / "m.onnx"
    export_onnx(network, path, replace(FIXED, opset=opset, ops="standard"))
    model = onnx.load(path)
    assert {entry.domain for entry in model.opset_import} == {""}
    oldest = onnx.helper.find_min_ir_version_for(list(model.opset_import))
    assert model.ir_version == oldest
    onnx.checker.check_model(model, full_check=True)
    assert np.isfinite(OrtCpu().load(path)(CLIP)).all()


def test_the_file_tells_what_it_is(network: PoseMamba, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    source = {"checkpoint_sha256": "ab" * 32, "scan_order_source": "the file name"}
    export_onnx(network, path, ExportOptions(precision="fp16"), source=source)
    found = inspect_onnx(path)
    assert found["inputs"] == {
        "keypoints_2d": {"type": "float", "shape": ["batch", "frames", 17, 2]}
    }
    assert found["outputs"] == {"poses_3d": {"type": "float", "shape": ["batch", "frames", 17, 3]}}
    assert found["opsets"] == {"ai.onnx": 20, "posemamba": 1}
    assert found["parameters"] == sum(p.numel() for p in network.parameters())
    assert found["precision"]["Conv"] == {"fp16": 2, "fp16_share": 1.0}
    assert found["precision"]["LayerNormalization"] == {"fp32": 9, "fp16_share": 0.0}
    metadata = found["metadata"]
    assert metadata["config"] == {
        **network.config.to_dict(),
        "limb_index": list(network.config.limb_index),
    }
    assert metadata["joint_names"] == list(JOINT_NAMES)
    assert metadata["scan_order_source"] == "the file name"
    facts = open_model(path)
    assert (facts.precision, facts.frames, facts.batch) == ("fp16", None, None)
    assert facts.metadata["checkpoint_sha256"] == "ab" * 32
    assert facts.summary()["scan_order"] == "global-local"


def test_precision_is_read_off_the_graph(network: PoseMamba, tmp_path: Path) -> None:
    """A file whose metadata is gone, and which was stripped of types, still tells."""
    path = tmp_path / "m.onnx"
    export_onnx(network, path, replace(FIXED, precision="fp16"))
    model = onnx.load(path)
    del model.metadata_props[:], model.graph.value_info[:]
    onnx.save(model, path)
    facts = open_model(path)
    assert (facts.precision, facts.frames, facts.batch) == ("fp16", 2, 1)
    assert facts.metadata == {}
    assert facts.summary()["variant"] is None
