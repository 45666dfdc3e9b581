"""Sequential oracle of both operators in any precision, and seeded inputs for them.

The recurrence runs one step at a time in the order of the definition (Gu & Dao 2023, algorithm 2),
so nothing is shared with the chunked kernels. float64 is the reference; float32 with the output
rounded to the I/O type is "what PyTorch itself would lose".
"""

from __future__ import annotations

import torch
from pmcuda import CrossInputs, Directions, IndexedInputs, ScanInputs
from torch import Tensor
from torch.nn import functional


def positions(order: int, reverse: int, frames: int, joints: int) -> Tensor:
    """Position t * joints + j visited at each step of a direction, shape (frames * joints,)."""
    grid = torch.arange(frames * joints).view(frames, joints)
    walk = {
        0: grid,
        1: grid.t(),
        2: grid.flip(1),
        3: grid.t().flip(1),
    }[order].reshape(-1)
    return walk.flip(0) if reverse else walk


def recurrence(dt: Tensor, u: Tensor, A: Tensor, B: Tensor, C: Tensor) -> Tensor:
    """y[..., t, d] = C_t . h_t with h_t = exp(dt_t A) h_(t-1) + dt_t u_t B_t.

    dt, u (rows, length, d); A (rows or 1, d, N); B, C (rows, length, N).
    """
    rows, length, d = dt.shape
    h = torch.zeros(rows, d, A.shape[-1], dtype=dt.dtype, device=dt.device)
    y = torch.empty_like(dt)
    du = dt * u
    for t0 in range(0, length, 64):  # a slice at a time bounds the memory of the decays
        t1 = min(t0 + 64, length)
        decay = torch.exp(dt[:, t0:t1, :, None] * A[:, None])  # (rows, 64, d, N)
        add = du[:, t0:t1, :, None] * B[:, t0:t1, None, :]
        states = torch.empty_like(decay)
        for t in range(t1 - t0):
            torch.addcmul(add[:, t], decay[:, t], h, out=states[:, t])
            h = states[:, t]
        y[:, t0:t1] = torch.einsum("rtdn,rtn->rtd", states, C[:, t0:t1])
    return y


def cross_scan(inputs: CrossInputs, dtype: torch.dtype) -> Tensor:
    """CrossSelectiveScan in `dtype`, before rounding to the I/O type."""
    batch, frames, joints, d_inner = inputs.x.shape
    rank, n = inputs.dt_weight.shape[2], inputs.A.shape[2]
    d = inputs.directions
    x = inputs.x.reshape(batch, -1, d_inner).to(dtype)
    dbl = inputs.x_dbl.reshape(batch, frames * joints, len(d), rank + 2 * n).to(dtype)
    token = torch.arange(frames * joints)
    limb = (token // joints * joints + torch.tensor(d.limb_index)[token % joints]).to(x.device)
    y = torch.zeros_like(x)
    for k in range(len(d)):
        walk = positions(d.order[k], d.reverse[k], frames, joints).to(x.device)
        u, raw = x[:, walk], dbl[:, walk, k]
        if d.limb_mask[k]:
            u, raw = u + x[:, limb[walk]], raw + dbl[:, limb[walk], k]
        v = raw[..., :rank] @ inputs.dt_weight[k].to(dtype).t() + inputs.dt_bias[k].to(dtype)
        dt = functional.softplus(v, threshold=80.0)
        out = recurrence(
            dt, u, inputs.A[k : k + 1].to(dtype), raw[..., rank : rank + n], raw[..., rank + n :]
        )
        y[:, walk] += out + inputs.D[k].to(dtype) * u
    return y.view(batch, frames, joints, d_inner)


def selective_scan(inputs: ScanInputs, dtype: torch.dtype) -> Tensor:
    """SelectiveScan in `dtype`, before rounding to the I/O type."""
    batch, rows, length = inputs.u.shape
    groups = inputs.B.shape[1]
    y = torch.empty(batch, rows, length, dtype=dtype, device=inputs.u.device)
    for g in range(groups):
        own = slice(g * (rows // groups), (g + 1) * (rows // groups))
        u = inputs.u[:, own].to(dtype).transpose(1, 2)  # (batch, length, channels)
        dt = inputs.delta[:, own].to(dtype).transpose(1, 2)
        if inputs.delta_bias is not None:
            dt = dt + inputs.delta_bias[own].to(dtype)
        if inputs.delta_softplus:
            dt = functional.softplus(dt, threshold=80.0)
        B = inputs.B[:, g].to(dtype).transpose(1, 2)
        C = inputs.C[:, g].to(dtype).transpose(1, 2)
        walk = [t.flip(1) if inputs.reverse[g] else t for t in (dt, u, B, C)]
        out = recurrence(walk[0], walk[1], inputs.A[own].to(dtype)[None], walk[2], walk[3])
        out = out.flip(1) if inputs.reverse[g] else out
        if inputs.D is not None:
            out = out + inputs.D[own].to(dtype) * u
        if inputs.z is not None:
            out = out * functional.silu(inputs.z[:, own].to(dtype).transpose(1, 2))
        y[:, own] = out.transpose(1, 2)
    return y


def make_cross(
    batch: int = 1,
    frames: int = 27,
    joints: int = 17,
    d_inner: int = 128,
    n: int = 16,
    rank: int = 4,
    dtype: torch.dtype = torch.float16,
    directions: Directions | None = None,
    dt_shift: float = 0.0,
    a_scale: float = 1.0,
    seed: int = 0,
) -> CrossInputs:
    """Inputs distributed as in a freshly initialised block: A = -(1..N), dt in [1e-3, 0.1]."""
    d = directions or Directions()
    g = torch.Generator().manual_seed(seed)
    k = len(d)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=g)

    low, high = torch.tensor(1e-3).log(), torch.tensor(0.1).log()
    dt = (torch.rand(k, d_inner, generator=g) * (high - low) + low).exp()
    bias = dt + torch.log(-torch.expm1(-dt)) + dt_shift
    A = -torch.arange(1, n + 1).float().repeat(k, d_inner, 1) * a_scale
    A = A * (1 + 0.1 * torch.rand(k, d_inner, n, generator=g))
    return CrossInputs(
        x=normal(batch, frames, joints, d_inner).cuda().to(dtype),
        x_dbl=normal(batch, frames, joints, k * (rank + 2 * n)).cuda().to(dtype),
        dt_weight=(normal(k, d_inner, rank) * rank**-0.5 * 0.5).cuda(),
        dt_bias=bias.cuda(),
        A=A.cuda(),
        D=(1 + 0.1 * normal(k, d_inner)).cuda(),
        directions=d,
    )


def tables_of(inputs: CrossInputs) -> tuple[Tensor, Tensor]:
    """scan_index and neighbour_index (K, steps) of version 2 for an order of version 1."""
    _, frames, joints, _ = inputs.x.shape
    d = inputs.directions
    limb = torch.tensor(d.limb_index)
    index, neighbours = [], []
    for k in range(len(d)):
        at = positions(d.order[k], d.reverse[k], frames, joints)
        index.append(at)
        beside = at - at % joints + limb[at % joints]
        neighbours.append(beside if d.limb_mask[k] else torch.full_like(at, -1))
    return torch.stack(index).int().cuda(), torch.stack(neighbours).int().cuda()


def indexed_inputs(
    inputs: CrossInputs, index: Tensor, neighbours: Tensor | None, reset: int = 0
) -> IndexedInputs:
    """The tensors of version 1 along tables; every direction resets its state alike."""
    batch, frames, joints, d_inner = inputs.x.shape
    length = torch.full((index.shape[0],), reset, dtype=torch.int32, device="cuda")
    return IndexedInputs(
        inputs.x.view(batch, frames * joints, d_inner),
        inputs.x_dbl.view(batch, frames * joints, -1),
        *(inputs.dt_weight, inputs.dt_bias, inputs.A, inputs.D),
        index,
        neighbours,
        length if reset else None,
    )


def make_scan(
    batch: int = 1,
    groups: int = 4,
    channels: int = 64,
    length: int = 459,
    n: int = 16,
    dtype: torch.dtype = torch.float16,
    seed: int = 0,
) -> ScanInputs:
    """Generic scan inputs with every optional tensor present."""
    g = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=g).cuda()

    rows = groups * channels
    return ScanInputs(
        u=normal(batch, rows, length).to(dtype),
        delta=(normal(batch, rows, length) * 0.5).to(dtype),
        A=-torch.arange(1, n + 1).float().cuda() * (1 + 0.1 * normal(rows, n).abs()),
        B=normal(batch, groups, n, length).to(dtype),
        C=normal(batch, groups, n, length).to(dtype),
        D=normal(rows),
        z=normal(batch, rows, length).to(dtype),
        delta_bias=normal(rows) - 3,
        reverse=tuple(i % 2 for i in range(groups)),
    )


def error(found: Tensor, expected: Tensor) -> float:
    """Relative l2 error; NaN in `found` gives NaN."""
    return float((found.double() - expected).norm() / expected.norm().clamp_min(1e-30))
