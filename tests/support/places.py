"""Where the tests find the checkout and their data."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data"
GOLDEN = DATA / "golden"
#: A small checkpoint as the authors' trainer writes it; golden/README.md says how it was made.
TINY = GOLDEN / "official_tiny.pth.tr"
