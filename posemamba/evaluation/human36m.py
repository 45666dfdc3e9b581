"""Human3.6M's protocols 1 and 2, as the authors' evaluation computes them.

Clips of 243 frames, one after another; poses to millimetres with each frame's ``2.5d_factor``;
errors of frames that several clips cover are averaged, then frames by action, then actions. Three
recordings of subject 9 whose ground truth is shifted are left out.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from posemamba.data.human36m import TEST_STRIDE, TestSplit, read_test_split
from posemamba.data.windows import clip_rows
from posemamba.pose.lift import Lift, with_flip
from posemamba.pose.metrics import joint_errors, procrustes_align
from posemamba.skeleton import ROOT
from posemamba.text import plural, problem, table

Array = npt.NDArray[np.float64]

SKIPPED = ("s_09_act_05_subact_02", "s_09_act_10_subact_02", "s_09_act_13_subact_01")
ACTIONS = 15
BATCH = 16

_CAMERA_SUFFIX = 6  # "_ca_01"
_QUIRK = (
    "Ground-truth 2D, as the authors compute it: predicted x and y are overwritten by the input's "
    "before the error is taken. So these are errors of depth alone, and lower than a pose's."
)


@dataclass(frozen=True)
class H36MReport:
    """Errors by action, millimetres.

    Attributes:
        p1: action to MPJPE.
        p2: action to P-MPJPE.
        frames: frames that counted.
        skipped_frames: frames of the recordings left out, and those no clip covers.
        use_ground_truth_2d: the authors' ground-truth mode, errors of depth alone.
        flip: flip test-time augmentation was on.
    """

    p1: Mapping[str, float]
    p2: Mapping[str, float]
    frames: int
    skipped_frames: int
    use_ground_truth_2d: bool
    flip: bool

    @property
    def mpjpe(self) -> float:
        """Protocol 1: mean over actions, each counting the same."""
        return float(np.mean(list(self.p1.values())))

    @property
    def p_mpjpe(self) -> float:
        """Protocol 2: mean over actions, each counting the same."""
        return float(np.mean(list(self.p2.values())))

    def to_dict(self) -> dict[str, object]:
        """Everything, for JSON."""
        return {
            "protocol": "human3.6m",
            "mpjpe_mm": self.mpjpe,
            "p_mpjpe_mm": self.p_mpjpe,
            "actions": {
                action: {"mpjpe_mm": self.p1[action], "p_mpjpe_mm": self.p2[action]}
                for action in self.p1
            },
            "frames": self.frames,
            "skipped_frames": self.skipped_frames,
            "flip": self.flip,
            "use_ground_truth_2d": self.use_ground_truth_2d,
            "note": self._note(),
        }

    def table(self) -> str:
        """One row per action, the mean last, and what one must know about it."""
        rows = [(name, f"{self.p1[name]:.2f}", f"{self.p2[name]:.2f}") for name in self.p1]
        rows.append((f"mean of {len(rows)}", f"{self.mpjpe:.2f}", f"{self.p_mpjpe:.2f}"))
        text = table(("action", "P1 mm", "P2 mm"), rows)
        return f"{text}\n{note}" if (note := self._note()) else text

    def _note(self) -> str:
        notes = [_QUIRK] if self.use_ground_truth_2d else []
        if len(self.p1) != ACTIONS:
            notes.append(
                f"{plural(len(self.p1), 'action')}, not {ACTIONS}: not the whole test set."
            )
        return " ".join(notes)


def evaluate_h36m(
    lift: Lift,
    path: str | os.PathLike[str],
    *,
    use_ground_truth_2d: bool = False,
    flip: bool = True,
    frames: int = TEST_STRIDE,
    on_progress: Callable[[int], object] | None = None,
) -> H36MReport:
    """Evaluate on the test split of ``h36m_sh_conf_cam_source_final.pkl``.

    Args:
        lift: (batch, frames, 17, 2) float32 to (batch, frames, 17, 3).
        path: the file.
        use_ground_truth_2d: input the labels' x and y, and overwrite the prediction's by them, as
            the authors' code does.
        flip: average with the mirrored clip's poses.
        frames: frames per clip.
        on_progress: called with the number of clips done since the last call.

    Raises:
        InputError: not that file, or no frame of it counts.
    """
    path = Path(path)
    test = read_test_split(path)
    rows = clip_rows(test.sources, frames, frames)
    rows = rows[[test.sources[row[0]][:-_CAMERA_SUFFIX] not in SKIPPED for row in rows]]
    if not len(rows):
        raise problem(path, "every recording of its test split is one of the three left out")
    keypoints = _keypoints(test, use_ground_truth_2d).astype(np.float32)
    lift_both = with_flip(lift) if flip else lift
    total = len(test.sources)
    sums, counts = np.zeros((2, total)), np.zeros(total)
    for first in range(0, len(rows), BATCH):
        clips = rows[first : first + BATCH]  # (batch, frames)
        poses = np.array(lift_both(keypoints[clips]), dtype=np.float64)
        poses[..., ROOT, :] = 0.0
        if use_ground_truth_2d:
            poses[..., :2] = keypoints[clips]
        scale = test.mm_per_px[clips] * test.sizes[clips, 0] / 2.0  # mm of a unit, by frame
        # The authors add the image's centre first; taking the root off removes it again.
        predicted = (poses - poses[..., ROOT : ROOT + 1, :]) * scale[..., None, None]
        truth = test.poses_mm[clips]
        truth = truth - truth[..., ROOT : ROOT + 1, :]
        errors = (
            joint_errors(predicted, truth).mean(axis=-1),
            joint_errors(procrustes_align(predicted, truth), truth).mean(axis=-1),
        )
        for sum_, error in zip(sums, errors, strict=True):
            np.add.at(sum_, clips, error)
        np.add.at(counts, clips, 1.0)
        if on_progress is not None:
            on_progress(len(clips))
    seen = counts > 0
    means = sums[:, seen] / counts[seen]
    actions = np.asarray(test.actions)[seen]
    p1, p2 = (
        {str(name): float(mean[actions == name].mean()) for name in np.unique(actions)}
        for mean in means
    )
    return H36MReport(
        p1,
        p2,
        int(seen.sum()),
        int((~seen).sum()),
        use_ground_truth_2d=use_ground_truth_2d,
        flip=flip,
    )


def _keypoints(test: TestSplit, use_ground_truth_2d: bool) -> Array:
    """What the network is given: detections, or the labels' own x and y."""
    if not use_ground_truth_2d:
        return test.keypoints_2d()
    return replace(test, keypoints_px=test.labels_px[..., :2]).keypoints_2d()
