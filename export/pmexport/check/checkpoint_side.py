"""The poses of a checkpoint in PyTorch, on the bundled clips and the user's."""

from __future__ import annotations

from pathlib import Path

from pmexport.check.baseline import baseline_failure, choose_baseline
from pmexport.check.cases import fitting_cases
from pmexport.check.compare import Progress
from pmexport.check.reference import write_reference
from pmexport.check.request import CheckRequest, Expected
from pmexport.format.environment import package_version
from pmexport.format.file import ModelFile
from pmexport.format.files import printable_name
from pmexport.format.memory import check_room
from pmexport.runtimes.base import Runnable
from pmexport.runtimes.torch_cpu import torch_lift
from posemamba.checkpoint.read import read_checkpoint
from posemamba.errors import InputError
from posemamba.pose.clips import bundled_clips, load_clips
from posemamba.text import plural


def expected_of_checkpoint(model: Runnable, request: CheckRequest, each: Progress) -> Expected:
    """Run PyTorch on every case, and keep what it gave where the request says so.

    Raises:
        InputError: the checkpoint or the clips are wrong, or the model came from another one.
    """
    assert request.checkpoint is not None
    checkpoint = read_checkpoint(
        request.checkpoint,
        scan_order=request.scan_order or model.metadata.get("scan_order"),
        weights=request.weights or model.metadata.get("weights"),
    )
    if not request.any_checkpoint:
        _belong_together(model, request.checkpoint, checkpoint.sha256)
    clips = dict(bundled_clips())
    if request.inputs is not None:
        clips |= load_clips(request.inputs, request.reading)
    config = checkpoint.config
    if model.frames is not None and model.frames > config.frames:
        raise InputError(
            f"'{model.path}' takes {plural(model.frames, 'frame')}, the checkpoint at most "
            f"{config.frames}: give the checkpoint it was exported from"
        )
    network = checkpoint.build()
    if model.channels != config.channels:
        raise InputError(
            f"'{model.path}' takes {plural(model.channels, 'channel')} for each joint, the "
            f"checkpoint {config.channels}: give the checkpoint it was exported from"
        )
    if isinstance(model, ModelFile):
        check_room(model, model.batch or 1, model.frames or config.frames, ("PyTorch",))
    cases = fitting_cases(model, clips, config.frames)
    baseline = choose_baseline(network, cases[0].keypoints_2d, request.threads)
    lift = torch_lift(network, request.threads)
    poses = [lift(case.keypoints_2d) for case in each(cases, "PyTorch")]
    failure = baseline_failure(cases, poses, baseline)
    if request.keep_reference is not None and failure is None:
        facts = {
            "checkpoint": printable_name(checkpoint.path.name),
            "checkpoint_sha256": checkpoint.sha256,
            "model_sha256": model.whole_sha256,
            "scan_order": config.scan_order,
            "torch": str(package_version("torch")),
        }
        write_reference(request.keep_reference, cases, poses, facts)
    return Expected(
        cases=cases,
        poses=poses,
        checkpoint={
            "path": str(request.checkpoint),
            "sha256": checkpoint.sha256,
            "variant": config.variant,
            "frames": config.frames,
            "scan_order": config.scan_order,
        },
        baseline=baseline,
        failure=failure,
    )


def _belong_together(model: Runnable, checkpoint: Path, sha256: str) -> None:
    source = model.metadata.get("checkpoint_sha256")
    override = "or compare anyway with --any-ckpt"
    if source is None:
        raise InputError(
            f"'{model.path}' does not say which checkpoint it came from: export it with "
            f"'pmexport onnx', {override}"
        )
    if source != sha256:
        raise InputError(
            f"'{model.path}' was exported from another checkpoint (SHA-256 "
            f"{source[:12]}, '{checkpoint}' has {sha256[:12]}): give that "
            f"one, {override}"
        )
