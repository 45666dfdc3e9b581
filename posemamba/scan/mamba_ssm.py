"""The differentiable CUDA scan of the mamba-ssm package, in this project's terms."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from posemamba.errors import InputError
from posemamba.scan.reference import flip_groups


def selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor,
    delta_bias: Tensor,
    reverse: Sequence[int],
) -> Tensor:
    """``mamba_ssm.ops.selective_scan_interface.selective_scan_fn`` with reversible groups.

    Shapes as :func:`posemamba.scan.reference.selective_scan`; softplus is applied to ``delta``.

    Raises:
        InputError: mamba-ssm is not installed.
    """
    try:
        from mamba_ssm.ops.selective_scan_interface import selective_scan_fn
    except ImportError as error:
        raise InputError(
            f"scan='mamba-ssm' needs the mamba-ssm package ({error}): "
            "install it with pip install '.[mamba]', or choose another scan"
        ) from None
    groups = B.shape[1]
    # The kernel walks forward only and wants unit stride along the steps.
    u, delta, B, C = (flip_groups(t, reverse, groups).contiguous() for t in (u, delta, B, C))
    y: Tensor = selective_scan_fn(
        u, delta, A.float(), B, C, D.float(), None, delta_bias.float(), True
    )
    return flip_groups(y, reverse, groups)
