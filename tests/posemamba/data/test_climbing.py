"""The climbing clips of a wheel: which file, which joints, which way up, how fast."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from climbing_wheel import FIGURE, figure, write_wheel

from posemamba.data.synthetic import climbing
from posemamba.data.synthetic.climbing import read_climbs, retarget
from posemamba.data.synthetic.motion_clips import split_motions
from posemamba.errors import InputError
from posemamba.skeleton import JOINT_NAMES, LEFT_JOINTS, PARENTS, RIGHT_JOINTS

WHEEL = "POSEMAMBA_CLIMB_WHEEL"


def test_the_17_of_the_53() -> None:
    """Against the figure's own table, turned by hand: x stays, z is up, y goes away from -z."""
    pose = dict(zip(JOINT_NAMES, retarget(figure(1).astype(float))[0], strict=True))
    for joint, (name, _) in climbing.SOURCE_JOINTS.items():
        x, y, z = FIGURE[name]
        np.testing.assert_allclose(pose[joint], [x, z, -y], atol=1e-6, err_msg=joint)
    np.testing.assert_allclose(pose["nose"], [0, 1.65, -0.10], atol=1e-6)
    np.testing.assert_allclose(pose["head"], [0, 1.80, 0], atol=1e-6)
    assert set(climbing.SOURCE_JOINTS) | {"nose", "head"} == set(JOINT_NAMES)


@pytest.mark.parametrize("unpacked", [False, True], ids=["wheel", "folder"])
def test_time_and_origin(unpacked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A centimetre a frame at 120 a second is 1.2 m/s, so 24 mm a frame at 50."""
    wheel = write_wheel(tmp_path / "w.whl", monkeypatch)
    if unpacked:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(tmp_path / "w")
        wheel = tmp_path / "w"
    motions = read_climbs(wheel)
    assert [motion.name for motion in motions] == [f"climb_{i}" for i in range(5)]
    for motion in motions:
        assert not motion.loops
        assert "claims Apache-2.0" in motion.origin
        assert "; " not in motion.origin  # which is between two origins
        assert motion.positions.shape == (
            250,
            17,
            3,
        )  # 599 steps of 1/120 s at 50 Hz, and the first
        np.testing.assert_allclose(np.diff(motion.positions[:, 0, 2]), -0.024, atol=1e-6)
    kept, held = split_motions(motions, climbing.HELD_OUT_CLIMBS)
    assert ([m.name for m in held], len(kept)) == (["climb_4"], 4)


def _change_a_byte(wheel: Path) -> None:
    path = climbing.RECORDINGS[3].path
    with zipfile.ZipFile(wheel) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    contents[path] = contents[path][:-1] + b"\0"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)


def _scramble(wheel: Path) -> None:
    content = bytearray(wheel.read_bytes())
    content[200:900] = bytes(700)
    wheel.write_bytes(content)


def _empty(wheel: Path) -> None:
    with zipfile.ZipFile(wheel, "w"):
        pass


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_change_a_byte, "f200-2600.npy: SHA-256"),
        (_scramble, "not a wheel, or damaged"),
        (_empty, "not holosoma-retargeting 0.1.0"),
        (lambda wheel: wheel.write_bytes(b"PK"), "not a wheel, or damaged"),
        (lambda wheel: wheel.unlink(), "no such file"),
    ],
    ids=["a byte", "scrambled", "empty", "no zip", "gone"],
)
def test_another_file_is_one_line(
    spoil: Callable[[Path], None], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = write_wheel(tmp_path / "w.whl", monkeypatch)
    spoil(wheel)
    with pytest.raises(InputError, match=message) as refused:
        read_climbs(wheel)
    line = str(refused.value)
    assert "w.whl" in line
    assert "pip download --no-deps holosoma-retargeting==0.1.0" in line
    assert "\n" not in line


@pytest.fixture(scope="module")
def wheel() -> Path:
    """The real wheel, 102 MB: CI downloads it and names it."""
    if WHEEL not in os.environ:
        pytest.skip(f"${WHEEL} does not name the wheel: {climbing.GET}")
    return Path(os.environ[WHEEL])


def test_the_real_climbs(wheel: Path) -> None:
    """What a wrong column, side, axis or unit would break."""
    motions = read_climbs(wheel)
    assert [len(m.positions) for m in motions] == [1167, 1010, 1255, 1001, 960]  # 2801, ... at 120
    for motion in motions:
        pose = dict(zip(JOINT_NAMES, motion.positions.swapaxes(0, 1), strict=True))
        bones = np.linalg.norm(
            motion.positions - motion.positions[:, list(PARENTS)], axis=-1
        )  # (frames, 17)
        # Rigid in the source; resampling takes 1.2 mm at most. The belly turns against the pelvis
        # at a joint that is left out, and shoulders move on their collar bones.
        spread = dict(zip(JOINT_NAMES, np.ptp(bones, axis=0), strict=True))
        assert spread.pop("belly") < 0.006
        assert max(spread.pop(f"{side}_shoulder") for side in ("left", "right")) < 0.02
        assert max(spread.values()) < 0.0013
        # Both sides are as long.
        means = bones.mean(0)
        for left, right in zip(LEFT_JOINTS, RIGHT_JOINTS, strict=True):
            assert means[left] == pytest.approx(means[right], abs=0.003)
        # Up: whoever stands at the start is 1.6 to 1.75 m from ankles to head top, feet on a floor.
        ankles = np.minimum(pose["left_ankle"][:, 1], pose["right_ankle"][:, 1])
        tallest = (pose["head"][:, 1] - ankles).max()
        assert 1.6 < tallest < 1.75
        assert 0.05 < ankles.min() < 0.15
        # Sides: toes, which are not among the 17, point where right and left say is forward.
        assert _toes_ahead(wheel, motion.name) > 0.98
        # No joint passes 8 m/s: at another rate, or in another unit, they would.
        assert np.linalg.norm(np.diff(motion.positions, axis=0), axis=-1).max() * 50 < 8


def _toes_ahead(wheel: Path, name: str) -> float:
    """Share of frames in which the toes are ahead of the ankles, by the hips' left and right."""
    recording = climbing.RECORDINGS[int(name[-1])]
    with zipfile.ZipFile(wheel) as archive, archive.open(recording.path) as stream:
        source = np.load(stream, allow_pickle=False)
    toes = source[:, 46] - source[:, 45] + source[:, 50] - source[:, 49]
    ahead = np.cross([0, 0, 1], source[:, 47] - source[:, 43])
    return float(((toes * ahead).sum(1) > 0).mean())


def test_the_rate_is_not_240(wheel: Path) -> None:
    """Nobody's centre of mass may fall faster than gravity: at most 147 frames a second.

    Segment masses as shares of the body's, Winter's table rounded; the source's rate by frames.
    """
    steepest = 0.0
    times = np.arange(17) - 8.0
    fit = np.linalg.pinv(np.stack([np.ones(17), times, times**2], 1))[2]
    for recording in climbing.RECORDINGS:
        with zipfile.ZipFile(wheel) as archive, archive.open(recording.path) as stream:
            height = np.load(stream, allow_pickle=False)[..., 2].astype(float)
        centre = 0.58 * (height[:, 0] + height[:, 3]) / 2 + 0.08 * height[:, 4]
        for thigh, knee, foot, arm, elbow in ((43, 44, 45, 6, 7), (47, 48, 49, 25, 26)):
            centre += 0.1 * (height[:, thigh] + height[:, knee]) / 2 + 0.06 * (
                0.6 * height[:, knee] + 0.4 * height[:, foot]
            )
            centre += 0.01 * (height[:, arm] + height[:, elbow])
        steepest = max(steepest, -2 * float(np.convolve(centre, fit[::-1], "valid").min()))
    assert 100 < (9.81 / steepest) ** 0.5 < 160


def test_the_real_wheel_with_a_byte_less(wheel: Path, tmp_path: Path) -> None:
    """A byte less in one clip of the real wheel, unpacked, is told."""
    with zipfile.ZipFile(wheel) as archive:
        for recording in climbing.RECORDINGS:
            archive.extract(recording.path, tmp_path)
    assert len(read_climbs(tmp_path)) == 5
    file = tmp_path / climbing.RECORDINGS[0].path
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(InputError, match="SHA-256"):
        read_climbs(tmp_path)
    shutil.rmtree(file.parent)
    with pytest.raises(InputError, match="is missing"):
        read_climbs(tmp_path)
