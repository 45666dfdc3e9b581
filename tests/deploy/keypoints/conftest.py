"""What the tests of the readers share."""

from __future__ import annotations

from pathlib import Path

import pytest
from places import ROOT


@pytest.fixture
def pose2sim_frames() -> Path:
    """Two frames of a real recording, as OpenPose wrote them."""
    return ROOT / "tests/data/pose2sim_excerpt/Pose2Sim/Demo/pose/cam1_json"
