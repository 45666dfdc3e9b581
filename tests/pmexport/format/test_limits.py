"""Sizes have an end, and a checkpoint's is that of the ONNX model exported from it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pmexport.exporting.export import export_onnx
from pmexport.format import memory
from pmexport.format.file import open_model
from pmexport.format.limits import MAX_ELEMENTS, check_sizes
from pmexport.format.macs import concrete_shapes, largest_tensor
from pmexport.format.options import ExportOptions
from pmexport.trt.source import read_source
from posemamba import InputError, PoseMamba, PoseMambaConfig


@pytest.mark.parametrize(
    "config",
    [
        PoseMambaConfig(d_model=16, depth=1, frames=9),  # x_proj of all directions is widest
        PoseMambaConfig(d_model=64, depth=1, frames=9, mlp_ratio=4),  # the MLP
        PoseMambaConfig(d_model=64, depth=1, frames=9, expand=4),  # the scanned
    ],
    ids=["projections", "mlp", "scan"],
)
def test_the_widest_tensor_is_the_models(config: PoseMambaConfig, tmp_path: Path) -> None:
    path = tmp_path / "M.onnx"
    export_onnx(PoseMamba(config), path, ExportOptions())
    source = read_source(path)
    _, elements = largest_tensor(source, concrete_shapes(source, {"batch": 1, "frames": 9}))
    most = MAX_ELEMENTS // elements
    check_sizes(config, most, 9)
    with pytest.raises(InputError, match=rf"--batch {most + 1} .*use a smaller --batch"):
        check_sizes(config, most + 1, 9)
    with pytest.raises(InputError, match="use a smaller --batch"):
        export_onnx(PoseMamba(config), path, ExportOptions(batch=10**9))


CKPT = ("--ckpt", "tiny.pth.tr")
TRT = ("--dry-run", "--backend", "tensorrt-rtx", "--target", "sm86")
SIZES = {
    "batch of 23 digits": (("onnx", *CKPT, "--batch", "9" * 23), ("--batch", "9" * 23)),
    "batch beyond 32 bits": (("onnx", *CKPT, "--batch", "2147483648"), ("2147483648",)),
    "batch beyond memory": (("onnx", *CKPT, "--batch", "1000000000"), ("1000000000",)),
    "batch beyond the kernels": (
        ("onnx", *CKPT, "--batch", "50000000"), ("--batch 50000000", "elements", "smaller")),
    "batch of a check beyond memory": (
        ("onnx", *CKPT, "--batch", "30000", "-o", "m.onnx"), ("PyTorch", "GB", "--no-check")),
    "batch of a bench": (("bench", "tiny.onnx", "--batch", "63161283"), ("63161283", "smaller")),
    "batch of an engine": (
        ("trt", *CKPT, "--batch", "1:1:2147483648", *TRT), ("2147483648", "smaller --batch")),
    "threads of check": (("check", "tiny.onnx", *CKPT, "--threads", "9" * 11), ("1024",)),
    "threads of bench": (("bench", "tiny.onnx", "--threads", "100000"), ("100000", "1024")),
    "threads of optimize": (("optimize", "tiny.onnx", "--threads", "1025"), ("1025", "1024")),
    "runs": (("bench", "tiny.onnx", "--runs", "9" * 20), ("--runs",)),
    "frames": (("bench", "tiny.onnx", "--frames", "9" * 20), ("--frames",)),
}  # fmt: skip


@pytest.mark.parametrize("name", SIZES)
def test_sizes_have_an_end(name: str, refused: Callable[..., None]) -> None:
    arguments, words = SIZES[name]
    refused(arguments, *words)


def test_a_run_is_held_against_the_memory(
    here: Path, refused: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The largest tensor of this network has 62,424 elements per clip of 27 frames: 0.25 MB."""
    monkeypatch.setattr(memory, "available_bytes", lambda: 2 * 10**9)
    model = open_model(here / "tiny.onnx")
    memory.check_room(model, 1001, 27, ("ort-cpu",))
    memory.check_room(model, 70, 27, ("ort-cpu", "torch"))
    memory.check_room(model, 10**6, 27, ("ort-cuda",))  # a GPU says so itself
    with pytest.raises(InputError, match="ort-cpu would need about 2 GB of memory, 2 GB are free"):
        memory.check_room(model, 1002, 27, ("ort-cpu",))
    with pytest.raises(InputError, match="torch would need about 3 GB"):
        memory.check_room(model, 100, 27, ("ort-cpu", "torch"))
    refused(("bench", "tiny.onnx", "--batch", "1002"), "--batch 1002 with --frames 27")
    monkeypatch.setattr(memory, "available_bytes", lambda: None)
    memory.check_room(model, 10**6, 27, ("torch",))


def test_the_memory_is_read() -> None:
    found = memory.available_bytes()
    assert found is None or 10**7 < found < 10**14
