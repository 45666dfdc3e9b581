"""What a reader found, and the recording made of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Detection(NamedTuple):
    """One person in one frame.

    Attributes:
        values: (keypoints, 2) x and y or (keypoints, 3) with confidence, as the file has them.
        person: the file's id of the person, where it has one.
    """

    values: Floats
    person: int | str | None = None


@dataclass
class Detections:
    """What a file holds, before units and persons are judged.

    Attributes:
        frames: frame number to the people in it; a number with an empty list was looked at.
        layout: where the format itself tells the order of the joints.
        size: width and height of the image in pixels, where the file tells.
        units: "pixels", "fractions" of the image, "normalised" (the network's own), or None: look.
        rate: frames a second, where the file tells.
        timestamps: seconds by frame number, where the file tells.
        notes: remarks for the user, a sentence each.
        left_out: reason to the number of people or entries that were left out for it.
        separate: every id is a clip of its own: ids are no people in one picture.
        names: of such clips, by id.
        origins: the file a frame came from, by frame number, where frames are files.
        empty_frames: frames that show nobody, counted by :meth:`release`.
        sparse: frame numbers jump too far to count frames, so they say the order alone.
    """

    frames: dict[int, list[Detection]] = field(default_factory=dict)
    layout: str | None = None
    size: tuple[int, int] | None = None
    units: str | None = None
    rate: float | None = None
    timestamps: dict[int, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)
    separate: bool = False
    names: dict[int, str] = field(default_factory=dict)
    origins: dict[int, str] = field(default_factory=dict)
    empty_frames: int = 0
    sparse: bool = False

    def label(self, frame: int) -> str:
        """A frame as a message names it."""
        return f"'{self.origins[frame]}'" if frame in self.origins else f"frame {frame}"

    def release(self) -> None:
        """Let go of the keypoints once they are in one array; a recording may be an hour long."""
        self.empty_frames = sum(not people for people in self.frames.values())
        self.frames = {number: [] for number in self.frames}

    def leave_out(self, reason: str) -> None:
        self.left_out[reason] = self.left_out.get(reason, 0) + 1


@dataclass(frozen=True)
class PersonTrack:
    """One person over time.

    Attributes:
        person: the file's id or the tracker's.
        frames: (n,) ascending. A gap of up to :data:`~posemamba_runtime.keypoints.tracks.MAX_GAP`
            frames is there, as rows of NaN; over a longer one the numbers jump.
        timestamps: (n,) seconds.
        values: (n, joints, 3) pixels and confidence; NaN where the keypoint was not found.
        name: of the clip, where the file names its clips.
    """

    person: int
    frames: Ints
    timestamps: Floats
    values: Floats
    name: str = ""


@dataclass(frozen=True)
class Summary:
    """What became of a file's contents.

    Attributes:
        format: the file format.
        frames: frames from the first number to the last, missing numbers included.
        missing_frames: numbers between them for which there is no entry.
        empty_frames: frames that were looked at and show nobody.
        people: persons read.
        found, not_found: keypoints that a pose depends on.
        left_out: reason to how many people or entries.
        notes: remarks, a sentence each.
    """

    format: str
    frames: int
    missing_frames: int
    empty_frames: int
    people: int
    found: int
    not_found: int
    left_out: dict[str, int]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Recording:
    """2D keypoints of everybody in one recording, in pixels.

    Attributes:
        layout: name in :data:`~posemamba_runtime.keypoints.layouts.LAYOUTS`.
        size: width and height of the image in pixels; None where the file holds the network's own
            units: then ``values`` are pixels of ``canvas``, which was assumed.
        canvas: the size that ``values`` refer to.
        rate: frames a second.
    """

    tracks: tuple[PersonTrack, ...]
    layout: str
    size: tuple[int, int] | None
    canvas: tuple[int, int]
    rate: float
    source: str
    summary: Summary
