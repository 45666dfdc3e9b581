"""``lift``: a recording in, a file out, and what became of everything in between."""

from __future__ import annotations

import argparse
import heapq
import json
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO

from posemamba_runtime import long_arrays, outputs
from posemamba_runtime.cli.demo import DEMO, check_model, model_path
from posemamba_runtime.cli.opening import open_lifter
from posemamba_runtime.cli.progress import Bar
from posemamba_runtime.cli.summary import people, size_text, speed, what_was_lifted, what_was_read
from posemamba_runtime.detectors.video import check_video, read_video
from posemamba_runtime.keypoints.errors import InputError
from posemamba_runtime.keypoints.folders import with_frames
from posemamba_runtime.keypoints.reader import STANDARD_INPUT, read
from posemamba_runtime.keypoints.recording import Recording
from posemamba_runtime.live.poses import pose_line
from posemamba_runtime.motion import Motion, Track
from posemamba_runtime.outputs.trajectory import intrinsics, with_root
from posemamba_runtime.recordings import LiftOptions, lift_prepared, prepare
from posemamba_runtime.text import counted

STANDARD_OUTPUT = "-"

_OF_BOTH = ("min_confidence", "person", "rate")
"""Options of reading that a video has too."""


def lift(arguments: argparse.Namespace) -> None:
    """Read, lift, write; everything that can be refused is refused before the work.

    Raises:
        Error: one line that names the fix.
    """
    options = lift_options(arguments)
    _check_places(arguments, options)
    report = sys.stderr if arguments.output == STANDARD_OUTPUT else sys.stdout
    recording = _read(arguments)
    _tell(report, what_was_read(recording))
    if arguments.root:
        intrinsics(recording.size, arguments.focal)  # refuses what cannot be known
    prepared = prepare(recording)
    recording = prepared.recording  # the detector's own keypoints are not needed any more
    model = model_path(arguments.model)
    start = time.monotonic()

    def tell(line: str) -> None:
        _tell(report, [line])

    with open_lifter(
        model, arguments.backend, arguments.threads, tell, tf32=arguments.tf32
    ) as lifter:
        with Bar("Lifting") as bar:
            lifted = lift_prepared(lifter, prepared, options, model=arguments.model, progress=bar)
        backend = lifter.info.get("backend", arguments.backend)
    del prepared
    seconds = time.monotonic() - start
    motion = lifted.motion
    _tell(report, what_was_lifted(recording, lifted))
    poses = sum(len(track.frames) for track in motion.tracks)
    done = (
        f"Lifted: {counted(poses, 'pose')} of {people(len(motion.tracks))} in {seconds:.1f} s "
        f"({speed(poses, seconds)}), {backend}, units: {motion.units}"
    )
    _tell(report, [done])
    if arguments.root:
        motion, camera = with_root(motion, arguments.focal)
        if camera.assumed:
            _tell(report, [f"Remark: focal length {camera.focal:.0f} pixels assumed: --focal"])
        lost = ", ".join(str(track.person) for track in motion.tracks if track.root is None)
        if lost:
            _tell(report, [f"Remark: no place before the camera fits person {lost}: pelvis at 0"])
    _write(motion, arguments.output, report)


def _read(arguments: argparse.Namespace) -> Recording:
    """The keypoints of a detector's file, or of a video."""
    reading = {name: getattr(arguments, name) for name in _OF_BOTH}
    if arguments.detector is None:
        return read(
            arguments.keypoints,
            format=arguments.format,
            size=arguments.size,
            layout=arguments.layout,
            clip=arguments.clip,
            **reading,
        )
    with Bar("Detecting") as bar:
        return read_video(
            arguments.keypoints,
            arguments.detector,
            python=arguments.detector_python,
            progress=bar,
            **reading,
        )


def _write(motion: Motion, output: str, report: TextIO) -> None:
    if output == STANDARD_OUTPUT:
        _write_lines(motion, sys.stdout)
        return
    for path in outputs.write(output, motion):
        _tell(report, [f"Wrote: {path} ({size_text(path)})"])


def lift_options(arguments: argparse.Namespace) -> LiftOptions:
    """The options of lifting, checked against each other.

    Raises:
        InputError: some that do not go together.
    """
    if arguments.units and not arguments.height_m:
        raise InputError(f"--units {arguments.units} needs --height-m: nobody knows the scale")
    if arguments.root and not arguments.height_m:
        raise InputError("--root needs --height-m: a distance follows from a known size")
    if arguments.focal and not arguments.root:
        raise InputError("--focal is for --root: give both")
    policy = arguments.policy or "blend"
    window = arguments.window
    if policy == "blend" and window and arguments.hop > max(window - 1, 1):
        raise InputError(
            f"--hop {arguments.hop} with a window of {window}: blended windows overlap, "
            f"so at most {max(1, window - 1)}"
        )
    return LiftOptions(
        window=window,
        hop=arguments.hop,
        policy=policy,
        flip=arguments.flip,
        smoothing=arguments.smoothing,
        height_m=arguments.height_m,
        units=arguments.units or "",
    )


def _check_places(arguments: argparse.Namespace, options: LiftOptions) -> None:
    """Refuse what cannot be read or written, before anything is."""
    if arguments.keypoints is None:
        raise InputError("KEYPOINTS is missing: name a file or folder a detector wrote, or '-'")
    if arguments.output is None:
        raise InputError("-o is missing: name the file to write, such as -o out.html")
    if arguments.latency_ms is not None:
        raise InputError("--latency-ms is for --live: give both, or leave it out")
    _check_detector(arguments)
    check_model(arguments.model)
    if arguments.output == STANDARD_OUTPUT:
        return
    output = Path(arguments.output)
    outputs.check_target(output, options.units)
    model = Path(arguments.model)
    if output.exists() and arguments.model != DEMO and output.samefile(model):
        raise InputError(f"'{output}' is the model: name another file to write")
    if arguments.keypoints == STANDARD_INPUT:
        return
    source = Path(arguments.keypoints)
    try:
        if not source.exists():
            return  # the reader has the words
    except OSError:
        return
    if output.exists() and output.samefile(source):
        raise InputError(f"'{output}' is the input: name another file to write")
    is_json = output.suffix.lower() == ".json"
    if source.is_dir() and is_json and output.resolve().parent == with_frames(source).resolve():
        raise InputError(
            f"'{output}' would lie among the frames and be read as one the next time: "
            "name another folder"
        )


def _check_detector(arguments: argparse.Namespace) -> None:
    if arguments.detector is None:
        if arguments.detector_python is not None:
            raise InputError("--detector-python is for --detector: give both")
        return
    for name in ("format", "layout", "clip", "size"):
        if getattr(arguments, name) is not None:
            raise InputError(f"--{name} is for keypoint files, a video tells: leave it out")
    check_video(arguments.keypoints)


def _tell(stream: TextIO, lines: Iterable[str]) -> None:
    for line in lines:
        stream.write(f"{line}\n")
    stream.flush()


def _write_lines(motion: Motion, stream: TextIO) -> None:
    """Every pose as a line, frame by frame."""
    rows = (_rows(place, track) for place, track in enumerate(motion.tracks))
    for frame, place, index in heapq.merge(*rows):
        track = motion.tracks[place]
        line = pose_line(
            frame,
            float(track.timestamps[index]),
            track.person,
            track.poses_3d[index],
            track.filled[index],
            motion.units,
        )
        stream.write(json.dumps(line, allow_nan=False) + "\n")
    stream.flush()


def _rows(place: int, track: Track) -> Iterator[tuple[int, int, int]]:
    """Frame number, the track's place and the row in it, ascending."""
    for rows in long_arrays.pieces(track.poses_3d, track.filled):
        for index in range(rows.start, rows.stop):
            yield int(track.frames[index]), place, index
