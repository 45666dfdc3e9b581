"""A lifted recording: what the command makes, and the writers and the viewer take."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.floating]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Track:
    """One person from the first frame that shows them to the last.

    Attributes:
        person: the id the file gave, or the tracker's; from 0.
        frames: (n,) int64, ascending; a number that is absent was absent in the recording too.
        timestamps: (n,) seconds.
        poses_3d: (n, 17, 3) float32; x right, y down, z away from the camera; the pelvis at the
            origin; in the motion's units.
        filled: (n, 17) joint filled in, not seen.
        keypoints_2d: (n, 17, 2) pixels in Human3.6M order, NaN where not found.
        root: (n, 3) camera-space trajectory of the pelvis, an estimate; None where nobody made one.
    """

    person: int
    frames: IntArray
    timestamps: FloatArray
    poses_3d: FloatArray
    filled: BoolArray
    keypoints_2d: FloatArray
    root: FloatArray | None = None


@dataclass(frozen=True)
class Picture:
    """The video at one frame, small: what pages and moving pictures show behind the keypoints.

    Attributes:
        frame: its number; shown until the next one's.
        jpeg: the file's bytes.
    """

    frame: int
    jpeg: bytes


@dataclass(frozen=True)
class Motion:
    """Everybody in one recording.

    Attributes:
        rate: frames a second.
        units: "m", "mm" or "network": of ``poses_3d`` and ``root``.
        size: width and height of the image in pixels.
        source: the recording the keypoints came from.
        model: the network that lifted them.
        delay_frames: frames by which a live pose came after its keypoints.
        pictures: of the video, where there was one; ascending.
    """

    tracks: tuple[Track, ...]
    rate: float
    units: str
    size: tuple[int, int] | None
    source: str
    model: str
    delay_frames: int = 0
    pictures: tuple[Picture, ...] = ()
