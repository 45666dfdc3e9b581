"""Remake posemamba/assets/pose2sim_balancing.npz, the real clips that ship with the package.

Usage: python tools/make_bundled_clips.py WHEEL_OR_FOLDER -o OUTPUT.npz

WHEEL_OR_FOLDER is the pose2sim 0.4.0 wheel (`pip download --no-deps pose2sim==0.4.0`) or a folder
it was unpacked to. The same input gives the same bytes: members are stored, not compressed, since
compressed bytes differ between zlib versions, and carry no time.
"""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt

from posemamba.data.pose2sim import MIN_CONFIDENCE, demo_folder, read_people
from posemamba.errors import InputError
from posemamba.files.output import replacing
from posemamba.pose.keypoints import detections_to_h36m
from posemamba.pose.preprocess import normalize_2d


def image_sizes(calibration: str) -> list[tuple[int, int]]:
    """Width and height of each camera's video from a Qualisys calibration file."""
    boxes = re.findall(r'<fov_video bottom="(\d+)" left="0" right="(\d+)" top="0"/>', calibration)
    return [(int(right) + 1, int(bottom) + 1) for bottom, right in boxes]


def make_clips(demo: Path) -> dict[str, npt.NDArray[np.float32]]:
    """Clip name to (frames, 17, 2), normalised, for each camera of the demonstration trial."""
    sizes = image_sizes((demo / "calibration" / "Calib.qca.txt").read_text("utf-8"))
    clips = {}
    for camera, person in enumerate(read_people(demo, sizes)):
        joints = detections_to_h36m(person, "body25b", min_confidence=MIN_CONFIDENCE)
        clips[f"balancing_cam{camera + 1}"] = normalize_2d(joints, *sizes[camera]).astype("<f4")
    return clips


def save(clips: dict[str, npt.NDArray[np.float32]], output: Path) -> None:
    """Write an .npz whose bytes depend on nothing but the clips."""
    with replacing(output) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, values in clips.items():
            member = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            member.create_system = 3  # the same on Windows
            content = io.BytesIO()
            np.lib.format.write_array(content, values, version=(1, 0), allow_pickle=False)
            archive.writestr(member, content.getvalue())


@click.command(help=__doc__)
@click.argument("wheel_or_folder", type=click.Path(exists=True, path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path))
def main(wheel_or_folder: Path, output: Path) -> None:
    try:
        with demo_folder(wheel_or_folder) as demo:
            clips = make_clips(demo)
        save(clips, output)
    except InputError as error:
        raise click.ClickException(str(error)) from None
    frames = sum(len(clip) for clip in clips.values())
    click.echo(f"{output}: {len(clips)} clips, {frames} frames, {output.stat().st_size} bytes")


if __name__ == "__main__":
    main()
