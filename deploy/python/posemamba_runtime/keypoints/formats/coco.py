"""COCO's keypoint results and annotations; AlphaPose's results are of the same kind.

Results: a list of ``{"image_id", "category_id", "keypoints", "score"}``, an entry a person and
image; keypoints are x, y, confidence, ... Detectron2, YOLO's validation and MMPose's evaluation
write them. Annotations: ``{"images", "annotations"}``; the third number is a flag, 0 not labelled
(x and y are 0 too), 1 hidden, 2 visible; ``images`` has sizes and file names, which tell the order
in time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import ParamSpec, TypeVar

from posemamba_runtime.keypoints.errors import InputError
from posemamba_runtime.keypoints.formats.base import FrameFormat, detection, is_objects, take_size
from posemamba_runtime.keypoints.names import MAX_FRAME, frame_numbers
from posemamba_runtime.keypoints.order import take_names
from posemamba_runtime.keypoints.people import Detection
from posemamba_runtime.keypoints.points import first, keys_of
from posemamba_runtime.keypoints.recording import Detections
from posemamba_runtime.keypoints.source import Json
from posemamba_runtime.text import printable

P = ParamSpec("P")
T = TypeVar("T")

_PERSON = (1, 0, "person")  # 0: of data sets of one's own, which count from there
_VIDEO = ("video_id", "vid_id")
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


def read_results(value: Json) -> Detections:
    """Everybody in a results list or annotation file.

    Raises:
        InputError: entries without what is needed, without the file's name.
    """
    found = Detections()
    if isinstance(value, dict):
        images = value.get("images", [])
        numbers = _image_numbers(images, found)
        categories = value.get("categories")
        persons = _persons(categories)
        _take_names(categories, persons, found)
        entries = value["annotations"]
    else:
        entries, numbers, persons = value, {}, _PERSON
    images_of = [_told(index, _image_of, entry) for index, entry in enumerate(entries)]
    numbers = numbers or _numbers(list(dict.fromkeys(images_of)), found)
    strangers = [image for image in images_of if image not in numbers]
    if strangers:
        raise InputError(f"image_id {printable(strangers[0])} is not among the 'images'")
    for number in numbers.values():
        found.people.add(number)
    for index, (image, entry) in enumerate(zip(images_of, entries, strict=True)):
        found.people.add(numbers[image], _told(index, _people_of, entry, found, persons))
    return found


def _persons(categories: object) -> Sequence[object]:
    """Ids of the categories that are people: those of that name, the only one, or COCO's."""
    several = categories if isinstance(categories, list) else []
    known = [entry for entry in several if isinstance(entry, Mapping) and "id" in entry]
    named = [entry["id"] for entry in known if str(entry.get("name")).casefold() == "person"]
    if not named and len(known) == 1:
        named = [known[0]["id"]]
    return named or _PERSON


def _take_names(categories: object, persons: Sequence[object], found: Detections) -> None:
    """The order of the keypoints, where a category of people says it."""
    for category in categories if isinstance(categories, list) else []:
        if not isinstance(category, Mapping) or category.get("id", persons[0]) not in persons:
            continue
        names = category.get("keypoints")
        if names and isinstance(names, list) and all(isinstance(name, str) for name in names):
            take_names(names, found)
            return


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
    if isinstance(image, float) and image.is_integer():
        image = int(image)
    if isinstance(image, bool) or not isinstance(image, int | str):
        raise InputError(f"has {keys_of(entry)}, no 'image_id' of a number or a file name")
    if isinstance(image, int) and not 0 <= image < MAX_FRAME:
        raise InputError(f"image_id {printable(image)} is no frame number")
    return image


def _people_of(
    entry: Mapping[str, Json], found: Detections, persons: Sequence[object] = _PERSON
) -> list[Detection]:
    if "keypoints" not in entry:
        found.leave_out("entries without keypoints")
        return []
    if "category_id" in entry and entry["category_id"] not in persons:
        found.leave_out("entries of other categories than person")
        return []
    return detection(entry, entry["keypoints"], found, _IDS)


def _image_numbers(images: object, found: Detections) -> dict[int | str, int]:
    if not isinstance(images, Sequence) or not all(isinstance(image, Mapping) for image in images):
        raise InputError("'images' is no list of objects: not a COCO annotation file")
    by_id: dict[int | str, str] = {}
    videos = {str(first(image, _VIDEO)) for image in images}
    if len(videos) > 1:
        shown = ", ".join(printable(video, 20) for video in sorted(videos)[:3])
        raise InputError(f"images of several videos ({shown}): keep one recording in a file")
    for image in images:
        take_size(image, found)
        key = image.get("id")
        if isinstance(key, bool) or not isinstance(key, int | str):
            raise InputError("an image has no 'id' of a number or a name")
        name = str(image.get("file_name", key))
        if by_id.setdefault(key, name) != name:
            raise InputError(f"two images have the id {printable(key, 20)}: keep one recording")
    names = list(by_id.values())
    if len(names) > 1 == len(set(names)):  # of the video, which tells no frame
        return _numbers(list(by_id), found)
    repeated = next((name for name, count in Counter(names).items() if count > 1), None)
    if repeated is not None:
        raise InputError(
            f"several images are called '{printable(repeated, 40)}': keep one recording in a file"
        )
    return dict(zip(by_id, numbers_by_names(names, found), strict=True)) if by_id else {}


def _numbers(images: Sequence[int | str], found: Detections) -> dict[int | str, int]:
    if all(isinstance(image, int) for image in images):
        return {image: int(image) for image in images}
    names = [str(image) for image in images]
    if len(set(names)) < len(names):  # 12 and "12"
        raise InputError("image_id is a number in some entries and the same text in others")
    return dict(zip(images, numbers_by_names(names, found), strict=True))


def numbers_by_names(paths: Sequence[str], found: Detections) -> list[int]:
    """Frame numbers of images by their names.

    Raises:
        InputError: images of several folders, or an order that cannot be told.
    """
    split = [path.replace("\\", "/").rpartition("/") for path in paths]
    folders: dict[str, str] = {}
    for folder, _, name in split:
        if folders.setdefault(name, folder) != folder:  # cam1/0001.jpg and cam2/0001.jpg
            raise InputError(
                f"images of the same name in '{printable(folders[name], 40)}' and "
                f"'{printable(folder, 40)}': keep one recording in a file"
            )
    numbers, note = frame_numbers([name for _, _, name in split])
    found.notes += [note] if note else []
    return numbers


def _is_image(value: Json) -> bool:
    if isinstance(value, dict):  # a line of a person
        return "image_id" in value and "keypoints" in value
    return is_objects(value) and all(
        "keypoints" in person
        and "image_id" not in person
        and any(key in person for key in ("bbox", "category_id", "score"))
        for person in value
    )


def _read_image(value: Json, found: Detections) -> list[Detection]:
    people: list[Detection] = []
    for entry in [value] if isinstance(value, dict) else value:
        people += _people_of(entry, found)
    return people


#: The entries of one image, as OpenPifPaf writes a file of each.
COCO_IMAGE = FrameFormat("coco", "COCO", _is_image, _read_image)
