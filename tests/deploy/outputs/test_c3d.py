"""``.c3d``, written through ezc3d, read back by the package c3d, which shares no code with it."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import c3d
import numpy as np
import numpy.typing as npt
import pytest
from motions import JOINTS, RATE, metres, motion, upright

from posemamba_runtime.errors import BadArgument
from posemamba_runtime.motion import Motion
from posemamba_runtime.outputs import write

Array = npt.NDArray[Any]

FLOAT32 = 1e-6  # metres; the file holds float32

ROWS: dict[str, Motion] = {
    "base": motion(),
    "one frame": motion(1),
    "three persons, gaps": motion(people=3, gap=True, root=True),
    "millimetres": motion(units="mm", root=True),
}


def read(path: Path) -> tuple[c3d.Reader, list[str], Array, Array]:
    """The reader, labels, points (frames, points, 3) and whether each was seen."""
    with path.open("rb") as stream, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="No analog data")
        reader = c3d.Reader(stream)
        frames = np.stack([points for _, points, _ in reader.read_frames()])
        labels = [label.strip() for label in reader.point_labels]
    return reader, labels, frames[..., :3], frames[..., 3] >= 0


@pytest.mark.parametrize("name", ROWS)
def test_joints_come_back(name: str, tmp_path: Path) -> None:
    given = ROWS[name]
    reader, labels, points, seen = read(write(tmp_path / "walk.c3d", given)[0])
    assert reader.point_rate == RATE
    assert reader.get("POINT:UNITS").string_value.strip() == given.units
    assert reader.get("POINT:Y_SCREEN").string_value == "+Y"
    assert "y up" in reader.get("POSEMAMBA:AXES").string_value
    scale = 1e-3 if given.units == "mm" else 1.0
    for index, one in enumerate(given.tracks):
        columns = slice(17 * index, 17 * index + 17)
        prefix = f"person{one.person}:" if len(given.tracks) > 1 else ""
        assert labels[columns] == [prefix + joint for joint in JOINTS]
        place = upright(metres(one, given.units))
        np.testing.assert_allclose(points[one.frames, columns] * scale, place, atol=FLOAT32)
        there = np.zeros(len(points), bool)
        there[one.frames] = True
        np.testing.assert_array_equal(seen[:, columns], np.repeat(there[:, None], 17, axis=1))


def test_a_recording_that_starts_late(tmp_path: Path) -> None:
    """C3D counts from 1."""
    late = motion(10, people=2)
    given = Motion(late.tracks[1:], RATE, "m", late.size, "late.json", "demo")
    reader, _, points, _ = read(write(tmp_path / "late.c3d", given)[0])
    assert (reader.first_frame, reader.last_frame, len(points)) == (6, 15, 10)


LONG = {
    "the longest": (np.arange(65_534), None),
    "one more": (np.arange(65_535), "65534"),
    "late": (np.arange(65_530, 65_540), "65539"),
    "before 0": (np.arange(-2, 8), "-2"),
}


@pytest.mark.parametrize("name", LONG)
def test_frame_numbers_are_16_bits(name: str, tmp_path: Path) -> None:
    numbers, says = LONG[name]
    one = motion(len(numbers)).tracks[0]
    given = replace(motion(1), tracks=(replace(one, frames=numbers),))
    if says:
        with pytest.raises(BadArgument, match=says):
            write(tmp_path / "long.c3d", given)
        return
    with write(tmp_path / "long.c3d", given)[0].open("rb") as stream:
        reader = c3d.Reader(stream)
        assert (reader.first_frame, reader.last_frame) == (1, len(numbers))
        _, points, _ = next(reader.read_frames())
    np.testing.assert_allclose(points[:, :3], upright(metres(one, "m"))[0], atol=FLOAT32)
