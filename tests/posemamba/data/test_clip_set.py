"""Clip sets and their file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from posemamba.data.clip_set import ClipSet, load_clip_set, save_clip_set
from posemamba.errors import InputError


def arrays() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {
        "keypoints_2d": rng.normal(size=(2, 3, 17, 2)).astype(np.float32),
        "poses_3d": rng.normal(size=(2, 3, 17, 3)).astype(np.float32),
        "mm_per_unit": np.array([900.0, 1100.0], np.float32),
        "names": ("a/c1/0", "a/c2/0"),
        "origin": "our own (Apache-2.0)",
    }


def test_there_and_back(tmp_path: Path) -> None:
    clips = ClipSet(**arrays())
    save_clip_set(tmp_path / "c.npz", clips)
    again = load_clip_set(tmp_path / "c.npz")
    for name in ("keypoints_2d", "poses_3d", "mm_per_unit"):
        np.testing.assert_array_equal(getattr(again, name), getattr(clips, name))
    assert (again.names, again.origin) == (clips.names, clips.origin)
    assert (len(again), again.frames) == (2, 3)
    assert [path.name for path in tmp_path.iterdir()] == ["c.npz"]


def with_nan(values: Any) -> Any:
    values = values.copy()
    values.flat[-1] = np.nan
    return values


BAD = [
    ("keypoints_2d", lambda v: v[..., :1], "keypoints_2d has shape"),
    ("keypoints_2d", lambda v: v[:0], "keypoints_2d has shape"),
    ("keypoints_2d", with_nan, "keypoints_2d holds"),
    ("keypoints_2d", lambda v: v * 480 + 480, "keypoints_2d reaches .*, as pixels do: normalise"),
    ("poses_3d", lambda v: v[:, :2], "poses_3d has shape"),
    ("poses_3d", with_nan, "poses_3d holds"),
    ("mm_per_unit", lambda v: v[:1], r"2 clips: mm_per_unit has shape \(1,\)"),
    ("mm_per_unit", lambda v: v * 0, "not positive"),
    ("names", lambda v: v[:1], r"names has 1"),
    ("origin", lambda v: v + "\n# Card", "origin holds a character"),
]


@pytest.mark.parametrize(("key", "change", "words"), BAD, ids=range(len(BAD)))
def test_what_does_not_fit(tmp_path: Path, key: str, change: Any, words: str) -> None:
    content = arrays()
    content[key] = change(content[key])
    with pytest.raises(InputError, match=words):
        ClipSet(**content)
    path = tmp_path / "c.npz"
    np.savez(path, **content)
    with pytest.raises(InputError, match=rf"c\.npz.*{words}"):
        load_clip_set(path)


def test_double_precision_is_refused_in_memory() -> None:
    content = arrays()
    content["poses_3d"] = content["poses_3d"].astype(np.float64)
    with pytest.raises(InputError, match="float64, not float32"):
        ClipSet(**content)


def test_a_file_from_before_origins(tmp_path: Path) -> None:
    content = arrays()
    del content["origin"]
    np.savez(tmp_path / "c.npz", **content)
    assert load_clip_set(tmp_path / "c.npz").origin == ""


@pytest.mark.parametrize("missing", ["keypoints_2d", "names"])
def test_a_missing_array(tmp_path: Path, missing: str) -> None:
    content = arrays()
    del content[missing]
    np.savez(tmp_path / "c.npz", **content)
    with pytest.raises(InputError, match=missing):
        load_clip_set(tmp_path / "c.npz")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"text"])
def test_no_such_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "c.npz"
    with pytest.raises(InputError, match="no clip set at"):
        load_clip_set(path)
    path.write_bytes(content)
    with pytest.raises(InputError, match="cannot be read"):
        load_clip_set(path)
