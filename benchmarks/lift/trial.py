"""P-MPJPE of ``lift`` on the four-camera trial, before and after smoothing and flip.

    python -m pip download --no-deps pose2sim==0.4.0
    python -m benchmarks.lift.trial MODEL.onnx pose2sim-0.4.0-py3-none-any.whl

The reference is the triangulation of the same detections (``posemamba.data.pose2sim``): it is no
optical motion capture, and shares the detector's errors. The jitter is the mean second difference
of the joints in thousandths of a network unit.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from posemamba.data.pose2sim import demo_folder, read_cameras, read_trial
from posemamba.pose.metrics import p_mpjpe
from posemamba_runtime import Lifter
from posemamba_runtime.keypoints import Recording, read
from posemamba_runtime.recordings import LiftOptions, lift_recording

RATE = 60
OPTIONS = {
    "plain": LiftOptions(),
    "flip": LiftOptions(flip=True),
    "smoothing 0.5": LiftOptions(smoothing=0.5),
    "smoothing 3": LiftOptions(smoothing=3.0),
    "smoothing 10": LiftOptions(smoothing=10.0),
    "flip, smoothing 3": LiftOptions(flip=True, smoothing=3.0),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("wheel", type=Path)
    arguments = parser.parse_args()
    trial = read_trial(arguments.wheel).triangulated
    references = trial.poses_3d * trial.mm_per_unit[:, None, None, None]
    recordings = _recordings(arguments.wheel)
    with Lifter(arguments.model) as lifter:
        for name, options in OPTIONS.items():
            errors, jitters = [], []
            for recording, reference in zip(recordings, references, strict=True):
                (track,) = lift_recording(lifter, recording, options).motion.tracks
                poses = track.poses_3d.astype(np.float64)
                errors.append(p_mpjpe(poses, reference[track.frames].astype(np.float64)))
                jitters.append(1e3 * np.linalg.norm(np.diff(poses, n=2, axis=0), axis=-1).mean())
            cameras = " ".join(f"{error:6.1f}" for error in errors)
            sys.stdout.write(
                f"{name:18} {np.mean(errors):6.1f} mm (cameras {cameras}), jitter "
                f"{np.mean(jitters):.2f}\n"
            )


def _recordings(wheel: Path) -> list[Recording]:
    with demo_folder(wheel) as demo:
        cameras = read_cameras(demo / "calibration" / "Calib.qca.txt")
        return [
            read(
                demo / "pose" / f"cam{number}_json",
                size=(camera.width, camera.height),
                rate=RATE,
                person="largest",
            )
            for number, camera in enumerate(cameras, 1)
        ]


if __name__ == "__main__":
    main()
