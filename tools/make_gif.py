"""Remake ``docs/assets/demo.gif``: real keypoints on the left, what the bundled network makes of
them on the right.

    python tools/make_gif.py

The clip is one of Pose2Sim's balancing person (``posemamba/assets/ATTRIBUTION.md``), lifted by the
bundled demonstration checkpoint with flipping, and drawn by the runtime's own ``.gif`` writer. It
is played forth and back, twice, so that the picture loops.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from posemamba import load_checkpoint
from posemamba.checkpoint.bundled import demo_checkpoint
from posemamba.model.lift import as_lift
from posemamba.pose.clips import bundled_clips
from posemamba.pose.lift import with_flip
from posemamba.pose.preprocess import denormalize_2d
from posemamba.skeleton import NUM_JOINTS, ROOT
from posemamba_runtime.motion import Motion, Track
from posemamba_runtime.outputs import write

CLIP = "balancing_cam1"
RATE = 60.0  # frames a second, and pixels of the image: facts of the recording
SIZE = (1088, 1920)
_PASSES = 4
TARGET = Path(__file__).resolve().parents[1] / "docs" / "assets" / "demo.gif"


def lifted_clip(name: str) -> Motion:
    """A bundled clip as a motion, in the network's units."""
    keypoints = bundled_clips()[name]
    poses = with_flip(as_lift(load_checkpoint(demo_checkpoint())))(keypoints[None])[0]
    last = len(keypoints) - 1
    frames = np.arange(_PASSES * last)
    forth_and_back = last - np.abs(frames % (2 * last) - last)
    track = Track(
        person=0,
        frames=frames,
        timestamps=frames / RATE,
        poses_3d=(poses - poses[:, ROOT : ROOT + 1])[forth_and_back],
        filled=np.zeros((len(frames), NUM_JOINTS), bool),
        keypoints_2d=denormalize_2d(keypoints, *SIZE)[forth_and_back],
    )
    return Motion((track,), RATE, "network", SIZE, name, "PoseMamba-S (demo)")


@click.command(help=__doc__.splitlines()[0])
@click.option("-o", "--output", default=TARGET, type=click.Path(path_type=Path))
@click.option("--clip", default=CLIP, show_default=True)
def main(output: Path, clip: str) -> None:
    """Draw the picture and say how large it is."""
    output.parent.mkdir(parents=True, exist_ok=True)
    for path in write(output, lifted_clip(clip)):
        click.echo(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
