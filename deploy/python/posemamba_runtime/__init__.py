"""PoseMamba's runtime: live 2D keypoints in, 3D poses out, with NumPy and one native library.

    lifter = posemamba_runtime.Lifter("L.onnx")
    stream = lifter.stream(keypoints="coco17", size=(1920, 1080))
    for frame, values in enumerate(camera):
        stream.push(values, frame=frame, timestamp=frame / 30)
        lifter.step()
        for pose in stream: draw(pose.joints)

Joints are x right, y down, z away from the camera, the pelvis at the origin. Names are imported
when first used: what only reads a table of this package does not wait for NumPy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from posemamba_runtime._library import build_info, version
    from posemamba_runtime.errors import (
        BackendFailed,
        BadArgument,
        BadModel,
        Error,
        Mismatch,
        Missing,
        NoMemory,
        NotReady,
        Result,
    )
    from posemamba_runtime.lifter import Lifter
    from posemamba_runtime.stream import Delay, Pose, Stream

_ERRORS = (
    *("BackendFailed", "BadArgument", "BadModel", "Error", "Mismatch", "Missing", "NoMemory"),
    *("NotReady", "Result"),
)
_HOME = {
    **dict.fromkeys(_ERRORS, "errors"),
    **dict.fromkeys(("build_info", "version"), "_library"),
    **dict.fromkeys(("Delay", "Pose", "Stream"), "stream"),
    "Lifter": "lifter",
}

__all__ = [
    "BackendFailed",
    "BadArgument",
    "BadModel",
    "Delay",
    "Error",
    "Lifter",
    "Mismatch",
    "Missing",
    "NoMemory",
    "NotReady",
    "Pose",
    "Result",
    "Stream",
    "build_info",
    "version",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'posemamba_runtime' has no attribute '{name}'")
    return getattr(importlib.import_module(f"posemamba_runtime.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
