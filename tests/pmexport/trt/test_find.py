"""Without --ckpt and --onnx: the one export or checkpoint of the folder, or a list of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import Result

from pmexport.trt.find import find_origin
from posemamba.errors import InputError

TARGET = ("--backend", "tensorrt-rtx", "--target", "rtx4090", "--dry-run")


@pytest.fixture
def bare(here: Path) -> Path:
    """The folder with nothing but ``inputs``."""
    for path in here.glob("*.onnx"):
        path.unlink()
    return here


@pytest.fixture
def put(bare: Path, models: Path) -> Callable[..., None]:
    """Copy models and checkpoints into the folder, under their names or new ones."""

    def copy(*names: str) -> None:
        for name in names:
            source = models / name if name.endswith(".onnx") else bare / "inputs" / "tiny.pth.tr"
            shutil.copy(source, bare / name)

    return copy


@pytest.mark.parametrize(
    ("files", "precision", "exports", "found"),
    [
        (("tiny.fp16.onnx",), "fp16", True, "tiny.fp16.onnx"),
        (("tiny.fp16.onnx",), None, True, "tiny.fp16.onnx"),
        (("tiny.fp16.onnx", "tiny.fp32.onnx"), "fp32", True, "tiny.fp32.onnx"),
        (("tiny.fp16.onnx", "tiny.pth.tr"), "fp16", True, "tiny.fp16.onnx"),
        (("tiny.fp32.onnx", "tiny.pth.tr"), "fp16", True, "tiny.pth.tr"),
        (("tiny.fp32.onnx", "tiny.pth.tr", "b.pth"), "fp16", True, "tiny.pth.tr"),
        (("a.pth",), "fp16", True, "a.pth"),
        (("a.pth", "tiny.fp16.onnx"), "fp16", False, "a.pth"),
    ],
)
def test_the_one_that_fits(
    put: Callable[..., None], files: tuple[str, ...], precision: str, exports: bool, found: str
) -> None:
    put(*files)
    checkpoint, onnx = find_origin(Path(), precision, exports=exports)
    assert (onnx if found.endswith(".onnx") else checkpoint) == Path(found)
    assert (checkpoint if found.endswith(".onnx") else onnx) is None


@pytest.mark.parametrize(
    ("files", "precision", "words"),
    [
        ((), "fp16", "no checkpoint and no export"),
        (("tiny.fp32.onnx",), "fp16", "'tiny.fp32.onnx' here is fp32: --precision fp16 needs"),
        (("tiny.fp32.onnx", "tiny.fp16.onnx"), None, "'tiny.fp16.onnx', 'tiny.fp32.onnx'"),
        (("a.pth", "b.pth"), "fp16", "--onnx or --ckpt: 'a.pth', 'b.pth'"),
    ],
)
def test_none_or_several(
    put: Callable[..., None], files: tuple[str, ...], precision: str | None, words: str
) -> None:
    put(*files)
    with pytest.raises(InputError, match=words):
        find_origin(Path(), precision)


def test_a_checkpoint_of_that_name_with_other_weights_is_not_the_exports(
    put: Callable[..., None], bare: Path
) -> None:
    put("tiny.fp32.onnx", "b.pth")
    torch.save({"model_pos": {}}, bare / "tiny.pth.tr")
    with pytest.raises(InputError, match="several"):
        find_origin(Path(), "fp16")


def test_the_literal_command(
    put: Callable[..., None], bare: Path, trt: Callable[..., Result]
) -> None:
    put("tiny.fp16.onnx")
    lines = trt("--fp16", *TARGET).stdout.splitlines()
    assert lines[0] == "pmexport optimize tiny.fp16.onnx -o tiny.fp16.cuda.onnx"
    assert "--onnx=tiny.fp16.cuda.onnx" in lines[1]
    assert "--saveEngine=tiny.fp16.engine" in lines[1]
    assert trt("--precision", "fp16", *TARGET).stdout.splitlines() == lines
    said = trt("--precision", "fp16", "--fp32", *TARGET, code=2).output
    assert "--fp32 and --precision fp16 are both given" in said
