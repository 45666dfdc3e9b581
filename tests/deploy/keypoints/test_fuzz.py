"""Whatever a file holds, a reader gives a recording or one line: never a traceback.

Damage is done to good files of every format, in the text and in the structure; the time is short
here. ``POSEMAMBA_FUZZ_EXAMPLES`` runs it for longer, ``tools/fuzz.py`` for as long as is said.
"""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keypoint_damage import (
    ARCHIVES,
    DOCUMENTS,
    SIZE,
    damage_archive,
    damaged,
    damaged_bytes,
    outcome,
    write_document,
)

from posemamba_runtime.keypoints.errors import InputError
from posemamba_runtime.keypoints.reader import read

EXAMPLES = int(os.environ.get("POSEMAMBA_FUZZ_EXAMPLES", "60"))
FUZZ = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_documents_themselves_are_good(name: str, tmp_path: Path) -> None:
    """Else the damage would prove nothing."""
    assert outcome(write_document(name, DOCUMENTS[name], tmp_path), size=SIZE) is not None


@pytest.mark.parametrize("name", ARCHIVES)
def test_the_archives_themselves_are_good(name: str, tmp_path: Path) -> None:
    ARCHIVES[name](tmp_path / "k.npz")
    assert outcome(tmp_path / "k.npz") is not None


@pytest.mark.parametrize("name", DOCUMENTS)
@FUZZ
@given(seed=st.integers(0, 2**32))
def test_damaged_structures(name: str, seed: int, tmp_path: Path) -> None:
    document = damaged(DOCUMENTS[name], random.Random(seed))
    outcome(write_document(name, document, tmp_path), size=SIZE)


@pytest.mark.parametrize("name", DOCUMENTS)
@FUZZ
@given(seed=st.integers(0, 2**32))
def test_damaged_bytes(name: str, seed: int, tmp_path: Path) -> None:
    path = write_document(name, DOCUMENTS[name], tmp_path)
    path.write_bytes(damaged_bytes(path.read_bytes(), random.Random(seed)))
    outcome(path, size=SIZE)


@pytest.mark.parametrize("name", ARCHIVES)
@FUZZ
@given(seed=st.integers(0, 2**32))
def test_damaged_archives(name: str, seed: int, tmp_path: Path) -> None:
    path = tmp_path / "k.npz"
    ARCHIVES[name](path)
    damage_archive(path, random.Random(seed))
    outcome(path)


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
    outcome(tmp_path, size=SIZE)


@FUZZ
@given(
    document=st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=5)
            | st.dictionaries(
                st.sampled_from(
                    [
                        *("people", "keypoints", "frame", "image_id", "annotations", "images"),
                        *("instances", "categories", "bodies", "joints", "landmarks", "name"),
                        *("detections", "x", "y", "box", "class", "size", "rate", "timestamp"),
                    ]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=30,
    )
)
def test_documents_of_nowhere(document: Any, tmp_path: Path) -> None:
    (tmp_path / "f.json").write_text(json.dumps(document))
    outcome(tmp_path / "f.json", size=SIZE)


def test_a_time_beyond_any_float(tmp_path: Path) -> None:
    """Found by tools/fuzz.py."""
    joints = [[364.5, 237.5 + 9 * joint, 0.9] for joint in range(17)]
    frames = [{"frame": 0, "timestamp": 10**400, "keypoints": joints}]
    (tmp_path / "f.json").write_text(json.dumps(frames))
    with pytest.raises(InputError, match=r"'timestamp' is 1000.*not a number of seconds"):
        read(tmp_path / "f.json", size=SIZE)


def test_cameras_of_unlike_frames(tmp_path: Path) -> None:
    """Found by tools/fuzz.py: a list whose frames have unlike sizes."""
    positions = {"S1": {"walk": [[[[1.0, 2.0]] * 17, [[1.0, 2.0]] * 16]]}}
    metadata = {"layout_name": "coco", "num_joints": 17, "keypoints_symmetry": [[1], [2]]}
    np.savez(tmp_path / "k.npz", positions_2d=np.array(positions), metadata=np.array(metadata))
    with pytest.raises(InputError, match="'S1/walk/0' is no array of numbers"):
        read(tmp_path / "k.npz", size=SIZE)
