"""Lift one person live.

    python lift_stream.py MODEL < KEYPOINTS

A line of input is a frame: 17 times "x y confidence", COCO order, pixels of a 1920 x 1080 image. A
joint that was not found is "0 0 0". A line of output: frame, person, 17 times "x y z".
"""

import sys

import numpy as np

import posemamba_runtime

lifter = posemamba_runtime.Lifter(sys.argv[1])
stream = lifter.stream(keypoints="coco17", size=(1920, 1080))
for frame, line in enumerate(sys.stdin):
    stream.push(np.array(line.split(), np.float32).reshape(17, 3), frame, frame / 30)
    lifter.step()
    for pose in stream:
        sys.stdout.write(f"{pose.frame} {pose.person} ")
        np.savetxt(sys.stdout, pose.joints.reshape(1, -1), fmt="%.6g")
