"""The committed GPU reports are what their scripts make of their data; MotionBERT is MotionBERT."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from places import ROOT

from benchmarks.compare import motionbert
from benchmarks.networks import ort, ort_report

REPORTS = ROOT / "reports"
#: Counted from the authors' layers; as float32 the 162 MB of their model zoo.
PUBLISHED_PARAMETERS = 42_466_317


def read(name: str) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((REPORTS / name).read_text(encoding="utf-8"))
    return report


def test_end_to_end_report_is_of_its_data() -> None:
    report = read("2026-11-24-gpu-end-to-end.json")
    text = (REPORTS / "2026-11-24-gpu-end-to-end.md").read_text(encoding="utf-8")
    assert ort_report.markdown(report) == text
    drawing = (REPORTS / "2026-11-24-gpu-end-to-end.svg").read_text(encoding="utf-8")
    assert ort_report.svg(report) == drawing


def test_end_to_end_report_has_every_cell() -> None:
    report = read("2026-11-24-gpu-end-to-end.json")
    cells = {(r["variant"], r["batch"], r["precision"], r["way"]) for r in report["rows"]}
    wanted = {
        (variant, batch, precision, way)
        for variant in "SBLX"
        for batch in (1, 8, 32)
        for precision in ("fp16", "fp32")
        for way in ort.WAYS
    }
    assert cells == wanted
    assert report["skipped"] == []


def test_skipped_cells_and_notes_are_told() -> None:
    report = read("2026-11-24-gpu-end-to-end.json")
    report["rows"] = report["rows"][:1]
    cell = {"variant": "X", "batch": 32, "precision": "fp32", "way": "torch eager"}
    report["skipped"] = [{**cell, "why": "out of memory"}]
    report["notes"] = ["A machine in a cupboard."]
    text = ort_report.markdown(report)
    assert "- out of memory: X x32 fp32 torch eager\n" in text
    assert "\nA machine in a cupboard.\n" in text


def test_motionbert_has_the_published_size() -> None:
    assert sum(p.numel() for p in motionbert.MotionBert().parameters()) == PUBLISHED_PARAMETERS


def attention_by_hand(attention: motionbert.Attention, x: torch.Tensor) -> torch.Tensor:
    """Attention in three steps, as the paper says it, one head after the other."""
    across = x if attention.axis == "joints" else x.transpose(1, 2)
    q, k, v = (part.chunk(motionbert.HEADS, -1) for part in attention.qkv(across).chunk(3, -1))
    heads = [
        ((a @ b.mT) / a.shape[-1] ** 0.5).softmax(-1) @ c for a, b, c in zip(q, k, v, strict=True)
    ]
    mixed = attention.out(torch.cat(heads, -1))
    return mixed if attention.axis == "joints" else mixed.transpose(1, 2)


@pytest.mark.parametrize("axis", ["joints", "frames"])
def test_motionbert_attention_is_the_papers(axis: motionbert.Axis) -> None:
    """1e-5: some ten times what float32 sums in another order differ by."""
    torch.manual_seed(0)
    attention = motionbert.Attention(axis).eval()
    x = torch.randn(2, 9, 17, motionbert.CHANNELS)
    with torch.inference_mode():
        torch.testing.assert_close(attention(x), attention_by_hand(attention, x), atol=1e-5, rtol=0)


@pytest.mark.parametrize("axis", ["joints", "frames"])
def test_motionbert_attends_along_its_axis(axis: motionbert.Axis) -> None:
    """A change at frame 2, joint 3 reaches that frame's joints, or that joint's frames, alone."""
    torch.manual_seed(1)
    attention = motionbert.Attention(axis).eval()
    x = torch.randn(2, 5, 17, motionbert.CHANNELS)
    changed = x.clone()
    changed[0, 2, 3] += 1.0
    with torch.inference_mode():
        moved = (attention(changed) - attention(x)).abs().amax(-1) > 0  # (batch, frames, joints)
    wanted = torch.zeros_like(moved)
    if axis == "joints":
        wanted[0, 2, :] = True
    else:
        wanted[0, :, 3] = True
    assert torch.equal(moved, wanted)
