"""Finds `benchmarks`, last on the path: our packages stay the installed ones."""

from __future__ import annotations

import sys

from places import ROOT

sys.path.append(str(ROOT))
