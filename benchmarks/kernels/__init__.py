"""The kernels by themselves. Inputs, oracles and launchers are those of the tests, found here."""

import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[2] / "tests"
sys.path += [str(TESTS / "gpu"), str(TESTS / "support")]
