"""What PyTorch's own poses are computed with, and whether they can be believed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from pmexport.check.cases import Case
from pmexport.check.compare import not_finite
from pmexport.check.tolerance import TOLERANCES
from pmexport.format.limits import check_kernels
from pmexport.runtimes.base import FloatArray
from pmexport.runtimes.torch_cpu import torch_lift
from posemamba.errors import InputError
from posemamba.native.library import load_cpu_library

if TYPE_CHECKING:
    from posemamba.model.network import PoseMamba

_PLAIN_SCAN_FRAMES = 9
"""Frames on which the native scan of the baseline is itself compared with the plain one: enough
to cross every joint and frame boundary, and a fraction of a second for the largest model."""


@dataclass(frozen=True)
class Baseline:
    """How PyTorch computed the poses that the others are held against.

    Attributes:
        scan: ``fused`` (native op) or ``reference`` (plain PyTorch).
        detail: instruction set of the native op, or why there is none.
        plain_scan_max_abs: difference of the native from the plain scan; 0 for the plain one,
            None where it is NaN or infinite.
    """

    scan: str
    detail: str
    threads: int
    plain_scan_max_abs: float | None
    plain_scan_frames: int


def choose_baseline(network: PoseMamba, clip: FloatArray, threads: int | None) -> Baseline:
    """Choose the network's scan, and hold the native one against the plain one."""
    used = threads or torch.get_num_threads()
    short = clip[:1, :_PLAIN_SCAN_FRAMES]
    plain = torch_lift(network.set_scan("reference"), threads)(short)
    try:
        detail = load_cpu_library().pm_cpu_isa().decode()
    except InputError:
        return Baseline("reference", "no native kernels", used, 0.0, 0)
    try:
        check_kernels("fused", network.config)
    except InputError as error:
        network.set_scan("reference")
        return Baseline("reference", str(error).partition(":")[0], used, 0.0, 0)
    native = torch_lift(network.set_scan("fused"), threads)(short)
    apart = float(np.abs(native - plain).max())
    known = apart if math.isfinite(apart) else None
    return Baseline("fused", detail, used, known, short.shape[1])


def baseline_failure(
    cases: Sequence[Case], expected: Sequence[FloatArray], baseline: Baseline
) -> str | None:
    """Why PyTorch's own poses cannot be a baseline."""
    for case, poses in zip(cases, expected, strict=True):
        where = not_finite(poses)
        if where is not None:
            return f"PyTorch itself gives {where} in {case.name}: these weights are broken"
    apart = baseline.plain_scan_max_abs
    if apart is None or apart > TOLERANCES["fp32"].max_abs:
        off = "NaN or infinite" if apart is None else f"{apart:.1e} off the plain one"
        return (
            f"PyTorch's native scan ({baseline.detail}) is {off}: the kernels are wrong on this "
            "machine, see 'pmexport doctor'"
        )
    return None
