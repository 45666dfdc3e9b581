"""``pmexport export-module``: the examples, others' code without its packages, refusals."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from example_networks import EXAMPLES
from places import ROOT

from pmexport.cli.main import cli
from pmexport.format.file import open_model

#: Networks as others write them, against packages that are not installed here.
NETWORKS = """
import torch
from torch import nn
from mamba_ssm import Mamba
from mamba_ssm.modules.mamba2 import Mamba2
from mamba_ssm.ops.selective_scan_interface import selective_scan_fn, mamba_inner_fn
from mamba_ssm.ops.triton.layernorm import RMSNorm, layer_norm_fn
from mamba_ssm.ops.triton.selective_state_update import selective_state_update
from mamba_ssm.modules.block import Block
from mamba_ssm.modules.mamba_simple import Block as OldBlock
from mamba_ssm.models.config_mamba import MambaConfig
from mamba_ssm.models.mixer_seq_simple import MambaLMHeadModel
from causal_conv1d import causal_conv1d_fn, causal_conv1d_update

nobody = None


class Theirs(nn.Module):
    '''Their block's two ways, written out as their package has them.'''

    def __init__(self, fast):
        super().__init__()
        torch.manual_seed(0)
        self.fast = fast
        self.block, self.norm = Mamba(16, d_state=8), RMSNorm(16)

    def forward(self, x, inference_params=None):
        y, x = self.norm(x, x, prenorm=True, residual_in_fp32=True)
        b = self.block
        xz = b.in_proj(y).transpose(1, 2)
        A = -torch.exp(b.A_log.float())
        if self.fast:
            return x + mamba_inner_fn(
                xz, b.conv1d.weight, b.conv1d.bias, b.x_proj.weight, b.dt_proj.weight,
                b.out_proj.weight, b.out_proj.bias, A, None, None, b.D.float(),
                delta_bias=b.dt_proj.bias.float(), delta_softplus=True)
        u, z = xz.chunk(2, dim=1)
        u = causal_conv1d_fn(x=u, weight=b.conv1d.weight.squeeze(1), bias=b.conv1d.bias,
                             activation="silu")
        dt, B, C = b.x_proj(u.transpose(1, 2)).split([1, 8, 8], dim=-1)
        dt = (dt @ b.dt_proj.weight.T).transpose(1, 2)
        y = selective_scan_fn(u, dt, A, B.transpose(1, 2).contiguous(), C.transpose(1, 2),
                              b.D.float(), z=z, delta_bias=b.dt_proj.bias.float(),
                              delta_softplus=True, return_last_state=False)
        return x + b.out_proj(y.transpose(1, 2))


def fast():
    return Theirs(True)


def slow():
    return Theirs(False)


def second():
    return Mamba2(64)


def language():
    torch.manual_seed(0)
    return MambaLMHeadModel(MambaConfig(d_model=16, n_layer=2, vocab_size=21))


def fetched():
    return MambaLMHeadModel.from_pretrained("state-spaces/mamba-130m")


def broken():
    raise KeyError("weights.pth")


def text():
    return "no network"


class Halves(nn.Module):
    def forward(self, left, right):
        return {"sum": left[:, :3] + right, "largest": left.argmax(1)}


class Echo(nn.Module):
    '''Gives its input back, one tensor twice, a weight, and nothing.'''

    def __init__(self):
        super().__init__()
        self.block, self.x = Mamba(16), nn.Parameter(torch.ones(3))

    def forward(self, x):
        y = self.block(self.block(x))
        return {"y": [y, y], "x": x, "none": None, "weight": self.x, "mean": y.mean()}


class Dictionary(nn.Module):
    def forward(self, batch):
        return batch["x"]


class Keyword(nn.Module):
    def forward(self, *, x):
        return x


class Autocast(nn.Module):
    def __init__(self):
        super().__init__()
        self.block = Mamba(16)

    def forward(self, x):
        with torch.autocast("cpu", torch.bfloat16):
            return self.block(x).float()


class Half(nn.Module):
    def __init__(self):
        super().__init__()
        self.block = Mamba(16).half()

    def forward(self, x):
        return self.block(x.half()).float()


class Step(nn.Module):
    def forward(self, x):
        return causal_conv1d_update(x[:, 0], x, x)


class Stack(nn.Module):
    '''Blocks of both releases: sums beside the outputs, one block twice, an MLP.'''

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        mixer = lambda width: Mamba(width, d_state=8)
        mlp = lambda width: nn.Sequential(nn.Linear(width, 24), nn.SiLU(), nn.Linear(24, width))
        old = OldBlock(16, mixer, RMSNorm, residual_in_fp32=True)
        self.blocks = nn.ModuleList([old, Block(16, mixer, mlp, fused_add_norm=True), old])
        self.norm = RMSNorm(16)

    def forward(self, x):
        residual = None
        for block in self.blocks:
            x, residual = block(x, residual)
        return self.norm(x, residual)


class Unsure(nn.Module):
    '''Not the same function twice.'''

    def forward(self, x):
        return x + torch.rand_like(x)


class Branches(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


class Ours(nn.Module):
    pass


class Impostor(nn.Module):
    '''Parameters of Mamba, and a function of its own.'''

    def __init__(self):
        super().__init__()
        b = Mamba(16)
        for name, part in b.named_children():
            setattr(self, name, part)
        self.A_log, self.D = b.A_log, b.D

    def forward(self, x):
        return x


class Dilated(Impostor):
    def __init__(self):
        super().__init__()
        self.conv1d.dilation = (2,)


Impostor.__name__ = Dilated.__name__ = "Mamba"
"""


X = ("--input", "x=2x4x16")


@pytest.fixture
def networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "networks.py").write_text(NETWORKS)
    return tmp_path


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(cli, ["export-module", *arguments, "-o", "n.onnx"])
    assert result.exit_code == code, result.output
    assert not [name for name in sys.modules if name.startswith("mamba_ssm")]
    sys.modules.pop("networks", None)
    return result


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_and_its_kept_outputs(name: str, examples: tuple[Path, dict[str, str]]) -> None:
    folder, said = examples
    assert "Parity with PyTorch: passed (tolerance 0.0001)" in said[name]
    model, reference = folder / f"{name}.onnx", folder / f"{name}.reference.npz"
    checked = CliRunner().invoke(cli, ["check", str(model), "--reference", str(reference)])
    assert checked.exit_code == 0, checked.output
    timed = CliRunner().invoke(cli, ["bench", str(model), "--runs", "5", "--seconds", "0.1"])
    assert timed.exit_code == 0, timed.output
    assert "median" in timed.output
    told = CliRunner().invoke(cli, ["inspect", str(model), "--json"])
    assert json.loads(told.output)["metadata"]["module"].endswith(f"{name}.py:build")
    assert CliRunner().invoke(cli, ["inspect", str(reference)]).exit_code == 0
    assert "SelectiveScan" in open_model(model).own_operators


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_command_in_an_example_is_the_one_tried(name: str) -> None:
    text = (ROOT / "export" / "examples" / f"{name}.py").read_text()
    command = re.search(r"^pmexport .*?$(?<!\\)", text.replace("\\\n", " "), re.MULTILINE)
    assert command is not None
    assert command[0].split() == [
        "pmexport", "export-module", f"{name}.py:build", *EXAMPLES[name], "-o", f"{name}.onnx",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["fast", "slow", "Stack"])
def test_their_code_exports_without_their_packages(name: str, networks: Path) -> None:
    done = run(f"networks:{name}", "--input", "x=2x7x16", "--dynamic", "length=x:1")
    assert "Parity with PyTorch: passed" in done.output
    assert open_model(networks / "n.onnx").own_operators == {"SelectiveScan"}


def test_the_language_model(networks: Path) -> None:
    tokens = ("--input", "input_ids=2x7:int64", "--dynamic", "length=input_ids:1")
    done = run("networks:language", *tokens)
    assert "Parity with PyTorch: passed" in done.output
    assert open_model(networks / "n.onnx").own_operators == {"SelectiveScan"}


def test_a_block_with_other_layers_is_told(networks: Path) -> None:
    done = run("networks:Dilated", "--input", "x=2x4x16", "--no-check")
    assert "module '' is left as it is: its conv1d has dilation (2,), not (1,)" in done.output


def test_several_inputs_and_outputs_go_by_name(networks: Path) -> None:
    done = run("networks.py:Halves", "--input", "right=2x3", "--input", "left=2x5",
               "--dynamic", "rows:9=left:0,right:0", "--json", "r.json")  # fmt: skip
    assert "rows 5" in done.output
    runs = json.loads((networks / "r.json").read_text())["runs"]
    assert {row["output"] for row in runs} == {"output_0", "output_1"}
    assert [value.name for value in open_model(networks / "n.onnx").proto.graph.input] == [
        "left", "right",
    ]  # fmt: skip


@pytest.mark.parametrize("ops", ["generic", "standard"])
def test_outputs_of_every_kind(ops: str, networks: Path) -> None:
    done = run("networks:Echo", *X, "--dynamic", "batch=x:0", "--ops", ops)
    assert "Parity with PyTorch: passed" in done.output
    names = [value.name for value in open_model(networks / "n.onnx").proto.graph.output]
    assert names == [f"output_{index}" for index in range(5)]


@pytest.mark.parametrize(
    "factory", ["networks:Unsure", "networks:Impostor"], ids=["random", "impostor"]
)
def test_a_model_that_gives_something_else_fails(factory: str, networks: Path) -> None:
    done = run(factory, "--input", "x=2x4x16", code=1)
    assert "Parity with PyTorch: FAILED" in done.output
    assert not (networks / "n.reference.npz").exists()


REFUSALS: dict[str, tuple[tuple[str, ...], str]] = {
    "no colon": (("networks", *X), "is not MODULE:NAME"),
    "no module": (("nowhere:build", *X), "No module named 'nowhere'"),
    "no file": (("nowhere.py:build", *X), "'nowhere.py' does not exist"),
    "no name": (("networks:nothing", *X), "'networks' has no 'nothing': use one of"),
    "near a name": (("networks:sekond", *X), "did you mean 'second'?"),
    "not a function": (("networks:nobody", *X), "is of type NoneType: name a"),
    "raises": (("networks:broken", *X), "KeyError: 'weights.pth'"),
    "no network": (("networks:text", *X), "gives str, not a torch.nn.Module"),
    "Mamba-2": (("networks:second", *X), "Mamba2 is not Mamba-1"),
    "a download": (("networks:fetched", *X), "mamba-130m' are not fetched here"),
    "no forward": (("networks:Ours", *X), "cannot run the network"),
    "a dictionary": (("networks:Dictionary", *X), "wrap a network that takes dictionaries"),
    "by keyword": (("networks:Keyword", *X), "--input x: forward takes it by keyword alone"),
    "autocast": (("networks:Autocast", *X), "computes in bfloat16"),
    "half": (("networks:Half", *X), "is torch.float16: export a float32 model (model.float())"),
    "one step": (("networks:Step", *X), "causal_conv1d_update takes one step of a sequence"),
    "branches": (("networks:Branches", *X), "cannot trace the network"),
    "no input": (("networks:fast",), "give --input NAME=SHAPE"),
    "no shape": (("networks:fast", "--input", "x"), "--input 'x': it is NAME=SHAPE"),
    "a size of 0": (("networks:fast", "--input", "x=2x0"), "0 numbers"),
    "too large": (("networks:fast", "--input", "x=99999x99999"), "numbers, use 1 to"),
    "a negative size": (("networks:fast", "--input", "x=2x-3"), "it is NAME=SHAPE"),
    "a type": (("networks:fast", "--input", "x=2x4:float23"), "did you mean 'float32'"),
    "twice": (("networks:fast", *X, *X), "--input x is given twice"),
    "another name": (("networks:Halves", "--input", "left=2x5", "--input", "wrong=2x3"),
                     "forward begins with left, right"),
    "a wrong shape": (("networks:fast", "--input", "x=2x4x15"), "cannot run the network"),
    "dynamic, no input": (("networks:fast", *X, "--dynamic", "n=y:0"), "an input of --input: x"),
    "dynamic, no axis": (("networks:fast", *X, "--dynamic", "n=x:3"), "x has axes 0 to 2"),
    "dynamic, twice": (("networks:fast", *X, "--dynamic", "n=x:0", "--dynamic", "m=x:0"),
                       "x:0 is named twice"),
    "dynamic, two sizes": (("networks:fast", *X, "--dynamic", "n=x:0,x:1"), "one name is one size"),
    "dynamic, too few": (("networks:fast", *X, "--dynamic", "n:3=x:1"), "at most 3"),
    "dynamic, no name": (("networks:fast", *X, "--dynamic", "x:0"), "it is NAME=INPUT:AXIS"),
    "a fixed size": (("networks:fast", *X, "--dynamic", "width=x:2"), "cannot run the network"),
    "opset": (("networks:fast", *X, "--opset", "9", "--no-check"), "--opset 9: use 18 to 22"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_is_one_line_and_leaves_nothing(name: str, networks: Path) -> None:
    arguments, words = REFUSALS[name]
    done = run(*arguments, code=2)
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: ")
    assert words in line
    assert "not expected" not in line
    left = {path.name for path in networks.iterdir()} - {"__pycache__"}
    assert left == {"networks.py"}


OTHERS: dict[str, tuple[tuple[str, ...], str]] = {
    "check": (("check", "vim.onnx"), "give --reference vim.reference.npz"),
    "another reference": (("check", "vim.onnx", "--reference", "hgmamba.reference.npz"),
                          "they are of another model"),
    "no reference": (("check", "vim.onnx", "--reference", "none.npz"), "no such file"),
    "checkpoint": (("check", "vim.onnx", "--reference", "vim.reference.npz", "--ckpt", "demo"),
                   "--ckpt"),
    "bench": (("bench", "vim.onnx", "--frames", "9"), "--frames"),
    "gate": (("bench", "vim.onnx", "--gate", "p95=9"), "--gate"),
    "optimize": (("optimize", "vim.onnx"), "there is no CrossSelectiveScan"),
    "lift": (("lift", "vim.onnx", str(ROOT / "posemamba" / "assets" / "pose2sim_balancing.npz"),
              "-o", "o.npz"), "the first named 'image'"),
    "trt": (("trt", "--onnx", "vim.onnx", "--fp16"), "--precision fp16"),
    "trt frames": (("trt", "--onnx", "vim.onnx", "--frames", "1:1:8"), "--frames"),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_other_commands_say_what_a_network_of_ones_own_is_for(
    name: str, examples: tuple[Path, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments, words = OTHERS[name]
    monkeypatch.chdir(examples[0])
    done = CliRunner().invoke(cli, list(arguments))
    assert done.exit_code == 2, done.output
    error = done.stderr.splitlines()[-1]
    assert error.startswith("Error: ")
    assert words in error
    assert "not expected" not in error


def test_a_damaged_reference_is_refused(
    examples: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    whole = (examples[0] / "vim.reference.npz").read_bytes()
    path = tmp_path / "cut.npz"
    for count in (0, 100, len(whole) // 2):
        path.write_bytes(whole[:count])
        done = CliRunner().invoke(
            cli, ["check", str(examples[0] / "vim.onnx"), "--reference", str(path)]
        )
        assert done.exit_code == 2
        assert "damaged" in done.stderr
