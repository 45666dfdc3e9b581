"""The block of PoseMamba: a gated, convolved, four-direction scan and an MLP (paper, figure 2)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from posemamba.config import PoseMambaConfig
from posemamba.errors import InputError
from posemamba.model.forks import ScanWeights, StepBias, Visit, fused_scan, split_walks
from posemamba.native import scan_ops_v2
from posemamba.scan import chunked, indexed, mamba_ssm, reference
from posemamba.scan.operands import Operands, Scan

#: How a model computes its scan; nothing falls back silently. ``fused``: one native op.
#: ``generic``: gather, the native Mamba-1 scan, merge. ``mamba-ssm``: the same around the CUDA scan
#: of that package. ``chunked``: in plain PyTorch, many steps at once. ``reference``: one by one.
#: To train, choose ``fused``; the others are there to compare. Both plain ones take float64.
ScanBackend = Literal["fused", "generic", "mamba-ssm", "chunked", "reference"]
SCAN_BACKENDS: tuple[ScanBackend, ...] = ("fused", "generic", "mamba-ssm", "chunked", "reference")

#: What scans the directions outside the fused operator.
_SCANS: dict[str, Scan] = {
    "generic": scan_ops_v2.stateless_scan,
    "mamba-ssm": mamba_ssm.selective_scan,
    "chunked": chunked.selective_scan,
    "reference": reference.selective_scan,
}

_DT_MIN, _DT_MAX = 1e-3, 0.1  # range of the initial step sizes (Mamba, section 3.6)


def lean(training: bool, part: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """``part(*inputs)``; in training autograd keeps the inputs alone and the backward pass does
    ``part`` again, up to its last product. For what is cheap beside the memory it would hold."""
    if not training:
        return part(*inputs)
    # It draws no random numbers, so there is no state of a generator to keep.
    output: Tensor = checkpoint(part, *inputs, use_reentrant=False, preserve_rng_state=False)
    return output


class DropPath(nn.Module):
    """Stochastic depth: drop a residual branch for whole clips (Huang et al. 2016)."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, branch: Tensor) -> Tensor:
        if not self.training or self.rate == 0.0:
            return branch
        keep = 1.0 - self.rate
        shape = (branch.shape[0],) + (1,) * (branch.dim() - 1)
        return branch * branch.new_empty(shape).bernoulli_(keep).div_(keep)


class Mlp(nn.Module):
    """Linear, exact GELU, linear."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return lean(self.training, self._activated, self.fc1(x))

    def _activated(self, hidden: Tensor) -> Tensor:
        output: Tensor = self.fc2(self.act(hidden))
        return output


class SpatioTemporalScan(nn.Module):
    """The paper's bidirectional global-local spatio-temporal SSM.

    Parameter names are those of the authors' checkpoints.

    Args:
        config: of the network.
        step_bias: what a fork's spatial blocks share, None for nothing.
    """

    def __init__(self, config: PoseMambaConfig, step_bias: StepBias | None = None) -> None:
        super().__init__()
        inner, state, rank = config.d_inner, config.d_state, config.dt_rank
        self.walk = config.walk
        self.visits = nn.ModuleList(Visit(walk) for walk in config.walks)
        self.msm = step_bias
        if any(walk.gated for walk in config.walks):
            self.bfs_gate = nn.Parameter(torch.zeros(1))
        self.d_state = state
        self.dt_rank = rank
        self.scan: ScanBackend = "fused"
        self.official_limb_gradient = False  # see PoseMamba.set_official_limb_gradient
        directions = config.order.directions
        self.in_proj = nn.Linear(config.d_model, 2 * inner, bias=False)
        self.conv2d = nn.Conv2d(inner, inner, 3, padding=1, groups=inner)
        self.act = nn.SiLU()
        self.x_proj_weight = nn.Parameter(torch.empty(directions, rank + 2 * state, inner))
        self.dt_projs_weight = nn.Parameter(torch.empty(directions, inner, rank))
        self.dt_projs_bias = nn.Parameter(torch.empty(directions, inner))
        self.A_logs = nn.Parameter(torch.empty(directions * inner, state))
        self.Ds = nn.Parameter(torch.ones(directions * inner))
        self.out_norm = nn.LayerNorm(inner)
        self.out_proj = nn.Linear(inner, config.d_model, bias=False)
        self._reset_scan_parameters()

    def _reset_scan_parameters(self) -> None:
        """Initialise as Mamba does: A = -(1..N), step sizes log-uniform in [1e-3, 0.1]."""
        nn.init.uniform_(self.x_proj_weight, -1, 1)
        nn.init.uniform_(self.dt_projs_weight, -1, 1)
        with torch.no_grad():
            self.x_proj_weight.mul_(self.x_proj_weight.shape[2] ** -0.5)
            self.dt_projs_weight.mul_(self.dt_rank**-0.5)
            span = math.log(_DT_MAX) - math.log(_DT_MIN)
            dt = torch.exp(torch.rand_like(self.dt_projs_bias) * span + math.log(_DT_MIN))
            self.dt_projs_bias.copy_(dt + torch.log(-torch.expm1(-dt)))  # inverse softplus
            rates = torch.arange(1, self.d_state + 1, dtype=self.A_logs.dtype)
            self.A_logs.copy_(rates.log().expand_as(self.A_logs))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, frames, joints, d_model) to the same."""
        x, x_dbl, z = self.scan_inputs(x)
        return lean(self.training, self._gated, self._scan(x, x_dbl), z)

    def _gated(self, y: Tensor, z: Tensor) -> Tensor:
        output: Tensor = self.out_proj(self.out_norm(y) * self.act(z))
        return output

    def scan_inputs(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What the scan and its gate read: (batch, frames, joints, d_model) to three tensors.

        Returns:
            the scan's input (batch, frames, joints, d_inner); in position order for all
            directions, the raw step sizes, B and C (batch, frames, joints, K * (R + 2N)); the
            gate before its SiLU (batch, frames, joints, d_inner).
        """
        x, z = self.in_proj(x).chunk(2, dim=-1)  # (batch, frames, joints, d_inner) each
        x = self.conv2d(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)  # over (frames, joints)
        x = self.act(x)
        # One GEMM in position order for all directions.
        return x, F.linear(x, self.x_proj_weight.flatten(0, 1)), z

    def _scan(self, x: Tensor, x_dbl: Tensor) -> Tensor:
        # Under autocast, too, the scan is float32; the native ops hold half precision themselves.
        with torch.autocast(x.device.type, enabled=False):
            weights = ScanWeights(
                self.dt_projs_weight,
                self.dt_projs_bias,
                torch.unflatten(-torch.exp(self.A_logs), 0, (len(self.dt_projs_bias), -1)),
                torch.unflatten(self.Ds, 0, (len(self.dt_projs_bias), -1)),
            )
            if self.msm is not None:
                x_dbl, wider = self.msm.extend(x_dbl, self.dt_projs_weight)
                weights = weights._replace(dt_weight=wider)
            return self._sum_of_walks(x, x_dbl, weights)

    def _sum_of_walks(self, x: Tensor, x_dbl: Tensor, weights: ScanWeights) -> Tensor:
        cross = self._fused_scan if self.scan == "fused" else self._directional_scan
        visits = [visit for visit in self.visits if isinstance(visit, Visit)]
        outputs = []
        for visit, part, own in split_walks(visits, x_dbl, weights):
            y = cross(visit, x, part, own)
            outputs.append(y * self.bfs_gate if visit.walk.gated else y)
        total = outputs[0]
        for y in outputs[1:]:
            total = total + y
        return total

    def _fused_scan(self, visit: Visit, x: Tensor, x_dbl: Tensor, weights: ScanWeights) -> Tensor:
        if x.dtype == torch.bfloat16:  # no type of the kernels'
            x, x_dbl = x.float(), x_dbl.float()
        limb_dbl = None
        if self.official_limb_gradient and x.requires_grad:
            limb_dbl = self._limb_projection(x)
        return fused_scan(visit, x, x_dbl, weights, self.d_state, limb_dbl)

    def _limb_projection(self, x: Tensor) -> Tensor:
        """``x_dbl`` of a stopped ``x``: its weight still learns from what limbs contribute."""
        return F.linear(x.detach(), self.x_proj_weight.flatten(0, 1).to(x.dtype))

    def _table_scan(self, visit: Visit, x: Tensor, x_dbl: Tensor, weights: ScanWeights) -> Tensor:
        """A walk with repeats, omissions or resets, outside the fused operator."""
        if self.official_limb_gradient or self.scan == "mamba-ssm":
            raise InputError(
                f"scan='{self.scan}' with the official limb gradient or mamba-ssm walks every "
                "joint once, without resets: choose scan='chunked' and the true gradient"
            )
        scan = _SCANS.get(self.scan, scan_ops_v2.stateless_scan)
        y = indexed.cross_selective_scan(x, x_dbl, *weights, *visit.tables(x), scan=scan)
        return visit.leave_tables(y)

    def _directional_scan(
        self, visit: Visit, x: Tensor, x_dbl: Tensor, weights: ScanWeights
    ) -> Tensor:
        walk = visit.walk
        if not walk.on_grid:
            return self._table_scan(visit, x, x_dbl, weights)
        x, x_dbl = visit.enter(x), visit.enter(x_dbl)
        plain = self.scan in ("chunked", "reference")
        if x.dtype != torch.float64 and (plain or self.scan == "mamba-ssm"):
            x, x_dbl = x.float(), x_dbl.float()
        limb_source = None
        if self.official_limb_gradient:
            limb_source = (x.detach(), self._limb_projection(x))
        u, delta, B, C = reference.directional_inputs(
            x, x_dbl, weights.dt_weight, self.d_state, walk, limb_source, visit.limbs
        )
        given = Operands(
            *(u, delta, weights.A.flatten(0, 1), B, C, weights.D.flatten()),
            delta_bias=weights.dt_bias.flatten(),
            delta_softplus=True,
            reverse=list(walk.reverse),
        )
        y = _SCANS[self.scan](given)
        return visit.leave(reference.merge_directions(y, walk.order, x.shape[1], x.shape[2]))


class PoseMambaBlock(nn.Module):
    """``x += DropPath(op(LN(x)))``, then ``x += DropPath(MLP(LN(x)))``."""

    def __init__(
        self, config: PoseMambaConfig, drop_path: float, step_bias: StepBias | None = None
    ) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.d_model, eps=1e-6)
        self.op = SpatioTemporalScan(config, step_bias)
        self.norm2 = nn.LayerNorm(config.d_model, eps=1e-6)
        self.mlp = Mlp(config.d_model, config.mlp_ratio * config.d_model)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, frames, joints, d_model) to the same."""
        x = x + self.drop_path(self.op(self.norm(x)))
        x = x + self.drop_path(self.mlp(self.norm2(x)))
        return x
