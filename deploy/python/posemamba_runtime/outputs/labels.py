"""What files say about themselves."""

from __future__ import annotations

from posemamba_runtime.motion import Motion

CAMERA_AXES = "x right in the image, y down, z away from the camera; pelvis at the origin"
UP_AXES = "x right in the image, y up, z towards the camera"
ROTATIONS = (
    "w x y z of the bone that ends at each joint, relative to its parent's; axes: "
    f"{UP_AXES}; identity: a T-pose facing the camera"
)
ROOT_ESTIMATE = (
    "the pelvis in the camera's axes: an estimate from the pose's size in the image, no measurement"
)


def facts(motion: Motion) -> dict[str, str | float | int | list[int] | None]:
    """The recording in words and numbers."""
    return {
        "format": "posemamba motion 1",
        "source": motion.source,
        "model": motion.model,
        "rate": float(motion.rate),
        "units": motion.units,
        "delay_frames": int(motion.delay_frames),
        "size": None if motion.size is None else [int(side) for side in motion.size],
        "axes": CAMERA_AXES,
        "rotation_axes": ROTATIONS,
        "root_estimate_is": ROOT_ESTIMATE,
    }
