"""PoseMamba's runtime: live 2D keypoints in, 3D poses out, with NumPy and one native library.

    lifter = posemamba_runtime.Lifter("L.onnx")
    stream = lifter.stream(keypoints="coco17", size=(1920, 1080))
    for frame, values in enumerate(camera):
        stream.push(values, frame=frame, timestamp=frame / 30)
        lifter.step()
        for pose in stream: draw(pose.joints)

Joints are x right, y down, z away from the camera, the pelvis at the origin.
"""

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
