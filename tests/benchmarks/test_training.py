"""The report on the scan's gradients, from made-up measurements: no GPU is here."""

from __future__ import annotations

import sys

from places import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))

import gpu_scan_gradients


def test_a_shape_is_a_row_of_the_page() -> None:
    back = {str(t): {"us": 100.0 * t, "workspace_mib": 64 // t} for t in gpu_scan_gradients.TILES}
    row = {"d_inner": 256, "batch": 4, "dtype": "float32", "back": back}
    rows = [row | {"forward_and_back": {"fused": 900.5, "chunked": 9000.0}}]
    page = gpu_scan_gradients.page(rows, {"date": "2026-12-01", "nvidia_smi": "a GPU, 1 W"})
    assert page.startswith("# The scan's gradients, 2026-12-01\n\na GPU, 1 W. 243 frames.")
    assert page.splitlines()[-1] == (
        "| 256 | 4 | float32 | 100.0 (64) | 200.0 (32) | 400.0 (16) | 800.0 (8) | 1600.0 (4) "
        "| 900.5 | 9000.0 |"
    )
