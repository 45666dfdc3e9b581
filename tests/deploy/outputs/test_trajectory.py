"""The root trajectory: exact on made projections, and its error on the real four-camera trial."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from motions import FOCAL, RATE, SIZE, motion, poses, project, walked

from posemamba_runtime.errors import BadArgument
from posemamba_runtime.outputs.trajectory import (
    Intrinsics,
    estimate_root,
    with_root,
)

Array = npt.NDArray[Any]

CAMERA = Intrinsics(FOCAL, (SIZE[0] / 2, SIZE[1] / 2), False)
SAME = 1e-5
"""Metres: poses and places are float32, at 4 m two roundings of 2e-7 each."""


def estimate(pixels: Array, pose: Array, camera: Intrinsics = CAMERA) -> Array:
    found = estimate_root(pixels, pose, np.arange(len(pose)) / RATE, camera)
    assert found is not None
    return found


def test_exact_where_everything_is_known() -> None:
    pose, place = poses(60), walked(60)
    found = estimate(project(pose + place[:, None]), pose)
    # A walk in a straight line passes the smoothing unchanged, but for the window's cut ends, which
    # lag by 15 mm.
    np.testing.assert_allclose(found[8:-8], place[8:-8], rtol=0, atol=SAME)
    np.testing.assert_allclose(found, place, rtol=0, atol=0.03)


def test_millimetres_give_the_same() -> None:
    pose, place = poses(20), walked(20)
    pixels = project(pose + place[:, None])
    metres, millimetres = estimate(pixels, pose), estimate(pixels, pose * 1000)
    np.testing.assert_allclose(millimetres, 1000 * metres, rtol=0, atol=1000 * SAME)


def test_one_joint_found_elsewhere_hardly_matters() -> None:
    pose, place = poses(40), walked(40)
    pixels = project(pose + place[:, None])
    pixels[:, 13] += [300.0, -200.0]
    assert np.abs(estimate(pixels, pose) - place)[8:-8].max() < 0.05


def test_pixel_noise_moves_depth_by_its_share() -> None:
    """Two pixels of noise on a person 500 pixels tall: a few centimetres of depth at 4 m."""
    pose, place = poses(60), walked(60)
    noise = np.random.default_rng(1).normal(0, 2.0, (60, 17, 2))
    error = np.abs(estimate(project(pose + place[:, None]) + noise, pose) - place)
    assert error[:, :2].mean() < 0.01
    assert error[:, 2].mean() < 0.03


def test_frames_without_keypoints_are_bridged() -> None:
    pose, place = poses(40), walked(40)
    pixels = project(pose + place[:, None])
    pixels[15:20] = np.nan
    pixels[30, 2:] = np.nan  # two joints are too few
    found = estimate(pixels, pose)
    np.testing.assert_allclose(found[8:-8], place[8:-8], rtol=0, atol=SAME)


def test_depth_scales_with_an_assumed_focal_length() -> None:
    """What is written about assumed lenses: they scale the depth."""
    pose, place = poses(40), walked(40)
    pixels = project(pose + place[:, None])
    doubled = estimate(pixels, pose, replace(CAMERA, focal=2 * FOCAL))
    # A person's own depth does not scale with it: 0.5 % at 4 m.
    assert np.median(doubled[:, 2] / place[:, 2]) == pytest.approx(2.0, rel=0.02)


def test_a_motion_gets_its_roots() -> None:
    given = motion(people=2)
    placed, camera = with_root(given, FOCAL)
    assert not camera.assumed
    assert camera.centre == CAMERA.centre
    for one, before in zip(placed.tracks, given.tracks, strict=True):
        assert one.root is not None
        expected = walked(40, before.person)
        np.testing.assert_allclose(one.root[8:-8], expected[8:-8], rtol=0, atol=SAME)
        assert one.poses_3d is before.poses_3d
    _, camera = with_root(given)
    assert camera.assumed
    assert camera.focal == 1.2 * SIZE[0]


WRONG = {
    "no height": (lambda: with_root(motion(units="network")), "--height-m"),
    "no size": (lambda: with_root(replace(motion(), size=None)), "--size"),
    "focal 0": (lambda: with_root(motion(), 0.0), "focal length of 0.0"),
    "focal NaN": (lambda: with_root(motion(), float("nan")), "focal length of nan"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_estimated(name: str) -> None:
    call, says = WRONG[name]
    with pytest.raises(BadArgument) as caught:
        call()
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_who_cannot_be_placed_has_no_root() -> None:
    """Nobody found, two joints, or all joints at one spot; the others are placed."""
    given = motion(people=2)
    for pixels in (
        np.full((40, 17, 2), np.nan),
        np.where(np.arange(17)[:, None] < 2, given.tracks[0].keypoints_2d, np.nan),
        np.full((40, 17, 2), 9.0),
    ):
        lost = replace(given.tracks[0], keypoints_2d=pixels)
        placed, _ = with_root(replace(given, tracks=(lost, given.tracks[1])), FOCAL)
        assert placed.tracks[0].root is None
        assert placed.tracks[1].root is not None
