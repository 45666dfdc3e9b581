"""Gradients of both operators through the PyTorch ops, on any device, for cases in NumPy."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from kernel_api import CrossScanCase, ScanCase
from kernel_gradients import CROSS, LIMB, SCAN, Gradients
from torch import Tensor

from posemamba.native import gradients
from posemamba.scan_order import Walk


def walk_of(case: CrossScanCase) -> Walk:
    return Walk(case.order, case.reverse, case.limb_mask, case.limb_index[: case.x.shape[2]])


def tensors(
    case: CrossScanCase | ScanCase, names: Sequence[str], device: str = "cpu"
) -> dict[str, Tensor]:
    """A case's arrays that there are."""
    arrays = {name: getattr(case, name) for name in names}
    return {name: torch.from_numpy(a).to(device) for name, a in arrays.items() if a is not None}


def cross_arguments(case: CrossScanCase, device: str) -> list[object]:
    """The arguments of the fused op."""
    sizes = (case.A.shape[2], case.dt_weight.shape[2])
    return [*tensors(case, CROSS, device).values(), *sizes, *walk_of(case).lists()]


def cross_gradients(
    case: CrossScanCase, dy: Tensor, official: bool = False, device: str = "cpu"
) -> Gradients:
    """Of all inputs; with ``official``, of the limb neighbours' x_dbl apart."""
    found = gradients.cross_selective_scan_backward(
        dy.to(device), *cross_arguments(case, device), official
    )
    names = (*CROSS, LIMB) if official else CROSS
    return {name: t.cpu().numpy() for name, t in zip(names, found, strict=False)}


def scan_gradients(case: ScanCase, dy: Tensor, device: str = "cpu") -> Gradients:
    """Of the inputs that there are."""
    given = tensors(case, SCAN, device)
    reverse = list(case.reverse[: case.B.shape[1]])
    inputs = [given.get(name) for name in SCAN]
    found = gradients.selective_scan_backward(dy.to(device), *inputs, case.delta_softplus, reverse)
    return {name: t.cpu().numpy() for name, t in zip(SCAN, found, strict=True) if name in given}


def relative_error(found: Tensor, truth: Tensor) -> float:
    """In the l2 norm; NaN in ``found`` gives NaN."""
    difference = (found.cpu().double() - truth.cpu().double()).norm()
    return float(difference / truth.cpu().double().norm().clamp_min(1e-30))
