"""Lift a recording of any number of persons: overlapping windows, blended into each other.

    python lift_file.py MODEL KEYPOINTS.npz POSES.npz

``KEYPOINTS.npz`` holds ``keypoints`` (frames, persons, 17, 3): x, y, confidence, COCO order, pixels
of a 1920 x 1080 image; NaN where nobody is. ``POSES.npz`` gets ``poses_3d`` (frames, persons, 17,
3), NaN where there is none.
"""

import sys

import numpy as np

import posemamba_runtime

model, source, target = sys.argv[1:]
keypoints = np.load(source)["keypoints"]
poses_3d = np.full((*keypoints.shape[:3], 3), np.nan, np.float32)
with posemamba_runtime.Lifter(model) as lifter:
    stream = lifter.stream(keypoints="coco17", size=(1920, 1080), policy="blend", rate=30)
    for frame, persons in enumerate(keypoints):
        for person, values in enumerate(persons):
            if not np.isnan(values).all():
                stream.push(values, frame, person=person)
        lifter.step()
    stream.flush()
    lifter.step()
    for pose in stream:
        poses_3d[pose.frame, pose.person] = pose.joints
np.savez(target, poses_3d=poses_3d)
