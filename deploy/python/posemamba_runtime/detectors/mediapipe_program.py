"""MediaPipe's pose detector on a video: a frame of JSON a line on standard output.

    python mediapipe_program.py VIDEO

Run by the Python that has MediaPipe, which is often another one than ours, so this file imports
nothing of ours and keeps to Python 3.9. The first line says the image's size, the rate and about
how many frames there are; a frame is ``{"frame", "pose_landmarks"}``, each landmark x, y (fractions
of the image), z and visibility. Before some frames comes ``{"picture", "frame"}``, a small JPEG in
base64, to be shown behind the keypoints. What goes wrong is a line ``{"error"}``.

MediaPipe follows one person. Its wheel holds the model of the middle size.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Iterator
from typing import Any

PICTURES = 200  # of a whole video, about: a page that holds them stays below 5 MB
LONGER_SIDE = 320  # pixels
QUALITY = 50


class Refused(Exception):
    """The video cannot be used; the message says why."""


def frames(video: str) -> Iterator[dict[str, Any]]:
    """The facts, then every frame.

    Raises:
        Refused: no MediaPipe, or no video.
    """
    try:
        import cv2  # type: ignore[import-not-found]
        from mediapipe.python.solutions.pose import (  # type: ignore[import-not-found]
            Pose,
        )
    except ImportError as error:
        raise Refused(f"MediaPipe cannot be imported ({error})") from None
    capture = cv2.VideoCapture(video)
    read, picture = capture.read()
    if not read:
        raise Refused("no picture can be decoded: damaged, cut short, or no video")
    height, width = picture.shape[:2]  # as shown: a phone's video is turned
    count = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
    facts = {"size": [width, height], "frames": count}
    rate = capture.get(cv2.CAP_PROP_FPS)
    if 0 < rate < 10_000:
        facts["rate"] = rate
    yield facts
    stride = -(-count // PICTURES) or 1
    shrunk = min(1.0, LONGER_SIDE / max(width, height))
    small = (max(1, round(width * shrunk)), max(1, round(height * shrunk)))
    number = 0
    with Pose(model_complexity=1) as pose:
        while read:
            if number % stride == 0 and number < PICTURES * stride:
                shown = cv2.resize(picture, small, interpolation=cv2.INTER_AREA)
                _, jpeg = cv2.imencode(".jpg", shown, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
                yield {"picture": base64.b64encode(jpeg.tobytes()).decode(), "frame": number}
            found = pose.process(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)).pose_landmarks
            landmarks = found and [[p.x, p.y, p.z, p.visibility] for p in found.landmark]
            yield {"frame": number, "pose_landmarks": landmarks}
            number += 1
            read, picture = capture.read()


def main() -> None:
    """Write the lines; MediaPipe's own words go to standard error, wherever it prints them."""
    lines = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        for frame in frames(sys.argv[1]):
            lines.write(json.dumps(frame) + "\n")
            lines.flush()
    except Refused as error:
        lines.write(json.dumps({"error": str(error)}) + "\n")
    except BrokenPipeError:  # the reader has seen enough
        pass


if __name__ == "__main__":
    main()
