"""What is done to keypoints in training: each switch does its own, by the seed alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from posemamba.pose.preprocess import MIRROR
from posemamba.training import detector
from posemamba.training.config import TrainConfig
from posemamba.training.detector import degraded

SWITCHES = ("noise", "drop_joints", "jitter", "offset", "swap_sides", "lose_limbs")
CLIPS, FRAMES = 40, 243
EXTENT = 0.6


def keypoints() -> Tensor:
    """(CLIPS, FRAMES, 17, 2): everybody's box is EXTENT high; every joint and frame differ."""
    rng = np.random.default_rng(0)
    points = rng.uniform(-0.1, 0.1, (CLIPS, FRAMES, 17, 2))
    points[:, :, 0, 1], points[:, :, 10, 1] = EXTENT / 2, -EXTENT / 2
    return torch.from_numpy(points.astype(np.float32))


def change(points: Tensor, seed: int = 0, **switches: float) -> Tensor:
    generator = torch.Generator()
    generator.manual_seed(seed)
    return degraded(points, TrainConfig(**switches), generator)  # type: ignore[arg-type]


def test_all_off_changes_nothing() -> None:
    points = keypoints()
    assert torch.equal(change(points), points)


@pytest.mark.parametrize("switch", SWITCHES)
def test_one_switch_alone_by_the_seed(switch: str) -> None:
    points, before = keypoints(), keypoints()
    once = change(points, **{switch: 0.1})
    assert torch.equal(points, before)  # the set's own clips stay
    assert not torch.equal(once, points)
    assert torch.equal(once, change(points, **{switch: 0.1}))
    assert not torch.equal(once, change(points, 1, **{switch: 0.1}))


def test_jitter_is_a_share_of_the_person_and_lasts() -> None:
    off = (change(keypoints(), jitter=0.02) - keypoints()).numpy()
    # The mean over joints of the variance is (share * extent)^2; 330,000 values, the lasting ones a
    # tenth as many: 2 % is several standard errors.
    assert np.sqrt((off**2).mean()) == pytest.approx(0.02 * EXTENT, rel=0.02)
    larger = (change(2 * keypoints(), jitter=0.02) - 2 * keypoints()).numpy()
    np.testing.assert_allclose(larger, 2 * off, atol=1e-6)
    spread = np.sqrt((off**2).mean((0, 1, 3)))
    assert spread[13] / spread[7] == pytest.approx(
        detector.SPREAD["wrist"] / detector.SPREAD["belly"], rel=0.1
    )
    unit = off / spread[:, None]
    for lag in (1, 5, 12):
        lasting = float((unit[:, :-lag] * unit[:, lag:]).mean())
        assert lasting == pytest.approx(
            detector.LASTING * np.exp(-lag / detector.JITTER_TIME), abs=0.02
        )


def test_offset_stays_for_the_clip() -> None:
    off = (change(keypoints(), offset=0.02) - keypoints()).numpy()
    np.testing.assert_allclose(off, np.broadcast_to(off[:, :1], off.shape), atol=1e-6)
    # 40 clips of 34 numbers: the error of a standard deviation is 1 in sqrt(2 * 1360), 2 %.
    assert off[:, 0].std() == pytest.approx(0.02 * EXTENT, rel=0.1)


def test_sides_are_exchanged_together() -> None:
    points = keypoints()
    changed = change(points, swap_sides=0.25)
    mirrored = points[:, :, list(MIRROR)]
    shares = []
    for joints in (list(detector.ARMS_AND_LEGS[0]), list(detector.ARMS_AND_LEGS[1])):
        same = (changed[:, :, joints] == points[:, :, joints]).all(-1).all(-1)
        other = (changed[:, :, joints] == mirrored[:, :, joints]).all(-1).all(-1)
        assert bool((same ^ other).all())
        shares.append(float(other.float().mean()))
    middle = [0, 7, 8, 9, 10]
    assert torch.equal(changed[:, :, middle], points[:, :, middle])
    # 40 clips of 31 spans: a standard error of 0.012.
    assert shares == pytest.approx([0.25, 0.25], abs=0.05)


@pytest.mark.parametrize(
    ("switch", "span", "groups"),
    [
        ("drop_joints", detector.HELD_FRAMES, [(joint,) for joint in range(17)]),
        ("lose_limbs", detector.HIDDEN_FRAMES, list(detector.LIMBS)),
    ],
)
def test_what_is_lost_stays_where_it_was(
    switch: str, span: int, groups: list[tuple[int, ...]]
) -> None:
    points = keypoints()
    changed = change(points, **{switch: 0.2})
    first = torch.arange(FRAMES) // span * span
    held = points[:, first]
    moved = (changed != points).any(-1)  # (clips, frames, joints)
    assert torch.equal(changed[moved], held[moved])
    assert not bool(moved[:, first.unique()].any())  # a span's own first frame is as it was
    touched = {joint for group in groups for joint in group}
    assert set(torch.where(moved.any(0).any(0))[0].tolist()) == touched
    for group in groups:  # all of a limb, or none of it
        assert all(torch.equal(moved[:, :, group[0]], moved[:, :, joint]) for joint in group)
    later = first != torch.arange(FRAMES)
    share = float(moved[:, later][:, :, sorted(touched)].float().mean())
    assert share == pytest.approx(0.2, abs=0.03)  # 1,600 draws at least: an error of 0.01
