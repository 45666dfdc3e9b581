"""Lift a recording of 2D keypoints to 3D with an exported PoseMamba: NumPy and ONNX Runtime only.

    python lift.py MODEL.onnx KEYPOINTS.npz -o POSES.npz --custom-ops libposemamba_ort.so

``KEYPOINTS.npz`` holds arrays (frames, 17, 2) of Human3.6M joints, normalised by the image width as
the model's metadata says. ``POSES.npz`` gets an array (frames, 17, 3) for each, root at the origin.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

Array = npt.NDArray[np.float32]
BAD_REQUEST = 2


def open_model(path: Path, custom_ops: Path | None) -> ort.InferenceSession:
    """A session; the custom-op library serves models exported with fused or generic ops."""
    options = ort.SessionOptions()
    if custom_ops is not None:
        options.register_custom_ops_library(str(custom_ops))
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def lift(session: ort.InferenceSession, keypoints_2d: Array) -> Array:
    """Lift (frames, 17, 2) of any length to (frames, 17, 3) relative to the root.

    The recording is cut into clips of the model's length; the last one reaches back over frames
    already lifted rather than being short, for a longer clip is the better-posed one.
    """
    metadata = session.get_modelmeta().custom_metadata_map
    fixed = metadata["posemamba.frames"]
    length = int(metadata["posemamba.max_frames"] if fixed == "dynamic" else fixed)
    frames = len(keypoints_2d)
    if fixed != "dynamic" and frames < length:
        raise ValueError(f"the model takes clips of {length} frames, the recording has {frames}")
    poses_3d = np.empty((frames, keypoints_2d.shape[1], 3), np.float32)
    for start in range(0, frames, length):
        first = max(0, min(start, frames - length))
        clip = keypoints_2d[None, first : first + length]
        (lifted,) = session.run(["poses_3d"], {"keypoints_2d": clip})
        poses_3d[start : first + length] = lifted[0, start - first :]
    return poses_3d - poses_3d[:, :1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("keypoints", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--custom-ops", type=Path)
    arguments = parser.parse_args()
    try:
        session = open_model(arguments.model, arguments.custom_ops)
        with np.load(arguments.keypoints, allow_pickle=False) as clips:
            poses = {name: lift(session, clips[name].astype(np.float32)) for name in clips.files}
        temporary = arguments.output.with_suffix(".part.npz")
        np.savez(temporary, **poses)
        temporary.replace(arguments.output)
    except Exception as error:  # ONNX Runtime has no exception classes of its own to name
        sys.stderr.write(f"Error: {str(error).splitlines()[0]}\n")
        return BAD_REQUEST
    return 0


if __name__ == "__main__":
    sys.exit(main())
