"""A made-up film of two people who cross, written the way each 2D detector writes it.

Positions are known for every joint name of every layout, so that what a reader returns can be held
against the truth and not against another reader. The layouts' joint orders stand here a second
time, from the tools' own documentation.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
EXACT = 2e-4  # pixels: recordings hold float32, which keeps seven digits
WIDTH, HEIGHT = 1280, 720
FRAMES = 80

COCO = [
    *("nose", "leye", "reye", "lear", "rear", "lsho", "rsho", "lelb", "relb", "lwri", "rwri"),
    *("lhip", "rhip", "lkne", "rkne", "lank", "rank"),
]
ORDERS: dict[str, list[str]] = {
    "coco17": COCO,
    "coco18": [
        "nose",
        "neck",
        "rsho",
        "relb",
        "rwri",
        "lsho",
        "lelb",
        "lwri",
        "rhip",
        "rkne",
        "rank",
        "lhip",
        "lkne",
        "lank",
        "reye",
        "leye",
        "rear",
        "lear",
    ],
    "trtpose18": [*COCO, "neck"],
    "body25": [
        *("nose", "neck", "rsho", "relb", "rwri", "lsho", "lelb", "lwri", "midhip", "rhip", "rkne"),
        *("rank", "lhip", "lkne", "lank", "reye", "leye", "rear", "lear"),
        *("lbig", "lsmall", "lheel", "rbig", "rsmall", "rheel"),
    ],
    "body25b": [*COCO, *["neck", "top", "lbig", "lsmall", "lheel", "rbig", "rsmall", "rheel"]],
    "halpe26": [
        *COCO,
        *["top", "neck", "midhip", "lbig", "rbig", "lsmall", "rsmall", "lheel", "rheel"],
    ],
    "mediapipe33": [
        "nose",
        "leyei",
        "leye",
        "leyeo",
        "reyei",
        "reye",
        "reyeo",
        "lear",
        "rear",
        "lmouth",
        "rmouth",
        "lsho",
        "rsho",
        "lelb",
        "relb",
        "lwri",
        "rwri",
        "lpinky",
        "rpinky",
        "lindex",
        "rindex",
        "lthumb",
        "rthumb",
        "lhip",
        "rhip",
        "lkne",
        "rkne",
        "lank",
        "rank",
        "lheel",
        "rheel",
        "lbig",
        "rbig",
    ],
    "wholebody133": [
        *COCO,
        *["lbig", "lsmall", "lheel", "rbig", "rsmall", "rheel"],
        *(f"extra{index}" for index in range(110)),
    ],
    "h36m17": [
        "midhip",
        "rhip",
        "rkne",
        "rank",
        "lhip",
        "lkne",
        "lank",
        "belly",
        "neck",
        "nose",
        "top",
        "lsho",
        "lelb",
        "lwri",
        "rsho",
        "relb",
        "rwri",
    ],
}

#: Places in body lengths of 100 pixels, the pelvis at the origin, y down.
_BODY: dict[str, tuple[float, float]] = {
    "nose": (0.03, -0.95),
    "neck": (0.0, -0.7),
    "top": (0.0, -1.15),
    "belly": (0.0, -0.35),
    "midhip": (0.0, 0.0),
    **{
        f"{side}{name}": (sign * x, y)
        for side, sign in (("l", 1), ("r", -1))
        for name, x, y in (
            *(("eye", 0.05, -1.0), ("eyei", 0.03, -1.0), ("eyeo", 0.07, -1.0)),
            *(("ear", 0.1, -0.97), ("mouth", 0.03, -0.88), ("sho", 0.22, -0.7)),
            *(("elb", 0.32, -0.4), ("wri", 0.36, -0.1), ("hip", 0.12, 0.0)),
            *(("kne", 0.14, 0.5), ("ank", 0.15, 0.95), ("big", 0.2, 1.02)),
            *(("small", 0.23, 1.01), ("heel", 0.13, 1.0)),
        )
    },
}


def person(layout: str, frame: int, who: int = 0) -> Array:
    """(joints, 2) pixels: person 0 walks to the right, person 1 to the left; they meet half way."""
    step = frame - FRAMES / 2
    x = 640 + (7.0 if who == 0 else -6.0) * step
    y, scale = (380.0, 150.0) if who == 0 else (400.0, 170.0)
    swing = 0.1 * np.sin(frame / 5 + who)
    points = []
    for index, name in enumerate(ORDERS[layout]):
        dx, dy = _BODY.get(name, (0.001 * index, -0.5))
        dx += swing * dy if name[1:] in ("elb", "wri", "kne", "ank") else 0.0
        points.append((x + dx * scale, y + dy * scale))
    return np.array(points)


def film(layout: str, frames: int = FRAMES, people: int = 1) -> Array:
    """(frames, people, joints, 2)."""
    return np.array(
        [[person(layout, frame, who) for who in range(people)] for frame in range(frames)]
    )


def triples(points: Array, confidence: float = 0.8) -> list[float]:
    """x, y, confidence, ..."""
    values: list[float] = (
        np.column_stack([points, np.full(len(points), confidence)]).ravel().tolist()
    )
    return values


def dump(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def openpose_frame(people: Sequence[Array] | Array, confidence: float = 0.8) -> dict[str, Any]:
    """A file of ``--write_json``, with every key it writes."""
    empty: dict[str, list[float]] = {
        key: []
        for key in (
            *("face_keypoints_2d", "hand_left_keypoints_2d", "hand_right_keypoints_2d"),
            *("pose_keypoints_3d", "face_keypoints_3d"),
            *("hand_left_keypoints_3d", "hand_right_keypoints_3d"),
        )
    }
    return {
        "version": 1.3,
        "people": [
            {"person_id": [-1], "pose_keypoints_2d": triples(points, confidence), **empty}
            for points in people
        ],
    }


def write_openpose(
    folder: Path, positions: Array, name: str = "clip_{:012d}_keypoints.json"
) -> Path:
    folder.mkdir(exist_ok=True, parents=True)
    for frame, people in enumerate(positions):
        dump(folder / name.format(frame), openpose_frame(people))
    return folder


def write_alphapose(path: Path, positions: Array, *, ids: bool = True) -> Path:
    entries = []
    for frame, people in enumerate(positions):
        for who, points in enumerate(people):
            low, high = points.min(0), points.max(0)
            entry = {
                "image_id": f"{frame}.jpg",
                "category_id": 1,
                "keypoints": triples(points),
                "score": 2.5,
                "box": [*low.tolist(), *(high - low).tolist()],
            }
            entries.append({**entry, "idx": [float(who)]} if ids else entry)
    return dump(path, entries)


def alphapose_cmu(positions: Array) -> dict[str, Any]:
    return {
        f"{frame}.jpg": {
            "version": "AlphaPose v0.3",
            "bodies": [{"joints": triples(points)} for points in people],
        }
        for frame, people in enumerate(positions)
    }


def coco_results(positions: Array) -> list[dict[str, Any]]:
    return [
        {
            "image_id": frame,
            "category_id": 1,
            "keypoints": triples(points),
            "score": 0.9,
            "bbox": [*points.min(0).tolist(), *np.ptp(points, axis=0).tolist()],
        }
        for frame, people in enumerate(positions)
        for points in people
    ]


def coco_annotations(positions: Array) -> dict[str, Any]:
    entries = coco_results(positions)
    for number, entry in enumerate(entries):
        entry["id"] = 1000 + number
        entry["keypoints"] = triples(np.array(entry["keypoints"]).reshape(-1, 3)[:, :2], 2)
    return {
        "images": [
            {"id": frame, "file_name": f"v/{frame:06d}.jpg", "width": WIDTH, "height": HEIGHT}
            for frame in range(len(positions))
        ],
        "annotations": entries,
        "categories": [{"id": 1, "name": "person"}],
    }


def mmpose_instances(people: Sequence[Array] | Array) -> list[dict[str, Any]]:
    return [
        {
            "keypoints": points.tolist(),
            "keypoint_scores": [0.9] * len(points),
            "bbox": [[*points.min(0).tolist(), *points.max(0).tolist()]],
            "bbox_score": 0.98,
        }
        for points in people
    ]


def mmpose_video(positions: Array) -> list[dict[str, Any]]:
    return [
        {"frame_id": frame, "instances": mmpose_instances(people)}
        for frame, people in enumerate(positions)
    ]


def mmpose_saved(positions: Array, dataset: str = "coco") -> dict[str, Any]:
    meta = {"dataset_name": dataset, "num_keypoints": int(positions.shape[2])}
    return {"meta_info": meta, "instance_info": mmpose_video(positions)}


def yolo_frame(people: Sequence[Array] | Array, *, ids: bool = True) -> list[dict[str, Any]]:
    """``Results.summary()`` of one image."""
    return [
        {
            "name": "person",
            "class": 0,
            "confidence": 0.91,
            "box": dict(zip(("x1", "y1", "x2", "y2"), [*p.min(0), *p.max(0)], strict=True)),
            **({"track_id": who + 1} if ids else {}),
            "keypoints": {
                "x": p[:, 0].tolist(),
                "y": p[:, 1].tolist(),
                "visible": [0.9] * len(p),
            },
        }
        for who, p in enumerate(people)
    ]


def write_yolo_labels(folder: Path, positions: Array, *, after: str = "") -> Path:
    """``save_txt``: box centre and size, then keypoints, in fractions; ``after``: conf or id."""
    folder.mkdir(exist_ok=True)
    size = np.array([WIDTH, HEIGHT])
    for frame, people in enumerate(positions):
        rows = []
        for who, points in enumerate(people):
            p = points / size
            box = [*(p.min(0) + p.max(0)) / 2, *np.ptp(p, axis=0)]
            values = np.column_stack([p, np.full(len(p), 0.9)]).ravel()
            row = [0, *box, *values]
            row += [0.87] if "conf" in after else []
            row += [who + 1] if "id" in after else []
            rows.append(
                " ".join(f"{value:g}" if value == int(value) else f"{value:.6f}" for value in row)
            )
        (folder / f"video_{frame + 1}.txt").write_text("\n".join(rows) + "\n", encoding="ascii")
    return folder


def mediapipe_landmarks(points: Array, visibility: float = 0.95) -> list[dict[str, float]]:
    return [
        {"x": x / WIDTH, "y": y / HEIGHT, "z": -0.1, "visibility": visibility}
        for x, y in points.tolist()
    ]


def write_videopose3d(
    path: Path, clips: dict[str, Array], layout: str = "coco", **size: int
) -> Path:
    """``data_2d_custom_*.npz`` as VideoPose3D's preparation script leaves it."""
    positions: Any = {
        name: {"custom": [points.astype(np.float32)]} for name, points in clips.items()
    }
    metadata: Any = {
        "layout_name": layout,
        "num_joints": 17,
        "keypoints_symmetry": [[1, 3], [2, 4]],
        "video_metadata": {name: size or {"w": WIDTH, "h": HEIGHT} for name in clips},
    }
    np.savez_compressed(path, positions_2d=positions, metadata=metadata)
    return path


def write_detectron(path: Path, positions: Array) -> Path:
    """``infer_video_d2.py``: a pair a frame, (people, 4, 17) of x, y, a logit and a probability."""
    keypoints, boxes = np.empty((2, len(positions), 2), object)
    for frame, people in enumerate(positions):
        rest = np.tile([[0.0], [0.05]], (len(people), 1, 17))
        keypoints[frame] = [], np.concatenate([people.transpose(0, 2, 1), rest], axis=1)
        boxes[frame] = [], np.ones((len(people), 5))
    metadata: Any = {"w": WIDTH, "h": HEIGHT}
    nothing = np.empty(len(positions), object)
    np.savez_compressed(path, boxes=boxes, segments=nothing, keypoints=keypoints, metadata=metadata)
    return path


def normalised(points: Array) -> Array:
    """The network's own units."""
    return points / WIDTH * 2 - [1, HEIGHT / WIDTH]


def lines(positions: Array, **header: Any) -> str:
    """Our newline-delimited JSON, with a header where there is anything to say."""
    documents: list[Any] = [header] if header else []
    documents += [
        {
            "frame": frame,
            "people": [
                {"person": who, "keypoints": triples(points)} for who, points in enumerate(people)
            ],
        }
        for frame, people in enumerate(positions)
    ]
    return "\n".join(json.dumps(document) for document in documents) + "\n"
