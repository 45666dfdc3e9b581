"""VMamba's SS2D: four scans over a grid, their sum, a norm and a gate (arXiv 2401.10166)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from posemamba.errors import InputError
from posemamba.mamba.initial import default_rank, log_rates, step_projection
from posemamba.mamba.selective_scan import (
    MOST_STATES,
    at_least_float32,
    directional_scan,
    kernels_may_run,
)
from posemamba.native import scan_ops
from posemamba.native.structs import MAX_JOINTS, SCAN_SIZES
from posemamba.scan import reference
from posemamba.scan_order import Order

_ROWS, _COLUMNS = int(Order.FRAME_MAJOR), int(Order.JOINT_MAJOR)
_BOTH_WAYS = (0, 0, 1, 1)
#: Order and direction of the four scans, by VMamba's name for the mode.
WALKS: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "cross2d": ((_ROWS, _COLUMNS, _ROWS, _COLUMNS), _BOTH_WAYS),
    "unidi": ((_ROWS,) * 4, (0,) * 4),
    "bidi": ((_ROWS,) * 4, _BOTH_WAYS),
}
#: ``forward_type`` without its endings, to the mode.
MODES = dict.fromkeys(("v0", "v0seq", "v01", "v02", "v03", "v04", "v05", "v2", "v3"), "cross2d") | {
    "v051d": "unidi", "v31d": "unidi", "v052d": "bidi", "v32d": "bidi",
}  # fmt: skip


class SS2D(nn.Module):
    """VMamba's block of four directions; parameter names are VMamba's.

    Args:
        d_model, d_state, ssm_ratio, dt_rank, act_layer, d_conv, conv_bias, dropout, bias: sizes and
            parts; ``d_conv`` below 2 for no convolution.
        dt_min, dt_max, dt_init, dt_scale, dt_init_floor: of the initial step sizes.
        initialize: taken and without effect.
        forward_type: a row of :data:`MODES`, then any of ``_onnone`` (no norm), ``_nozact`` (the
            gate has no activation), ``_noz`` (no gate), ``_oact`` (GELU after the norm), ``_no32``
            (without effect).
        channel_first: (batch, d_model, height, width) in and out.

    Raises:
        InputError: a ``forward_type`` that is another function.
    """

    def __init__(
        self,
        d_model: int = 96,
        d_state: int = 16,
        ssm_ratio: float = 2.0,
        dt_rank: int | str = "auto",
        act_layer: type[nn.Module] = nn.SiLU,
        d_conv: int = 3,
        conv_bias: bool = True,
        dropout: float = 0.0,
        bias: bool = False,
        dt_min: float = 0.001,
        dt_max: float = 0.1,
        dt_init: str = "random",
        dt_scale: float = 1.0,
        dt_init_floor: float = 1e-4,
        initialize: str = "v0",
        forward_type: str = "v2",
        channel_first: bool = False,
        **_further: object,
    ) -> None:
        super().__init__()
        kind, endings = _split(forward_type)
        self.order, self.reverse = WALKS[MODES[kind]]
        directions = len(self.order)
        inner, rank = int(ssm_ratio * d_model), default_rank(dt_rank, d_model)
        self.d_state = d_state
        self.channel_first = channel_first
        self.gated = "_noz" not in endings
        self.in_proj = nn.Linear(d_model, 2 * inner if self.gated else inner, bias=bias)
        self.act = act_layer()
        self.gate_act = nn.Identity() if "_nozact" in endings else self.act
        self.conv2d = (
            nn.Conv2d(inner, inner, d_conv, groups=inner, bias=conv_bias, padding=(d_conv - 1) // 2)
            if d_conv > 1
            else None
        )
        steps = [
            step_projection(
                rank, inner, smallest=dt_min, largest=dt_max, floor=dt_init_floor, kind=dt_init,
                scale=dt_scale,
            )
            for _ in range(directions)
        ]  # fmt: skip
        projections = [nn.Linear(inner, rank + 2 * d_state) for _ in range(directions)]
        self.x_proj_weight = nn.Parameter(torch.stack([p.weight.detach() for p in projections]))
        self.dt_projs_weight = nn.Parameter(torch.stack([s.weight.detach() for s in steps]))
        self.dt_projs_bias = nn.Parameter(torch.stack([s.bias.detach() for s in steps]))
        self.A_logs = nn.Parameter(log_rates(directions * inner, d_state))
        self.Ds = nn.Parameter(torch.ones(directions * inner))
        self.out_norm = nn.Identity() if "_onnone" in endings else nn.LayerNorm(inner)
        self.out_act = nn.GELU() if "_oact" in endings else nn.Identity()
        self.out_proj = nn.Linear(inner, d_model, bias=bias)
        self.dropout = nn.Dropout(dropout) if dropout > 0 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(batch, height, width, d_model) to the same, or channels first."""
        if self.channel_first:
            x = x.permute(0, 2, 3, 1)
        x = self.in_proj(x)
        z = None
        if self.gated:
            x, z = x.chunk(2, dim=-1)  # (batch, height, width, d_inner) each
        if self.conv2d is not None:
            x = self.conv2d(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        y = self.out_act(self.out_norm(self._scan(self.act(x))))
        if z is not None:
            y = y * self.gate_act(z)
        output: Tensor = self.dropout(self.out_proj(y))
        return output.permute(0, 3, 1, 2) if self.channel_first else output

    def _scan(self, x: Tensor) -> Tensor:
        """The sum of the scans, (batch, height, width, d_inner).

        One operator where it takes the sizes, else gathers and the scan of any Mamba.
        """
        x_dbl = F.linear(x, self.x_proj_weight.flatten(0, 1))
        directions, inner, rank = self.dt_projs_weight.shape
        with torch.autocast(x.device.type, enabled=False):
            rates = -torch.exp(at_least_float32(self.A_logs))
            weights = (
                self.dt_projs_weight,
                self.dt_projs_bias,
                torch.unflatten(rates, 0, (directions, inner)),
                torch.unflatten(self.Ds, 0, (directions, inner)),
            )
            columns = x.shape[2] if isinstance(x.shape[2], int) else 0  # 0: not known yet
            walk = (
                list(self.order), list(self.reverse), [0] * directions, list(range(columns)),
            )  # fmt: skip
            if columns and self._one_operator(x, rank):
                y: Tensor = scan_ops.cross_selective_scan(
                    x, x_dbl, *weights, self.d_state, rank, *walk
                )
                return y
            return reference.cross_selective_scan(
                x, x_dbl, *weights, self.d_state, *walk, scan=directional_scan
            )

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Tensor],
        prefix: str,
        *rest: Any,
        **options: Any,
    ) -> None:
        """Some releases store the two outer projections as 1x1 convolutions."""
        for name in ("in_proj.weight", "out_proj.weight"):
            weight = state_dict.get(prefix + name)
            if weight is not None and weight.ndim == 4:
                state_dict[prefix + name] = weight.flatten(1)
        super()._load_from_state_dict(state_dict, prefix, *rest, **options)

    def _one_operator(self, x: Tensor, rank: int) -> bool:
        columns = int(x.shape[2])
        if torch.compiler.is_exporting():
            return columns <= MAX_JOINTS and self.d_state <= MOST_STATES
        if not kernels_may_run(x) or x.dtype not in (torch.float32, torch.float16):
            return False
        if x.device.type == "cuda" and x.shape[3] % 8:
            return False  # the CUDA kernels read eight channels at once
        sizes = {"joints": columns, "d_state": self.d_state, "dt_rank": rank}
        return all(size <= (SCAN_SIZES[name] or size) for name, size in sizes.items())


def _split(forward_type: str) -> tuple[str, set[str]]:
    """``v05_noz`` to ``v05`` and its endings.

    Raises:
        InputError: one that is unknown, or another function.
    """
    kind, *parts = forward_type.split("_")
    endings = {f"_{part}" for part in parts}
    unknown = sorted(endings - {"_onnone", "_noz", "_nozact", "_oact", "_no32"})
    if kind not in MODES or unknown:
        raise InputError(
            f"SS2D: forward_type '{forward_type}' is not supported "
            f"({unknown[0] if unknown else kind}): use {', '.join(MODES)}, with _onnone, _noz, "
            "_nozact, _oact or _no32"
        )
    return kind, endings
