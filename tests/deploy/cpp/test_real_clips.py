"""Real clips through the demonstration network in ONNX Runtime give PyTorch's poses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from places import TINY
from policy_oracle import Network, Oracle, Settings
from runtime_api import Lifter
from stream_driving import Array, assert_poses, drive

from pmexport import custom_op_library
from pmexport.exporting.export import ExportOptions, export_onnx
from posemamba import load_checkpoint
from posemamba.model.network import PoseMamba
from posemamba.pose.clips import bundled_clips
from posemamba.pose.preprocess import denormalize_2d, normalize_2d

#: What every fp32 model is held to. Measured: at most 2e-6.
ATOL = 2e-5
CLIPS = tuple(bundled_clips())


def as_network(model: PoseMamba) -> Network:
    def lift(clips: Array) -> Array:
        with torch.inference_mode():
            poses: Array = model(torch.from_numpy(np.ascontiguousarray(clips))).numpy()
        return poses

    return lift


@pytest.fixture(scope="module")
def torch_network(network: PoseMamba) -> Network:
    return as_network(network)


@pytest.fixture(scope="module")
def tiny() -> PoseMamba:
    """Up to 27 frames, and quick to export."""
    return load_checkpoint(TINY)


def pixels(name: str) -> Array:
    values: Array = denormalize_2d(bundled_clips()[name], 1920, 1080)
    return values


@pytest.mark.parametrize("name", CLIPS)
def test_lift_is_the_network(name: str, lifter: Lifter, torch_network: Network) -> None:
    clip = bundled_clips()[name]
    clips = np.stack([clip[start : start + 81] for start in (0, 9, 19)])
    np.testing.assert_allclose(lifter.lift(clips), torch_network(clips), rtol=0, atol=ATOL)


@pytest.mark.parametrize(
    "options",
    [
        {"policy": "last"},
        {"policy": "center", "window": 81, "flip": 1, "hop": 16},
        {"policy": "center", "window": 27, "hop": 5},
        {"policy": "lag", "lag": 5, "window": 27, "height_m": 1.8, "hop": 6},
        {"policy": "blend", "window": 27, "hop": 9},
        {"policy": "blend", "window": 81, "hop": 20, "smoothing": 0.3, "rate": 60.0},
    ],
    ids=str,
)
def test_streams_give_pytorchs_poses(
    options: dict[str, Any], lifter: Lifter, torch_network: Network
) -> None:
    chosen = Settings(**{"window": 81, "hop": 12, **options})
    values = pixels("balancing_cam1").astype(np.float32)
    found = drive(lifter, lifter.stream(**chosen.options()), {0: values}, [7, 30, 1])[0]
    times = np.arange(len(values)) / 60.0
    assert_poses(found, Oracle(values, torch_network, chosen).poses(times), ATOL)


@pytest.mark.parametrize("count", [1, 8])
def test_several_persons(count: int, lifter: Lifter, torch_network: Network) -> None:
    chosen = Settings(window=27, policy="center", hop=15)
    people = {
        person: pixels(CLIPS[person % 4]).astype(np.float32)[person : person + 45]
        for person in range(count)
    }
    found = drive(lifter, lifter.stream(**chosen.options()), people, [13, 40])
    for person, values in people.items():
        assert_poses(found[person], Oracle(values, torch_network, chosen).poses(), ATOL)


def _long(name: str, frames: int) -> Array:
    """A clip forwards and backwards until it is long enough: no jump in it."""
    clip = pixels(name)
    there_and_back = np.concatenate([clip, clip[-2:0:-1]])
    return np.concatenate([there_and_back] * 5)[:frames].astype(np.float32)


def _speed_errors(poses: Array, clip: Array, lifter: Lifter, places: list[int]) -> Array:
    """How far the poses' speed between frames k and k + 1 is from that of centred windows.

    A window centred on each frame is the smoothest the same network gives: nothing is joined in it.
    """
    windows = np.stack([clip[k - 13 : k + 14] for place in places for k in (place, place + 1)])
    centred = lifter.lift(windows)[:, 13]
    centred = (centred - centred[:, :1]).reshape(len(places), 2, 17, 3)
    speeds = np.stack([poses[place + 1] - poses[place] for place in places])
    errors: Array = np.linalg.norm(speeds - np.diff(centred, axis=1)[:, 0], axis=-1).mean(axis=-1)
    return errors


@pytest.mark.parametrize("frames", [100, 700])
def test_blend_has_no_seams(frames: int, lifter: Lifter) -> None:
    """Speed at the joins is like elsewhere; where whole clips are put together, it is not."""
    values = _long("balancing_cam1", frames)
    chosen = Settings(window=27, policy="blend", hop=13)
    found = drive(lifter, lifter.stream(**chosen.options()), {0: values}, [100])[0]
    poses = np.stack([found[frame].joints for frame in range(frames)])
    clip = normalize_2d(values, 1920, 1080)
    starts = range(0, frames - 26, 13)
    joins = {*starts[1:], *(start + 27 for start in starts), starts[-1] + 13}
    inner = [place for place in range(14, frames - 15) if place < 200]
    at = [place for place in inner if place + 1 in joins]
    elsewhere = [place for place in inner if place not in at and place % 5 == 0]
    here = _speed_errors(poses, clip, lifter, at)
    there = _speed_errors(poses, clip, lifter, elsewhere)
    # Measured with all places of 700 frames: medians 0.0011 and 0.0008, most 0.0019 and 0.0052.
    assert np.median(here) <= 2 * np.median(there)
    assert here.max() <= 1.5 * there.max()
    cut = np.concatenate([lifter.lift(clip[None, s : s + 27])[0] for s in range(0, frames, 27)])
    cuts = [place for place in inner if (place + 1) % 27 == 0]
    jumps = _speed_errors(cut - cut[:, :1], clip, lifter, cuts)
    assert np.median(jumps) > 10 * np.median(here)  # 40 times: the test sees a seam where one is


@pytest.mark.parametrize(("batch", "frames"), [(4, None), (None, 9), (4, 27)])
def test_files_of_fixed_sizes(
    batch: int | None,
    frames: int | None,
    tiny: PoseMamba,
    lifter: Lifter,
    ort_library: Path,
    tmp_path: Path,
) -> None:
    """Exported with --batch and --frames: the session's sizes count, batches are filled up."""
    path = tmp_path / "fixed.onnx"
    export_onnx(tiny, path, ExportOptions(batch=batch, frames=frames))
    fixed = lifter.runtime.open(
        path, runtime_library=ort_library, op_library=custom_op_library(), threads=1
    )
    most = frames or 27
    assert fixed.info["frames"] == {"min": frames or 1, "max": most}
    assert fixed.info["batch"] == {"min": batch or 1, "max": batch}
    clips = np.stack([bundled_clips()[name][:most] for name in CLIPS] * 2)[:5]
    np.testing.assert_allclose(fixed.lift(clips), as_network(tiny)(clips), rtol=0, atol=ATOL)
    chosen = Settings(window=most, policy="last", hop=20, flip=1)
    values = pixels("balancing_cam2").astype(np.float32)[:40]
    found = drive(fixed, fixed.stream(**chosen.options()), {0: values}, [9])[0]
    expected = Oracle(values, as_network(tiny), chosen, shortest=frames or 1).poses()
    assert_poses(found, expected, ATOL)
    fixed.close()


def test_sizes_fixed_afterwards(
    model_file: Path, lifter: Lifter, ort_library: Path, tmp_path: Path, torch_network: Network
) -> None:
    """Another tool wrote 9 frames into the file; its metadata still says 81."""
    model = onnx.load(model_file)
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 9
    path = tmp_path / "nine.onnx"
    onnx.save(model, path)
    nine = lifter.runtime.open(path, runtime_library=ort_library, op_library=custom_op_library())
    assert nine.info["frames"] == {"min": 9, "max": 9}
    clips = bundled_clips()["balancing_cam3"][None, :9]
    np.testing.assert_allclose(nine.lift(clips), torch_network(clips), rtol=0, atol=ATOL)


def test_standard_operators_need_no_library(
    tiny: PoseMamba, lifter: Lifter, ort_library: Path, tmp_path: Path
) -> None:
    path = tmp_path / "standard.onnx"
    export_onnx(tiny, path, ExportOptions(ops="standard"))
    plain = lifter.runtime.open(path, runtime_library=ort_library)
    assert plain.info["op_library"] is None
    clips = bundled_clips()["balancing_cam4"][None, :9]
    np.testing.assert_allclose(plain.lift(clips), as_network(tiny)(clips), rtol=0, atol=ATOL)
