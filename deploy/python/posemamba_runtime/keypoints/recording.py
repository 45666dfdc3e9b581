"""What a reader found, and the recording made of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from posemamba_runtime.keypoints.people import Floats32, Ints, People
from posemamba_runtime.motion import Picture
from posemamba_runtime.text import printable

Floats = npt.NDArray[np.floating]


class Origins:
    """Frames that are files: iterated over, numbers and names in the order of time."""

    def __init__(self, numbers: Sequence[int], names: Sequence[str]) -> None:
        every = np.array(numbers, np.int64)
        self._names = names
        self._order = np.argsort(every, kind="stable")
        self._numbers = every[self._order]

    def __iter__(self) -> Iterator[tuple[int, str]]:
        for number, place in zip(self._numbers, self._order, strict=True):
            yield int(number), self._names[int(place)]

    def name(self, frame: int) -> str | None:
        """The file of a frame; None where there is none."""
        row = int(np.searchsorted(self._numbers, frame))
        if row == len(self._numbers) or self._numbers[row] != frame:
            return None
        return self._names[int(self._order[row])]


@dataclass
class Detections:
    """What a file holds, before units and persons are judged.

    Attributes:
        people: everybody in every frame that was looked at, and the frames' times.
        layout: where the format itself tells the order of the joints.
        size: width and height of the image in pixels, where the file tells.
        units: "pixels", "fractions" of the image, "normalised" (the network's own), or None: look.
        rate: frames a second, where the file tells.
        notes: remarks for the user, a sentence each.
        left_out: reason to the number of people or entries that were left out for it.
        names: of such clips, by id.
        origins: the files that frames came from, where frames are files.
        order: for each joint of ``layout`` its place among the file's keypoints, -1 where it has
            none; None where they are in the layout's order.
        counted: frames say no numbers of their own.
        sparse: frame numbers jump too far to count frames, so they say the order alone.
    """

    people: People = field(default_factory=People)
    layout: str | None = None
    size: tuple[int, int] | None = None
    units: str | None = None
    rate: float | None = None
    notes: list[str] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    origins: Origins | None = None
    order: list[int] | None = None
    counted: bool = False
    sparse: bool = False

    def label(self, frame: int) -> str:
        """A frame as a message names it."""
        name = None if self.origins is None else self.origins.name(frame)
        return f"frame {frame}" if name is None else f"'{printable(name, 40)}'"

    def ordered(self, points: Floats) -> Floats:
        """One person's (keypoints, 2 or 3) as the layout has them, NaN for joints without one."""
        if self.order is None or max(self.order) >= len(points):
            return points
        arranged: Floats = points[self.order]
        arranged[[place < 0 for place in self.order]] = np.nan
        return arranged

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
    values: Floats32
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
        pictures: of the video, where there was one.
    """

    tracks: tuple[PersonTrack, ...]
    layout: str
    size: tuple[int, int] | None
    canvas: tuple[int, int]
    rate: float
    source: str
    summary: Summary
    pictures: tuple[Picture, ...] = ()
