"""MPI-INF-3DHP's protocol: ground-truth keypoints, the centre frame, valid frames only.

MPJPE is over all 17 joints, of which the root counts with error 0, as the literature's code has it;
PCK at 150 mm and AUC are over the 14 joints of the test-set release's joint groups (Mehta et al.,
3DV 2017), without pelvis, spine and head centre.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from posemamba.data.mpi_inf_3dhp import JOINT_NAMES, TO_H36M, read_test
from posemamba.data.windows import centred_rows
from posemamba.pose.lift import Lift, with_flip
from posemamba.pose.metrics import auc, mpjpe, pck
from posemamba.skeleton import ROOT
from posemamba.text import problem, table

Array = npt.NDArray[np.float64]

BATCH = 64

#: Places, in Human3.6M's order, of the joints that PCK and AUC count.
PCK_JOINTS = tuple(
    place
    for place, joint in enumerate(TO_H36M)
    if JOINT_NAMES[joint] not in ("pelvis", "spine", "head")
)


@dataclass(frozen=True)
class MpiErrors:
    """Errors over some frames: MPJPE in millimetres, PCK and AUC in percent."""

    mpjpe: float
    pck: float
    auc: float
    frames: int

    def to_dict(self) -> dict[str, float]:
        return {
            "mpjpe_mm": self.mpjpe,
            "pck_150_percent": self.pck,
            "auc_percent": self.auc,
            "frames": self.frames,
        }


@dataclass(frozen=True)
class MpiReport:
    """Errors over all valid frames and by sequence.

    Attributes:
        overall: every valid frame counts the same.
        sequences: ``TS1`` ... to its errors.
        clip_frames: frames per clip.
        flip: flip test-time augmentation was on.
    """

    overall: MpiErrors
    sequences: Mapping[str, MpiErrors]
    clip_frames: int
    flip: bool

    def to_dict(self) -> dict[str, object]:
        """Everything, for JSON."""
        return {
            "protocol": "mpi-inf-3dhp",
            **self.overall.to_dict(),
            "sequences": {name: errors.to_dict() for name, errors in self.sequences.items()},
            "clip_frames": self.clip_frames,
            "flip": self.flip,
        }

    def table(self) -> str:
        """One row per sequence, all frames last."""
        rows = [*self.sequences.items(), ("all", self.overall)]
        header = ("sequence", "frames", "MPJPE mm", "PCK@150 %", "AUC %")
        return table(
            header,
            [
                (name, str(e.frames), f"{e.mpjpe:.2f}", f"{e.pck:.2f}", f"{e.auc:.2f}")
                for name, e in rows
            ],
        )


def evaluate_3dhp(
    lift: Lift,
    path: str | os.PathLike[str],
    *,
    frames: int = 27,
    flip: bool = True,
    on_progress: Callable[[int], object] | None = None,
) -> MpiReport:
    """Evaluate on ``data_test_3dhp.npz``.

    Args:
        lift: (batch, frames, 17, 2) float32 to (batch, frames, 17, 3), Human3.6M's joint order.
        path: the file.
        frames: frames per clip, of which the centre one is judged.
        flip: average with the mirrored clip's poses.
        on_progress: called with the number of frames done since the last call.

    Raises:
        InputError: not that file, or no valid frame in it.
    """
    path = Path(path)
    lift_both = with_flip(lift) if flip else lift
    predicted, truth = {}, {}
    for recording in read_test(path):
        rows = centred_rows(len(recording.valid), frames)[recording.valid]  # (n, frames)
        if not len(rows):
            continue
        keypoints = recording.keypoints_2d.astype(np.float32)
        parts = []
        for first in range(0, len(rows), BATCH):
            batch = rows[first : first + BATCH]
            poses = np.array(lift_both(keypoints[batch]), dtype=np.float64)
            centre = poses[:, (frames - 1) // 2]  # (batch, 17, 3)
            centre[:, ROOT] = 0.0
            parts.append(centre * recording.mm_per_unit)
            if on_progress is not None:
                on_progress(len(batch))
        predicted[recording.name] = np.concatenate(parts)
        truth[recording.name] = recording.poses_mm[recording.valid]
    if not predicted:
        raise problem(path, "no valid frame in it")
    return MpiReport(
        _errors(np.concatenate(list(predicted.values())), np.concatenate(list(truth.values()))),
        {name: _errors(predicted[name], truth[name]) for name in predicted},
        frames,
        flip,
    )


def _errors(predicted: Array, truth: Array) -> MpiErrors:
    counted = list(PCK_JOINTS)
    return MpiErrors(
        mpjpe(predicted, truth),
        pck(predicted[:, counted], truth[:, counted]),
        auc(predicted[:, counted], truth[:, counted]),
        len(truth),
    )
