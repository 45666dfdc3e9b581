"""Whatever a file holds, a reader gives a recording or one line: never a traceback.

Damage is done to good files of every format, in the text and in the structure; the time is short
here. ``POSEMAMBA_FUZZ_EXAMPLES`` runs it for longer.
"""

from __future__ import annotations

import copy
import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keypoint_files as files
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from posemamba_runtime.keypoints import InputError, read
from posemamba_runtime.keypoints.complete import complete
from posemamba_runtime.keypoints.recording import Recording

EXAMPLES = int(os.environ.get("POSEMAMBA_FUZZ_EXAMPLES", "60"))
SIZE = (files.WIDTH, files.HEIGHT)
FUZZ = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

_COCO = files.film("coco17", 3, 2)
DOCUMENTS: dict[str, Any] = {
    "openpose": files.openpose_frame(files.film("body25", 1, 2)[0]),
    "openpose list": [files.openpose_frame(p) for p in files.film("coco18", 3, 2)],
    "alphapose": files.coco_results(files.film("halpe26", 3, 2)),
    "alphapose cmu": files.alphapose_cmu(files.film("coco18", 3, 2)),
    "coco": files.coco_annotations(_COCO),
    "mmpose": files.mmpose_saved(_COCO),
    "yolo": [files.yolo_frame(people) for people in _COCO],
    "mediapipe": [
        {"frame": frame, "pose_landmarks": [files.mediapipe_landmarks(p) for p in people]}
        for frame, people in enumerate(files.film("mediapipe33", 3, 2))
    ],
    "lines": [json.loads(line) for line in files.lines(_COCO, size=[1280, 720]).splitlines()],
}
ODD: list[Any] = [
    *(
        None,
        True,
        0,
        -1,
        1.5,
        1e308,
        -1e308,
        10**400,
        float("nan"),
        float("inf"),
        "",
        "7",
        "a\n\x1b[0m",
    ),
    *([], {}, [[]], [None], {"x": 1}, [1, 2], [[1, 2, 3]] * 33, "[" * 50, {"people": []}),
]


def _outcome(path: Path, **options: Any) -> Recording | None:  # noqa: ANN401
    try:
        recording = read(path, **options)
    except InputError as error:
        text = str(error)
        assert text
        assert "\n" not in text
        assert text.isprintable()
        assert len(text) < 600
        return None
    for track in recording.tracks:
        assert (np.diff(track.frames) > 0).all()
        assert (np.diff(track.timestamps) > 0).all()
        assert track.values.shape[0] == len(track.frames) == len(track.timestamps)
        seen = np.isfinite(track.values).all(axis=-1)
        assert (seen == np.isfinite(track.values).any(axis=-1)).all()
        assert np.abs(track.values[seen]).max(initial=0.0) < 1e7
        for stretch in complete(track, recording.layout).stretches:
            assert np.isfinite(stretch.points).all()
    return recording


def _places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:  # noqa: ANN401
    """Paths to everything in a document, the numbers of long lists but for the first two."""
    found = [at] if at else []
    if isinstance(value, dict):
        for key, item in value.items():
            found += _places(item, (*at, key))
    elif isinstance(value, list):
        for index, item in enumerate(value[:2] if len(value) > 8 else value):
            found += _places(item, (*at, index))
    return found


def _damage(document: Any, rng: random.Random) -> Any:  # noqa: ANN401
    """A copy with one to three things replaced, removed, doubled or moved."""
    document = copy.deepcopy(document)
    for _ in range(rng.randint(1, 3)):
        places = _places(document)
        if not places:
            break
        *way, last = rng.choice(places)
        parent = document
        for step in way:
            parent = parent[step]
        action = rng.choice(("replace", "remove", "double", "rename"))
        if action == "replace":
            parent[last] = copy.deepcopy(rng.choice(ODD))
        elif action == "remove":
            del parent[last]
        elif isinstance(parent, list):
            parent.insert(last, copy.deepcopy(parent[last]))
        elif action == "rename":
            parent[f"{last}_"] = parent.pop(last)
    return document


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_documents_themselves_are_good(name: str, tmp_path: Path) -> None:
    """Else the damage would prove nothing."""
    assert _write(name, DOCUMENTS[name], tmp_path) is not None


def _write(name: str, document: Any, folder: Path) -> Recording | None:  # noqa: ANN401
    path = folder / "f.json"
    if name == "lines" and isinstance(document, list):
        path.write_text("\n".join(map(json.dumps, document)))
    else:
        path.write_text(json.dumps(document))
    return _outcome(path, size=SIZE)


@pytest.mark.parametrize("name", DOCUMENTS)
@FUZZ
@given(seed=st.integers(0, 2**32))
def test_damaged_structures(name: str, seed: int, tmp_path: Path) -> None:
    _write(name, _damage(DOCUMENTS[name], random.Random(seed)), tmp_path)


@pytest.mark.parametrize("name", DOCUMENTS)
@FUZZ
@given(data=st.data())
def test_damaged_bytes(name: str, data: st.DataObject, tmp_path: Path) -> None:
    content = bytearray(json.dumps(DOCUMENTS[name]).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(content)) | st.just(len(content)))
    (tmp_path / "f.json").write_bytes(bytes(content[:end]))
    _outcome(tmp_path / "f.json", size=SIZE)


def _archive(path: Path) -> None:
    np.savez(path, a=files.film("h36m17", 3)[:, 0], width=1280, height=720)


def _object_archive(path: Path) -> None:
    files.write_videopose3d(path, {"v": files.film("coco17", 3)[:, 0]})


@pytest.mark.parametrize("make", [_archive, _object_archive])
@FUZZ
@given(data=st.data())
def test_damaged_archives(
    make: Callable[[Path], None], data: st.DataObject, tmp_path: Path
) -> None:
    path = tmp_path / "k.npz"
    make(path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content))
    _outcome(path, size=None)


@FUZZ
@given(
    rows=st.lists(
        st.lists(
            st.sampled_from(["0", "1", "0.5", "-1", "nan", "inf", "1e9", "x", ""]), max_size=60
        ),
        max_size=5,
    )
)
def test_odd_labels(rows: list[list[str]], tmp_path: Path) -> None:
    (tmp_path / "v_1.txt").write_text("\n".join(" ".join(row) for row in rows))
    _outcome(tmp_path, size=SIZE)


@FUZZ
@given(
    document=st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=5)
            | st.dictionaries(
                st.sampled_from(
                    [
                        *(
                            "people",
                            "keypoints",
                            "frame",
                            "image_id",
                            "annotations",
                            "images",
                            "instances",
                        ),
                        *(
                            "bodies",
                            "joints",
                            "landmarks",
                            "x",
                            "y",
                            "box",
                            "class",
                            "size",
                            "rate",
                        ),
                    ]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=30,
    )
)
def test_documents_of_nowhere(document: Any, tmp_path: Path) -> None:  # noqa: ANN401
    (tmp_path / "f.json").write_text(json.dumps(document))
    _outcome(tmp_path / "f.json", size=SIZE)
