"""The committed GPU reports are what their scripts make of their data; MotionBERT is MotionBERT."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
import torch
from places import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))

import gpu_motionbert
import gpu_ort
import gpu_ort_report
import motionbert

REPORTS = ROOT / "reports"
#: Counted from the authors' layers; as float32 the 162 MB of their model zoo.
PUBLISHED_PARAMETERS = 42_466_317


def read(name: str) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((REPORTS / name).read_text(encoding="utf-8"))
    return report


def test_end_to_end_report_is_of_its_data() -> None:
    report = read("2026-11-24-gpu-end-to-end.json")
    text = (REPORTS / "2026-11-24-gpu-end-to-end.md").read_text(encoding="utf-8")
    assert gpu_ort_report.markdown(report) == text
    drawing = (REPORTS / "2026-11-24-gpu-end-to-end.svg").read_text(encoding="utf-8")
    assert gpu_ort_report.svg(report) == drawing


def test_end_to_end_report_has_every_cell() -> None:
    report = read("2026-11-24-gpu-end-to-end.json")
    cells = {(r["variant"], r["batch"], r["precision"], r["way"]) for r in report["rows"]}
    wanted = {
        (variant, batch, precision, way)
        for variant in "SBLX"
        for batch in (1, 8, 32)
        for precision in ("fp16", "fp32")
        for way in gpu_ort.WAYS
    }
    assert cells == wanted
    assert report["skipped"] == []


def test_motionbert_report_is_of_its_data() -> None:
    report = read("2026-11-24-gpu-motionbert.json")
    text = (REPORTS / "2026-11-24-gpu-motionbert.md").read_text(encoding="utf-8")
    assert gpu_motionbert.markdown(report) == text
    assert report["motionbert_parameters"] == PUBLISHED_PARAMETERS


def test_skipped_cells_and_notes_are_told() -> None:
    report = read("2026-11-24-gpu-end-to-end.json")
    report["rows"] = report["rows"][:1]
    cell = {"variant": "X", "batch": 32, "precision": "fp32", "way": "torch eager"}
    report["skipped"] = [{**cell, "why": "out of memory"}]
    report["notes"] = ["A machine in a cupboard."]
    text = gpu_ort_report.markdown(report)
    assert "- out of memory: X x32 fp32 torch eager\n" in text
    assert "\nA machine in a cupboard.\n" in text


@pytest.fixture(scope="module")
def published() -> motionbert.MotionBert:
    torch.manual_seed(0)
    return motionbert.MotionBert(published=True).eval()


def test_motionbert_has_the_published_size(published: motionbert.MotionBert) -> None:
    assert sum(p.numel() for p in published.parameters()) == PUBLISHED_PARAMETERS


def test_motionbert_attention_is_the_same_in_one_kernel(
    published: motionbert.MotionBert,
) -> None:
    """1e-5: some ten times what float32 sums in another order differ by (5e-7 seen)."""
    fused = motionbert.MotionBert(published=False).eval()
    fused.load_state_dict(published.state_dict())
    keypoints = torch.rand(1, gpu_ort.FRAMES, 17, 3)
    with torch.inference_mode():
        torch.testing.assert_close(fused(keypoints), published(keypoints), atol=1e-5, rtol=0)


@pytest.mark.parametrize("published_form", [True, False])
@pytest.mark.parametrize("axis", ["joints", "frames"])
def test_motionbert_attends_along_its_axis(axis: motionbert.Axis, published_form: bool) -> None:
    """A change at frame 2, joint 3 reaches that frame's joints, or that joint's frames, alone."""
    torch.manual_seed(1)
    attention = motionbert.Attention(axis, published_form).eval()
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
