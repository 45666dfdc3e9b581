"""Wrong and odd inputs: one line that names the fix, exit code 2, nothing written.

The model is never opened: a wrong recording is refused before.
"""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keypoint_files as files
import numpy as np
import pytest

SIZE = (files.WIDTH, files.HEIGHT)
PERSON = files.person("coco17", 0)
FILM = files.film("coco17", 3)
CLIP = files.film("h36m17", 3)[:, 0]
YOLO = [files.yolo_frame(people) for people in FILM]
Make = Callable[[Path], object]
Refused = Callable[[list[str], str], None]


def _bytes(content: bytes, name: str = "k.json") -> Make:
    def make(here: Path) -> str:
        (here / name).write_bytes(content)
        return name

    return make


def _json(value: Any, name: str = "k.json") -> Make:
    return _bytes(json.dumps(value).encode(), name)


def _npz(**arrays: Any) -> Make:
    def make(here: Path) -> str:
        np.savez(here / "k.npz", **arrays)
        return "k.npz"

    return make


def _folder(**contents: bytes) -> Make:
    def make(here: Path) -> str:
        (here / "frames").mkdir()
        for name, content in contents.items():
            (here / "frames" / name.replace("__", ".")).write_bytes(content)
        return "frames"

    return make


def _frame(people: list[Any]) -> bytes:
    return json.dumps({"people": people}).encode()


def _changed(**change: Any) -> list[dict[str, Any]]:
    entries = files.coco_results(FILM)
    entries[1] = {**entries[1], **change}
    return entries


def _fifo(here: Path) -> str:
    os.mkfifo(here / "pipe.json")
    return "pipe.json"


def _fifo_inside(here: Path) -> str:
    files.write_openpose(here / "frames", files.film("body25", 2))
    os.mkfifo(here / "frames" / "clip_9_keypoints.json")
    return "frames"


def _unreadable_link(here: Path) -> str:
    (here / "link.json").symlink_to(here / "nowhere.json")
    return "link.json"


def _two_recordings(here: Path) -> str:
    for name in ("a", "b"):
        files.dump(here / f"{name}.json", YOLO)
    (here / "m.onnx").write_bytes(b"model")
    return "."


def _two_folders(here: Path) -> str:
    for name in ("cam1", "cam2"):
        (here / "root" / name).mkdir(parents=True)
        files.write_openpose(here / "root" / name, files.film("body25", 2))
    return "root"


def _zip(here: Path) -> str:
    with zipfile.ZipFile(here / "k.zip", "w") as archive:
        archive.writestr("a.json", "[]")
    return "k.zip"


def _lying_npz(here: Path) -> str:
    """A header that claims a terabyte."""
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000, 17, 2), }"
    header += b" " * (118 - len(header)) + b"\n"
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + b"\0" * 64
    with zipfile.ZipFile(here / "k.npz", "w") as archive:
        archive.writestr("a.npy", content)
    return "k.npz"


class _Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, ("touch pwned",))


def _evil_npz(here: Path) -> str:
    positions: Any = _Evil()
    array = np.empty((), object)
    array[()] = positions
    np.savez(here / "k.npz", positions_2d=array, metadata=array)
    return "k.npz"


def _deep_pickle(here: Path) -> str:
    nested: Any = {}
    for _ in range(60):
        nested = {"a": nested}
    np.savez(here / "k.npz", positions_2d=np.array(nested), metadata=np.array({}))
    return "k.npz"


def _videopose3d(change: Callable[[dict[str, Any], dict[str, Any]], None]) -> Make:
    def make(here: Path) -> str:
        positions: dict[str, Any] = {"v": {"custom": [FILM[:, 0]]}}
        metadata: dict[str, Any] = {
            "layout_name": "coco",
            "video_metadata": {"v": {"w": 640, "h": 400}},
        }
        change(positions, metadata)
        np.savez(here / "k.npz", positions_2d=np.array(positions), metadata=np.array(metadata))
        return "k.npz"

    return make


DEEP = b"[" * 100_000 + b"]" * 100_000
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n"

#: The input, and what the line has to say.
INPUTS: dict[str, tuple[Make, str]] = {
    # Files
    "no such file": (lambda here: "none.json", "no such file; check the path"),
    "no such folder": (lambda here: "none/f.json", "nor a folder 'none'"),
    "a NUL in the name": (lambda here: "a\0b", "cannot be read"),
    "a very long name": (lambda here: "x" * 300, "cannot be read"),
    "a pipe": (_fifo, "is a pipe or a device"),
    "a device": (lambda here: "/dev/zero", "is a pipe or a device"),
    "a broken link": (_unreadable_link, "no such file"),
    "a pipe among the frames": (_fifo_inside, "is a pipe, a device or a broken link"),
    "empty": (_bytes(b""), "is empty"),
    "blank": (_bytes(b" \n\n"), "is empty"),
    "zeros": (_bytes(b"\0" * 4096), "is empty"),
    "LFS pointer": (_bytes(LFS), "git lfs pull"),
    "LFS pointer, npz": (_bytes(LFS, "k.npz"), "git lfs pull"),
    "LFS pointer, a frame": (_folder(**{"f0__json": LFS, "f1__json": LFS}), "git lfs pull"),
    "a web page": (_bytes(b"<!DOCTYPE html><html>log in"), "web page"),
    "a web page, npz": (_bytes(b"\n <html>log in", "k.npz"), "web page"),
    "xml": (_bytes(b"<?xml version='1.0'?>"), "web page or XML"),
    "a picture": (_bytes(b"\x89PNG\r\n\x1a\n"), "PNG image"),
    "a photo": (_bytes(b"\xff\xd8\xff\xe0"), "JPEG image"),
    "a video": (_bytes(b"\0\0\0\x20ftypisom", "clip.mp4"), "is a video"),
    "gzip": (_bytes(b"\x1f\x8b\x08\0"), "unpack it"),
    "a pickle": (_bytes(pickle.dumps({"a": 1}), "k.pkl"), "is a pickle"),
    "HDF5": (_bytes(b"\x89HDF\r\n"), "HDF5"),
    "binary": (_bytes(bytes(range(128, 256))), "binary file"),
    "a zip of JSON": (_zip, "no .npz"),
    # JSON
    "truncated": (_bytes(json.dumps(YOLO).encode()[:-200]), "breaks off"),
    "truncated in a text": (_bytes(b'{"people": [{"pose_key'), "breaks off"),
    "a frame truncated": (
        _folder(f0__json=_frame([]), f1__json=_frame([{"pose_keypoints_2d": [1.0] * 75}])[:60]),
        "f1.json: breaks off",
    ),
    "single quotes": (_bytes(b"{'people': []}"), "is not JSON"),
    "two commas": (_bytes(b"[1,,2]"), "is not JSON"),
    "deeply nested": (_bytes(DEEP), "nested too deeply"),
    "a number of 5000 digits": (_bytes(b"[" + b"1" * 5000 + b"]"), "number that cannot be read"),
    "a text": (_json("hello"), "no recording of keypoints"),
    "a number": (_json(7), "no recording of keypoints"),
    "an unknown object": (_json({"foo": 1, "bar": 2}), "has 'foo', 'bar': no keypoint format"),
    "a list of numbers": (_json([1, 2, 3]), "entry 0: is '1'"),
    "a list of texts": (_json(["a", "b"]), "entry 0: is 'a'"),
    "nobody": (_json([]), "no person in 1 frame:"),
    "nobody anywhere": (_json([[], [], []]), "no person in 3 frames"),
    "nobody in a folder": (_folder(f0__json=_frame([]), f1__json=_frame([])), "no person in"),
    "null": (_json(None), "no person in"),
    "geometry": (_json({"type": "FeatureCollection", "features": []}), "no keypoint format"),
    # People
    "people of text": (_json({"people": ["a"]}), "not an object"),
    "people of other keys": (_json({"people": [{"joints": []}]}), "not 'pose_keypoints_2d'"),
    "keypoints are text": (_json({"people": [{"pose_keypoints_2d": "1 2 3"}]}), "not a list"),
    "keypoints hold text": (
        _json({"people": [{"pose_keypoints_2d": ["1.0"] * 75}]}), "hold text ('1.0')"),
    "keypoints hold objects": (
        _json({"people": [{"pose_keypoints_2d": [{}] * 25}]}), "not 'x' and 'y'"),
    "ragged keypoints": (
        _json({"people": [{"pose_keypoints_2d": [[1, 2], [3]] * 9}]}), "no plain list"),
    "12 keypoints": (_json({"people": [{"pose_keypoints_2d": [1.5] * 36 + [2.0] * 3}]}),
                     "13 keypoints a person"),
    "76 numbers": (_json({"people": [{"pose_keypoints_2d": [1.5] * 76}]}), "neither triples"),
    "a hand": (_json(_changed(keypoints=[5.0] * 63)), "people of"),
    "14 keypoints": (_json({"people": [{"pose_keypoints_2d": [9.0] * 42}]}), "14 keypoints"),
    "10000 keypoints": (_json({"people": [{"pose_keypoints_2d": [9.0] * 30000}]}), "at most 1000"),
    "3D points": (_json({"frame": 0, "keypoints": [[1, 2, 3, 4]] * 17}), "(17, 4)"),
    "huge integers": (
        _bytes(b'{"people": [{"pose_keypoints_2d": [' + b"9" * 400 + b",1,1" * 17 + b",1,1]}]}"),
        "no plain list"),
    "coordinates beyond any image": (_json([files.yolo_frame(p * 1e7) for p in FILM]), "no image"),
    "a different count": (_json([*YOLO, files.yolo_frame([files.person("halpe26", 3)])]),
                          "frame 3 of 26"),
    # Meaning
    "no size": (_json(YOLO, "nosize.json"), "--size 1920x1080"),
    "all zero": (_json([files.yolo_frame(p * 0) for p in FILM]), "(0, 0), negative or NaN"),
    "all in one place": (_json([files.yolo_frame(p * 0 + 300) for p in FILM]), "in one place"),
    "all negative": (_json([files.yolo_frame(-p) for p in FILM]), "(0, 0), negative or NaN"),
    "all NaN": (_bytes(json.dumps([files.yolo_frame(p * np.nan) for p in FILM]).encode()),
                "(0, 0), negative or NaN"),
    "confidence 0": (_json({"people": [{"pose_keypoints_2d": files.triples(PERSON, 0)}]}),
                     "every confidence is 0"),
    "confidence too low": (_json({"people": [{"pose_keypoints_2d": files.triples(PERSON, 0.05)}]}),
                           "highest is 0.05"),
    "confidence NaN": (_json({"people": [{"pose_keypoints_2d": files.triples(PERSON, np.nan)}]}),
                       "every confidence is 0"),
    "a depth": (_json({"people": [{"pose_keypoints_2d": files.triples(PERSON, -1.5)}]}), "a depth"),
    "percent": (_json({"people": [{"pose_keypoints_2d": files.triples(PERSON, 87.5)}]}),
                "percentage"),
    "from -1 to 1": (_json([files.yolo_frame(files.normalised(p)) for p in FILM]), "-1 and 1"),
    "too large for the size": (_json([files.yolo_frame(p * 3) for p in FILM]), "far outside"),
    "one frame of fractions": (_json([*YOLO, files.yolo_frame(FILM[0] / SIZE)]), "fractions"),
    "head and shoulders": (
        _json([files.yolo_frame([np.where(np.arange(17)[:, None] < 7, p[0], 0)]) for p in FILM]),
        "left_elbow, right_elbow"),
    # COCO, AlphaPose
    "no image_id": (_json(_changed(image_id=None)), "entry 1: has"),
    "image_id of a list": (_json(_changed(image_id=[1])), "no 'image_id'"),
    "image_id negative": (_json(_changed(image_id=-4)), "no frame number"),
    "image_id huge": (_json(_changed(image_id=10**30)), "no frame number"),
    "no keypoints at all": (_json([{"image_id": 1, "bbox": [1, 2, 3, 4], "score": 1}]),
                            "1 entry without keypoints left out"),
    "only a dog": (_json([{**e, "category_id": 18} for e in files.coco_results(FILM)]),
                   "of other categories"),
    "an entry is a text": (_json([*files.coco_results(FILM), "x"]), "k.json"),
    "annotations of other images": (
        _json({"images": [{"id": 77}], "annotations": files.coco_results(FILM)}), "not among"),
    "images of two sizes": (
        _json({"images": [{"id": 0, "width": 10, "height": 10}, {"id": 1, "width": 9, "height": 9}],
               "annotations": files.coco_results(FILM)}), "one camera in a file"),
    "an image of no size": (
        _json({"images": [{"id": 0, "width": 0, "height": 10}],
               "annotations": files.coco_results(FILM)}), "no width and height"),
    "names that clash": (
        _json([{**e, "image_id": f"{'0' * i}7.jpg"}
               for i, e in enumerate(files.coco_results(FILM))]), "same frame number"),
    # MMPose
    "mmpose animals": (_json(files.mmpose_saved(FILM, "ap10k")), "data set 'ap10k'"),
    "mmpose 3D": (
        _json([{"instances": [{"keypoints": [[1, 2, 3]] * 17, "keypoint_scores": [1] * 17}]}]),
        "3D poses"),
    "mmpose scores short": (
        _json([{"instances": [{"keypoints": PERSON.tolist(), "keypoint_scores": [1] * 9}]}]),
        "'keypoint_scores' of shape (9,)"),
    "mmpose instance": (_json([{"instances": [{"bbox": []}]}]), "not 'keypoints'"),
    "mmpose frame_id": (_json([{"frame_id": "x", "instances": files.mmpose_instances(FILM[0])}]),
                        "the frame number is 'x'"),
    # YOLO
    "yolo boxes": (_json([[{"name": "person", "class": 0, "box": {}}]]), "-pose model"),
    "yolo of other lengths": (
        _json([[{"name": "person", "class": 0, "box": {},
                 "keypoints": {"x": [1.0] * 17, "y": [1.0] * 16}}]]), "different lengths"),
    "yolo without y": (_json([[{"class": 0, "box": {}, "keypoints": {"x": [1.0] * 17}}]]),
                       "not 'x' and 'y'"),
    "label boxes": (_folder(a1__txt=b"0 0.5 0.5 0.2 0.2\n", a2__txt=b"0 0.5 0.5 0.2 0.2\n"),
                    "boxes alone"),
    "labels of words": (_folder(a1__txt=b"0 0.5 0.5 person\n"), "rows of numbers"),
    "labels of 40 numbers more": (_folder(a1__txt=b"0 " + b"0.5 " * 90), "a row of 91 numbers"),
    "labels in pixels": (_folder(a1__txt=b"0 " + b"500 " * 55), "where fractions are expected"),
    # MediaPipe
    "mediapipe world": (_json([{"pose_world_landmarks": [{"x": 0, "y": 0, "z": 0}] * 33}]),
                        "metres in 3D"),
    "mediapipe hands": (_json([{"landmarks": [{"x": 0.5, "y": 0.5}] * 21}]), "21 landmarks"),
    "mediapipe text": (_json([{"landmarks": "none"}]), "no list of 33"),
    # Lines
    "a damaged line": (_bytes(files.lines(FILM).encode() + b'{"frame": 9, "peo\n', "k.jsonl"),
                       "k.jsonl: line 4: breaks off"),
    "time runs back": (
        _bytes("\n".join(json.dumps({"frame": f, "timestamp": -f, "keypoints": PERSON.tolist()})
                         for f in range(3)).encode(), "k.jsonl"), "do not go up at frame"),
    "time is text": (_json({"frame": 0, "timestamp": "now", "keypoints": PERSON.tolist()}),
                     "not a number of seconds"),
    "frame is text": (_json({"frame": "one", "keypoints": PERSON.tolist()}), "number is 'one'"),
    "frame is half": (_json({"frame": 1.5, "keypoints": PERSON.tolist()}), "frame number is '1.5'"),
    "no frame number": (_json([{"keypoints": PERSON.tolist()}] * 3), "neither 'frame'"),
    "a rate of 0": (_bytes(files.lines(FILM, rate=0).encode(), "k.jsonl"), "a second is none"),
    "an unknown layout": (_bytes(files.lines(FILM, layout="coco71717").encode(), "k.jsonl"),
                          "did you mean 'coco17'?"),
    "mixed lines": (
        _bytes(f"{files.lines(FILM)}{json.dumps(files.openpose_frame([PERSON]))}".encode()),
        "where the frames before are"),
    "a frame twice": (_bytes(files.lines(FILM).encode() * 2, "k.jsonl"), "frame 0 comes twice"),
    "joints of other names": (
        _json({"frame": 0, "keypoints": [
            {"name": f"{i}" if i else "nose", "x": i, "y": 9} for i in range(17)]}), "no layout"),
    "joints by name, not alike": (
        _json({"frame": 0, "keypoints": {"nose": [1, 2, 3], "left_eye": [1, 2]}}),
        "not written alike"),
    "a joint by name, no point": (
        _json({"frame": 0, "keypoints": {"nose": [1, 2, 3], "left_eye": [1]}}),
        "'left_eye' is no x, y"),
    "scores of another count": (
        _json({"frame": 0, "keypoints": PERSON.tolist(), "scores": [1, 2]}), "shape (2,)"),
    # Folders
    "an empty folder": (_folder(), "no .json or .txt file"),
    "pictures": (_folder(a__jpg=b"\xff\xd8", b__jpg=b"\xff\xd8"), "pictures or videos"),
    "archives": (_folder(a__npz=b"PK"), "name one of them"),
    "two recordings": (_two_recordings, "holds several recordings ('"),
    "two folders": (_two_folders, "holds several recordings ('cam1', 'cam2')"),
    "a camera file among frames": (
        _folder(f1__json=_frame([{"pose_keypoints_2d": files.triples(PERSON)}]),
                f2__json=b'{"focal": 3}'), "f2.json"),
    "the same number twice": (
        _folder(**{"f1__json": _frame([]), "f01__json": _frame([])}), "same frame number"),
    "a name without a number": (
        _folder(f1__json=_frame([]), meta__json=_frame([])), "'meta.json' has no frame number"),
    # npz
    "npz that is text": (_bytes(b"hello", "k.npz"), "is not an .npz file"),
    "npz cut short": (_bytes(b"PK\x03\x04" + b"\0" * 30, "k.npz"), "damaged or cut short"),
    "npy": (_bytes(b"\x93NUMPY\x01\x00", "k.npy"), "single .npy array"),
    "npz without arrays": (_npz(), "no .npz"),
    "npz of pixels": (_npz(a=CLIP), "--size"),
    "npz of fractions": (_npz(a=CLIP / SIZE), "between 0 and 1"),
    "npz of whole numbers": (_npz(a=CLIP.astype(int)), "--size"),
    "npz with a width alone": (_npz(a=FILM[:, 0], width=3), "only 'width'"),
    "npz with a width of text": (_npz(a=FILM[:, 0], width="x", height=3), "'width' is no number"),
    "npz with a negative width": (_npz(a=FILM[:, 0], width=-3, height=3), "no width and height"),
    "npz of COCO's joints": (_npz(a=FILM[:, 0], width=1280, height=720), "say --layout coco17"),
    "npz of people in time": (
        _npz(a=files.film("h36m17", 9, 2), width=1280, height=720), "save (people, frames, 17, 2)"),
    "npz of a rate of 0": (_npz(a=FILM[:, 0], fps=0), "a second is none"),
    "detectron of other joints": (
        _npz(boxes=np.ones(1), keypoints=np.array([[[], np.ones((1, 4, 16))]], object)),
        "(people, 4, 17)"),
    "detectron without pairs": (
        _npz(boxes=np.ones(1), keypoints=np.array([None, None], object)), "is no pair"),
    "npz of 16 joints": (_npz(a=np.ones((3, 16, 2))), "16 joints"),
    "npz of 3D": (_npz(a=np.ones((3, 17, 4))), "4 values a joint"),
    "npz of one frame's shape": (_npz(a=np.ones((17, 2))), "shape (17, 2)"),
    "npz of no frames": (_npz(a=np.ones((0, 17, 2))), "at least one frame"),
    "npz of text": (_npz(a=np.full((3, 17, 2), "a")), "type <U1"),
    "npz of complex numbers": (_npz(a=np.ones((3, 17, 2), complex)), "damaged, or no numbers"),
    "npz of objects": (_npz(a=np.array([[1], [2, 3]], object)), "never loaded"),
    "npz of NaN": (_npz(a=np.full((3, 17, 2), np.nan)), "(0, 0), negative or NaN"),
    "npz that lies": (_lying_npz, "damaged, or no numbers"),
    "npz of too many clips": (
        _npz(**{f"c{i}": FILM[:, 0] for i in range(70)}, width=1280, height=720), "--clip"),
    "3D of VideoPose3D": (_npz(positions_3d=np.array({"S1": {}})), "data_2d_"),
    "a trap in VideoPose3D's": (_evil_npz, "no plain data; nothing was run"),
    "VideoPose3D's, nested": (_deep_pickle, "nested too deeply"),
    "VideoPose3D's, no videos": (_videopose3d(lambda p, m: p.clear()), "no keypoints of anybody"),
    "VideoPose3D's, no sizes": (_videopose3d(lambda p, m: m.clear()), "--size"),
    "VideoPose3D's, other joints": (_videopose3d(lambda p, m: m.update(layout_name="mpii")),
                                    "layout 'mpii' is not known"),
    "VideoPose3D's, no arrays": (_videopose3d(lambda p, m: p.update(v={"custom": ["x"]})),
                                 "no array of numbers"),
    "VideoPose3D's, no actions": (_videopose3d(lambda p, m: p.update(v=3)), "holds no actions"),
    "VideoPose3D's, one frame": (_videopose3d(lambda p, m: p.update(v={"c": [np.ones((17, 2))]})),
                                 "(frames, joints, 2)"),
    "VideoPose3D's, a size of text": (
        _videopose3d(lambda p, m: m["video_metadata"].update(v={"w": "a", "h": 3})),
        "no width and height"),
}  # fmt: skip


@pytest.mark.parametrize(("make", "says"), INPUTS.values(), ids=INPUTS.keys())
def test_inputs(make: Make, says: str, here: Path, refused: Refused) -> None:
    source = str(make(here))
    model = here.parent / f"{here.name}.onnx"
    model.write_bytes(b"model")
    size = [] if "--size" in says else ["--size", f"{files.WIDTH}x{files.HEIGHT}"]
    if "sizes" in says or "pixels" in says or "one camera" in says:
        size = []
    words = ["lift", str(model), source, "-o", "out.npz", *size]
    refused(words, says)


def test_there_are_more_than_a_hundred() -> None:
    assert len(INPUTS) > 120
