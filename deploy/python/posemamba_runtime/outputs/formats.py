"""``write(path, motion)``: the formats, one row each, and what all of them refuse."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from posemamba_runtime import long_arrays
from posemamba_runtime.errors import BadArgument, Missing
from posemamba_runtime.motion import Motion, Track
from posemamba_runtime.outputs.files import check_place, replacing
from posemamba_runtime.skeleton import NUM_JOINTS

UNITS = ("m", "mm", "network")


@dataclass(frozen=True)
class Format:
    """One kind of file.

    Attributes:
        suffix: the end of its names.
        module: of this package; its ``write(path, motion, tracks)`` writes those of the motion's
            tracks.
        one_person: a file holds one person, so several make several files.
        metric: lengths are read as metres or millimetres, so a motion of unknown size is refused.
        needs: package to import, and what to install for it; None where NumPy is enough.
    """

    suffix: str
    module: str
    one_person: bool = False
    metric: bool = False
    needs: tuple[str, str] | None = None


_PILLOW = ("PIL", "pillow")

FORMATS: dict[str, Format] = {
    row.suffix: row
    for row in (
        Format(".npz", "npz"),
        Format(".json", "json_text"),
        Format(".csv", "csv_table"),
        Format(".trc", "trc", one_person=True, metric=True),
        Format(".bvh", "bvh", one_person=True, metric=True),
        Format(".c3d", "c3d_points", metric=True, needs=("ezc3d", "ezc3d")),
        Format(".parquet", "parquet_table", needs=("pyarrow", "pyarrow")),
        Format(".html", "html_page"),
        Format(".gif", "moving_picture", needs=_PILLOW),
        Format(".png", "still_picture", needs=_PILLOW),
    )
}


def write(path: str | os.PathLike[str], motion: Motion) -> list[Path]:
    """Write everybody in a motion, in the format that the name ends in.

    Of a format whose files hold one person, the first person's is ``path``; each other's has the
    person's id in its name, as in ``walk-person2.bvh``.

    Returns:
        the files written. All are, or none.

    Raises:
        BadArgument: an unknown format, a motion that cannot be, a place that takes no file.
        Missing: a package that this format needs is not installed.
    """
    target = Path(path)
    chosen = check_target(target, motion.units)
    _check_motion(motion)
    motion = replace(motion, source=_as_text(motion.source), model=_as_text(motion.model))
    groups: Sequence[tuple[Track, ...]] = (motion.tracks,)
    if chosen.one_person:
        groups = [(track,) for track in motion.tracks]
    paths = [target, *(_beside(target, group[0]) for group in groups[1:])]
    writer = import_module(f"posemamba_runtime.outputs.{chosen.module}")
    with replacing(paths) as temporary:
        for place, group in zip(temporary, groups, strict=True):
            writer.write(place, motion, group)
    return paths


def check_target(path: str | os.PathLike[str], units: str | None = None) -> Format:
    """What :func:`write` refuses about a name, before there is a motion.

    Args:
        units: of the motion to come, where they are known.

    Raises:
        BadArgument, Missing: as :func:`write`.
    """
    path = Path(path)
    chosen = FORMATS.get(path.suffix.lower())
    if chosen is None:
        near = difflib.get_close_matches(path.suffix.lower(), FORMATS, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        end = f"ends in '{path.suffix}'" if path.suffix else "has no ending"
        raise BadArgument(f"'{path}' {end}: {hint}known: {', '.join(FORMATS)}")
    check_place(path)
    if chosen.metric and units == "network":
        free = ", ".join(row.suffix for row in FORMATS.values() if not row.metric)
        raise BadArgument(
            f"'{path}': {chosen.suffix} holds lengths, and nobody said how tall the person is: "
            f"give the height (--height-m 1.75), or write {free}"
        )
    if chosen.needs and find_spec(chosen.needs[0]) is None:
        name, install = chosen.needs
        raise Missing(f"'{path}': {chosen.suffix} needs {name}: pip install {install}")
    return chosen


def _as_text(name: str) -> str:
    """Of a file's name, which is bytes: U+FFFD where these are no UTF-8, as each format asks."""
    return re.sub("[\ud800-\udfff]", "\ufffd", name)


def _beside(target: Path, track: Track) -> Path:
    return target.with_name(f"{target.stem}-person{track.person}{target.suffix}")


def _check_motion(motion: Motion) -> None:
    """Refuse what would make a file that lies."""
    if motion.units not in UNITS:
        raise BadArgument(f"unit '{motion.units}': use one of {', '.join(UNITS)}")
    if not (np.isfinite(motion.rate) and motion.rate > 0):
        raise BadArgument(f"{motion.rate} frames a second: give a positive rate")
    if not motion.tracks:
        raise BadArgument(f"'{motion.source}' shows nobody: there is nothing to write")
    people = [track.person for track in motion.tracks]
    if len(set(people)) < len(people):
        raise BadArgument(f"persons {people}: an id belongs to one track")
    for track in motion.tracks:
        _check_track(track)


def _check_track(track: Track) -> None:
    count, who = len(track.frames), f"person {track.person}"
    shapes = {
        "timestamps": (count,),
        "poses_3d": (count, NUM_JOINTS, 3),
        "filled": (count, NUM_JOINTS),
        "keypoints_2d": (count, NUM_JOINTS, 2),
        "root": (count, 3),
    }
    for name, shape in shapes.items():
        values = getattr(track, name)
        if values is not None and values.shape != shape:
            raise BadArgument(f"{who}: {name} is {values.shape}, it must be {shape}")
    if count == 0:
        raise BadArgument(f"{who} has no frames: leave the track out")
    if (np.diff(track.frames) <= 0).any() or (np.diff(track.timestamps) <= 0).any():
        raise BadArgument(f"{who}: frame numbers and timestamps must ascend")
    for name in ("timestamps", "poses_3d", "root"):
        values = getattr(track, name)
        if values is None:
            continue
        if not all(np.isfinite(values[rows]).all() for rows in long_arrays.pieces(values)):
            raise BadArgument(f"{who}: {name} has values that are not finite")
