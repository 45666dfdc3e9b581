"""The differentiable CUDA scan of the mamba-ssm package, in this project's terms."""

from __future__ import annotations

from torch import Tensor

from posemamba.errors import InputError
from posemamba.scan.operands import Operands
from posemamba.scan.reference import flip_groups

#: What goes along the steps.
_SEQUENCES = ("u", "delta", "B", "C", "z")


def selective_scan(given: Operands) -> Tensor:
    """``mamba_ssm.ops.selective_scan_interface.selective_scan_fn`` with reversible groups.

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
    groups = given.B.shape[1]
    # The kernel walks forward only and wants unit stride along the steps.
    tensors = {
        name: flip_groups(t, given.reverse, groups).contiguous()
        if name in _SEQUENCES
        else t.float()
        for name, t in given.tensors()
    }
    y: Tensor = selective_scan_fn(**tensors, delta_softplus=given.delta_softplus)
    return flip_groups(y, given.reverse, groups)
