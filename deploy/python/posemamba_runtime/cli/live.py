"""``lift --live``: frames of JSON from a pipe or a port, poses as lines on standard output."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable

from posemamba_runtime.cli.demo import check_model, model_path
from posemamba_runtime.cli.lift import STANDARD_OUTPUT, lift_options
from posemamba_runtime.cli.opening import open_lifter
from posemamba_runtime.keypoints.errors import InputError
from posemamba_runtime.keypoints.reader import STANDARD_INPUT
from posemamba_runtime.keypoints.source import standard_input
from posemamba_runtime.keypoints.times import DEFAULT_RATE
from posemamba_runtime.lifter import Lifter
from posemamba_runtime.live.avatar import Avatar
from posemamba_runtime.live.budget import Plan, plan
from posemamba_runtime.live.intake import Intake, Settled
from posemamba_runtime.live.poses import pose_line
from posemamba_runtime.live.session import run
from posemamba_runtime.live.sources import Item, datagrams, lines
from posemamba_runtime.outputs.vmc import VmcSender
from posemamba_runtime.recordings import LiftOptions
from posemamba_runtime.stream import Pose, Stream
from posemamba_runtime.text import counted

_MM = 1000.0
_NOBODY = "no frame shows anybody"
_NOT_WHOLE = (
    "people were seen and nobody whole: a joint that no frame has shown yet, as feet under a desk, "
    "is not made up in a live stream"
)


def live(arguments: argparse.Namespace) -> None:
    """Lift a live stream until it ends.

    Raises:
        Error: one line that names the fix.
    """
    _check(arguments)
    options = lift_options(arguments)
    check_model(arguments.model)
    model = model_path(arguments.model)
    intake = Intake(
        wanted=arguments.format,
        size=arguments.size,
        layout=arguments.layout,
        min_confidence=arguments.min_confidence,
        rate=arguments.rate,
    )
    with open_lifter(
        model, arguments.backend, arguments.threads, _tell, tf32=arguments.tf32
    ) as lifter:
        chosen = _plan(lifter, arguments, arguments.rate or DEFAULT_RATE)
        sinks = Sinks()
        if arguments.output or not arguments.vmc:
            sinks.append(_lines(options.units))
        counts = run(
            lifter,
            _items(arguments),
            intake,
            _opener(lifter, options, arguments, chosen, sinks),
            sinks,
            _tell,
        )
    _tell(f"{counted(counts.frames, 'frame')} in, {counted(counts.poses, 'pose')} out")
    if counts.frames > counts.refused and not counts.poses:
        _tell(_NOBODY if intake.settled is None else _NOT_WHOLE)
    if counts.frames and counts.refused == counts.frames:
        raise InputError("no frame could be read: see the lines above")


def _check(arguments: argparse.Namespace) -> None:
    if arguments.udp and arguments.keypoints is not None:
        raise InputError("--udp is where the frames come from: leave KEYPOINTS out")
    if not arguments.udp and arguments.keypoints not in (None, STANDARD_INPUT):
        raise InputError("--live reads frames from standard input ('-') or --udp, not from a file")
    if arguments.output not in (None, STANDARD_OUTPUT):
        raise InputError("--live writes lines on standard output: leave -o out, or say -o -")
    if arguments.person != "all" or arguments.clip or arguments.root:
        raise InputError(
            "--person, --clip and --root are for recordings: leave them out with --live"
        )
    if arguments.detector or arguments.detector_python:
        raise InputError("--detector is for a video file: leave it out with --live")
    if arguments.vmc and not arguments.height_m:
        raise InputError("--vmc needs --height-m: avatars are moved in metres")
    if arguments.latency_ms is not None and (arguments.policy or arguments.window):
        raise InputError("--latency-ms chooses window and policy: leave --window and --policy out")


def _items(arguments: argparse.Namespace) -> Iterable[Item]:
    return datagrams(*arguments.udp) if arguments.udp else lines(standard_input())


def _plan(lifter: Lifter, arguments: argparse.Namespace, rate: float) -> Plan | None:
    if arguments.latency_ms is None:
        return None
    chosen = plan(lifter, budget_ms=arguments.latency_ms, rate=rate, flip=arguments.flip)
    _tell(
        f"window of {chosen.window} frames, {chosen.lift_ms:.1f} ms to lift it, pose of the frame "
        f"{chosen.lag} before the newest: {chosen.delay_ms(rate):.0f} ms at {rate:g} frames/s"
    )
    return chosen


def _opener(
    lifter: Lifter,
    options: LiftOptions,
    arguments: argparse.Namespace,
    planned: Plan | None,
    sinks: Sinks,
) -> Callable[[Settled], Stream]:
    def open_stream(settled: Settled) -> Stream:
        chosen = planned
        if settled.rate != (arguments.rate or DEFAULT_RATE):  # the stream says another one
            chosen = _plan(lifter, arguments, settled.rate)
        stream = lifter.stream(
            settled.layout,
            settled.size,
            window=chosen.window if chosen else options.window,
            hop=max(1, options.hop),
            policy="lag" if chosen else arguments.policy or "last",
            lag=chosen.lag if chosen else 0,
            rate=settled.rate,
            min_confidence=arguments.min_confidence,
            flip=options.flip,
            smoothing=options.smoothing,
            height_m=options.height_m,
        )
        delay = stream.delay
        _tell(f"delay: {counted(delay.frames, 'frame')}, {delay.seconds * 1e3:.0f} ms, and lifting")
        if arguments.vmc:
            sender = VmcSender(
                *arguments.vmc,
                units="m",
                delay_frames=delay.frames,
                delay_ms=delay.seconds * 1e3,
            )
            sinks.append(Avatar(sender))
        return stream

    return open_stream


class Sinks(list[Callable[[Pose], None]]):
    """Everybody who takes poses, as one."""

    def __call__(self, pose: Pose) -> None:
        for sink in self:
            sink(pose)


def _lines(units: str) -> Callable[[Pose], None]:
    scale = _MM if units == "mm" else 1.0

    def write(pose: Pose) -> None:
        line = pose_line(
            pose.frame, pose.timestamp, pose.person, pose.joints * scale, pose.filled, units
        )
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()

    return write


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
