"""``.trc`` by OpenSim's rules, and by trc-data-reader where no cell is empty."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from motions import JOINTS, RATE, metres, motion, upright
from trc import TRCData

from posemamba_runtime.motion import Motion
from posemamba_runtime.outputs import write

Array = npt.NDArray[Any]

KEYS = [
    *("DataRate", "CameraRate", "NumFrames", "NumMarkers", "Units"),
    *("OrigDataRate", "OrigDataStartFrame", "OrigNumFrames"),
]
ROUNDED = 6e-6  # metres: the file holds hundredths of a millimetre

ROWS: dict[str, Motion] = {
    "base": motion(),
    "one frame": motion(1),
    "three persons": motion(people=3),
    "a trajectory": motion(root=True),
    "millimetres": motion(units="mm", root=True),
    "a gap": motion(people=2, gap=True),
}


def cells(line: str) -> list[str]:
    """OpenSim's FileAdapter::tokenize: what is behind the last tab counts where it is not empty."""
    parts = [part.strip() for part in line.split("\t")]
    return parts[:-1] if not parts[-1] else parts


def read_as_opensim(path: Path) -> tuple[dict[str, str], list[str], Array, Array]:
    """Header, markers, times and (frames, markers, 3); asserts what TRCFileAdapter throws at."""
    lines = path.read_text(encoding="utf-8").split("\n")
    assert lines.pop() == "", "the last line ends"
    assert lines[0].split()[0] == "PathFileType"
    keys, values = (list(filter(None, cells(line))) for line in lines[1:3])
    assert keys == KEYS
    assert len(values) == len(KEYS)
    header = dict(zip(keys, values, strict=True))
    markers = int(header["NumMarkers"])
    labels = list(filter(None, cells(lines[3])))
    assert labels[:2] == ["Frame#", "Time"]
    assert len(labels) == markers + 2
    axes = list(filter(None, cells(lines[4])))
    assert axes == [f"{axis}{n}" for n in range(1, markers + 1) for axis in "XYZ"]
    assert lines[5] == ""
    times, points = [], []
    for line in lines[6:]:
        row = cells(line)
        assert len(row) == 3 * markers + 2, "OpenSim: RowLengthMismatch"
        times.append(float(row[1]))
        points.append([float(cell) if cell else np.nan for cell in row[2:]])
    assert int(header["NumFrames"]) == len(times)
    return header, labels[2:], np.array(times), np.array(points).reshape(len(times), markers, 3)


@pytest.mark.parametrize("name", ROWS)
def test_opensims_rules(name: str, tmp_path: Path) -> None:
    given = ROWS[name]
    paths = write(tmp_path / "walk.trc", given)
    for path, one in zip(paths, given.tracks, strict=True):
        header, markers, times, points = read_as_opensim(path)
        assert header["Units"] == given.units
        assert float(header["DataRate"]) == RATE
        assert tuple(markers) == JOINTS
        assert (np.diff(times) > 0).all()
        rows = one.frames - one.frames[0]
        scale = 1e-3 if given.units == "mm" else 1.0
        place = upright(metres(one, given.units))
        np.testing.assert_allclose(points[rows] * scale, place, atol=ROUNDED)
        np.testing.assert_allclose(times[rows], one.timestamps, atol=1e-6)
        absent = np.setdiff1d(np.arange(len(points)), rows)
        assert np.isnan(points[absent]).all()
        assert len(absent) == (4 if "gap" in name else 0)


@pytest.mark.parametrize("name", [name for name in ROWS if "gap" not in name])
def test_another_reader(name: str, tmp_path: Path) -> None:
    given = ROWS[name]
    for path, one in zip(write(tmp_path / "walk.trc", given), given.tracks, strict=True):
        file = TRCData()
        file.load(str(path))
        assert file["Frame#"] == one.frames.tolist()
        scale = 1e-3 if given.units == "mm" else 1.0
        points = np.stack([np.array(file[joint]) for joint in JOINTS], axis=1) * scale
        np.testing.assert_allclose(points, upright(metres(one, given.units)), atol=ROUNDED)
