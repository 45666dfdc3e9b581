"""The Mamba block, and Vim's in both directions: one class, as in Vim's fork of mamba-ssm."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from posemamba.errors import InputError
from posemamba.mamba.functions import gated_branch
from posemamba.mamba.initial import default_rank, log_rates, step_projection
from posemamba.mamba.selective_scan import at_least_float32

DIRECTIONS = ("none", "v2")


class Mamba(nn.Module):
    """``mamba_ssm.Mamba`` (arXiv 2312.00752, figure 3) and Vim's block (arXiv 2401.09417).

    Parameter names are those of both packages. ``in_proj`` gives the scanned half and the gate; a
    branch is convolution, scan and gate; Vim adds a branch with weights of its own that runs from
    the last step to the first.

    Args:
        d_model, d_state, d_conv, expand, dt_rank, conv_bias, bias: sizes and biases; ``dt_rank``
            ``auto`` is d_model / 16, rounded up.
        dt_min, dt_max, dt_init, dt_scale, dt_init_floor: of the initial step sizes.
        use_fast_path, layer_idx: taken and without effect.
        bimamba_type: ``none`` or None: Mamba. ``v2``: Vim.
        if_divide_out: halve the sum of both branches; Vim's older releases spell it
            ``if_devide_out``.
        init_layer_scale: a scale ``gamma`` of the output starts with it; None for none.

    Raises:
        InputError: ``bimamba_type`` is another one, or an option is of another fork's block.
    """

    def __init__(
        self,
        d_model: int,
        d_state: int = 16,
        d_conv: int = 4,
        expand: float = 2,
        dt_rank: int | str = "auto",
        dt_min: float = 0.001,
        dt_max: float = 0.1,
        dt_init: str = "random",
        dt_scale: float = 1.0,
        dt_init_floor: float = 1e-4,
        conv_bias: bool = True,
        bias: bool = False,
        use_fast_path: bool = True,
        layer_idx: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        bimamba_type: str | None = "none",
        if_divide_out: bool = False,
        init_layer_scale: float | None = None,
        if_devide_out: bool = False,
        **further: object,
    ) -> None:
        super().__init__()
        bimamba_type = bimamba_type or "none"
        if bimamba_type not in DIRECTIONS:
            raise InputError(
                f"Mamba: bimamba_type '{bimamba_type}' is not supported: use 'none' or 'v2' "
                "(Vim's published networks are v2)"
            )
        if further:
            raise InputError(
                f"Mamba: option '{next(iter(further))}' is neither mamba-ssm's nor Vim's: this is "
                "the block of another fork, which computes something else"
            )
        inner = int(expand * d_model)
        rank = default_rank(dt_rank, d_model)
        self.layer_idx = layer_idx
        self.bimamba_type = bimamba_type
        self.halved = if_divide_out or if_devide_out
        self.in_proj = nn.Linear(d_model, 2 * inner, bias=bias)
        for suffix in ("", "_b") if bimamba_type == "v2" else ("",):
            conv = nn.Conv1d(inner, inner, d_conv, groups=inner, padding=d_conv - 1, bias=conv_bias)
            setattr(self, f"conv1d{suffix}", conv)
            projection = nn.Linear(inner, rank + 2 * d_state, bias=False)
            setattr(self, f"x_proj{suffix}", projection)
            steps = step_projection(
                rank, inner, smallest=dt_min, largest=dt_max, floor=dt_init_floor, kind=dt_init,
                scale=dt_scale,
            )  # fmt: skip
            setattr(self, f"dt_proj{suffix}", steps)
            setattr(self, f"A{suffix}_log", nn.Parameter(log_rates(inner, d_state)))
            setattr(self, f"D{suffix}", nn.Parameter(torch.ones(inner)))
        self.out_proj = nn.Linear(inner, d_model, bias=bias)
        self.gamma = (
            None
            if init_layer_scale is None
            else nn.Parameter(init_layer_scale * torch.ones(d_model))
        )
        self.to(device=device)
        for layer in self.children():  # the scan's own weights stay float32
            layer.to(dtype=dtype)

    def forward(self, hidden_states: Tensor, inference_params: object | None = None) -> Tensor:
        """(batch, L, d_model) to the same.

        Raises:
            InputError: ``inference_params``: this block keeps no state between calls.
        """
        if inference_params is not None:
            raise InputError(
                "Mamba: inference_params is given, this block keeps no state between calls: run "
                "the whole sequence"
            )
        x, z = self.in_proj(hidden_states).chunk(2, dim=-1)  # (batch, L, d_inner) each
        x, z = x.transpose(1, 2), z.transpose(1, 2)
        y = self._branch(x, z, "")
        if self.bimamba_type == "v2":
            y = y + self._branch(x, z, "_b")
            y = y / 2 if self.halved else y
        output: Tensor = self.out_proj(y.transpose(1, 2))
        return output if self.gamma is None else output * self.gamma

    def _branch(self, x: Tensor, z: Tensor, suffix: str) -> Tensor:
        conv, steps = (getattr(self, f"{name}{suffix}") for name in ("conv1d", "dt_proj"))
        return gated_branch(
            x,
            z,
            (conv.weight.squeeze(1), conv.bias),
            getattr(self, f"x_proj{suffix}").weight,
            (steps.weight, steps.bias),
            -torch.exp(at_least_float32(getattr(self, f"A{suffix}_log"))),
            at_least_float32(getattr(self, f"D{suffix}")),
            reverse=suffix == "_b",
        )
