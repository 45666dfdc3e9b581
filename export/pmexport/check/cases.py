"""What a check feeds to both sides: real clips, cut or played back and forth to fitting lengths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pmexport.engine.file import EngineFile
from pmexport.runtimes.base import FloatArray, Runnable
from posemamba.text import plural


@dataclass(frozen=True)
class Case:
    """One run of the model.

    Attributes:
        name: the clip and its frames, for people.
        keypoints_2d: (batch, frames, 17, channels) float32.
    """

    name: str
    keypoints_2d: FloatArray


def build_cases(
    clips: Mapping[str, FloatArray],
    *,
    longest: int,
    frames: int | None,
    batch: int | None,
    channels: int = 2,
) -> list[Case]:
    """Runs that cover every clip and, where the model allows them, several lengths and batches.

    Args:
        clips: (frames, 17, 2) each, at least one.
        longest: most frames the network takes.
        frames: the model's fixed number of frames, None if it takes any.
        batch: the model's fixed batch, None if it takes any.
        channels: of the model's input, see :func:`with_channels`.

    Returns:
        Every frame of every clip at least once. A model of free length also runs its full length
        and a single frame; one of free batch, two different clips at once.
    """
    full = frames or longest
    clips = {name: with_channels(clip, channels) for name, clip in clips.items()}
    windows: dict[str, FloatArray] = {}
    for name, clip in clips.items():
        if len(clip) < full and frames is None:
            windows[f"{name}[0:{len(clip)}]"] = clip
        elif len(clip) < full:
            windows[f"{name} bounced to {full}"] = bounce(clip, full)
        else:
            windows |= cut(name, clip, full)
    first = next(iter(clips))
    if frames is None:
        if all(len(window) != full for window in windows.values()):
            windows[f"{first} bounced to {full}"] = bounce(clips[first], full)
        windows[f"{first}[0:1]"] = clips[first][:1]
    if batch is not None:
        return _grouped(windows, batch)
    cases = [Case(name, window[None]) for name, window in windows.items()]
    cases.append(_pair(list(windows.items()), frames))
    return cases


def fitting_cases(model: Runnable, clips: Mapping[str, FloatArray], longest: int) -> list[Case]:
    """Runs that a model takes; of an engine, those of each of its profiles.

    Args:
        clips, longest: as :func:`build_cases`.
    """
    if not isinstance(model, EngineFile):
        return build_cases(
            clips,
            longest=longest,
            frames=model.frames,
            batch=model.batch,
            channels=model.channels,
        )
    cases: dict[tuple[str, tuple[int, ...]], Case] = {}
    for profile in model.profiles:
        batch, frames = profile["batch"], profile["frames"]
        any_frames = frames["min"] == 1 < frames["max"]
        any_batch = batch["min"] == 1 < batch["max"]
        for case in build_cases(
            clips,
            longest=frames["max"],
            frames=None if any_frames else frames["max"],
            batch=None if any_batch else batch["min"],
            channels=model.channels,
        ):
            cases[case.name, case.keypoints_2d.shape] = case
    return list(cases.values())


def with_channels(keypoints_2d: FloatArray, channels: int) -> FloatArray:
    """x and y, and further channels such as a confidence: seeded numbers from 0.3 to 1.

    Args:
        keypoints_2d: (..., 2).

    Returns:
        (..., channels).
    """
    shape = (*keypoints_2d.shape[:-1], channels - 2)
    further = np.random.default_rng(0).uniform(0.3, 1.0, shape)
    return np.concatenate([keypoints_2d, further.astype(np.float32)], axis=-1)


def bounce(clip: FloatArray, frames: int) -> FloatArray:
    """Play a clip forwards and backwards until there are ``frames`` frames: no jump, no blending.

    Args:
        clip: (any, joints, 2).

    Returns:
        (frames, joints, 2).
    """
    period = max(2 * (len(clip) - 1), 1)
    phase = np.arange(frames) % period
    return clip[np.minimum(phase, period - phase) if len(clip) > 1 else phase]


def cut(name: str, clip: FloatArray, frames: int) -> dict[str, FloatArray]:
    """Windows of ``frames`` frames; the last ends with the clip and may overlap the one before."""
    starts = [*range(0, len(clip) - frames, frames), len(clip) - frames]
    return {f"{name}[{at}:{at + frames}]": clip[at : at + frames] for at in starts}


def _pair(windows: list[tuple[str, FloatArray]], frames: int | None) -> Case:
    """Two windows in one batch; of a third of the length where that is free, to vary it too."""
    (name, one), (other, two) = windows[0], windows[min(1, len(windows) - 1)]
    length = frames or max(1, min(len(one), len(two)) // 3)
    label = f"batch of {name} and {other}" + ("" if frames else f", {plural(length, 'frame')} each")
    return Case(label, np.stack([one[:length], two[-length:]]))


def _grouped(windows: Mapping[str, FloatArray], batch: int) -> list[Case]:
    """Windows of equal length in batches of ``batch``; the last starts over to fill up."""
    by_length: dict[int, list[tuple[str, FloatArray]]] = {}
    for name, window in windows.items():
        by_length.setdefault(len(window), []).append((name, window))
    cases = []
    for group in by_length.values():
        for at in range(0, len(group), batch):
            chosen = [group[(at + i) % len(group)] for i in range(batch)]
            more = f" and {batch - 1} more" if batch > 1 else ""
            cases.append(Case(chosen[0][0] + more, np.stack([window for _, window in chosen])))
    return cases
