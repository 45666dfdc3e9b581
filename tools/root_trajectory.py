"""The error of the estimated root trajectory on a real trial, in millimetres.

    pip download --no-deps pose2sim==0.4.0
    python tools/root_trajectory.py pose2sim-0.4.0-py3-none-any.whl

Pose2Sim's balancing person: four calibrated cameras, 100 frames, 3.2 to 3.8 m away. Truth is the
middle of the hips, triangulated from all four cameras and seen by each; what is estimated from one
camera's keypoints is compared with it. Rows of a camera:

- ``true pose``: the triangulated pose and the calibrated lens: what the method itself costs.
- ``lifted``: the bundled S network's pose, scaled to the person's true bones, and that lens.
- ``lens assumed``: the same with the focal length nobody measured, 1.2 longer sides of the image.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt

from posemamba import load_checkpoint
from posemamba.checkpoint.bundled import demo_checkpoint
from posemamba.data.multiview import Camera
from posemamba.data.pose2sim import (
    MIN_CONFIDENCE,
    demo_folder,
    read_cameras,
    read_people,
    read_trial,
    triangulate_joints,
)
from posemamba.model.lift import as_lift
from posemamba.pose.keypoints import detections_to_h36m
from posemamba.pose.lift import with_flip
from posemamba.pose.preprocess import normalize_2d
from posemamba.skeleton import PARENTS
from posemamba_runtime.outputs.trajectory import Intrinsics, estimate_root, intrinsics

Array = npt.NDArray[np.float64]

RATE = 60.0
HIPS = ("right_hip", "left_hip")


@dataclass(frozen=True)
class View:
    """One camera's share of the trial: pixels (frames, 17, 2), poses and root in metres."""

    camera: Camera
    pixels: Array
    pose: Array
    root: Array


def read_views(wheel: Path) -> Iterator[View]:
    """The four cameras; ``root`` is NaN where no two agree on both hips."""
    with demo_folder(wheel) as demo:
        cameras = read_cameras(demo / "calibration" / "Calib.qca.txt")
        people = read_people(demo, [(camera.width, camera.height) for camera in cameras])
    _, hips, _ = triangulate_joints(cameras, people, HIPS)
    pelvis = hips.mean(1)
    clips = read_trial(wheel).triangulated
    for number, camera in enumerate(cameras):
        yield View(
            camera,
            detections_to_h36m(people[number], "body25b", min_confidence=MIN_CONFIDENCE),
            clips.poses_3d[number].astype(np.float64) * clips.mm_per_unit[number] / 1000.0,
            camera.to_camera(pelvis),
        )


def bones(poses: Array) -> float:
    """Sum of the bones' median lengths."""
    lengths = np.linalg.norm(poses - poses[:, list(PARENTS)], axis=-1)
    return float(np.median(lengths, axis=0).sum())


def row(name: str, estimate: Array | None, truth: Array) -> str:
    """Mean distance, sideways and in depth, and what is left without the constant offset."""
    assert estimate is not None
    off = 1000.0 * (estimate - truth)[np.isfinite(truth).all(-1)]
    moved = off - off.mean(0)
    figures = (
        np.linalg.norm(off, axis=-1).mean(),
        np.linalg.norm(off[:, :2], axis=-1).mean(),
        np.abs(off[:, 2]).mean(),
        np.linalg.norm(moved, axis=-1).mean(),
    )
    return f"| {name} | " + " | ".join(f"{figure:.0f}" for figure in figures) + " |"


@click.command(help=__doc__.splitlines()[0])
@click.argument("wheel", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def main(wheel: Path) -> None:
    """Print a table."""
    lift = with_flip(as_lift(load_checkpoint(demo_checkpoint())))
    click.echo("| camera, what is known | error, mm | sideways | depth | without the offset |")
    click.echo("|---|---|---|---|---|")
    for view in read_views(wheel):
        camera, size = view.camera, (view.camera.width, view.camera.height)
        times = np.arange(len(view.pixels)) / RATE
        centre = (float(camera.matrix[0, 2]), float(camera.matrix[1, 2]))
        known, assumed = Intrinsics(camera.focal, centre, False), intrinsics(size)
        keypoints = normalize_2d(view.pixels, *size).astype(np.float32)
        lifted = lift(keypoints[None])[0].astype(np.float64)
        lifted = (lifted - lifted[:, :1]) * bones(view.pose) / bones(lifted)
        for name, pose, lens in (
            ("true pose", view.pose, known),
            ("lifted", lifted, known),
            ("lifted, lens assumed", lifted, assumed),
        ):
            estimate = estimate_root(view.pixels, pose, times, lens)
            click.echo(row(f"{camera.name}, {name}", estimate, view.root))


if __name__ == "__main__":
    main()
