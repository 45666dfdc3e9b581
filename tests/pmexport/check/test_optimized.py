"""``pmexport optimize`` refuses what it cannot rewrite, and keeps what was there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from pmexport.passes.optimize import Optimized


@pytest.mark.parametrize("place", [".", "..", "/"])
def test_optimize_takes_no_folder(place: str, refused: Callable[..., None]) -> None:
    refused(("optimize", place), f"'{place}' is a directory")


@pytest.mark.parametrize("part", ["attribute", "input"])
def test_optimize_refuses_nodes_without_their_parts(
    part: str, here: Path, refused: Callable[..., None]
) -> None:
    model = onnx.load(here / "tiny.onnx")
    for node in model.graph.node:
        del getattr(node, part)[1 if part == "input" else 0 :]
    onnx.save(model, here / "odd.onnx")
    refused(("optimize", "odd.onnx"), "'odd.onnx'", "export it again")


@pytest.mark.parametrize("failing", ["original", "rewritten"])
def test_what_was_at_the_output_of_optimize_stays(
    failing: str, here: Path, refused: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "out.onnx").write_bytes(b"an earlier result")
    if failing == "original":  # an attribute onnxruntime needs; the rewrite itself does not look
        model = onnx.load(here / "tiny.onnx")
        del next(n for n in model.graph.node if n.domain == "posemamba").attribute[:]
        onnx.save(model, here / "tiny.onnx")
    else:
        monkeypatch.setattr(Optimized, "serialised", lambda self: b"no model")
    refused(("optimize", "tiny.onnx", "-o", "out.onnx", "--threads", "1"), "'tiny.onnx'")
