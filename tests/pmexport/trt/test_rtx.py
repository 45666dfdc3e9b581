"""TensorRT-RTX itself: the whole command, with the plugin, on a machine without a GPU.

It runs where ``tensorrt_rtx`` and the plugin library are. ``POSEMAMBA_REQUIRE_TRT=1`` makes their
absence a failure.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pmexport.engine.sidecar import schema_problem
from pmexport.format.operators import OPERATORS, SCANS
from pmexport.libraries import plugin_path
from pmexport.trt.backends import BACKENDS, library_folder
from pmexport.trt.build import probe
from pmexport.trt.gpu_code import gpu_code
from posemamba.checkpoint.save import save_checkpoint
from posemamba.checkpoint.untrained import untrained_network
from posemamba.config import PoseMambaConfig
from posemamba.model.counts import true_macs

pytestmark = pytest.mark.usefixtures("rtx")
TARGETS = "sm86,sm89,sm120"
#: What the forms have in common is seen on two pairs of blocks; L is what a user builds.
NETWORKS = {"small": PoseMambaConfig(d_model=64, depth=2), "L": PoseMambaConfig.from_variant("L")}
_CPU_SECONDS = 240.0
"""Two minutes of two cores for L, export included: other load on the machine does not count."""


def pmexport(*arguments: str, cwd: Path, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "pmexport", *arguments],
        cwd=cwd, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr if code == 0 else done.stderr


def cpu_seconds() -> float:
    """Of the processes that were started and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints")
    for name, config in NETWORKS.items():
        save_checkpoint(untrained_network(config, seed=0), folder / f"{name}.safetensors")
    return folder


def test_the_plugin_loads() -> None:
    outcome = probe(BACKENDS["tensorrt-rtx"], str(plugin_path()))
    assert {(one["name"], one["version"]) for one in outcome.creators} == {
        (op, version) for op in OPERATORS for version in ("12" if op in SCANS else "1")
    }


def test_the_gpus_of_the_plugin_are_known() -> None:
    code = gpu_code(plugin_path())
    assert code is not None
    assert code.cubins


#: A form -> plugin layers by pairs of blocks: Embed and two a block; three a block, and the norms
#: of the stream but two; the scans.
PLUGIN_LAYERS: dict[str, Callable[[int], int]] = {
    "fused": lambda depth: 1 + 2 * depth,
    "composed": lambda depth: 10 * depth - 2,
    "as exported": lambda depth: 2 * depth,
}


def fp16_macs(config: PoseMambaConfig, form: str) -> int:
    """All products but the first and the last layer, x_proj too; the convolution as exported."""
    positions = config.frames * config.joints
    columns = 4 * (config.dt_rank + 2 * config.d_state)  # of x_proj, four directions
    boundary = positions * config.d_model * (2 + 3)
    x_proj = positions * 2 * config.depth * config.d_inner * columns
    taps = 0 if form == "as exported" else positions * 2 * config.depth * config.d_inner * 9
    return true_macs(config).linear_conv - boundary + x_proj - taps


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "precision", "fusion", "form"),
    [
        ("small", "fp32", "auto", "composed"),
        ("small", "fp16", "auto", "fused"),
        ("small", "fp16", "composed", "composed"),
        ("small", "fp16", "off", "as exported"),
        ("small", "fp16-sums", "off", "as exported"),
        ("small", "fp16-sums", "auto", "fused"),
        ("L", "fp32", "auto", "composed"),
        ("L", "fp16", "auto", "fused"),
    ],
)
def test_engine_for_three_gpus(
    name: str, precision: str, fusion: str, form: str, checkpoints: Path
) -> None:
    start = cpu_seconds()
    # Random weights drift in fp16: parity is of trained ones, and is tested elsewhere.
    arguments = ("--backend", "tensorrt-rtx", "--target", TARGETS, "--no-cache", "--no-check",
                 "--fusion", fusion)  # fmt: skip
    output = pmexport("trt", "--ckpt", f"{name}.safetensors", "--precision", precision,
                      *arguments, cwd=checkpoints)  # fmt: skip
    assert cpu_seconds() - start < _CPU_SECONDS
    engine = checkpoints / f"{name}.{precision}.engine"
    known = json.loads(engine.with_name(f"{engine.name}.json").read_text())
    assert schema_problem(known) is None
    config = NETWORKS[name]
    found = known["precision"]
    assert known["graph"]["form"] == form
    assert found["plugin_layers"] == PLUGIN_LAYERS[form](config.depth)
    assert (found["asked"], found["got"], found["problems"]) == (precision, precision, [])
    assert found["witness"] == "network"
    assert known["targets"] == TARGETS.split(",")
    assert known["engine"]["bytes"] == engine.stat().st_size
    # Both ways of counting: layer by layer from the graph, and from the configuration.
    macs = true_macs(config)
    assert sum(group["macs"] for group in found["groups"]) == macs.total
    if precision != "fp32":
        assert found["mac_share_fp16"] == round(fp16_macs(config, form) / macs.total, 4)
        assert all(row["reason"] for row in found["groups"] if row["dtype"] == "fp32")
    else:
        assert found["layer_share_fp16"] == 0.0
    assert (b"half_sums" in engine.read_bytes()) == (precision == "fp16-sums")
    assert "half_sums" not in output, "its parser warns of every node that lacks it"
    assert f"Precision: {precision} asked, {precision} got" in output
    assert "the engine itself was not opened" in output


def test_site_packages_are_left_alone(checkpoints: Path) -> None:
    folder = library_folder(BACKENDS["tensorrt-rtx"])
    assert folder is not None
    before = sorted(path.name for path in folder.iterdir())
    probe(BACKENDS["tensorrt-rtx"], str(plugin_path()))
    assert sorted(path.name for path in folder.iterdir()) == before


def test_too_little_workspace_is_told_in_one_line(models: Path, tmp_path: Path) -> None:
    told = pmexport("trt", "--onnx", str(models / "tiny.fp16.onnx"), "--target", "sm86",
                    "--workspace", "1B", "--no-cache", "-o", str(tmp_path / "e.engine"),
                    cwd=tmp_path, code=2)  # fmt: skip
    *warnings, error = told.splitlines()
    assert error.startswith("Error: tensorrt-rtx: TensorRT cannot build the engine: ")
    assert all(line.startswith("Warning: ") for line in warnings)
    assert list(tmp_path.iterdir()) == []
