"""What became of a recording, in lines for a person."""

from __future__ import annotations

from pathlib import Path

from posemamba_runtime.keypoints.errors import left_out
from posemamba_runtime.keypoints.recording import Recording
from posemamba_runtime.recordings import Lifted
from posemamba_runtime.text import counted

_PERCENT = 100.0
_FEW = 10.0  # a second


def speed(poses: int, seconds: float) -> str:
    """Poses a second: whole ones, of a few two digits."""
    pace = poses / max(seconds, 1e-9)
    return f"{pace:,.0f} a second" if pace >= _FEW else f"{pace:.2g} a second"


def what_was_read(recording: Recording) -> list[str]:
    """The format, frames, people and units, and what was left out."""
    summary = recording.summary
    frames = counted(summary.frames, "frame")
    details = [
        text
        for count, text in (
            (summary.missing_frames, f"{summary.missing_frames} missing"),
            (summary.empty_frames, f"{summary.empty_frames} without people"),
        )
        if count
    ]
    clips = summary.format in ("npz", "videopose3d")
    tracks = counted(summary.people, "clip") if clips else people(summary.people)
    size = "x".join(map(str, recording.size)) if recording.size else "normalised"
    lines = [
        f"Read: {summary.format}, {frames}{' (' + ', '.join(details) + ')' if details else ''}, "
        f"{tracks}, {recording.layout}, {size}, {recording.rate:g} frames a second"
    ]
    lines += [f"Left out: {left_out(count, what)}" for what, count in summary.left_out.items()]
    lines += [f"Remark: {note}" for note in summary.notes]
    return lines


def what_was_lifted(recording: Recording, lifted: Lifted) -> list[str]:
    """What was filled or placed, and who could not be lifted."""
    summary = recording.summary
    everything = summary.found + summary.not_found
    share = summary.not_found / everything * _PERCENT if everything else 0.0
    gone = sum(int(track.filled.all(axis=1).sum()) for track in lifted.motion.tracks)
    lines = [f"Filled: {share:.1f} % of the keypoints, {counted(gone, 'whole pose')}"]
    for person, limbs in lifted.placed.items():
        lines.append(
            f"Remark: person {person} never shows {', '.join(limbs)}: placed as they would hang, "
            "so their poses are invented"
        )
    for person, reason, frames in lifted.lost:
        lines.append(f"Left out: person {person} in {counted(frames, 'frame')}: {reason}")
    return lines


def remarks(recording: Recording, lifted: Lifted) -> list[str]:
    """Those of the lines above that tell of something left out, assumed or invented."""
    lines = (*what_was_read(recording), *what_was_lifted(recording, lifted))
    return [line for line in lines if line.startswith(("Left out", "Remark"))]


def people(count: int) -> str:
    """``1 person``, ``2 people``."""
    return "1 person" if count == 1 else f"{count} people"


def size_text(path: Path) -> str:
    """A file's size as people say it."""
    size = path.stat().st_size
    return f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{size / 1e3:.1f} kB"
