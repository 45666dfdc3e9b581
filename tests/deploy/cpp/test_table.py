"""The generated table of keypoint formats, and what the library makes of it."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from places import ROOT
from runtime_api import Lifter
from stream_driving import recording, with_holes

from posemamba.pose.keypoints import detections_to_h36m
from posemamba.pose.preprocess import normalize_2d
from posemamba_runtime.keypoints.layouts import LAYOUTS

TABLE = ROOT / "deploy" / "cpp" / "src" / "formats" / "keypoint_table.inc"


def test_table_is_the_generated_one() -> None:
    path = ROOT / "tools" / "make_keypoint_table.py"
    spec = importlib.util.spec_from_file_location("make_keypoint_table", path)
    assert spec is not None
    assert spec.loader is not None
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    assert TABLE.read_text(encoding="utf-8") == maker.table()


@pytest.mark.parametrize("columns", [2, 3])
@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("name", LAYOUTS)
def test_conversion_is_posemambas(
    name: str, holes: bool, columns: int, stand_in_lifter: Lifter
) -> None:
    """x and y of the stand-in's poses tell the normalised joints that went in."""
    values = recording(1, 27, len(LAYOUTS[name].joints), columns=columns)
    if holes:
        values = with_holes(2, values, 0.2)
    stream = stand_in_lifter.stream(
        keypoints=name, width=1920, height=1080, policy="lag", lag=26, window=27
    )
    for frame, points in enumerate(values):
        stream.push(frame, points)
    stream.flush()
    stand_in_lifter.step()
    (pose, *_) = stream.poses()  # of frame 0, whose window is the whole recording
    found = ~np.isfinite(values[..., :2]).all(axis=-1)
    found |= (values[..., :2] == 0).all(axis=-1) | (values[..., :2] < 0).all(axis=-1)
    clean = values.astype(np.float64)
    clean[found] = np.nan
    joints = normalize_2d(detections_to_h36m(clean, name), 1920, 1080)
    expected_x = joints[0, :, 0] + 0.1 * joints[-1, :, 0]
    np.testing.assert_allclose(pose.joints[:, 0], expected_x - expected_x[0], atol=1e-6)
    expected_y = joints[0, :, 1] + 0.01 * np.arange(17)
    np.testing.assert_allclose(pose.joints[:, 1], expected_y - expected_y[0], atol=1e-6)
    used = LAYOUTS[name].used
    missing = {joint for joint in used if np.isnan(_of(clean, name, joint)).any()}
    filled = [
        any(source in missing for source in LAYOUTS[name].sources(joint)) for joint in _joints()
    ]
    assert pose.filled == sum(1 << index for index, bit in enumerate(filled) if bit)


@pytest.mark.parametrize("name", ["COCO-17", "BODY_25B", "WholeBody-133"])
def test_names_are_forgiving(name: str, stand_in_lifter: Lifter) -> None:
    stand_in_lifter.stream(keypoints=name, width=1920, height=1080).close()


def _joints() -> tuple[str, ...]:
    from posemamba.skeleton import JOINT_NAMES

    return JOINT_NAMES


def _of(values: np.ndarray, name: str, joint: str) -> np.ndarray:  # type: ignore[type-arg]
    point = values[0, LAYOUTS[name].joints.index(joint)]
    return np.array([np.nan]) if values.shape[-1] == 3 and not point[2] > 0 else point[:2]
