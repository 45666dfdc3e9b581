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
def test_documents_of_nowhere(document: Any, tmp_path: Path) -> None:  # noqa: ANN401
    (tmp_path / "f.json").write_text(json.dumps(document))
    outcome(tmp_path / "f.json", size=SIZE)
