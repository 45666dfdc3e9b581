"""``pmexport inspect`` of every kind of file: prose first, the same facts as JSON, one page."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from chromium import Page, chromium
from click.testing import CliRunner
from places import TINY

from pmexport.cli.main import cli
from pmexport.libraries import custom_op_library
from posemamba.checkpoint import load_checkpoint


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``tiny`` as a checkpoint, in fp32 with its reference, in fp16, and what optimisers make of
    the latter."""
    folder = tmp_path_factory.mktemp("inspect")
    shutil.copy(TINY, folder / "tiny.pth.tr")
    for name, *options in (("tiny",), ("half", "--fp16", "--no-check")):
        target = folder / f"{name}.onnx"
        run("onnx", "--ckpt", str(TINY), "-o", str(target), *options)
    run("optimize", str(folder / "half.onnx"), "-o", str(folder / "half.cuda.onnx"))
    for source, ending, form in (("half", "own.onnx", "ONNX"), ("tiny", "ort", "ORT")):
        options = ort.SessionOptions()
        options.log_severity_level = 4
        options.register_custom_ops_library(custom_op_library())
        options.optimized_model_filepath = str(folder / f"{source}.{ending}")
        options.add_session_config_entry("session.save_model_format", form)
        ort.InferenceSession(folder / f"{source}.onnx", options, providers=["CPUExecutionProvider"])
    return folder


def run(*arguments: str) -> str:
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def inspect(name: str) -> dict[str, Any]:
    shown = run("inspect", name)
    result: dict[str, Any] = json.loads(run("inspect", name, "--json"))
    assert all(f"{key}" in shown for key in result)
    assert result["schema"] == 1
    assert "{" not in shown, "a dict of Python or JSON"
    assert "[]" not in shown
    first = shown.splitlines()[0]
    assert first.startswith(f"{name} is a")
    assert first.endswith(".")
    return result


@pytest.mark.parametrize("name", ["tiny.pth.tr", "tiny.onnx", "tiny.reference.npz"])
def test_names_that_are_no_text(name: str, here: Path) -> None:
    """A file name is bytes; JSON is Unicode, of which half a surrogate pair is none."""
    odd = os.fsdecode(b"caf\xe9.") + name
    shutil.copy(here / name, here / odd)
    shown = run("inspect", odd, "--json")
    json.dumps(json.loads(shown), ensure_ascii=False).encode()
    assert "caf\\ufffd" in shown


def test_a_checkpoint(here: Path) -> None:
    found = inspect("tiny.pth.tr")
    assert found["kind"] == "checkpoint"
    assert found["variant"] == "custom"
    assert found["config"]["d_model"] == 32
    assert found["scan_order"] == {
        "name": "global-local", "source": "the default", "guessed": True}  # fmt: skip
    network = load_checkpoint(here / "tiny.pth.tr")
    assert found["parameters"] == sum(tensor.numel() for tensor in network.parameters())
    assert found["ops"] == {"fused": "yes", "generic": "yes", "standard": "yes"}
    assert "Scan order global-local: a guess" in run("inspect", "tiny.pth.tr")


def test_the_bundled_one() -> None:
    found = json.loads(run("inspect", "demo-streaming", "--json"))
    assert found["config"]["frames"] == 81
    assert found["scan_order"]["guessed"] is False


def test_a_reference(here: Path) -> None:
    clip = np.zeros((2, 5, 17, 2), np.float32)
    np.savez(here / "mine.npz", keypoints_2d=clip, poses_3d=np.zeros((2, 5, 17, 3), np.float32))
    found = inspect("mine.npz")
    assert found["made_by"] == "user"
    assert found["runs"] == {"keypoints_2d": {"batch": 2, "frames": 5}}
    assert found["frames"] == 10
    assert inspect("tiny.reference.npz")["made_by"] == "pmexport"
    assert "PyTorch" in run("inspect", "tiny.reference.npz")


def test_an_onnx_model(here: Path) -> None:
    found = inspect("tiny.onnx")
    assert found["kind"] == "ONNX model"
    assert found["fp16"]["nodes"] == found["fp16"]["products"] == 0
    shown = run("inspect", "tiny.onnx")
    assert "It computes in fp32 throughout." in shown
    assert "Scan order global-local: a guess of the export." in shown
    assert "any number of clips of any length up to 27 frames" in shown


def test_the_share_of_fp16_before_and_after_our_optimiser(here: Path) -> None:
    """Four blocks of eight products: five linear layers, x_proj, the convolution and the scan; an
    embedding and a head in fp32. Two linear layers become one."""
    found = inspect("half.onnx")["fp16"]
    assert (found["products"], found["of_products"]) == (32, 34)
    optimised = inspect("half.cuda.onnx")
    assert optimised["kind"] == "optimised ONNX model"
    assert (optimised["fp16"]["products"], optimised["fp16"]["of_products"]) == (24, 26)
    assert optimised["precision"]["posemamba:GatedNorm"]["fp16_share"] == 1.0
    assert "Inside a fused node norms, sums" in run("inspect", "half.cuda.onnx")


def test_the_share_of_fp16_after_onnx_runtimes_optimiser(here: Path) -> None:
    """It states no types and adds operators ONNX does not know. On the CPU it runs products in
    fp32, and our scan on fp16, as the types say that it writes itself when asked for all."""
    found = inspect("half.own.onnx")
    assert found["fp16"]["of"] > 100, "nodes without a type are nodes all the same"
    assert found["precision"]["com.microsoft:QuickGelu"] == {"fp32": 8, "fp16_share": 0.0}
    assert found["precision"]["MatMul"]["fp16_share"] == 0.0
    assert found["precision"]["posemamba:CrossSelectiveScan"] == {"fp16": 4, "fp16_share": 1.0}


def test_types_are_found_where_the_file_states_none(here: Path) -> None:
    model = onnx.load(here / "half.onnx")
    del model.graph.value_info[:]
    onnx.save(model, here / "bare.onnx")
    assert inspect("bare.onnx")["fp16"] == inspect("half.onnx")["fp16"]


def test_a_model_in_onnx_runtimes_format(here: Path) -> None:
    found = inspect("tiny.ort")
    assert found["kind"] == "ORT-format model"
    assert found["metadata"]["variant"] == "custom"
    assert found["inputs"]["keypoints_2d"]["shape"] == ["batch", "frames", 17, 2]
    shutil.copy("tiny.ort", "other.onnx")  # whatever it is called
    assert json.loads(run("inspect", "other.onnx", "--json"))["kind"] == "ORT-format model"


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    with chromium() as page:
        yield page


@pytest.mark.parametrize("phone", [False, True], ids=["desktop", "phone"])
@pytest.mark.parametrize(
    ("name", "cards"),
    [("tiny.onnx", 6), ("half.cuda.onnx", 6), ("tiny.pth.tr", 5), ("tiny.reference.npz", 1),
     ("tiny.ort", 1)],
)  # fmt: skip
def test_the_page(here: Path, browser: Page, name: str, cards: int, phone: bool) -> None:
    run("inspect", name, "--html", "page.html")
    text = (here / "page.html").read_text(encoding="utf-8")
    assert "<script" not in text
    page = browser
    page.screen(390 if phone else 1200, 844, phone=phone, dark=phone)
    page.open(here / "page.html")
    assert page.evaluate("document.querySelectorAll('details').length") == cards
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    page.settle()
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0, "it scrolls sideways"
    shown = page.evaluate("document.body.innerText")
    assert page.complaints == []
    assert [url for url in page.requests if not url.startswith("file:")] == []
    assert page.screenshot()
    assert shown.startswith(name)
    if name.endswith(".onnx"):
        assert "Spatial block 1" in shown
        assert "STEblocks.1.op.scan" in shown


def test_hostile_names_are_text_in_the_page(here: Path) -> None:
    model = onnx.load(here / "tiny.onnx")
    model.graph.node[5].name = "<img src=x onerror=alert(1)>"
    onnx.save(model, here / "odd.onnx")
    run("inspect", "odd.onnx", "--html", "page.html")
    text = (here / "page.html").read_text(encoding="utf-8")
    assert "<img" not in text
    assert "&lt;img src=x" in text


def test_neither(here: Path, refused: Callable[..., None]) -> None:
    (here / "text.pth").write_text("epoch 1")
    np.savez(here / "clips.npz", keypoints_2d=np.zeros((1, 5, 17, 2), np.float32))
    (here / "folder").mkdir()
    (here / "cut.ort").write_bytes((here / "tiny.ort").read_bytes()[:3000])
    (here / "mark.ort").write_bytes(b"\x18\0\0\0ORTM")
    refused(("inspect", "text.pth"), "text.pth")
    refused(("inspect", "clips.npz"), "clips.npz", "poses_3d")
    refused(("inspect", "gone.npz"), "gone.npz", "no such file")
    refused(("inspect", "gone.ort"), "gone.ort", "does not exist")
    refused(("inspect", "folder"), "folder")
    refused(("inspect", "cut.ort"), "cut.ort")
    refused(("inspect", "mark.ort"), "mark.ort")
    refused(("inspect", "gone.engine.json"), "gone.engine", "does not exist")
    refused(("inspect", "tiny.onnx", "--html", "page.txt"), "page.txt", ".html")
    refused(("inspect", "tiny.onnx", "--html", "no/page.html"), "no", "mkdir")
