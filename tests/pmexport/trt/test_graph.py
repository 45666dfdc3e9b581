"""Which nodes TensorRT is given: the rewrite that fits, else the model's own with a reason."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from click.testing import CliRunner, Result
from trt_machine import gpu

from pmexport.cli.main import cli
from pmexport.engine.sidecar import read_sidecar, schema_problem
from pmexport.exporting.export import export_onnx
from pmexport.format.file import ModelFile, open_model
from pmexport.format.macs import concrete_shapes, largest_tensor
from pmexport.format.names import PLUGIN_ATTRIBUTES
from pmexport.format.operators import FUSED, OPERATORS
from pmexport.format.options import ExportOptions, Fusion
from pmexport.passes.gpu_form import gpu_form
from pmexport.passes.optimize import optimize_model
from pmexport.trt.find import find_origin
from pmexport.trt.precision_table import REASONS, precision_table
from pmexport.trt.source import read_source
from posemamba.config import PoseMambaConfig
from posemamba.errors import InputError
from posemamba.model.counts import true_macs
from posemamba.model.network import PoseMamba

Trt = Callable[..., Result]
FP16 = ("--onnx", "tiny.fp16.onnx", "--no-cache", "--no-check")
NARROW = "tiny.fp16.engine"  # d_model 32: the fused kernels have no such width
CONFIG = PoseMambaConfig(d_model=64, depth=1, frames=9)
SIZES = {"batch": 2, "frames": 9}
FUSIONS: tuple[Fusion, ...] = ("fused", "composed")


def graph_of(engine: str = NARROW) -> dict[str, Any]:
    known = read_sidecar(Path(engine))
    assert schema_problem(known) is None
    return dict(known["graph"])


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of ``half.onnx`` and ``single.onnx``, of a width the fused kernels have."""
    folder = tmp_path_factory.mktemp("wide")
    torch.manual_seed(0)
    network = PoseMamba(CONFIG).eval()
    export_onnx(network, folder / "half.onnx", ExportOptions(precision="fp16"))
    export_onnx(network, folder / "single.onnx", ExportOptions())
    return folder


def rewritten(wide: Path, name: str, fusion: Fusion) -> ModelFile:
    path = wide / f"{name}.{fusion}.onnx"
    path.write_bytes(optimize_model(wide / f"{name}.onnx", fusion).serialised())
    return read_source(path)


def test_the_rewrite_that_fits_is_built(whole: Path, here: Path, trt: Trt) -> None:
    output = trt(*FP16).stdout
    told = graph_of()
    assert (told["form"], told["reason"]) == ("composed", "")
    assert "graph: composed" in output
    known = read_sidecar(Path(NARROW))
    assert known["onnx"]["file"] == "tiny.fp16.onnx"
    assert known["onnx"]["sha256"] != told["sha256"]
    assert known["plugin"]["creators"] == ["AddNorm", "ConvSilu", "CrossSelectiveScan", "GatedNorm"]
    assert known["precision"]["got"] == "fp16"
    assert known["precision"]["plugin_layers"] == 18
    parsed = Path(json.loads(Path(NARROW).read_bytes()[4:])["onnx"])
    assert parsed.name == "model.composed.onnx"
    assert not parsed.exists()
    inspected = CliRunner().invoke(cli, ["inspect", NARROW])
    assert "graph: composed" in inspected.output


def test_fp16_of_a_width_the_kernels_have_is_fused(
    whole: Path, here: Path, wide: Path, trt: Trt
) -> None:
    trt("--onnx", str(wide / "half.onnx"), "--no-cache", "--no-check", "-o", "e.engine")
    assert graph_of("e.engine")["form"] == "fused"
    known = read_sidecar(Path("e.engine"))
    assert known["plugin"]["creators"] == sorted(FUSED)
    assert known["precision"]["plugin_layers"] == 1 + 2
    trt("--onnx", str(wide / "single.onnx"), "--no-cache", "--no-check", "-o", "e.engine")
    assert graph_of("e.engine")["form"] == "composed"


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (("--fusion", "off"), "asked for"),
        (("--strip-weights",), "it is refitted from the model as it is"),
    ],
)
def test_the_models_own_nodes_are_built_with_a_reason(
    more: tuple[str, ...], reason: str, whole: Path, trt: Trt
) -> None:
    assert f"graph: as exported ({reason})" in trt(*FP16, *more).stdout
    told = graph_of()
    assert (told["form"], told["reason"]) == ("as exported", reason)
    assert told["sha256"] == read_sidecar(Path(NARROW))["onnx"]["sha256"]


def test_a_library_without_the_block_is_told(fake: Path, trt: Trt) -> None:
    trt(*FP16)
    assert graph_of()["reason"] == "the plugin library lacks AddNorm, ConvSilu, GatedNorm"
    line = trt(*FP16, "--fusion", "composed", code=2).stderr
    assert "lacks" in line
    assert "build it again" in line


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--fusion", "fused"), "the fused kernels take float16 at d_model 64, 128 or 256"),
        (("--fusion", "composed", "--strip-weights"), "refitted from the model"),
    ],
)
def test_a_rewrite_asked_for_is_that_or_nothing(
    more: tuple[str, ...], words: str, whole: Path, here: Path, trt: Trt
) -> None:
    line = trt(*FP16, *more, code=2).stderr
    assert words in line
    assert len(line.splitlines()) == 1
    assert not Path(NARROW).exists()


def test_an_optimised_file_is_built_as_it_is(whole: Path, here: Path, wide: Path, trt: Trt) -> None:
    shutil.copy(rewritten(wide, "half", "fused").path, "M.cuda.onnx")
    trt("--onnx", "M.cuda.onnx", "--no-cache", "--no-check")
    assert graph_of("M.cuda.engine")["form"] == "fused"
    line = trt("--onnx", "M.cuda.onnx", "--no-cache", "--fusion", "composed", code=2).stderr
    assert "is optimised already, as fused" in line


def test_another_form_is_another_engine_in_the_cache(whole: Path, here: Path, trt: Trt) -> None:
    cached = ("--onnx", "tiny.fp16.onnx", "--cache", "kept", "--no-check")
    trt(*cached)
    assert ": graph (kept)" in trt(*cached, "--fusion", "off").stdout
    again = trt(*cached, "--fusion", "composed").stdout
    assert "cache: hit" in again
    assert graph_of()["form"] == "composed"


def test_a_dry_run_names_the_file_that_is_built(here: Path, wide: Path, trt: Trt) -> None:
    given = ("--backend", "tensorrt", "--target", "sm87", "--dry-run")
    first, second = trt("--onnx", "tiny.fp16.onnx", *given).stdout.splitlines()
    assert first == "pmexport optimize tiny.fp16.onnx -o tiny.fp16.cuda.onnx"
    assert "--onnx=tiny.fp16.cuda.onnx" in second.split()
    (line,) = trt("--onnx", "tiny.fp16.onnx", *given, "--fusion", "off").stdout.splitlines()
    assert "--onnx=tiny.fp16.onnx" in line.split()
    done = CliRunner().invoke(cli, first.split()[1:])
    assert done.exit_code == 0, done.output
    assert open_model(Path("tiny.fp16.cuda.onnx")).is_optimized


@pytest.mark.parametrize("name", ["half", "single"])
@pytest.mark.parametrize("sizes", [SIZES, {"batch": 1, "frames": 4}])
def test_macs_stay_those_of_the_configuration(name: str, sizes: dict[str, int], wide: Path) -> None:
    want = sizes["batch"] * true_macs(CONFIG, sizes["frames"]).total
    for fusion in FUSIONS if name == "half" else FUSIONS[1:]:
        model = rewritten(wide, name, fusion)
        table = precision_table(model, model.precision, sizes)
        assert sum(layer.macs for layer in table.layers) == want
        assert table.problems == ()
        if name == "half":
            assert all(one.reason for one in table.layers if one.macs > one.macs_fp16)


def test_fused_nodes_are_fp16_in_their_products_alone(wide: Path) -> None:
    model = rewritten(wide, "half", "fused")
    table = precision_table(model, "fp16", SIZES)
    assert {layer.group for layer in table.layers} == set(FUSED)
    assert {layer.dtype for layer in table.layers} == {"fp16"}
    assert {layer.reason for layer in table.layers} == {REASONS["block"]}
    plain = precision_table(read_source(wide / "half.onnx"), "fp16", SIZES)
    # The depthwise convolution is fp32 in our kernels, and fp16 as exported.
    taps = 2 * 9 * 17 * CONFIG.d_inner * 9 * 2
    assert sum(layer.macs_fp16 for layer in table.layers) == (
        sum(layer.macs_fp16 for layer in plain.layers) - taps
    )
    name, elements = largest_tensor(model, concrete_shapes(model, SIZES))
    assert elements == 2 * 9 * 17 * 4 * CONFIG.d_model
    assert name.endswith(".1")  # xz, the second output


def test_every_output_of_a_node_is_a_witness(wide: Path) -> None:
    model = rewritten(wide, "half", "fused")
    network = {name: model.values[name].dtype for node in model.nodes for name in node.outputs}
    assert precision_table(model, "fp16", SIZES, network).problems == ()
    xz = model.nodes[0].outputs[1]
    table = precision_table(model, "fp16", SIZES, network | {xz: "fp32"})
    assert table.got == "mixed"
    assert "'Embed' is fp16 in the ONNX model and fp32 in TensorRT" in table.problems[0]


def test_every_node_of_ours_names_its_plugin(wide: Path) -> None:
    """TensorRT's parser looks by these; the library has version 1 of each."""
    for fusion in FUSIONS:
        nodes = [n for n in onnx.load(rewritten(wide, "half", fusion).path).graph.node if n.domain]
        assert nodes
        for node in nodes:
            found = {a.name: a.s.decode() for a in node.attribute if a.name in PLUGIN_ATTRIBUTES}
            assert found == PLUGIN_ATTRIBUTES
            assert node.op_type in OPERATORS
            assert all(name for name in node.input), "TensorRT's parser takes no gap"


def test_a_keep_list_is_not_rewritten(wide: Path, tmp_path: Path) -> None:
    """A rewrite knows one type for all blocks: it would lose the list, or mix types."""
    torch.manual_seed(0)
    network = PoseMamba(CONFIG).eval()
    for keep in ("STEblocks.0.op", "TTEblocks.0.mlp.fc1"):
        path = tmp_path / "kept.onnx"
        export_onnx(network, path, ExportOptions(precision="fp16", keep=(keep,)))
        form = gpu_form(path)
        assert form.optimized is None
        assert "keep list" in form.reason
        assert keep in form.reason
        for fusion in FUSIONS:
            with pytest.raises(InputError, match=r"kept\.onnx'.*keep list"):
                gpu_form(path, fusion)


def test_a_device_without_onnxscript_builds_the_file_as_it_is(
    wide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pmexport.passes.gpu_form.has_module", lambda _: False)
    form = gpu_form(wide / "half.onnx")
    assert form.name == "as exported"
    assert "onnxscript, which rewrites it, is not installed" in form.reason
    assert gpu_form(rewritten(wide, "half", "fused")).name == "fused"


def test_norms_wider_than_the_kernels_are_not_composed(tmp_path: Path) -> None:
    network = PoseMamba(PoseMambaConfig(d_model=520, depth=1, frames=2, d_state=1)).eval()
    export_onnx(network, tmp_path / "wide.onnx", ExportOptions())
    form = gpu_form(tmp_path / "wide.onnx")
    assert form.name == "as exported"
    assert "520 and 1040 wide" in form.reason


def test_what_was_rewritten_is_compared_where_the_engine_cannot_run(
    whole: Path, here: Path, trt: Trt, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu(monkeypatch, None)
    given = ("--onnx", "tiny.fp32.onnx", "--no-cache", "--target", "sm86", "-o", "e.engine")
    output = trt(*given).stdout
    assert "Parity: composed graph on the CPU: passed, max-abs" in output

    monkeypatch.setattr("pmexport.check.optimized.rewrite_apart", lambda *_: 1.0)
    assert "Parity: composed graph on the CPU: FAILED" in trt(*given, code=1).stdout


def test_a_fused_file_has_nothing_to_compare_with_on_a_cpu(
    whole: Path, here: Path, wide: Path, trt: Trt, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu(monkeypatch, None)
    shutil.copy(rewritten(wide, "half", "fused").path, "M.cuda.onnx")
    Path("M.cuda.reference.npz").write_bytes(b"of another tool")
    output = trt("--onnx", "M.cuda.onnx", "--no-cache", "--target", "sm86").stdout
    assert "Parity: not compared: the nodes of a fused file run on a GPU alone" in output


def test_a_model_beside_its_rewrite_is_one(
    tmp_path: Path, wide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(wide / "half.onnx", "M.onnx")
    shutil.copy(rewritten(wide, "half", "fused").path, "M.cuda.onnx")
    assert find_origin(Path(), None) == (None, Path("M.onnx"))
    Path("M.onnx").unlink()
    assert find_origin(Path(), None) == (None, Path("M.cuda.onnx"))
