"""The reports on training on a GPU: from made-up measurements, and the committed ones."""

from __future__ import annotations

import json

from places import ROOT

from benchmarks.kernels import gradients
from benchmarks.training import gpu

STEPS = ROOT / "reports" / "2026-11-30-training-gpu.json"


def test_a_shape_is_a_row_of_the_page() -> None:
    back = {"us": 400.0, "workspace_mib": 16}
    row = {"d_inner": 256, "batch": 4, "dtype": "float32", "back": back}
    rows = [row | {"forward_and_back": {"fused": 900.5, "chunked": 9000.0}}]
    page = gradients.page(rows, {"date": "2026-12-01", "nvidia_smi": "a GPU, 1 W"})
    assert page.startswith("# The scan's gradients, 2026-12-01\n\na GPU, 1 W. 243 frames.")
    assert page.splitlines()[-1] == ("| 256 | 4 | float32 | 400.0 | 16 | 900.5 | 9000.0 |")


def test_a_step_is_held_against_the_authors_flow() -> None:
    run = {"variant": "L", "batch": 4}
    rows = [
        run | {"run": "ours", "ms_a_step": 50.0, "clips_a_second": 80.0, "peak_mib": 1000},
        run | {"run": "chunked", "oom": True},
        run | {"run": gpu.AUTHORS, "ms_a_step": 125.0, "clips_a_second": 32.0} | {"peak_mib": 4000},
    ]
    machine = {"date": "2026-12-01", "nvidia_smi": "a GPU", "torch": "2.11.0"}
    lines = gpu.page({"environment": machine, "rows": rows}).splitlines()
    assert lines[-3:-1] == [
        "| L | 4 | ours | 50.0 | 80.0 | 1,000 | 2.50 | 0.250 |",
        "| L | 4 | chunked | out of memory |  |  |  |  |",
    ]
    alone = gpu.page({"environment": machine, "rows": rows[:1]})
    assert alone.splitlines()[-1] == "| L | 4 | ours | 50.0 | 80.0 | 1,000 |  |  |"


def test_the_committed_page_is_of_its_data() -> None:
    steps = json.loads(STEPS.read_text(encoding="utf-8"))
    assert STEPS.with_suffix(".md").read_text(encoding="utf-8") == gpu.page(steps)
