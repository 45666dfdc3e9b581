"""Clips of 2D keypoints as the network takes them: anybody's, and the real ones that we ship.

Files are read by the runtime's reader (:mod:`posemamba_runtime.keypoints`), which ``lift`` uses
too: what it fills, scales or refuses is so here. Our own are ``.npz`` of arrays (frames, 17, 2) or
(clips, frames, 17, 2): Human3.6M joints, normalised
(:func:`posemamba.pose.preprocess.normalize_2d`), or pixels where the file also holds the numbers
``width`` and ``height``.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
import numpy.typing as npt

from posemamba.errors import InputError
from posemamba.files.output import replacing
from posemamba.pose.preprocess import normalize_2d
from posemamba_runtime.errors import BadArgument
from posemamba_runtime.keypoints import MIN_CONFIDENCE, read
from posemamba_runtime.keypoints.complete import Stretch, complete
from posemamba_runtime.keypoints.recording import PersonTrack, Recording

Clips = dict[str, npt.NDArray[np.float32]]

BUNDLED = "pose2sim_balancing.npz"
_EVERY_CLIP = 1_000_000  # of a file; a recording that is lifted as one has fewer


@dataclass(frozen=True)
class Reading:
    """How keypoints are read, see :func:`posemamba_runtime.keypoints.read`.

    Attributes:
        format: of the file; None looks at the content.
        size: width and height of the image in pixels, where the file does not tell.
        layout: the order of the joints, where the file does not tell.
        min_confidence: keypoints below it count as not found.
    """

    format: str | None = None
    size: tuple[int, int] | None = None
    layout: str | None = None
    min_confidence: float = MIN_CONFIDENCE


DEFAULT_READING = Reading()


def load_clips(path: str | os.PathLike[str], reading: Reading = DEFAULT_READING) -> Clips:
    """Read clips for the network.

    Args:
        path: what a 2D detector wrote, or an ``.npz`` of clips, see the module's description.

    Returns:
        name to (frames, 17, 2) float32, normalised and without gaps. An array of several clips
        gives ``key[0]``, ``key[1]``, ...; a person is ``person 0``; where somebody was away for
        long, every stretch is a clip, as ``person 0 from 120``.

    Raises:
        InputError: one line naming the file, the value and the fix.
    """
    try:
        recording = read(
            path,
            format=reading.format,
            size=reading.size,
            layout=reading.layout,
            min_confidence=reading.min_confidence,
            clips_at_once=_EVERY_CLIP,
        )
    except BadArgument as error:
        raise InputError(str(error)) from None
    clips: Clips = {}
    reasons: list[str] = []
    for track in recording.tracks:
        whole = complete(track, recording.layout)
        reasons += [reason for reason, _ in whole.lost]
        for stretch in whole.stretches:
            name = _name(track, stretch, alone=len(whole.stretches) == 1)
            clips[name] = _normalised(stretch, recording)
    if not clips:
        raise InputError(
            f"{recording.source}: {reasons[0] if reasons else 'nobody is in it'}, and the network "
            "needs them: use frames that show them"
        )
    return clips


def save_clips(path: str | os.PathLike[str], clips: Clips) -> None:
    """Write clips that :func:`load_clips` reads.

    Raises:
        InputError: a place that takes no file.
    """
    path = Path(path)
    with replacing(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, **clips)  # type: ignore[arg-type]


def bundled_clips() -> Clips:
    """Real clips: one person balancing, four cameras, 100 frames each at 60 Hz.

    OpenPose BODY_25B detections of Pose2Sim's demonstration trial (BSD-3-Clause; the notice is
    beside the file in ``posemamba/assets``), remade by ``tools/make_bundled_clips.py``.
    """
    path = resources.files("posemamba").joinpath("assets").joinpath(BUNDLED)
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _name(track: PersonTrack, stretch: Stretch, *, alone: bool) -> str:
    name = track.name or f"person {track.person}"
    return name if alone else f"{name} from {stretch.frames[0]}"


def _normalised(stretch: Stretch, recording: Recording) -> npt.NDArray[np.float32]:
    return normalize_2d(stretch.points.astype(np.float64), *recording.canvas).astype(np.float32)
