"""``posemamba data``: clip sets from package registries and from the field's data files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from posemamba.cli.options import PATH, SEED, Option, reading_options
from posemamba.cli.tool import NearChoice, Tool, Whole
from posemamba.config import MAX_FRAMES
from posemamba.text import table

if TYPE_CHECKING:
    from posemamba.data.clip_set import ClipSet
    from posemamba.data.synthetic.humanoid import Motion
    from posemamba.pose.clips import Reading

_FILMED = ("train", "val_motions", "val_cameras", "val_both")
_TWO_OR_MORE = Whole(2, MAX_FRAMES)
_FRAMES: Option = click.option("--frames", default=MAX_FRAMES, show_default=True,
                               type=_TWO_OR_MORE, help="Frames per clip.")  # fmt: skip


@click.group(cls=Tool)
def data() -> None:
    """Make clip sets (NPZ): what 'posemamba train' and 'posemamba evaluate' read."""


def _synthetic(default: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The options of a command that films motions."""
    options = (
        click.option("-o", "--output", default=default, show_default=True, type=PATH,
                     help="Folder to write to; made if missing."),
        click.option("--clips", default=1500, show_default=True, type=Whole(1),
                     help="Clips to train on."),
        click.option("--held-out-clips", default=120, show_default=True, type=Whole(1),
                     help="Clips of each of the three held-out sets."),
        _FRAMES,
        click.option("--cameras", default="centred", show_default=True,
                     type=NearChoice(("centred", "varied")),
                     help="The person in the middle, or anywhere, in images of any shape."),
        click.option("--seed", default=0, show_default=True, type=SEED,
                     help="Of everything random."),
    )  # fmt: skip

    def add(command: Callable[..., None]) -> Callable[..., None]:
        for option in reversed(options):
            command = option(command)
        return command

    return add


@data.command()
@_synthetic("demo")
@click.option("--motions", type=PATH,
              help="Folder of humanoid3d_*.txt, instead of the bundled positions.")  # fmt: skip
def pybullet(motions: Path | None, output: Path, **filming: Any) -> None:
    """Synthetic cameras before pybullet's motion capture (zlib licence).

    Twelve motions to train on and three held out; cameras to train with and a sector of azimuths
    held out. Writes train.npz, val_motions.npz (held-out motions), val_cameras.npz (held-out
    cameras) and val_both.npz. The motions are short: a clip repeats and joins them.
    """
    from posemamba.data.synthetic.motion_clips import bundled_motions, read_motions, split_motions

    _refuse(output, _FILMED)
    found = bundled_motions() if motions is None else read_motions(motions)
    _write(output, _film(split_motions(found), **filming))


@data.command()
@click.option("--wheel", required=True, type=PATH,
              help="holosoma-retargeting 0.1.0: the wheel (pip download --no-deps "
              "holosoma-retargeting==0.1.0, 102 MB), or a folder it was unpacked to.")  # fmt: skip
@_synthetic("climb")
def climbing(wheel: Path, output: Path, **filming: Any) -> None:
    """Synthetic cameras before five climbs (Apache-2.0 by the wheel's metadata alone).

    Four climbs to train on and one held out, of another body; cameras and files as those of
    'posemamba data pybullet', to train on together: 'posemamba train --data demo/train.npz --data
    climb/train.npz'. The clip sets carry the licence as the source claims it.
    """
    from posemamba.data.synthetic.climbing import HELD_OUT_CLIMBS, ORIGIN, read_climbs
    from posemamba.data.synthetic.motion_clips import split_motions

    _refuse(output, _FILMED, wheel)
    _write(output, _film(split_motions(read_climbs(wheel), HELD_OUT_CLIMBS), **filming))
    click.echo(f"Origin, kept in the files: {ORIGIN}")


@data.command()
@click.option("--wheel", required=True, type=PATH,
              help="pose2sim 0.4.0: the wheel (pip download --no-deps pose2sim==0.4.0), "
              "or a folder it was unpacked to.")  # fmt: skip
@click.option("-o", "--output", default="demo", show_default=True, type=PATH,
              help="Folder to write to; made if missing.")  # fmt: skip
def pose2sim(wheel: Path, output: Path) -> None:
    """One real person before four cameras (BSD-3-Clause), a smoke test.

    Writes pose2sim.npz, whose poses are triangulated from the four cameras' detections, and
    pose2sim_trc.npz, the same clips with pose2sim's own triangulation.
    """
    from posemamba.data.pose2sim import read_trial

    _refuse(output, ("pose2sim", "pose2sim_trc"), wheel)
    trial = read_trial(wheel)
    _write(output, {"pose2sim": trial.triangulated, "pose2sim_trc": trial.trc})
    figures = trial.figures
    click.echo(
        f"Triangulation: reprojection error {figures['reprojection_px']:.1f} px, "
        f"{figures['missing_percent']:.1f} % of the joints interpolated; against pose2sim's own "
        f"MPJPE {figures['mpjpe_mm']:.1f} mm, P-MPJPE {figures['p_mpjpe_mm']:.1f} mm"
    )


@data.command()
@click.option("--source", required=True, type=PATH, help="h36m_sh_conf_cam_source_final.pkl.")
@click.option("-o", "--output", required=True, type=PATH, help="Folder; made if missing.")
@_FRAMES
def h36m(source: Path, output: Path, frames: int) -> None:
    """Human3.6M as MotionBERT prepared it: train.npz and test.npz.

    Training clips start a third of a clip apart, test clips follow one another. The file gives no
    millimetres for training clips: their scale is estimated. Evaluate with
    'posemamba evaluate --protocol h36m' on the file itself.
    """
    from posemamba.data.human36m import clip_sets

    _refuse(output, ("train", "test"), source)
    train, test = clip_sets(source, frames)
    _write(output, {"train": train, "test": test})


@data.command("3dhp")
@click.option("--source", required=True, type=PATH, help="data_train_3dhp.npz, or the test file.")
@click.option("-o", "--output", required=True, type=PATH, help="Folder; made if missing.")
@click.option("--frames", default=27, show_default=True, type=_TWO_OR_MORE,
              help="Frames per clip; 27 and 81 are usual.")  # fmt: skip
@click.option("--split", type=NearChoice(("train", "test")), default="train", show_default=True,
              help="Which of the two files it is.")  # fmt: skip
def mpi_3dhp(source: Path, output: Path, frames: int, split: str) -> None:
    """MPI-INF-3DHP as P-STMO prepared it: train.npz or test.npz, joints in Human3.6M's order.

    Training clips start a third of a clip apart, test clips follow one another. Evaluate with
    'posemamba evaluate --protocol 3dhp' on the test file itself.
    """
    from posemamba.data.mpi_inf_3dhp import clip_set, read_test, read_train

    _refuse(output, (split,), source)
    recordings, stride = (
        (read_train(source), max(1, frames // 3))
        if split == "train"
        else (read_test(source), frames)
    )
    _write(output, {split: clip_set(recordings, frames, stride)})


@data.command()
@click.option("--source", required=True, type=PATH,
              help="amass_joints_h36m_60.pkl; .npy or .npz of (frames, 17, 3) m, z up")  # fmt: skip
@click.option("-o", "--output", required=True, type=PATH, help="Folder; made if missing.")
@_FRAMES
@click.option("--stride", type=Whole(1), help="Frames between starts; a third of a clip.")
@click.option("--seed", default=0, show_default=True, type=SEED, help="Of the cameras.")
def amass(source: Path, output: Path, frames: int, stride: int | None, seed: int) -> None:
    """3D motion without images, filmed by synthetic cameras: train.npz."""
    from tqdm import tqdm

    from posemamba.data.pose_files import film, read_poses

    _refuse(output, ("train",), source)
    motions = read_poses(source)
    with tqdm(unit="clip", disable=None) as bar:
        clips = film(motions, frames, stride or max(1, frames // 3), seed, bar.update)
    _write(output, {"train": clips})


@data.command()
@click.option("--source", required=True, type=PATH, help="What a 2D detector wrote.")
@reading_options
@click.option("-o", "--output", required=True, type=PATH, help="Clips to write, .npz.")
def keypoints(source: Path, reading: Reading, output: Path) -> None:
    """2D keypoints of any format of 'pmexport lift' as clips: normalised, without gaps.

    For 'pmexport check --inputs' and 'posemamba plot'; they hold no 3D poses to train on.
    """
    from posemamba.files.output import check_file
    from posemamba.pose.clips import load_clips, save_clips

    check_file(output, suffix=".npz", inputs=[source])
    clips = load_clips(source, reading)
    save_clips(output, clips)
    click.echo(table(("", "frames"), [(name, str(len(clip))) for name, clip in clips.items()]))


def _film(
    split: tuple[list[Motion], list[Motion]],
    *,
    clips: int,
    held_out_clips: int,
    frames: int,
    cameras: str,
    seed: int,
) -> dict[str, ClipSet]:
    """The training set and the three held-out ones."""
    from tqdm import tqdm

    from posemamba.data.synthetic.cameras import CAMERAS
    from posemamba.data.synthetic.motion_clips import make_clips

    kept, held = split
    usual, other = CAMERAS[cameras]
    filmed = (
        (kept, usual, clips),
        (held, usual, held_out_clips),
        (kept, other, held_out_clips),
        (held, other, held_out_clips),
    )
    jobs = dict(zip(_FILMED, filmed, strict=True))
    total = sum(count for _, _, count in jobs.values())
    made = {}
    with tqdm(total=total, unit="clip", disable=None) as bar:
        for place, (name, (players, before, count)) in enumerate(jobs.items()):
            # Each set has its own stream of random numbers, so none repeats another's clips.
            stream = seed * len(jobs) + place
            made[name] = make_clips(players, before, count, frames, stream, bar.update)
    return made


def _refuse(folder: Path, names: Sequence[str], source: Path | None = None) -> None:
    """Before any work: a folder that cannot be written, or files that are the source."""
    from posemamba.errors import InputError
    from posemamba.files.output import check_folder, is_one_of

    files = [f"{name}.npz" for name in names]
    check_folder(folder, files)
    for file in files:
        if source is not None and is_one_of(folder / file, [source]):
            raise InputError(f"{folder / file}: is the source; name another folder")


def _write(folder: Path, sets: dict[str, ClipSet]) -> None:
    """Save clip sets under their names, and say what was written."""
    from posemamba.data.clip_set import save_clip_set

    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for name, clips in sets.items():
        path = folder / f"{name}.npz"
        save_clip_set(path, clips)
        rows.append(
            (str(path), str(len(clips)), str(clips.frames), f"{path.stat().st_size / 2**20:.1f}")
        )
    click.echo(table(("", "clips", "frames", "MiB"), rows))
