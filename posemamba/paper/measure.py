"""A user's checkpoint on a user's data, for the measured columns of ``posemamba table``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from posemamba.checkpoint.read import read_checkpoint
from posemamba.errors import InputError
from posemamba.evaluation import evaluate_3dhp, evaluate_h36m
from posemamba.model.lift import as_lift
from posemamba.paper.tables import Measured


def measure(
    ckpt: str | os.PathLike[str],
    *,
    h36m: str | os.PathLike[str] | None,
    mpi: str | os.PathLike[str] | None,
    scan_order: str | None = None,
    weights: str | None = None,
) -> Measured:
    """Run the official protocols, with flip augmentation as the authors do.

    Args:
        ckpt: checkpoint.
        h36m: ``h36m_sh_conf_cam_source_final.pkl``, run with detected and with true 2D.
        mpi: ``data_test_3dhp.npz``, at the checkpoint's number of frames.
        scan_order: where the checkpoint does not tell.
        weights: which set of a checkpoint that holds several.

    Raises:
        InputError: a checkpoint or data file that cannot be used.
    """
    from tqdm import tqdm

    ckpt = Path(ckpt)
    for path in (h36m, mpi):
        if path is not None and not Path(path).is_file():
            raise InputError(f"{path}: no such file; check the path")
    checkpoint = read_checkpoint(ckpt, scan_order=scan_order, weights=weights)
    lift = as_lift(checkpoint.build())
    figures: dict[str, float] = {}
    with tqdm(desc=ckpt.name, unit="clip", disable=None) as bar:
        if h36m is not None:
            common: dict[str, Any] = {"flip": True, "on_progress": bar.update}
            detected = evaluate_h36m(lift, h36m, use_ground_truth_2d=False, **common)
            truth = evaluate_h36m(lift, h36m, use_ground_truth_2d=True, **common)
            figures["h36m_p1"] = detected.mpjpe
            figures["h36m_p2"] = detected.p_mpjpe
            figures["h36m_p1_truth"] = truth.mpjpe
        if mpi is not None:
            frames = checkpoint.config.frames
            report = evaluate_3dhp(lift, mpi, frames=frames, flip=True, on_progress=bar.update)
            figures["mpi_mpjpe"] = report.overall.mpjpe
            figures["mpi_pck"] = report.overall.pck
            figures["mpi_auc"] = report.overall.auc
    return Measured(checkpoint.config.variant, ckpt.name, **figures)
