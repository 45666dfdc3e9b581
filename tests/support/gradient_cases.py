"""Gradients of both operators by the native ops, and by autograd of the plain scan as oracle.

The oracle walks one step at a time (:mod:`posemamba.scan.reference`), forwards alone; PyTorch
derives the way back. In float64 it is the truth; in float32 it is what PyTorch itself would lose.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from kernel_api import CrossScanCase, ScanCase
from torch import Tensor

from posemamba.native import gradients
from posemamba.scan import reference
from posemamba.scan_order import Walk

CROSS = ("x", "x_dbl", "dt_weight", "dt_bias", "A", "D", "x_dbl of limbs")
SCAN = ("u", "delta", "A", "B", "C", "D", "delta_bias", "z")


def walk_of(case: CrossScanCase) -> Walk:
    return Walk(case.order, case.reverse, case.limb_mask, case.limb_index)


def output_gradient(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """What the loss says of the output: (shape), seeded."""
    drawn = torch.randn(tuple(shape), generator=torch.Generator().manual_seed(1))
    return drawn.to(dtype)


def tensors(case: CrossScanCase | ScanCase, names: Sequence[str]) -> dict[str, Tensor]:
    """A case's arrays that there are."""
    arrays = {name: getattr(case, name) for name in names}
    return {name: torch.from_numpy(a) for name, a in arrays.items() if a is not None}


def leaves(values: dict[str, Tensor], work: torch.dtype) -> dict[str, Tensor]:
    return {name: t.to(work, copy=True).requires_grad_() for name, t in values.items()}


def cross_expected(case: CrossScanCase, official: bool, work: torch.dtype) -> dict[str, Tensor]:
    """The oracle's gradients by name, in ``work``; of limbs' x_dbl only if ``official``."""
    wanted = leaves(tensors(case, CROSS[:6]), work)
    x, x_dbl, dt_weight, dt_bias, A, D = wanted.values()
    limb_dbl = x_dbl.detach().requires_grad_() if official else x_dbl
    if official:
        wanted[CROSS[6]] = limb_dbl
    walk = walk_of(case)
    u, delta, B, C = reference.directional_inputs(
        x, x_dbl, dt_weight, A.shape[2], walk, (x.detach(), limb_dbl) if official else None
    )
    y = reference.selective_scan(
        u, delta, A.flatten(0, 1), B, C, D.flatten(), None, dt_bias.flatten(), True, walk.reverse
    )
    merged = reference.merge_directions(y, walk.order, x.shape[1], x.shape[2])
    dy = output_gradient(x.shape, torch.from_numpy(case.x).dtype)
    found = torch.autograd.grad(merged, list(wanted.values()), dy.to(work), allow_unused=True)
    return {
        name: torch.zeros_like(of) if gradient is None else gradient
        for (name, of), gradient in zip(wanted.items(), found, strict=True)
    }


def cross_found(case: CrossScanCase, official: bool, device: str) -> dict[str, Tensor]:
    """The same by the native op."""
    given = [t.to(device) for t in tensors(case, CROSS[:6]).values()]
    dy = output_gradient(given[0].shape, given[0].dtype).to(device)
    walk = walk_of(case)
    found = gradients.cross_selective_scan_backward(
        dy, *given, case.A.shape[2], case.dt_weight.shape[2],
        walk.order, walk.reverse, walk.limb_mask, walk.limb_index, official,
    )  # fmt: skip
    return dict(zip(CROSS if official else CROSS[:6], found, strict=False))


def scan_expected(case: ScanCase, work: torch.dtype) -> dict[str, Tensor]:
    """The oracle's gradients by name, in ``work``, of the inputs there are."""
    wanted = leaves(tensors(case, SCAN), work)
    u, delta, A, B, C = (wanted[name] for name in SCAN[:5])
    D, bias, z = (wanted.get(name) for name in SCAN[5:])
    reverse = case.reverse[: B.shape[1]]
    y = reference.selective_scan(u, delta, A, B, C, D, z, bias, case.delta_softplus, reverse)
    dy = output_gradient(u.shape, torch.from_numpy(case.u).dtype)
    found = torch.autograd.grad(y, list(wanted.values()), dy.to(work))
    return dict(zip(wanted, found, strict=True))


def scan_found(case: ScanCase, device: str) -> dict[str, Tensor]:
    """The same by the native op."""
    given = {name: t.to(device) for name, t in tensors(case, SCAN).items()}
    dy = output_gradient(given["u"].shape, given["u"].dtype).to(device)
    reverse = list(case.reverse[: case.B.shape[1]])
    inputs = [given.get(name) for name in SCAN]
    found = gradients.selective_scan_backward(dy, *inputs, case.delta_softplus, reverse)
    return {name: t for name, t in zip(SCAN, found, strict=True) if name in given}


def relative_error(found: Tensor, truth: Tensor) -> float:
    """In the l2 norm; NaN in ``found`` gives NaN."""
    difference = (found.cpu().double() - truth.double()).norm()
    return float(difference / truth.double().norm().clamp_min(np.finfo(np.float32).tiny))


def check(
    found: dict[str, Tensor], truth: dict[str, Tensor], plain: dict[str, Tensor], floor: float
) -> None:
    """At most twice the error of PyTorch's own float32 gradients, rounded to the same types.

    Args:
        floor: added; the arithmetic's own, where PyTorch's error happens to be less.
    """
    assert found.keys() == truth.keys()
    for name, gradient in found.items():
        assert gradient.shape == truth[name].shape, name
        assert torch.isfinite(truth[name]).all(), name
        error = relative_error(gradient, truth[name])
        own = relative_error(plain[name].to(gradient.dtype), truth[name])
        assert error <= 2 * own + floor, f"{name}: {error:.3g}, PyTorch in float32 {own:.3g}"
