"""``.bvh`` read back by bvhio: joints where they were, to within the change of bones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import bvhio
import numpy as np
import numpy.typing as npt
import pytest
from motions import PARENTS, RATE, STANDING, bone_slack, metres, motion, upright

from posemamba_runtime.motion import Motion, Track
from posemamba_runtime.outputs import write

Array = npt.NDArray[Any]

MILLIMETRE = 1e-3  # bvhio computes in float32, the file holds micrometres and millionths of degrees

#: Node at the place of each joint; None for the ends of chains.
NODE_AT = {
    0: "Hips",
    1: "RightUpLeg",
    2: "RightLeg",
    4: "LeftUpLeg",
    5: "LeftLeg",
    7: "Spine1",
    8: "Neck",
    9: "Head",
    11: "LeftArm",
    12: "LeftForeArm",
    14: "RightArm",
    15: "RightForeArm",
}
ENDS = {3: "RightLeg", 6: "LeftLeg", 10: "Head", 13: "LeftForeArm", 16: "RightForeArm"}

ROWS: dict[str, Motion] = {
    "base": motion(),
    "one frame": motion(1),
    "three persons": motion(people=3),
    "a trajectory": motion(root=True),
    "millimetres": motion(units="mm", root=True),
}


def read(path: Path) -> Array:
    """(frames, 17, 3) metres: what a program that imports the file puts where."""
    root = bvhio.readAsHierarchy(str(path))
    file = bvhio.readAsBvh(str(path))
    lengths = {node.Name: np.linalg.norm(node.EndSite) for node, _, _ in file.Root.layout()}
    points = np.empty((file.FrameCount, 17, 3))
    for frame in range(file.FrameCount):
        root.loadPose(frame)
        nodes = {node.Name: node for node, _, _ in root.layout()}
        for joint, name in NODE_AT.items():
            points[frame, joint] = nodes[name].PositionWorld
        for joint, name in ENDS.items():  # bvhio lays a bone along its node's y axis
            node = nodes[name]
            points[frame, joint] = node.PositionWorld + node.UpWorld * float(lengths[name])
    return points


def expected(one: Track, units: str) -> tuple[Array, Array]:
    """Joints y up, and by how much constant bones may move them; metres."""
    scale = 1e-3 if units == "mm" else 1.0
    return upright(metres(one, units)), bone_slack(one.poses_3d * np.float32(scale))


@pytest.mark.parametrize("name", ROWS)
def test_joints_come_back(name: str, tmp_path: Path) -> None:
    given = ROWS[name]
    first = min(one.frames[0] for one in given.tracks)
    paths = write(tmp_path / "walk.bvh", given)
    assert len(paths) == len(given.tracks)
    for path, one in zip(paths, given.tracks, strict=True):
        points = read(path)[one.frames - first]
        place, slack = expected(one, given.units)
        error = np.linalg.norm(points - place, axis=-1)
        assert (error <= slack + MILLIMETRE).all(), f"{error.max():.4f} m"


def test_bones_are_constant_and_of_median_length(tmp_path: Path) -> None:
    given = motion()
    points = read(write(tmp_path / "walk.bvh", given)[0])
    lengths = np.linalg.norm(points - points[:, PARENTS], axis=-1)
    assert np.ptp(lengths, axis=0).max() < MILLIMETRE
    pose = given.tracks[0].poses_3d
    median = np.median(np.linalg.norm(pose - pose[:, PARENTS], axis=-1), axis=0)
    np.testing.assert_allclose(lengths[0], median, atol=MILLIMETRE)


def test_rate_and_gaps(tmp_path: Path) -> None:
    """All persons' files run over the recording's frames; gaps are bridged, ends are held."""
    given = motion(people=2, gap=True)
    paths = write(tmp_path / "walk.bvh", given)
    for path, one in zip(paths, given.tracks, strict=True):
        file = bvhio.readAsBvh(str(path))
        assert file.FrameCount == 45  # 0 to 44: the second person comes five frames later
        assert pytest.approx(1 / RATE, abs=1e-7) == file.FrameTime
        points = read(path)
        assert np.isfinite(points).all()
        place, slack = expected(one, given.units)
        error = np.linalg.norm(points[one.frames] - place, axis=-1)
        assert (error <= slack + MILLIMETRE).all()
        between = np.linalg.norm(np.diff(points[11:17], axis=0), axis=-1)
        assert between.max() < 0.05, "no jump over the gap: 0.05 m is 1.5 m/s"
    held = read(paths[1])
    np.testing.assert_allclose(held[:5], np.broadcast_to(held[5], (5, 17, 3)), atol=MILLIMETRE)


def test_angles_do_not_jump(tmp_path: Path) -> None:
    """Turns past half a circle go on: programs interpolate between the numbers of the file."""
    spin = np.linspace(0, 4 * np.pi, 80)
    cos, sin, zero, one = np.cos(spin), np.sin(spin), 0 * spin, 0 * spin + 1
    about_y = np.array([[cos, zero, sin], [zero, one, zero], [-sin, zero, cos]])
    pose = np.einsum("abn,kb->nka", about_y, STANDING)
    given = motion(80)
    spinning = replace(given.tracks[0], poses_3d=pose.astype(np.float32))
    path = write(tmp_path / "spin.bvh", replace(given, tracks=(spinning,)))[0]
    lines = path.read_text().splitlines()
    rows = np.array([line.split() for line in lines[lines.index("MOTION") + 3 :]], float)
    # 9 degrees a frame, and more where the leaning spine passes the axes
    assert np.abs(np.diff(rows[:, 3:6], axis=0)).max() < 20


def test_names_that_tools_know(tmp_path: Path) -> None:
    text = write(tmp_path / "walk.bvh", motion())[0].read_text()
    names = [line.split()[1] for line in text.splitlines() if line.split()[0] in ("ROOT", "JOINT")]
    assert len(names) == len(set(names)) == 17
    assert {"Hips", "Spine", "Neck", "Head", "LeftArm", "LeftForeArm", "LeftUpLeg", "LeftLeg"} <= {
        *names
    }
