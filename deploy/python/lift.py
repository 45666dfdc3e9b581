"""Lift a recording of 2D keypoints to 3D with an exported PoseMamba: NumPy and ONNX Runtime only.

    python lift.py MODEL.onnx KEYPOINTS.npz -o POSES.npz --custom-ops libposemamba_ort.so

``KEYPOINTS.npz`` holds arrays (frames, 17, 2) of Human3.6M joints, normalised by the image width as
the model's metadata says. ``POSES.npz`` gets an array (frames, 17, 3) for each, root at the origin.
"""

from __future__ import annotations

import argparse
import os
import sys
import zipfile
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
        # The loader searches its own path for a name without a folder.
        options.register_custom_ops_library(str(custom_ops.resolve()))
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def lift(session: ort.InferenceSession, keypoints_2d: Array) -> Array:
    """Lift (frames, 17, 2) of any length to (frames, 17, 3) relative to the root.

    The recording is cut into clips of the model's length; the last one reaches back over frames
    already lifted rather than being short, for a longer clip is the better-posed one.
    """
    metadata = session.get_modelmeta().custom_metadata_map
    if "posemamba.frames" not in metadata:
        raise ValueError("the model has no PoseMamba metadata: export it with pmexport onnx")
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


def read_keypoints(path: Path) -> dict[str, Array]:
    """The recordings of an .npz file, each (frames, 17, 2) and finite."""
    archive = np.load(path, allow_pickle=False)
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise ValueError(f"'{path}' is no .npz archive: write it with numpy.savez")
    recordings = {}
    with archive:
        for name in archive.files:
            keypoints = np.asarray(archive[name])
            if keypoints.dtype.kind not in "fiu":
                raise ValueError(f"'{name}' in '{path}' holds no numbers but {keypoints.dtype}")
            if keypoints.ndim != 3 or keypoints.shape[1:] != (17, 2) or not len(keypoints):
                raise ValueError(
                    f"'{name}' in '{path}' is {keypoints.shape}, it must be (frames, 17, 2)"
                )
            bad = np.flatnonzero(~np.isfinite(keypoints).all(axis=(1, 2)))
            if len(bad):  # one such number would spoil every frame of its clip
                raise ValueError(
                    f"'{name}' in '{path}': frame {bad[0]} has a keypoint that is not finite: "
                    "fill in missed detections first"
                )
            recordings[name] = keypoints.astype(np.float32)
    return recordings


def write_poses(path: Path, poses_3d: dict[str, Array]) -> None:
    """An .npz file, whole or not at all; numpy.savez would take an array named 'file' for its own
    argument."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with zipfile.ZipFile(temporary, "w") as archive:
            for name, poses in poses_3d.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, poses)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("keypoints", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--custom-ops", type=Path)
    arguments = parser.parse_args()
    try:
        if arguments.output.resolve() == arguments.keypoints.resolve():
            raise ValueError(f"'{arguments.output}' is the input: name another output")
        session = open_model(arguments.model, arguments.custom_ops)
        recordings = read_keypoints(arguments.keypoints)
        poses = {name: lift(session, keypoints) for name, keypoints in recordings.items()}
        write_poses(arguments.output, poses)
    except Exception as error:  # ONNX Runtime has no exception classes of its own to name
        lines = str(error).splitlines() or [type(error).__name__]
        sys.stderr.write(f"Error: {lines[0]}\n")
        return BAD_REQUEST
    return 0


if __name__ == "__main__":
    sys.exit(main())
