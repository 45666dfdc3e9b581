"""COCO's keypoint results and annotations; AlphaPose's results are of the same kind.

Results: a list of ``{"image_id", "category_id", "keypoints", "score"}``, an entry a person and
image; keypoints are x, y, confidence, ... Detectron2, YOLO's validation and MMPose's evaluation
write them. Annotations: ``{"images", "annotations"}``; the third number is a flag, 0 not labelled
(x and y are 0 too), 1 hidden, 2 visible; ``images`` has sizes and file names, which tell the order
in time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

from posemamba_runtime.keypoints.errors import InputError, printable
from posemamba_runtime.keypoints.formats.base import FrameFormat, detection, is_objects, set_size
from posemamba_runtime.keypoints.names import MAX_FRAME, frame_numbers
from posemamba_runtime.keypoints.people import Detection
from posemamba_runtime.keypoints.points import keys_of
from posemamba_runtime.keypoints.recording import Detections

P = ParamSpec("P")
T = TypeVar("T")

_PERSON = (1, 0, "person")  # 0: of data sets of one's own, which count from there
_IDS = ("idx", "track_id", "person_id", "track", "instance_id")


def is_results(value: object) -> bool:
    """A list of entries, or an object with annotations."""
    if isinstance(value, dict):
        entries = value.get("annotations")
        return isinstance(entries, list) and ("images" in value or is_objects(entries))
    return is_objects(value) and any(
        "image_id" in entry and ("keypoints" in entry or "bbox" in entry)
        for entry in value[:100]  # type: ignore[index]
    )


def read_results(value: Any) -> Detections:  # noqa: ANN401
    """Everybody in a results list or annotation file.

    Raises:
        InputError: entries without what is needed, without the file's name.
    """
    found = Detections()
    if isinstance(value, dict):
        images = value.get("images", [])
        numbers = _image_numbers(images, found)
        entries = value["annotations"]
    else:
        entries, numbers = value, {}
    images_of = [_told(index, _image_of, entry) for index, entry in enumerate(entries)]
    numbers = numbers or _numbers(list(dict.fromkeys(images_of)), found)
    strangers = [image for image in images_of if image not in numbers]
    if strangers:
        raise InputError(f"image_id {printable(strangers[0])} is not among the 'images'")
    for number in numbers.values():
        found.people.add(number)
    for index, (image, entry) in enumerate(zip(images_of, entries, strict=True)):
        found.people.add(numbers[image], _told(index, _people_of, entry, found))
    return found


def _told(index: int, read: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    """What ``read`` gives; its message says which entry was wrong."""
    try:
        return read(*arguments, **options)
    except InputError as error:
        raise InputError(f"entry {index}: {error}") from None


def _image_of(entry: object) -> int | str:
    if not isinstance(entry, Mapping):
        raise InputError(f"is '{printable(entry, 20)}', not an object with 'keypoints'")
    image = entry.get("image_id")
    if isinstance(image, bool) or not isinstance(image, int | str):
        raise InputError(f"has {keys_of(entry)}, no 'image_id' of a number or a file name")
    if isinstance(image, int) and not 0 <= image < MAX_FRAME:
        raise InputError(f"image_id {printable(image)} is no frame number")
    return image


def _people_of(entry: Mapping[str, Any], found: Detections) -> list[Detection]:
    if "keypoints" not in entry:
        found.leave_out("entries without keypoints")
        return []
    if entry.get("category_id", 1) not in _PERSON:
        found.leave_out("entries of other categories than person")
        return []
    return detection(entry, entry["keypoints"], found, _IDS)


def _image_numbers(images: object, found: Detections) -> dict[int | str, int]:
    if not isinstance(images, Sequence) or not all(isinstance(image, Mapping) for image in images):
        raise InputError("'images' is no list of objects: not a COCO annotation file")
    by_id: dict[int | str, str] = {}
    for image in images:
        if "width" in image and "height" in image:
            set_size((image["width"], image["height"]), found)
        key = image.get("id")
        if isinstance(key, bool) or not isinstance(key, int | str):
            raise InputError("an image has no 'id' of a number or a name")
        by_id[key] = str(image.get("file_name", key)).replace("\\", "/").rsplit("/", 1)[-1]
    if len(set(by_id.values())) < len(by_id):  # one name in several folders
        return _numbers(list(by_id), found)
    numbers, note = frame_numbers(list(by_id.values())) if by_id else ([], None)
    found.notes += [note] if note else []
    return dict(zip(by_id, numbers, strict=True))


def _numbers(images: Sequence[int | str], found: Detections) -> dict[int | str, int]:
    if all(isinstance(image, int) for image in images):
        return {image: int(image) for image in images}
    names = [str(image).replace("\\", "/").rsplit("/", 1)[-1] for image in images]
    if len(set(names)) < len(names):  # cam1/0001.jpg and cam2/0001.jpg
        names = [str(image) for image in images]
    if len(set(names)) < len(names):  # 12 and "12"
        raise InputError("image_id is a number in some entries and the same text in others")
    numbers, note = frame_numbers(names)
    found.notes += [note] if note else []
    return dict(zip(images, numbers, strict=True))


def _is_image(value: Any) -> bool:  # noqa: ANN401
    return is_objects(value) and all(
        "keypoints" in person
        and "image_id" not in person
        and any(key in person for key in ("bbox", "category_id", "score"))
        for person in value
    )


def _read_image(value: Any, found: Detections) -> list[Detection]:  # noqa: ANN401
    people: list[Detection] = []
    for entry in value:
        people += _people_of(entry, found)
    return people


#: The entries of one image, as OpenPifPaf writes a file of each.
COCO_IMAGE = FrameFormat("coco", "COCO", _is_image, _read_image)
