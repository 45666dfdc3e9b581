"""Put our blocks in the place of a network's own copies of Mamba, Vim's and VMamba's blocks."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from torch import nn

from pmexport.ops.stand_ins import OTHER_GENERATIONS, refusal
from posemamba.errors import InputError
from posemamba.mamba import SS2D, Mamba
from posemamba.mamba.ss2d import WALKS


def adopt(network: nn.Module) -> tuple[nn.Module, list[str]]:
    """A copy of a network whose Mamba-1 blocks are ours, with the same weights.

    A block is known by the name of its class and by its parameters. Whether it computes what the
    authors' does is for the caller to try: others change such classes and keep the name.

    Returns:
        the copy, or the network itself where nothing is taken over; and the names of the modules
        that were.

    Raises:
        InputError: a block of Mamba-2 or Mamba-3, or a variant of SS2D that is another function.
    """
    for name, module in network.named_modules():
        kind = type(module).__name__
        if kind in OTHER_GENERATIONS and not isinstance(module, (Mamba, SS2D)):
            raise InputError(f"module '{name}': {refusal(kind)}")
    found = [name for name, module in network.named_modules() if _maker(module) is not None]
    if not found:
        return network, []
    whole = nn.ModuleDict({"network": copy.deepcopy(network)})  # so that the root has a place too
    for name in found:
        path = f"network.{name}" if name else "network"
        parent, _, child = path.rpartition(".")
        theirs = whole.get_submodule(path)
        make = _maker(theirs)
        assert make is not None
        ours = make(theirs)
        ours.load_state_dict(theirs.state_dict())
        ours.train(theirs.training)
        setattr(whole.get_submodule(parent) if parent else whole, child, ours)
        if not parent:
            whole["network"] = ours
    return whole["network"], found


def _maker(module: nn.Module) -> Callable[[Any], nn.Module] | None:
    """How to make our block of theirs; None for what is no such block, or ours already."""
    if isinstance(module, (Mamba, SS2D)):
        return None
    make, needed = _KNOWN.get(type(module).__name__, (None, ()))
    return make if all(hasattr(module, name) for name in needed) else None


def _mamba(theirs: Any) -> nn.Module:  # noqa: ANN401
    kind = getattr(theirs, "bimamba_type", None)
    halved = getattr(theirs, "if_divide_out", getattr(theirs, "if_devide_out", False))
    d_model, inner = theirs.in_proj.in_features, theirs.conv1d.in_channels
    return Mamba(
        d_model,
        d_state=theirs.A_log.shape[1],
        d_conv=theirs.conv1d.kernel_size[0],
        expand=inner / d_model,
        dt_rank=theirs.dt_proj.in_features,
        conv_bias=theirs.conv1d.bias is not None,
        bias=theirs.in_proj.bias is not None,
        bimamba_type="none" if kind is None else str(kind),
        if_divide_out=bool(halved),
        init_layer_scale=1.0 if getattr(theirs, "gamma", None) is not None else None,
    )


def _ss2d(theirs: Any) -> nn.Module:  # noqa: ANN401
    _, inner, rank = theirs.dt_projs_weight.shape
    out, into = theirs.out_proj.weight.shape[:2]
    core = getattr(theirs, "forward_core", None)
    mode = getattr(core, "keywords", {}).get("scan_mode", "cross2d")
    if mode not in WALKS:
        raise InputError(f"SS2D: scan_mode '{mode}' is not one of {', '.join(WALKS)}")
    gated = theirs.in_proj.weight.shape[0] == 2 * inner
    endings = {
        "_noz": not gated,
        "_nozact": bool(getattr(theirs, "disable_z_act", False)),
        "_oact": bool(getattr(theirs, "oact", False)),
        "_onnone": isinstance(getattr(theirs, "out_norm", None), nn.Identity),
    }
    kind = {"cross2d": "v05", "unidi": "v051d", "bidi": "v052d"}[mode]
    conv = getattr(theirs, "conv2d", None)
    return SS2D(
        out,
        d_state=theirs.A_logs.shape[1],
        ssm_ratio=into / out,
        dt_rank=rank,
        d_conv=1 if conv is None else conv.kernel_size[0],
        conv_bias=conv is not None and conv.bias is not None,
        bias=theirs.in_proj.bias is not None,
        act_layer=type(theirs.act),
        forward_type=kind + "".join(ending for ending, on in endings.items() if on),
        channel_first=bool(getattr(theirs, "channel_first", False)),
    )


#: By class: how to make ours, and what a block of that name must have.
_KNOWN: dict[str, tuple[Callable[[Any], nn.Module], tuple[str, ...]]] = {
    "Mamba": (_mamba, ("in_proj", "conv1d", "x_proj", "dt_proj", "A_log", "D", "out_proj")),
    "SS2D": (_ss2d, ("in_proj", "x_proj_weight", "dt_projs_weight", "A_logs", "Ds", "out_proj")),
}
