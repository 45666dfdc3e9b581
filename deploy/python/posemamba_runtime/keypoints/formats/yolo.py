"""YOLO-pose by Ultralytics: ``Results.to_json()`` or ``summary()``, and ``save_txt`` label files.

JSON: a list of ``{"name", "class", "confidence", "box", "track_id", "keypoints": {"x", "y",
"visible"}}`` a frame, in pixels, or in fractions with ``normalize=True``. Keypoints of a confidence
below 0.5 have x and y zeroed and the confidence kept.

Labels: a text file a frame, a row a person: class, box centre, width and height, then x, y and
confidence (or x and y alone) of each keypoint, all in fractions of the image; then, where asked
for, the person's confidence and the track's id. Frames that show nobody have no file.
"""

from __future__ import annotations

import numpy as np

from posemamba_runtime.keypoints.errors import InputError
from posemamba_runtime.keypoints.formats.base import FrameFormat, detection, is_objects
from posemamba_runtime.keypoints.people import Detection
from posemamba_runtime.keypoints.points import keys_of
from posemamba_runtime.keypoints.recording import Detections, Floats
from posemamba_runtime.keypoints.source import Json
from posemamba_runtime.text import printable

_JOINTS = 17
_BEFORE = 5  # class and box
_ROWS = {
    _BEFORE + _JOINTS * columns + after: (columns, after)
    for columns in (2, 3)
    for after in (0, 1, 2)
}
_MOST_ROWS = 1000


def _is_frame(value: Json) -> bool:
    return is_objects(value) and all(
        isinstance(person.get("keypoints"), dict) or ("box" in person and "class" in person)
        for person in value
    )


def _read_frame(value: Json, found: Detections) -> list[Detection]:
    people: list[Detection] = []
    for person in value:
        if person.get("class", 0) != 0 and person.get("name") != "person":
            found.leave_out("detections of other classes than person")
        elif "keypoints" not in person:
            raise InputError(
                f"a detection has {keys_of(person)}, no 'keypoints': run a -pose model"
            )
        else:
            people += detection(person, person["keypoints"], found, ("track_id", "id"))
    return people


YOLO = FrameFormat("yolo", "YOLO-pose", _is_frame, _read_frame)


def read_labels(content: bytes, found: Detections) -> list[Detection]:
    """The people of one label file.

    Raises:
        InputError: no such rows, without the file's name.
    """
    try:
        lines = content.decode("ascii").split("\n")
        rows = [np.array([float(cell) for cell in line.split()]) for line in lines if line.strip()]
    except ValueError:  # UnicodeDecodeError too
        raise InputError("is no YOLO label file: rows of numbers are expected") from None
    if len(rows) > _MOST_ROWS:
        raise InputError(f"{len(rows)} rows, a person each: at most {_MOST_ROWS} are read")
    return [person for row in rows for person in _read_row(row, found)]


def _read_row(row: Floats, found: Detections) -> list[Detection]:
    if len(row) not in _ROWS:
        if len(row) <= _BEFORE + 2:
            raise InputError(f"rows of {len(row)} numbers are boxes alone: run a -pose model")
        known = ", ".join(str(length) for length in sorted(_ROWS))
        raise InputError(
            f"a row of {len(row)} numbers: {_JOINTS} keypoints with a box make one of {known}"
        )
    if row[0] != 0:
        found.leave_out("detections of other classes than person")
        return []
    columns, after = _ROWS[len(row)]
    points = row[_BEFORE : _BEFORE + _JOINTS * columns].reshape(-1, columns)
    outside = np.abs(points[:, :2]) > 2
    if outside.any():
        raise InputError(
            f"a coordinate of {printable(points[:, :2][outside][0])} where fractions are expected"
        )
    # One number after the keypoints may be either; a confidence is hardly ever a whole number.
    last = row[-1] if after else np.nan
    person = int(last) if float(last).is_integer() and 0 <= last < 2**31 else None
    return [Detection(points, person)]
