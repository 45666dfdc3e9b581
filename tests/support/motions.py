"""Made motions for tests of what is written and shown: people who wave, step and turn."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from posemamba_runtime.motion import Motion, Track

Array = npt.NDArray[Any]

#: Joint order of Human3.6M, written out here a second time: the tests' own.
JOINTS = (
    *("root", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle"),
    *("belly", "neck", "nose", "head", "left_shoulder", "left_elbow", "left_wrist"),
    *("right_shoulder", "right_elbow", "right_wrist"),
)
PARENTS = (0, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15)
RATE = 30.0
SIZE = (1920, 1080)
FOCAL = 1400.0

#: A person who stands before the camera and faces it, metres: x right, y down, z away.
STANDING = np.array(
    [
        *[(0, 0, 0), (-0.12, 0.02, 0), (-0.13, 0.46, 0), (-0.14, 0.88, 0.03)],
        *[(0.12, 0.02, 0), (0.13, 0.46, 0), (0.14, 0.88, 0.03)],
        *[(0, -0.24, 0.01), (0, -0.48, 0), (0, -0.58, -0.07), (0, -0.72, -0.02)],
        *[(0.17, -0.45, 0), (0.24, -0.19, 0.02), (0.26, 0.05, -0.05)],
        *[(-0.17, -0.45, 0), (-0.24, -0.19, 0.02), (-0.26, 0.05, -0.05)],
    ]
)


def poses(frames: int, person: int = 0) -> Array:
    """(frames, 17, 3) metres, float32: limbs that swing, a body that turns, bones that breathe.

    Bones change their length by some millimetres, as those of a lifted pose do.
    """
    time = np.arange(frames) / RATE + 0.7 * person
    pose = np.repeat(STANDING[None], frames, axis=0)
    swing = 0.25 * np.sin(2.0 * time)[:, None]
    for chain, share in ((12, 0.6), (13, 1.6), (2, -0.4), (3, -1.0), (15, -0.6), (16, -1.6)):
        pose[:, chain, 2] += share * swing[:, 0]
        pose[:, chain, 1] -= 0.4 * abs(share) * np.abs(swing[:, 0])
    noise = np.random.default_rng(person).normal(0.0, 0.003, pose.shape)
    noise[:, 0] = 0.0
    turn = 0.8 * np.sin(0.9 * time)
    cos, sin, zero = np.cos(turn), np.sin(turn), np.zeros(frames)
    one = np.ones(frames)
    about_y = np.array([[cos, zero, sin], [zero, one, zero], [-sin, zero, cos]])
    turned: Array = np.einsum("abn,nkb->nka", about_y, pose + noise).astype(np.float32)
    return turned


def walked(frames: int, person: int = 0) -> Array:
    """(frames, 3) metres: a walk across the view, four metres away."""
    share = np.linspace(0.0, 1.0, frames)
    place = np.stack([share - 0.5 + person, 0.1 + 0 * share, 4.0 + 0.5 * share + person], axis=1)
    return np.asarray(place, dtype=np.float32)


def project(points: Array) -> Array:
    """Camera-space metres (..., 3) to pixels (..., 2), float32."""
    centre = np.array(SIZE) / 2
    pixels: Array = (FOCAL * points[..., :2] / points[..., 2:] + centre).astype(np.float32)
    return pixels


def track(frames: int, person: int = 0, *, units: str = "m", root: bool = False) -> Track:
    """One person from frame ``5 * person`` on; each third frame's left wrist was filled in."""
    numbers = np.arange(frames, dtype=np.int64) + 5 * person
    pose, place = poses(frames, person), walked(frames, person)
    pixels = project(pose + place[:, None])
    filled = np.zeros((frames, 17), bool)
    filled[::3, 13] = True
    pixels[filled] = np.nan
    scale = np.float32(1000.0 if units == "mm" else 1.0)
    return Track(
        person=person,
        frames=numbers,
        timestamps=numbers / RATE,
        poses_3d=pose * scale,
        filled=filled,
        keypoints_2d=pixels,
        root=place * scale if root else None,
    )


def motion(
    frames: int = 40, people: int = 1, *, units: str = "m", root: bool = False, gap: bool = False
) -> Motion:
    """A recording; with ``gap`` frames 12 to 15 of everybody are missing."""
    tracks = [track(frames, person, units=units, root=root) for person in range(people)]
    if gap:
        tracks = [without(one, [12, 13, 14, 15]) for one in tracks]
    return Motion(
        tracks=tuple(tracks),
        rate=RATE,
        units=units,
        size=SIZE,
        source="walk & <wave>.json",
        model="demo",
    )


def without(one: Track, frames: list[int]) -> Track:
    """The track with some frame numbers left out."""
    keep = ~np.isin(one.frames, frames)
    return replace(
        one,
        frames=one.frames[keep],
        timestamps=one.timestamps[keep],
        poses_3d=one.poses_3d[keep],
        filled=one.filled[keep],
        keypoints_2d=one.keypoints_2d[keep],
        root=None if one.root is None else one.root[keep],
    )


def metres(one: Track, units: str) -> Array:
    """(n, 17, 3) joints in the camera's axes: from the camera where the track has a trajectory."""
    places = one.poses_3d if one.root is None else one.poses_3d + one.root[:, None]
    return np.asarray(places, np.float64) * (1e-3 if units == "mm" else 1.0)


def upright(points: Array) -> Array:
    """Camera axes to x right, y up, z towards the camera; the tests' own."""
    return np.stack([points[..., 0], -points[..., 1], -points[..., 2]], axis=-1)


def bone_slack(poses_3d: Array) -> Array:
    """(n, 17) by how much a joint may move when all bones get their median length."""
    lengths = np.linalg.norm(poses_3d - poses_3d[:, PARENTS], axis=-1).astype(np.float64)
    change = np.abs(lengths - np.median(lengths, axis=0))
    slack = np.zeros_like(change)
    for joint in range(1, 17):
        slack[:, joint] = slack[:, PARENTS[joint]] + change[:, joint]
    return slack
