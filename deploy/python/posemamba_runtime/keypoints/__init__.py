"""2D keypoints from any detector's files: read, judged, followed, completed. NumPy alone."""

from __future__ import annotations

from posemamba_runtime.keypoints.errors import InputError
from posemamba_runtime.keypoints.formats import FORMAT_NAMES
from posemamba_runtime.keypoints.layouts import LAYOUTS
from posemamba_runtime.keypoints.reader import MIN_CONFIDENCE, read
from posemamba_runtime.keypoints.recording import PersonTrack, Recording, Summary

__all__ = [
    "FORMAT_NAMES",
    "LAYOUTS",
    "MIN_CONFIDENCE",
    "InputError",
    "PersonTrack",
    "Recording",
    "Summary",
    "read",
]
