"""The authors' outputs in ``tests/data/golden``, by scan order."""

from __future__ import annotations

from places import GOLDEN

CHECKPOINT = GOLDEN / "official_tiny.pth.tr"
CASES = {
    "global-local": GOLDEN / "official_tiny_io.npz",
    "bidirectional": GOLDEN / "official_tiny_v2_io.npz",
    "fs-ft": GOLDEN / "official_tiny_v2_fs_ft_io.npz",
    "fs-bt": GOLDEN / "official_tiny_v2_fs_bt_io.npz",
    "bs-ft": GOLDEN / "official_tiny_v2_bs_ft_io.npz",
    "bs-bt": GOLDEN / "official_tiny_v2_bs_bt_io.npz",
}
