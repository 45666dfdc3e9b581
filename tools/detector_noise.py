"""How far a real detector is off, joint by joint: what ``posemamba.training.detector`` imitates.

    pip download --no-deps pose2sim==0.4.0
    python tools/detector_noise.py pose2sim-0.4.0-py3-none-any.whl

Pose2Sim's balancing person: OpenPose's joints in four calibrated views of 100 frames, against those
views' own triangulation, projected back. An error is a share of the person's extent in the image:
the longer side of the box, mean over a clip. What a joint's error is on average over a clip is its
offset, the rest its jitter. A triangulation follows the mistakes that all views share, so the real
errors are larger. One person, one motion, one detector.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import numpy.typing as npt
from root_trajectory import read_views

from posemamba.data.pose2sim import (
    MIN_CONFIDENCE,
    demo_folder,
    read_cameras,
    read_people,
    triangulate_joints,
)
from posemamba.errors import InputError
from posemamba.pose.keypoints import get_format
from posemamba.skeleton import JOINT_NAMES
from posemamba.text import table

Array = npt.NDArray[np.float64]

LAGS = (1, 4, 12)
"""Frames at 60 Hz."""


def errors(wheel: Path) -> list[Array]:
    """Of each view (frames, 17, 2) in the person's extent; NaN where a joint was not measured."""
    found = []
    for view, known in zip(read_views(wheel), measured(wheel), strict=True):
        seen = view.root[:, None] + view.pose  # (frames, 17, 3) metres from the camera
        truth = view.camera.project(seen @ view.camera.rotation + view.camera.centre)
        extent = np.nanmean(np.ptp(truth, axis=1).max(-1))
        found.append(np.where(known[..., None], (view.pixels - truth) / extent, np.nan))
    return found


def measured(wheel: Path) -> npt.NDArray[np.bool_]:
    """(views, frames, 17): what was detected and triangulated. All else was filled in between."""
    rule = get_format("body25b")
    with demo_folder(wheel) as demo:
        cameras = read_cameras(demo / "calibration" / "Calib.qca.txt")
        people = read_people(demo, [(camera.width, camera.height) for camera in cameras])
    seen, points, _ = triangulate_joints(cameras, people, rule.used)
    known = (seen[..., 2] > MIN_CONFIDENCE) & np.isfinite(points).all(-1)
    needs = [[rule.used.index(name) for name in rule.weights(joint)[0]] for joint in JOINT_NAMES]
    return np.stack([known[..., need].all(-1) for need in needs], axis=-1)


def rows(found: list[Array]) -> list[tuple[str, ...]]:
    """Name, offset, jitter (root mean square a coordinate) in %, autocorrelation at the lags."""
    offsets = [np.nanmean(error, axis=0) for error in found]  # (17, 2) each
    moved = [error - offset for error, offset in zip(found, offsets, strict=True)]
    result = []
    for joint, name in enumerate(JOINT_NAMES):
        offset = float(np.sqrt(np.nanmean([part[joint] ** 2 for part in offsets])))
        power = float(np.nanmean([part[:, joint] ** 2 for part in moved]))
        lasting = [
            float(np.nanmean([part[:-lag, joint] * part[lag:, joint] for part in moved])) / power
            for lag in LAGS
        ]
        figures = [f"{value:.2f}" for value in lasting]
        result.append((name, f"{100 * offset:.2f}", f"{100 * power**0.5:.2f}", *figures))
    return result


@click.command(help=(__doc__ or "").splitlines()[0])
@click.argument("wheel", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def main(wheel: Path) -> None:
    try:
        found = rows(errors(wheel))
    except InputError as error:
        raise click.ClickException(str(error)) from None
    header = ("joint", "offset %", "jitter %", *(f"after {lag} frames" for lag in LAGS))
    click.echo(table(header, found))


if __name__ == "__main__":
    main()
