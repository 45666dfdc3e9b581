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

from posemamba.errors import InputError
from posemamba.skeleton import JOINT_NAMES
from posemamba.text import table

Array = npt.NDArray[np.float64]

LAGS = (1, 4, 12)
"""Frames at 60 Hz."""


def errors(wheel: Path) -> list[Array]:
    """Of each view (frames, 17, 2) in the person's extent; NaN where nothing was triangulated."""
    found = []
    for view in read_views(wheel):
        seen = view.root[:, None] + view.pose  # (frames, 17, 3) metres from the camera
        truth = view.camera.project(seen @ view.camera.rotation + view.camera.centre)
        extent = np.nanmean(np.ptp(truth, axis=1).max(-1))
        found.append((view.pixels - truth) / extent)
    return found


def rows(found: list[Array]) -> list[tuple[str, ...]]:
    """Name, offset, jitter (root mean square a coordinate) in %, autocorrelation at the lags."""
    offsets = [np.nanmean(error, axis=0) for error in found]  # (17, 2) each
    moved = [error - offset for error, offset in zip(found, offsets, strict=True)]
    result = []
    for joint, name in enumerate(JOINT_NAMES):
        offset = float(np.sqrt(np.mean([part[joint] ** 2 for part in offsets])))
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
