"""The scripts of ``tools/`` import each other by name, as where they are run."""

import sys

from places import ROOT

sys.path.insert(0, str(ROOT / "tools"))
