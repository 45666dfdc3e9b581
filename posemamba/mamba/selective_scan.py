"""``selective_scan_fn`` with mamba-ssm's signature: native kernels where they can, else PyTorch.

Shapes and semantics are those of ``mamba_ssm.ops.selective_scan_interface.selective_scan_fn`` (Gu
and Dao, arXiv 2312.00752, algorithm 2). Nothing is rounded below float32 inside.

| what is given                                   | what computes it                               |
|-------------------------------------------------|------------------------------------------------|
| float32 or float16 activations, within limits   | the native kernel                              |
| bfloat16, or several types                      | the native kernel in float32, then rounded     |
| float64 anywhere, ``return_last_state``, sizes  | :mod:`posemamba.scan.chunked`, differentiable  |
| beyond the kernels', another device than a CPU  | PyTorch                                        |
| or a CUDA GPU                                   |                                                |
| complex ``A``                                   | step by step in PyTorch                        |

The native kernel's gradients are a kernel's on the CPU and the chunked scan's on CUDA; all others
are PyTorch's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from posemamba.errors import InputError
from posemamba.mamba import complex_scan
from posemamba.native import scan_ops_v2
from posemamba.native.structs import SCAN_SIZES
from posemamba.scan import chunked
from posemamba.scan.operands import Operands

_NATIVE_TYPES = (torch.float32, torch.float16)
_REAL_TYPES = (*_NATIVE_TYPES, torch.bfloat16, torch.float64)
_COMPLEX_TYPES = (torch.complex64, torch.complex128)
MOST_STATES = SCAN_SIZES["d_state"] or 0
"""Of version 1 of the operator; version 2 takes more."""
_ACTIVATIONS = ("u", "delta", "B", "C", "z")
_plain = False  # a global, which torch.compile guards on; it cannot trace a ContextVar


@contextmanager
def plain_pytorch() -> Iterator[None]:
    """Within, no scan of the process runs a native kernel: an oracle for what does."""
    global _plain
    before, _plain = _plain, True
    try:
        yield
    finally:
        _plain = before


def selective_scan_fn(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = False,
    return_last_state: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """The Mamba-1 selective scan, a drop-in for mamba-ssm's.

    Args:
        u, delta, z: (batch, d, L).
        A: (d, N), real or complex.
        B, C: (d, N) constant; (batch, N, L); or (batch, groups, N, L). With a complex ``A`` they
            are complex where constant, else their last axis is 2 L, real and imaginary part in
            turn.
        D, delta_bias: (d,).
        delta_softplus: apply softplus after adding the bias.
        return_last_state: give the state after the last step too.

    Returns:
        (batch, d, L) in the type of ``u``; with ``return_last_state`` also (batch, d, N), in
        float32 (float64 for float64 inputs, complex for a complex ``A``). Both carry gradients.

    Raises:
        InputError: tensors that do not fit each other, a type of whole numbers, or the native
            library is missing.
    """
    given = Operands(u, delta, A, B, C, D, z, delta_bias, delta_softplus)
    _check(given)
    if torch.compiler.is_exporting() and A.is_complex():
        raise InputError(
            "selective_scan_fn with a complex A cannot be exported: the operator has none"
        )
    if A.is_complex():
        y, last = complex_scan.scan(given)
        return (y, last) if return_last_state else y
    wide = any(t.dtype == torch.float64 for _, t in given.tensors())
    work = torch.float64 if wide else torch.float32
    if B.ndim == 2 or C.ndim == 2:
        y, state = _constant_projections(given, return_last_state, work)
    else:
        B, C = _same_groups(*(t.unsqueeze(1) if t.ndim == 3 else t for t in (B, C)))
        given = given._replace(B=B, C=C)
        y, state = _scan(given, return_last_state, work)
    y = y.to(u.dtype)
    return y if state is None else (y, state)


def directional_scan(given: Operands) -> Tensor:
    """The scan with a direction a group, as :func:`posemamba.scan.reference.selective_scan`."""
    work = torch.float64 if given.u.dtype == torch.float64 else torch.float32
    return _scan(given, False, work)[0].to(given.u.dtype)


def _scan(given: Operands, with_state: bool, work: torch.dtype) -> tuple[Tensor, Tensor | None]:
    """B and C (batch, groups, N, L); y in the type of ``u`` or wider."""
    exporting = torch.compiler.is_exporting()
    if (with_state and not exporting) or work == torch.float64 or not _is_native(given):
        y, state = chunked.selective_scan_and_state(given.to(work))
        return y, state if with_state else None
    types = {t.dtype for name, t in given.tensors() if name in _ACTIVATIONS}
    if len(types) > 1 or types.isdisjoint(_NATIVE_TYPES):
        given = given.to(work, _ACTIVATIONS)
    if with_state:  # of an export: the operator of version 2 gives the state
        return scan_ops_v2.scan_from_zero(given)
    return scan_ops_v2.stateless_scan(given), None


def at_least_float32(tensor: Tensor) -> Tensor:
    """A weight of the scan: half precision is widened, float64 stays."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def kernels_may_run(tensor: Tensor) -> bool:
    """Whether a native kernel may be used where a tensor is."""
    return not _plain and tensor.device.type in ("cpu", "cuda")


def _is_native(given: Operands) -> bool:
    if torch.compiler.is_exporting():
        return True  # one node of the graph; whoever runs it has its own limits
    u, groups = given.u, given.B.shape[1]
    if not kernels_may_run(u):
        return False
    if u.device.type == "cuda" and u.shape[1] // groups % 8:
        return False  # the CUDA kernels read eight channels at once
    sizes = {"d_state": given.A.shape[1], "groups": groups}
    return all(1 <= size <= (SCAN_SIZES[name] or size) for name, size in sizes.items())


def _constant_projections(
    given: Operands, with_state: bool, work: torch.dtype
) -> tuple[Tensor, Tensor | None]:
    """B or C (d, N), a channel's own: each of its N states becomes a channel with one state.

    The recurrence is linear in ``u B`` and its output in the state, so B goes into the input, and C
    weighs the states outside the scan. That takes N times the memory.
    """
    u, delta, A, B, C, D, z, delta_bias, delta_softplus, _ = given.to(work)
    batch, rows, length = u.shape
    count = A.shape[1]

    def per_channel(projection: Tensor) -> Tensor:  # to (batch or 1, d, N, L or 1)
        if projection.ndim == 2:
            return projection[None, :, :, None]
        grouped = projection.unsqueeze(1) if projection.ndim == 3 else projection
        return grouped.repeat_interleave(rows // grouped.shape[1], dim=1)

    ones = torch.ones(1, 1, 1, 1, dtype=work, device=u.device).expand(batch, 1, 1, length)
    each_state = Operands(
        (u.unsqueeze(2) * per_channel(B)).reshape(batch, rows * count, length),
        delta.unsqueeze(2).expand(-1, -1, count, -1).reshape(batch, rows * count, length),
        A.reshape(-1, 1),
        ones,
        ones,
        delta_bias=None if delta_bias is None else delta_bias.repeat_interleave(count),
        delta_softplus=delta_softplus,
    )
    states, last = _scan(each_state, with_state, work)
    y = (states.reshape(batch, rows, count, length) * per_channel(C)).sum(2)
    if D is not None:
        y = y + D[:, None] * u
    if z is not None:
        y = y * torch.nn.functional.silu(z)
    return y, None if last is None else last.reshape(batch, rows, count)


def _same_groups(B: Tensor, C: Tensor) -> tuple[Tensor, Tensor]:
    """B and C with as many groups as the finer of the two."""
    groups = max(B.shape[1], C.shape[1])
    B, C = (t.repeat_interleave(groups // t.shape[1], dim=1) for t in (B, C))
    return B, C


def _check(given: Operands) -> None:
    """Refuse what would be broadcast, or read as something else.

    Raises:
        InputError: so, naming the argument.
    """
    u, A = given.u, given.A
    if u.ndim != 3 or A.ndim != 2:
        raise InputError(
            f"selective_scan_fn: u is {list(u.shape)} and A {list(A.shape)}, they must be "
            "(batch, d, L) and (d, N)"
        )
    batch, rows, length = u.shape
    state = A.shape[1]
    expected = {"delta": u.shape, "z": u.shape, "A": (rows, state), "D": (rows,),
                "delta_bias": (rows,)}  # fmt: skip
    steps = 2 * length if A.is_complex() else length
    constant = _COMPLEX_TYPES if A.is_complex() else _REAL_TYPES
    groups = []
    for name, tensor in given.tensors():
        if name in ("B", "C"):
            groups.append(_groups(name, tensor, (batch, rows, state, steps)))
        elif name in expected and tuple(tensor.shape) != tuple(expected[name]):
            raise InputError(
                f"selective_scan_fn: {name} is {list(tensor.shape)}, it must be "
                f"{list(expected[name])}"
            )
        is_constant = name == "A" or (name in ("B", "C") and tensor.ndim == 2)
        allowed = constant if is_constant else _REAL_TYPES
        if tensor.dtype not in allowed:
            names = ", ".join(str(kind).removeprefix("torch.") for kind in allowed)
            raise InputError(f"selective_scan_fn: {name} is {tensor.dtype}, it must be of {names}")
        if tensor.device != u.device:
            raise InputError(f"selective_scan_fn: {name} is on {tensor.device}, u on {u.device}")
    if max(groups) % min(groups):
        raise InputError(
            f"selective_scan_fn: B has {groups[0]} groups and C {groups[1]}: one must divide the "
            "other"
        )


def _groups(name: str, tensor: Tensor, sizes: tuple[int, int, int, int]) -> int:
    """Groups of B or C, whose sizes are (batch, d, N, L).

    Raises:
        InputError: another shape.
    """
    batch, rows, state, steps = sizes
    axes = tensor.ndim
    count = tensor.shape[1] if axes == 4 else 1
    shapes = {2: (rows, state), 3: (batch, state, steps), 4: (batch, count, state, steps)}
    if axes not in shapes or tuple(tensor.shape) != shapes[axes] or not count or rows % count:
        raise InputError(
            f"selective_scan_fn: {name} is {list(tensor.shape)}, it must be {[rows, state]}, "
            f"{[batch, state, steps]} or [{batch}, groups, {state}, {steps}] with groups that "
            f"divide {rows}"
        )
    return count
