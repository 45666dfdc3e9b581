"""The file formats, a module each, and the list of them."""

from __future__ import annotations

from posemamba_runtime.keypoints.formats.alphapose import ALPHAPOSE
from posemamba_runtime.keypoints.formats.base import FrameFormat
from posemamba_runtime.keypoints.formats.coco import COCO_IMAGE
from posemamba_runtime.keypoints.formats.lines import LINES
from posemamba_runtime.keypoints.formats.mediapipe import MEDIAPIPE
from posemamba_runtime.keypoints.formats.mmpose import MMPOSE
from posemamba_runtime.keypoints.formats.openpose import OPENPOSE
from posemamba_runtime.keypoints.formats.yolo import YOLO

#: In the order they are tried.
FRAME_FORMATS: tuple[FrameFormat, ...] = (
    *(OPENPOSE, ALPHAPOSE, MMPOSE, YOLO, COCO_IMAGE, MEDIAPIPE, LINES),
)

#: What ``--format`` takes.
FORMAT_NAMES: tuple[str, ...] = (
    *("openpose", "alphapose", "coco", "mmpose", "yolo", "mediapipe"),
    *("videopose3d", "detectron", "npz", "ndjson"),
)
