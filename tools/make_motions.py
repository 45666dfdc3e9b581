"""Remake posemamba/assets/pybullet_motions.npz, or tests/data/pybullet_links.json.

Usage: python tools/make_motions.py MOTIONS -o OUTPUT.npz
       python tools/make_motions.py MOTIONS --links OUTPUT.json

MOTIONS is pybullet_data/data/motions of pybullet 3.2.7. The second form needs pybullet installed:
its own forward kinematics of a few frames is what ours is tested against.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import numpy as np

from posemamba.data.synthetic.humanoid import LINKS
from posemamba.data.synthetic.motion_clips import read_motions, save_motions
from posemamba.errors import InputError
from posemamba.files.output import replacing

_FRAMES = {"walk": 5, "cartwheel": 30, "dance_a": 40, "roll": 20}


def pybullet_links(motions: Path) -> dict[str, Any]:
    """Rows of motion files, and where pybullet puts the humanoid's links, metres."""
    import pybullet

    pybullet.connect(pybullet.DIRECT)
    urdf = motions.parents[1] / "humanoid" / "humanoid.urdf"
    body = pybullet.loadURDF(str(urdf), globalScaling=0.25)
    joints = {
        pybullet.getJointInfo(body, joint)[12].decode(): joint
        for joint in range(pybullet.getNumJoints(body))
    }
    result: dict[str, Any] = {"source": "pybullet 3.2.7 (zlib licence)", "rows": [], "links": []}
    for name, frame in _FRAMES.items():
        content = json.loads((motions / f"humanoid3d_{name}.txt").read_text())
        row = content["Frames"][frame]
        pybullet.resetBasePositionAndOrientation(body, row[1:4], [*row[5:8], row[4]])
        for link, _, _, first, width in LINKS:
            if width == 4:
                turn = [*row[first + 1 : first + 4], row[first]]
                pybullet.resetJointStateMultiDof(body, joints[link], turn, [0, 0, 0])
            elif width == 1:
                pybullet.resetJointStateMultiDof(body, joints[link], [row[first]])
        result["rows"].append(np.round(row, 9).tolist())
        result["links"].append(
            {
                link: np.round(
                    pybullet.getLinkState(body, joints[link], computeForwardKinematics=1)[4], 6
                ).tolist()
                for link, *_ in LINKS
            }
        )
    return result


@click.command(help=__doc__)
@click.argument("motions", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path))
@click.option("--links", type=click.Path(path_type=Path))
def main(motions: Path, output: Path | None, links: Path | None) -> None:
    try:
        if output is not None:
            found = read_motions(motions)
            with replacing(output) as temporary:
                save_motions(temporary, found)
            frames = sum(len(motion.positions) for motion in found)
            click.echo(f"{output}: {len(found)} motions, {frames} frames at 50 Hz")
        if links is not None:
            with replacing(links) as temporary:
                temporary.write_text(json.dumps(pybullet_links(motions)) + "\n")
    except InputError as error:
        raise click.ClickException(str(error)) from None


if __name__ == "__main__":
    main()
