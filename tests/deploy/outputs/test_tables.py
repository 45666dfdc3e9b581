"""``.npz``, ``.json`` and ``.csv`` read back by NumPy, json and csv."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from motions import JOINTS, RATE, SIZE, motion

from posemamba_runtime.motion import Motion
from posemamba_runtime.outputs import forward, rotations, write

ROWS: dict[str, Motion] = {
    "base": motion(),
    "one frame": motion(1),
    "three, gaps, trajectories": motion(people=3, root=True, gap=True),
    "some trajectories": dataclasses.replace(
        motion(), tracks=(motion(people=2).tracks[0], motion(people=2, root=True).tracks[1])
    ),
    "millimetres": motion(units="mm", root=True),
    "network": motion(units="network", people=2),
}
#: Half the last digit that text holds, and what float32 adds.
LAST = {"m": 6e-6, "mm": 6e-3, "network": 1e-6}


@pytest.mark.parametrize("name", ROWS)
def test_npz(name: str, tmp_path: Path) -> None:
    given = ROWS[name]
    with np.load(write(tmp_path / "walk.npz", given)[0], allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files}
    assert str(arrays["units"]) == given.units
    assert float(arrays["rate"]) == RATE
    assert tuple(arrays["size"]) == SIZE
    assert "z away from the camera" in str(arrays["axes"])
    assert "estimate" in str(arrays["root_estimate_is"])
    assert tuple(arrays["joint_names"]) == JOINTS
    assert len(arrays["person"]) == sum(len(one.frames) for one in given.tracks)
    for number, one in enumerate(given.tracks):
        rows = arrays["person"] == one.person
        np.testing.assert_array_equal(arrays["frames"][rows], one.frames)
        np.testing.assert_array_equal(arrays["timestamps"][rows], one.timestamps)
        np.testing.assert_array_equal(arrays["poses_3d"][rows], one.poses_3d)
        np.testing.assert_array_equal(arrays["filled"][rows], one.filled)
        np.testing.assert_array_equal(arrays["keypoints_2d"][rows], one.keypoints_2d)
        root = np.full((len(one.frames), 3), np.nan) if one.root is None else one.root
        np.testing.assert_array_equal(arrays["root_estimate"][rows], root)
        local = arrays["rotations"][rows].astype(np.float64)
        back = forward(local, arrays["rest_offsets"][number])
        want = forward(rotations(one.poses_3d), arrays["rest_offsets"][number])
        np.testing.assert_allclose(back, want, atol=1e-6 * np.abs(want).max() + 1e-9)


@pytest.mark.parametrize("name", ROWS)
def test_json(name: str, tmp_path: Path) -> None:
    given = ROWS[name]

    def refuse(word: str) -> Any:
        raise AssertionError(f"{word} is no JSON")

    text = write(tmp_path / "walk.json", given)[0].read_text(encoding="utf-8")
    file = json.loads(text, parse_constant=refuse)
    assert (file["units"], file["rate"], file["size"]) == (given.units, RATE, list(SIZE))
    assert file["source"] == given.source
    assert len(file["persons"]) == len(given.tracks)
    for person, one in zip(file["persons"], given.tracks, strict=True):
        assert person["person"] == one.person
        assert person["frames"] == one.frames.tolist()
        np.testing.assert_allclose(person["poses_3d"], one.poses_3d, atol=LAST[given.units])
        np.testing.assert_allclose(person["rotations"], rotations(one.poses_3d), atol=6e-6)
        pixels = np.array(person["keypoints_2d"], float)
        np.testing.assert_allclose(pixels, one.keypoints_2d, atol=6e-3)
        np.testing.assert_array_equal(person["filled"], one.filled)
        if one.root is None:
            assert person["root_estimate"] is None
        else:
            np.testing.assert_allclose(person["root_estimate"], one.root, atol=LAST[given.units])


@pytest.mark.parametrize("name", ROWS)
def test_csv(name: str, tmp_path: Path) -> None:
    given = ROWS[name]
    with write(tmp_path / "walk.csv", given)[0].open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == sum(len(one.frames) for one in given.tracks)
    number = lambda row, key: float(row[key]) if row[key] else np.nan  # noqa: E731
    for one in given.tracks:
        own = [row for row in rows if int(row["person"]) == one.person]
        assert [int(row["frame"]) for row in own] == one.frames.tolist()
        np.testing.assert_allclose([float(row["time_s"]) for row in own], one.timestamps, atol=1e-6)
        for joint, label in enumerate(JOINTS):
            points = [[number(row, f"{label}_{a}_{given.units}") for a in "xyz"] for row in own]
            np.testing.assert_allclose(points, one.poses_3d[:, joint], atol=LAST[given.units])
            pixels = [[number(row, f"{label}_{a}_px") for a in "uv"] for row in own]
            np.testing.assert_allclose(pixels, one.keypoints_2d[:, joint], atol=6e-3)
            filled = [int(row[f"{label}_filled"]) for row in own]
            np.testing.assert_array_equal(filled, one.filled[:, joint])
        root = [[number(row, f"pelvis_{a}_estimate_{given.units}") for a in "xyz"] for row in own]
        want = np.full((len(own), 3), np.nan) if one.root is None else one.root
        np.testing.assert_allclose(root, want, atol=LAST[given.units])
