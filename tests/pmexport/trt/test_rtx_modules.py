"""TensorRT-RTX engines of the example networks, built without a GPU."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from example_networks import EXAMPLES

from pmexport.cli.main import cli
from pmexport.format.file import open_model

pytestmark = pytest.mark.usefixtures("rtx")


@pytest.mark.parametrize("name", EXAMPLES)
def test_engine_of_an_example(
    name: str, examples: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    model, engine = examples[0] / f"{name}.onnx", tmp_path / f"{name}.engine"
    done = CliRunner().invoke(
        cli,
        ["trt", "--onnx", str(model), "--backend", "tensorrt-rtx", "--target", "sm86",
         "-o", str(engine)],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    scans = len(open_model(model).own_nodes)
    assert f"{scans} plugin layers" in done.output
    known = json.loads((tmp_path / f"{name}.engine.json").read_text())
    assert known["engine"]["bytes"] == engine.stat().st_size
    assert known["module"].endswith(f"{name}.py:build")
    (sizes,) = known["profiles"]
    for shapes in sizes.values():
        assert shapes["min"][0] == 1
        assert shapes["max"][0] == 8
    told = CliRunner().invoke(cli, ["inspect", str(engine)])
    assert told.exit_code == 2
    assert "a network of your own" in told.stderr


#: A scan that gives its last state is the operator's version 2.
STATEFUL = """
import torch
from torch import nn
from pmexport.ops import selective_scan_fn

class Scan(nn.Module):
    def __init__(self):
        super().__init__()
        self.A = nn.Parameter(-torch.rand(16, 4))

    def forward(self, x):
        return selective_scan_fn(x, x.abs(), self.A, x[:, :4], x[:, 4:8], return_last_state=True)

def build():
    return Scan()
"""


def test_the_sidecar_names_the_version_its_nodes_want(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("scan.py").write_text(STATEFUL)
    for line in (
        ["export-module", "scan.py:build", "--input", "x=1x16x9", "-o", "scan.onnx"],
        ["trt", "--onnx", "scan.onnx", "--backend", "tensorrt-rtx", "--target", "sm86"],
    ):
        done = CliRunner().invoke(cli, line)
        assert done.exit_code == 0, done.output
    known = json.loads(Path("scan.engine.json").read_text())
    assert known["plugin"]["version"] == "2"
    assert len(known["outputs"]) == 2
