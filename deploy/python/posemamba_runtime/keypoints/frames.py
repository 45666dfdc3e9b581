"""One frame after the other: which format they are of, who is in them, which numbers they have."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

import numpy as np

from posemamba_runtime.keypoints.errors import InputError
from posemamba_runtime.keypoints.formats import FRAME_FORMATS
from posemamba_runtime.keypoints.formats.base import ID_KEYS, FrameFormat, take_size
from posemamba_runtime.keypoints.formats.coco import numbers_by_names
from posemamba_runtime.keypoints.formats.lines import ABOUT, is_header, says_facts
from posemamba_runtime.keypoints.formats.mmpose import take_meta
from posemamba_runtime.keypoints.layouts import layout_name
from posemamba_runtime.keypoints.numbering import (
    FRAME_LISTS,
    NUMBER_KEYS,
    PEOPLE_KEYS,
    TIME_KEYS,
    image_of,
    is_about,
    number_of,
    time_of,
)
from posemamba_runtime.keypoints.people import Detection
from posemamba_runtime.keypoints.points import first, keys_of
from posemamba_runtime.keypoints.recording import Detections, Origins
from posemamba_runtime.keypoints.source import Json
from posemamba_runtime.text import printable

_FPS_KEYS = ("fps", "frame_rate")
_RATE_KEYS = ("rate", *_FPS_KEYS)
_MOST_FRAMES = 10_000_000
_NEAR = 0.25  # of a person's size


class Frame(NamedTuple):
    """The people of one frame, its number and, where it says so, its time in seconds."""

    number: int
    people: list[Detection]
    timestamp: float | None


class FrameReader:
    """Collects frames of one format, which the first frame with somebody in it decides.

    Attributes:
        found: what was collected.
        format: None until then.
    """

    def __init__(self, wanted: str | None) -> None:
        self.wanted = wanted
        self.format: FrameFormat | None = None
        self.found = Detections()
        self._next = 0
        self._numbers: set[int] | None = None  # made where frames come in disorder
        self._highest = -1
        self._before: Frame | None = None
        self._one_number = True  # so far
        self._image: str | None = None  # of the frame that was read last
        self._images: dict[str, int] = {}
        self._rates: set[str] = set()  # that frames say

    def _came(self, number: int) -> bool:
        """Whether a frame was added before."""
        if number > self._highest:
            self._highest = number
            if self._numbers is not None:
                self._numbers.add(number)
            return False
        if self._numbers is None:
            self._numbers = set(self.found.people.frames().tolist())
        if number in self._numbers:
            return True
        self._numbers.add(number)
        return False

    def add(self, document: Json, number: int | None = None) -> None:
        """Take one frame's people.

        Args:
            number: of the frame; else what the document says, else one more than the last.

        Raises:
            InputError: no frame of the format, without the file's name.
        """
        frame = self.read(document, number)
        if frame is None:
            return
        came = _is_whole(document) and self._came(frame.number)
        before, self._before = self._before, frame
        if before is not None and before.number != frame.number:
            self._one_number = False
        if came and not self._adds_somebody(frame, before):
            raise InputError(
                f"frame {frame.number} comes twice: are these two recordings, or is the number "
                "no frame's?"
            )
        self.found.people.add(frame.number, frame.people, frame.timestamp)
        if self._image is not None:
            self._images.setdefault(self._image, frame.number)
        if self.found.people.looked_at > _MOST_FRAMES:
            raise InputError(f"more than {_MOST_FRAMES} frames: split the recording")

    def _adds_somebody(self, frame: Frame, before: Frame | None) -> bool:
        """Whether it is one more person of the frame before it: lists of one person each."""
        if before is None or before.number != frame.number:
            return False
        if len(before.people) > 1 or len(frame.people) > 1:
            return False
        # Where all lines have one number, it may be the same person's next frame.
        return not (self._one_number and all(map(_is_near, before.people, frame.people)))

    def read(self, document: Json, number: int | None = None) -> Frame | None:
        """As :meth:`add`, keeping nothing of the frame; None for a header, which is no frame."""
        if self._is_header(document, number):
            self.take_facts(document)
            return None
        if isinstance(document, Mapping) and len(self._rates) < 2:
            self._rates.add(str(first(document, _FPS_KEYS)))
        if number is None:
            number = number_of(document)
        self._image = image_of(document) if number is None else None
        if number is None:
            number = self._next
            self.found.counted = True
        if self._image is not None:  # several lines of an image
            number = self._images.get(self._image, number)
        self._next = number + 1 if self._image is None else max(self._next, number + 1)
        people = self._people(document)
        return Frame(number, people, time_of(document))

    def _is_header(self, document: Json, number: int | None) -> bool:
        if is_header(document):
            return True
        if number is not None or self.found.people.looked_at or not says_facts(document):
            return False
        return number_of(document) is None and time_of(document) is None

    def finished(self) -> Detections:
        """What was collected; frames that are images in the order that their names tell.

        Raises:
            InputError: names that tell none.
        """
        if self.found.rate is None and len(self._rates) == 1:  # no measured speed of a detector
            (rate,) = self._rates
            with suppress(InputError):
                self._take_rate({_FPS_KEYS[0]: rate})
        if self._images and len(self._images) == self._next:  # all of them
            names = list(self._images)
            numbers = numbers_by_names(names, self.found)
            self.found.people.renumber(numbers)
            self.found.origins = Origins(numbers, names)
            self.found.counted = False
        return self.found

    def take_facts(self, document: Mapping[str, Json]) -> None:
        """Size, rate and layout, where an object says them."""
        for key in ABOUT:
            if isinstance(document.get(key), Mapping):
                self.take_facts(document[key])
        take_size(document, self.found)
        self._take_rate(document)
        if isinstance(document.get("layout"), str):
            self.found.layout = layout_name(document["layout"])
        if "meta_info" in document:
            take_meta(document["meta_info"], self.found)

    def _take_rate(self, document: Mapping[str, Json]) -> None:
        rate = first(document, _RATE_KEYS)
        if rate is None:
            return
        if isinstance(rate, str):  # ffprobe writes 30000/1001
            with suppress(ValueError, ZeroDivisionError):
                above, _, below = rate.partition("/")
                rate = float(above) / float(below or 1)
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate < 1e6:
            raise InputError(f"a rate of {printable(rate, 20)} frames a second is none")
        self.found.rate = float(rate)

    def _people(self, document: Json) -> list[Detection]:
        document = unwrapped(document)
        if is_nobody(document):
            return []
        if self.format is None:
            self.format = identify(document, self.wanted)
        elif not self.format.is_frame(document):
            other = title_of(document)
            raise InputError(f"is {other}, where the frames before are {self.format.title}'s")
        return self.format.read_frame(document, self.found)


def _is_near(one: Detection, other: Detection) -> bool:
    """Whether two detections overlap so far that they may be one person a moment later."""
    if len(one.values) != len(other.values):
        return False
    first, second = one.values[:, :2], other.values[:, :2]
    there = (np.isfinite(first) & np.isfinite(second) & (first != 0) & (second != 0)).all(axis=1)
    if not there.any():
        return True
    size = float(np.linalg.norm(np.ptp(first[there], axis=0)))
    away = np.linalg.norm(first[there] - second[there], axis=1)
    return float(np.median(away)) <= _NEAR * size


def is_nobody(document: object) -> bool:
    """A frame that shows nobody, in any format."""
    if document is None or document == [] or document == {}:
        return True
    if not isinstance(document, Mapping):
        return False
    if is_about(document) or ("keypoints" in document and document["keypoints"] is None):
        return True
    return any(key in document and not document[key] for key in PEOPLE_KEYS)


def _is_whole(document: Json) -> bool:
    """Whether everybody of a frame is in it: lines of a person each may have one number."""
    if not isinstance(document, Mapping):
        return True
    lists = any(isinstance(document.get(key), list) for key in (*PEOPLE_KEYS, *FRAME_LISTS))
    return lists and "keypoints" not in document and first(document, ID_KEYS) is None


def looks_like_frame(document: Json) -> bool:
    """Whether it is a frame with somebody in it, in any format."""
    return is_frame(unwrapped(document))


def unwrapped(document: Json) -> Json:
    """The list of a frame's people, where an object with the frame's number holds it."""
    if not isinstance(document, Mapping) or is_frame(document):
        return document
    lists = [document[key] for key in FRAME_LISTS if isinstance(document.get(key), list)]
    if len(lists) != 1:
        return document
    if lists[0] and all(isinstance(e, Mapping) and "keypoints" in e for e in lists[0]):
        people = {"people": lists[0]}
        return lists[0] if is_frame(lists[0]) else people
    return lists[0] if not lists[0] or is_frame(lists[0]) else document


def identify(document: Json, wanted: str | None) -> FrameFormat:
    """The format of a frame.

    Raises:
        InputError: none, or another than the one wanted.
    """
    fitting = [entry for entry in FRAME_FORMATS if entry.is_frame(document)]
    for entry in fitting:
        if wanted in (None, entry.name) or wanted == "ndjson":
            return entry
    if fitting:
        raise InputError(
            f"looks like {fitting[0].title}, not --format {wanted}: leave --format out"
        )
    raise InputError(f"is {title_of(document)}, no frame with keypoints in a format read here")


def is_frame(document: Json) -> bool:
    if isinstance(document, list) and all(isinstance(entry, Mapping) for entry in document):
        keys = (*NUMBER_KEYS, *TIME_KEYS)
        told = {str([entry.get(key) for key in keys]) for entry in document}
        if len(told) > 1:  # entries of several frames
            return False
    return any(entry.is_frame(document) for entry in FRAME_FORMATS)


def title_of(document: object) -> str:
    fitting = [entry.title for entry in FRAME_FORMATS if entry.is_frame(document)]
    if fitting:
        return f"a frame of {fitting[0]}"
    if isinstance(document, Mapping):
        return f"an object with {keys_of(document)}"
    if isinstance(document, list):
        return f"a list of {len(document)} entries"
    return f"'{printable(document, 20)}'"
