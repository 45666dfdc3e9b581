"""``lift --ray``: an archive in, a file for each recording out."""

from __future__ import annotations

import argparse
import re
import sys
import time
from pathlib import Path

from posemamba_runtime.cli.demo import check_model, model_path
from posemamba_runtime.cli.lift import STANDARD_OUTPUT, lift_options
from posemamba_runtime.cli.progress import Bar
from posemamba_runtime.cli.summary import remarks, speed
from posemamba_runtime.keypoints.errors import InputError
from posemamba_runtime.keypoints.reader import STANDARD_INPUT
from posemamba_runtime.outputs import FORMATS
from posemamba_runtime.recordings import LiftOptions
from posemamba_runtime.scale.archive import Outcome, lift_archive
from posemamba_runtime.scale.ledger import NAME
from posemamba_runtime.scale.sources import Archive, find, refuse_shared_outputs
from posemamba_runtime.scale.worker import Job, content_hash, stem_of
from posemamba_runtime.text import counted

DONE, SOME_FAILED, ALL_FAILED = 0, 1, 2

_SHOWN = 20  # failures told one by one; the ledger holds all
_OTHER_PERSON = re.compile(r"-person[0-9]+$")


def archive(arguments: argparse.Namespace) -> int:
    """Lift every recording that is not there yet.

    Returns:
        0: every recording is there; 1: some failed, each told in a line; 2: all of them failed.

    Raises:
        Error: one line that names the fix; nothing was lifted.
    """
    options = lift_options(arguments)
    suffix = _check(arguments, options)
    check_model(arguments.model)
    found = find(arguments.keypoints)
    output = Path(arguments.output)
    _check_outputs(found, arguments.keypoints, output, suffix)
    passed_over = f", {counted(found.passed_over, 'other file')} passed over"
    _tell(
        f"Found: {counted(len(found.items), 'recording')}{passed_over if found.passed_over else ''}"
    )
    start = time.monotonic()
    job = _job(arguments, options, suffix)
    with Bar("Lifting", unit="recordings") as bar:
        outcome = lift_archive(
            job,
            found.items,
            address=arguments.ray,
            workers=arguments.workers,
            remarks=remarks,
            progress=bar,
        )
    _report(outcome, output, time.monotonic() - start)
    if not outcome.failed:
        return DONE
    return SOME_FAILED if outcome.lifted or outcome.there else ALL_FAILED


def _check(arguments: argparse.Namespace, options: LiftOptions) -> str:
    """Refuse what cannot be; the suffix of the outputs."""
    if arguments.live or arguments.udp or arguments.vmc or arguments.latency_ms:
        raise InputError("--ray lifts recordings: leave --live, --udp, --vmc and --latency-ms out")
    if arguments.detector or arguments.detector_python:
        raise InputError("--ray reads keypoint files: leave --detector out, or lift one video")
    if arguments.keypoints is None:
        raise InputError(
            "KEYPOINTS is missing: name a folder of recordings, @LIST or Parquet, and --ray last: "
            "the word after it is an address"
        )
    if arguments.keypoints == STANDARD_INPUT:
        raise InputError("--ray reads files, not standard input: name a folder, @LIST or Parquet")
    if arguments.output in (None, STANDARD_OUTPUT):
        raise InputError("-o is missing: name the folder to write to")
    output = Path(arguments.output)
    if output.exists() and not output.is_dir():
        raise InputError(f"'{output}' is a file: name the folder to write to")
    suffix = f".{arguments.to or 'npz'}"
    row = FORMATS[suffix]
    if row.metric and options.units == "network":
        raise InputError(
            f"--to {suffix[1:]} holds lengths, and nobody said how tall the people are: give "
            "--height-m, or another format"
        )
    return suffix


def _check_outputs(found: Archive, archive: str, output: Path, suffix: str) -> None:
    """No output replaces another, or an input, or is read as a recording by the next run."""
    stems = [stem_of(item.name) for item in found.items]
    if FORMATS[suffix].one_person:  # such files of others carry the person in the name
        known = set(stems)
        bare = [_OTHER_PERSON.sub("", stem) for stem in stems]
        stems = [short if short in known else stem for stem, short in zip(stems, bare, strict=True)]
    refuse_shared_outputs(found.items, stems)
    place = output.resolve()
    for source in (archive, *(item.source for item in found.items)):
        if _one_in_the_other(place, Path(source).resolve()):
            raise InputError(
                f"'{output}' and '{source}' lie in one another: keep outputs and recordings in "
                "folders apart"
            )


def _one_in_the_other(output: Path, source: Path) -> bool:
    return output == source or output in source.parents or source in output.parents


def _job(arguments: argparse.Namespace, options: LiftOptions, suffix: str) -> Job:
    model = model_path(arguments.model)
    return Job(
        start=str(Path.cwd()),
        model=str(model.resolve()),
        model_name=arguments.model,
        model_sha256=content_hash(model),
        backend=arguments.backend,
        threads=arguments.threads or 1,
        tf32=arguments.tf32,
        reading={
            name: getattr(arguments, name)
            for name in ("format", "size", "min_confidence", "person", "layout", "rate", "clip")
        },
        options=options,
        root=arguments.root,
        focal=arguments.focal,
        output=str(Path(arguments.output).resolve()),
        suffix=suffix,
        staging="",
    )


def _report(outcome: Outcome, output: Path, seconds: float) -> None:
    _tell(
        f"Lifted: {counted(outcome.lifted, 'recording')}, {counted(outcome.poses, 'pose')} in "
        f"{seconds:.1f} s ({speed(outcome.poses, seconds)})"
    )
    if outcome.there:
        _tell(f"There already: {counted(outcome.there, 'recording')}")
    if outcome.remarks:
        _tell(f"Remarks: on {counted(outcome.remarks, 'recording')}, in '{output / NAME}'")
    if outcome.failed:
        _tell(f"Failed: {counted(len(outcome.failed), 'recording')}")
        for line in sorted(outcome.failed)[:_SHOWN]:
            _tell(f"  {line}")
        if len(outcome.failed) > _SHOWN:
            _tell(f"  and {len(outcome.failed) - _SHOWN} more, in '{output / NAME}'")


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
