"""The poses of a reference file, as the runs a model can be given."""

from __future__ import annotations

from pathlib import Path

from pmexport.check.cases import Case
from pmexport.check.reference import Reference, read_reference
from pmexport.check.request import Expected
from pmexport.engine.file import EngineFile
from pmexport.runtimes.base import Runnable
from posemamba.errors import InputError
from posemamba.text import plural, problem


def expected_of_reference(model: Runnable, path: Path, any_checkpoint: bool) -> Expected:
    """Read a reference and cut it to the batches a model takes.

    Raises:
        InputError: the file is wrong, is another checkpoint's, or has sizes the model does not
            take.
    """
    reference = read_reference(path)
    if reference.facts is not None and not any_checkpoint:
        _belong_together(model, reference, reference.facts)
    cases, poses, left_out = [], [], []
    for case, pose in zip(reference.cases, reference.poses, strict=True):
        if isinstance(model, EngineFile):
            fitting = _engine_batch(model, case, path)
            if fitting is None:  # an engine takes the sizes of its profiles, a reference has more
                left_out.append(case)
                continue
            batch = fitting
        else:
            batch = _batch(model, case, path)
        for at in range(0, len(pose), batch):
            whole = batch == len(pose)
            name = case.name if whole else f"{case.name}, clips {at} to {at + batch - 1}"
            cases.append(Case(name, case.keypoints_2d[at : at + batch]))
            poses.append(pose[at : at + batch])
    if isinstance(model, EngineFile) and not cases:
        clips, frames = left_out[0].keypoints_2d.shape[:2]
        has = f"{plural(clips, 'clip')} of {plural(frames, 'frame')}"
        raise _misfit(path, left_out[0], has, f"takes {model.profile_text()}")
    return Expected(
        cases=cases,
        poses=poses,
        reference={
            "path": str(path),
            "sha256": reference.sha256,
            "runs_left_out": len(left_out),
            "made_by": "user" if reference.facts is None else "pmexport",
            **(reference.facts or {}),
        },
    )


def _belong_together(model: Runnable, reference: Reference, facts: dict[str, str]) -> None:
    """The same file, or one of the same weights and order, such as the fp16 of an fp32."""
    if facts["model_sha256"] == model.whole_sha256:
        return
    source = model.metadata.get("checkpoint_sha256")
    override = "or compare anyway with --any-ckpt"
    if source != facts["checkpoint_sha256"]:
        raise problem(
            reference.path,
            f"poses of '{facts['checkpoint']}' (SHA-256 {facts['checkpoint_sha256'][:12]}), the "
            f"model came from {(source or 'nobody knows what')[:17]}: give its own, {override}",
        )
    order = model.metadata.get("scan_order")
    if order != facts["scan_order"]:
        raise problem(
            reference.path,
            f"poses of scan order {facts['scan_order']}, the model has {order}: give its own, "
            f"{override}",
        )


def _batch(model: Runnable, case: Case, path: Path) -> int:
    """Clips of one run.

    Raises:
        InputError: the model does not take such clips.
    """
    clips: int
    frames: int
    clips, frames, _, channels = case.keypoints_2d.shape
    most: int | None = model.metadata.get("max_frames")
    if channels != model.channels:
        raise _misfit(path, case, plural(channels, "channel"), f"takes {model.channels}")
    if model.frames is not None and frames != model.frames:
        raise _misfit(path, case, plural(frames, "frame"), f"takes {model.frames}")
    if most is not None and frames > most:
        raise _misfit(path, case, plural(frames, "frame"), f"takes at most {most}")
    if model.batch is None:
        return clips
    if clips % model.batch:
        raise _misfit(path, case, plural(clips, "clip"), f"takes {model.batch} at once")
    return model.batch


def _engine_batch(engine: EngineFile, case: Case, path: Path) -> int | None:
    """Clips of one run: the most that a profile takes; None where none takes such frames.

    Raises:
        InputError: another number of channels.
    """
    clips, frames, _, channels = case.keypoints_2d.shape
    if channels != engine.channels:
        raise _misfit(path, case, plural(channels, "channel"), f"takes {engine.channels}")
    for batch in range(clips, 0, -1):
        if clips % batch == 0 and engine.takes(batch, frames) is not None:
            return batch
    return None


def _misfit(path: Path, case: Case, has: str, takes: str) -> InputError:
    return problem(path, f"'{case.name}' has {has}, the model {takes}: give poses of such clips")
