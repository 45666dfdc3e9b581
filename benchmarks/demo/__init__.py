"""The demonstration networks. Their cards are written by ``tools/demo_report.py``, found here."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "tools"))
