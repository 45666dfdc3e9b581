"""From a JSON document, or the documents of a folder or a stream, to the people in each frame."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping

from posemamba_runtime.keypoints.errors import InputError
from posemamba_runtime.keypoints.formats.alphapose import is_alphapose_entry
from posemamba_runtime.keypoints.formats.coco import (
    is_results,
    read_results,
)
from posemamba_runtime.keypoints.formats.lines import is_bare, is_header
from posemamba_runtime.keypoints.formats.mediapipe import MEDIAPIPE
from posemamba_runtime.keypoints.frames import (
    FrameReader,
    is_frame,
    is_nobody,
    looks_like_frame,
    title_of,
    unwrapped,
)
from posemamba_runtime.keypoints.names import frame_numbers
from posemamba_runtime.keypoints.numbering import image_of, number_of, several_frames, time_of
from posemamba_runtime.keypoints.points import keys_of
from posemamba_runtime.keypoints.recording import Detections, Origins
from posemamba_runtime.keypoints.source import Json, decoded
from posemamba_runtime.text import printable

_WRAPPERS = ("instance_info", "frames", "predictions", "results", "poses", "data", "detections")


def read_document(document: Json, wanted: str | None) -> tuple[Detections, str]:
    """A whole recording in one document, and its format's name.

    Raises:
        InputError: no recording, without the file's name.
    """
    document = _decoded(document)  # text of JSON in JSON
    if is_results(document):
        return _results(document, wanted)
    reader = FrameReader(wanted)
    people = several_frames(document)
    if people is not None:  # an entry a person and frame
        reader.take_facts(document)
        found, name = read_document(people, wanted)
        return _merged(found, reader.found), name
    frame = unwrapped(document)
    framed = is_frame(frame) and not _is_frames_of_points(frame) and not _only_array(document)
    if is_nobody(document) or framed:
        reader.add(document)
    elif isinstance(document, list):
        add_all(reader, ((None, _decoded(item)) for item in document), "entry")
    elif isinstance(document, Mapping):
        inner = next((k for k in _WRAPPERS if isinstance(document.get(k), list | dict)), None)
        inner = inner or _only_array(document)
        if inner is not None:
            reader.take_facts(document)
            found, name = _inner_document(document[inner], inner, wanted)
            return _merged(found, reader.found), name
        _named_frames(document, reader)
    else:
        raise InputError(f"is {title_of(document)}, no recording of keypoints")
    return reader.finished(), reader.format.name if reader.format else (wanted or "ndjson")


def _only_array(document: object) -> str | None:
    """The key of frames of points, where an object holds facts about them and nothing else."""
    if not isinstance(document, Mapping):
        return None
    others = [key for key in document if not is_header({key: None})]
    return others[0] if len(others) == 1 and _is_frames_of_points(document[others[0]]) else None


def _inner_document(document: Json, key: str, wanted: str | None) -> tuple[Detections, str]:
    """A recording within an object; what is called frames needs no numbers."""
    bare = isinstance(document, list) and all(
        isinstance(entry, Mapping) and isinstance(entry.get("keypoints"), list | array)
        for entry in document
    )
    if key != "frames" or not bare or is_results(document):
        return read_document(document, wanted)
    reader = FrameReader(wanted)
    add_all(reader, ((None, entry) for entry in document), "frame")
    return reader.finished(), reader.format.name if reader.format else "ndjson"


def add_all(reader: FrameReader, documents: Iterable[tuple[int | None, Json]], what: str) -> None:
    """Add documents one after the other.

    Raises:
        InputError: of a document, named by ``what`` and its place.
    """
    for index, (number, document) in enumerate(documents):
        try:
            bare = isinstance(document, Mapping) and "keypoints" in document
            told = (number_of(document), image_of(document), time_of(document))
            if bare and what == "entry" and told == (None, None, None):
                raise InputError("has keypoints, but neither 'frame' nor 'image_id'")
            reader.add(document, number)
        except InputError as error:
            place = index + 1 if what == "line" else index  # as editors count
            raise InputError(f"{what} {place}: {error}") from None


def _is_frames_of_points(document: Json) -> bool:
    """Lists of points are people of one frame within a recording, but the recording as a whole
    is more likely a person in frame after frame."""
    return isinstance(document, list) and all(
        isinstance(item, list) and (MEDIAPIPE.is_frame(item) or is_bare(item)) for item in document
    )


def _results(document: Json, wanted: str | None) -> tuple[Detections, str]:
    entries = document["annotations"] if isinstance(document, Mapping) else document
    alphapose = any(isinstance(e, dict) and is_alphapose_entry(e) for e in entries[:100])
    name = "alphapose" if alphapose else "coco"
    if wanted not in (None, "alphapose", "coco"):
        raise InputError(f"looks like {name} results, not --format {wanted}: leave --format out")
    return read_results(document), wanted or name


def _named_frames(document: Mapping[str, Json], reader: FrameReader) -> None:
    """An object of frames by image name."""
    names = list(document)
    if not all(is_nobody(frame) or looks_like_frame(frame) for frame in document.values()):
        raise InputError(f"has {keys_of(document)}: no keypoint format read here has these")
    numbers, note = frame_numbers(names)
    reader.found.notes += [note] if note else []
    reader.found.origins = Origins(numbers, names)
    for number, name in reader.found.origins:
        try:
            reader.add(document[name], number)
        except InputError as error:
            raise InputError(f"'{printable(name, 40)}': {error}") from None


def _decoded(item: Json) -> Json:
    """YOLO's ``to_json`` gives text; a list of such texts is what people save."""
    if isinstance(item, str) and item[:1] in "[{":
        try:
            return decoded(item)
        except (ValueError, RecursionError):
            return item
    return item


def _merged(found: Detections, outer: Detections) -> Detections:
    found.size = found.size or outer.size
    found.rate = found.rate or outer.rate
    found.layout = found.layout or outer.layout
    return found
