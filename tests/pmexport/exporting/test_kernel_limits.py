"""A network beyond the kernels' sizes is refused when its checkpoint is read, or exported without
them and compared all the same."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
import torch
from click.testing import CliRunner
from places import ROOT, TINY

from pmexport.cli.main import cli
from pmexport.format.limits import check_kernels
from pmexport.format.options import OpsMode
from posemamba import PoseMamba
from posemamba.checkpoint import load_checkpoint, read_checkpoint
from posemamba.config import PoseMambaConfig
from posemamba.errors import InputError
from posemamba.native.structs import MAX_DIRECTIONS, MAX_JOINTS, SCAN_SIZES, SCAN_V2_SIZES

TRT = ("--backend", "tensorrt-rtx", "--target", "sm86", "--dry-run")


@pytest.fixture
def checkpoint(here: Path) -> Callable[[int], Path]:
    """The tiny checkpoint with another number of states: ``n<states>.pth``."""

    def make(states: int) -> Path:
        generator = torch.Generator().manual_seed(states)
        state = dict(read_checkpoint(TINY).state)
        for key, value in state.items():
            if key.endswith("A_logs"):
                row = torch.log(torch.arange(1, states + 1).float())
                state[key] = row[None].repeat(value.shape[0], 1)
            elif key.endswith("x_proj_weight"):  # (K, dt_rank + 2 N, d_inner), dt_rank 2
                shape = (value.shape[0], 2 + 2 * states, value.shape[2])
                state[key] = 0.05 * torch.randn(shape, generator=generator)
        path = here / f"n{states}.pth"
        torch.save({"model_pos": state}, path)
        return path

    return make


def test_the_limits_are_those_of_the_header() -> None:
    header = (ROOT / "trt_plugins/include/posemamba/scan.h").read_text(encoding="utf-8")
    header += (ROOT / "trt_plugins/include/posemamba/scan_v2.h").read_text(encoding="utf-8")
    stated = {name: int(n) for name, n in re.findall(r"#define PM_MAX_(\w+) (\d+)", header)}
    assert stated == {
        "DIRECTIONS": MAX_DIRECTIONS,
        "JOINTS": MAX_JOINTS,
        "STATE": SCAN_SIZES["d_state"],
        "WIDE_STATE": SCAN_V2_SIZES["d_state"],
        "DT_RANK": SCAN_SIZES["dt_rank"],
    }


@pytest.mark.parametrize("ops", ["fused", "generic"])
@pytest.mark.parametrize("states", [257, 512])
def test_refused_before_any_work(
    checkpoint: Callable[[int], Path], refused: Callable[..., None], states: int, ops: str
) -> None:
    name = checkpoint(states).name
    words = (f"{name}: d_state is {states},", "at most 256", "--ops standard")
    refused(("onnx", "--ckpt", name, "--ops", ops, "-o", "m.onnx"), *words)
    refused(("onnx", "--ckpt", name, "--ops", ops, "-o", "m.onnx", "--no-check"), *words)


def test_refused_for_tensorrt(
    checkpoint: Callable[[int], Path], refused: Callable[..., None]
) -> None:
    name = checkpoint(300).name
    refused(("trt", "--ckpt", name, *TRT), f"{name}: d_state is 300,", "256", "--ops standard")


@pytest.mark.parametrize("ops", ["fused", "generic"])
def test_version_2_takes_more_states(checkpoint: Callable[[int], Path], ops: str) -> None:
    """The file of faults A5: 128 states."""
    command = ["onnx", "--ckpt", checkpoint(128).name, "--ops", ops, "-o", "m.onnx"]
    sizes = ("--frames", "2", "--batch", "200")  # every frame of every clip in one run
    done = CliRunner().invoke(cli, [*command, *sizes])
    assert done.exit_code == 0, done.output
    assert "Check: passed" in done.stdout
    scans = [node for node in onnx.load("m.onnx").graph.node if node.domain == "posemamba"]
    versions = {a.s for node in scans for a in node.attribute if a.name == "plugin_version"}
    assert versions == {b"2"}


def test_standard_operators_are_compared_with_the_plain_scan(here: Path) -> None:
    torch.manual_seed(0)
    small = PoseMamba(PoseMambaConfig(d_model=8, depth=1, frames=1, d_state=257))
    torch.save({"model_pos": small.state_dict()}, here / "wide.pth")
    sizes = ("--frames", "1", "--batch", "400")  # every frame of every clip in one run
    done = CliRunner().invoke(
        cli, ["onnx", "--ckpt", "wide.pth", "--ops", "standard", *sizes, "-o", "m.onnx"]
    )
    assert done.exit_code == 0, done.output
    assert "plain scan (d_state is 257, the kernels of --ops fused take at most 256)" in done.stdout
    assert "Check: passed" in done.stdout


def test_the_limit_itself_is_taken(checkpoint: Callable[[int], Path]) -> None:
    done = CliRunner().invoke(cli, ["onnx", "--ckpt", checkpoint(64).name, "-o", "m.onnx"])
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    ("config", "ops", "words"),
    [
        (PoseMambaConfig(d_model=2064, depth=1), "fused", "dt_rank is 129, .* at most 128"),
        (PoseMambaConfig(d_model=2064, depth=1), "generic", ""),
        (PoseMambaConfig(d_model=2048, depth=1), "fused", ""),
        (PoseMambaConfig(d_model=32, depth=1, d_state=257), "standard", ""),
        (PoseMambaConfig(d_model=32, depth=1, d_state=257), "generic", "d_state is 257, .* 256"),
        (PoseMambaConfig(d_model=32, depth=1, joints=65, limb_index=(0,) * 65), "fused", ""),
    ],
)
def test_every_size_of_the_header(config: PoseMambaConfig, ops: OpsMode, words: str) -> None:
    if not words:
        check_kernels(ops, config)
        return
    with pytest.raises(InputError, match=words):
        check_kernels(ops, config)


def test_the_operator_itself_names_the_size(checkpoint: Callable[[int], Path]) -> None:
    network = load_checkpoint(checkpoint(257))
    with pytest.raises(InputError, match=r"indexed_scan: d_state is 257, the kernels .* 1 to 256"):
        network(torch.zeros(1, 2, 17, 2))
