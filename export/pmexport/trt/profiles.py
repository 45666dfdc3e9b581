"""Optimization profiles: the sizes an engine takes, and the one it is tuned for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from pmexport.format.limits import check_frames
from posemamba.errors import InputError

DEFAULT_BATCH = "1:1:8"


@dataclass(frozen=True)
class Range:
    """Smallest, tuned-for and largest size of a dimension."""

    min: int
    opt: int
    max: int

    def __str__(self) -> str:
        if self.min == self.max:
            return str(self.min)
        return f"{self.min}:{self.opt}:{self.max}"


@dataclass(frozen=True)
class Profile:
    """One optimization profile of ``keypoints_2d``."""

    batch: Range
    frames: Range

    def to_dict(self) -> dict[str, dict[str, int]]:
        return asdict(self)

    def shape(self, which: str, joints: int, channels: int = 2) -> tuple[int, int, int, int]:
        """Shape of ``keypoints_2d``; ``which`` is ``min``, ``opt`` or ``max``."""
        return (getattr(self.batch, which), getattr(self.frames, which), joints, channels)


def parse_range(text: str, option: str) -> Range:
    """``1:8:32``, or ``8`` for exactly that.

    Raises:
        InputError: no whole numbers from 1, or not in order.
    """
    parts = text.split(":")
    try:
        numbers = [int(part) for part in parts]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 3):
        raise InputError(f"{option} '{text}' is neither a number nor min:opt:max, such as 1:1:8")
    low, tuned, high = numbers if len(numbers) == 3 else numbers * 3
    if low < 1:
        raise InputError(f"{option} {text}: sizes begin at 1")
    if not low <= tuned <= high:
        raise InputError(
            f"{option} {text}: min, opt and max must ascend, such as "
            f"{':'.join(map(str, sorted(numbers)))}"
        )
    return Range(low, tuned, high)


def build_profiles(
    batch: Sequence[str],
    frames: Sequence[str],
    *,
    max_frames: int,
    fixed_batch: int | None = None,
    fixed_frames: int | None = None,
) -> tuple[Profile, ...]:
    """Profiles from the command line: ranges of both options are paired in order.

    Args:
        batch: ``--batch`` as often as given; none for the default.
        frames: ``--frames`` likewise; the default is any length, tuned for the longest clip.
        max_frames: rows of the network's position embedding.
        fixed_batch, fixed_frames: sizes the ONNX model is fixed to; None for any.

    Raises:
        InputError: a range is wrong, the model does not take it, or the counts do not match.
    """
    batches = [
        parse_range(text, "--batch") for text in batch or [str(fixed_batch or DEFAULT_BATCH)]
    ]
    lengths = [
        parse_range(text, "--frames")
        for text in frames or [str(fixed_frames or f"1:{max_frames}:{max_frames}")]
    ]
    for length in lengths:
        check_frames(length.max, max_frames, length)
    for option, ranges, fixed in (
        ("--batch", batches, fixed_batch),
        ("--frames", lengths, fixed_frames),
    ):
        for one in ranges:
            if fixed is not None and (one.min, one.max) != (fixed, fixed):
                raise InputError(
                    f"{option} {one}: this ONNX model is fixed to {fixed}: leave {option} out, or "
                    f"export it with '{option} dynamic'"
                )
    count = max(len(batches), len(lengths))
    if {len(batches), len(lengths)} - {1, count}:
        raise InputError(
            f"--batch is given {len(batches)} times and --frames {len(lengths)}: give both as "
            "often, or one of them once"
        )
    pairs = zip(batches * (count // len(batches)), lengths * (count // len(lengths)), strict=True)
    profiles = tuple(Profile(*pair) for pair in pairs)
    if len(set(profiles)) < count:
        raise InputError("two profiles are the same: give each once")
    return profiles
