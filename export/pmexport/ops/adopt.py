"""Put our blocks in the place of a network's own copies of Mamba, Vim's and VMamba's blocks."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, TypeAlias

from torch import Tensor, nn

from pmexport.ops.stand_ins import OTHER_GENERATIONS, refusal
from posemamba.errors import InputError
from posemamba.mamba import SS2D, Mamba
from posemamba.mamba.ss2d import WALKS

Theirs: TypeAlias = Any
"""Another author's block: what it has is looked at by name."""


def adopt(network: nn.Module) -> tuple[nn.Module, list[str]]:
    """A copy of a network whose Mamba-1 blocks are ours, with the same weights.

    A block is known by the name of its class and by its layers; one whose layers are others stays
    as it is (:func:`left_alone`). Whether the rest computes what the authors' does is for the
    caller to try: others change such classes and keep the name.

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
    blocks = {name: _block(module) for name, module in network.named_modules()}
    found = {name: block for name, block in blocks.items() if isinstance(block, nn.Module)}
    if not found:
        return network, []
    whole = nn.ModuleDict({"network": copy.deepcopy(network)})  # so that the root has a place too
    for name, ours in found.items():
        parent, _, child = f"network.{name}".rstrip(".").rpartition(".")
        if parent:
            setattr(whole.get_submodule(parent), child, ours)
        else:
            whole["network"] = ours
    return whole["network"], list(found)


def left_alone(network: nn.Module) -> list[str]:
    """A sentence on each module that has the name of a known block and other layers."""
    blocks = {name: _block(module) for name, module in network.named_modules()}
    return [
        f"module '{name}' is left as it is: {why}"
        for name, why in blocks.items()
        if isinstance(why, str)
    ]


def _block(theirs: nn.Module) -> nn.Module | str | None:
    """Our block with their weights; why not; or None for what is no such block, or ours already."""
    if isinstance(theirs, (Mamba, SS2D)):
        return None
    kind = type(theirs).__name__
    make, needed = _KNOWN.get(kind, (None, ()))
    if make is None or not all(hasattr(theirs, name) for name in needed):
        return None
    try:
        ours = make(theirs)
    except InputError:
        raise
    except (AttributeError, IndexError, TypeError, ValueError):
        return f"its layers are not those of {kind}"
    why = _difference(theirs, ours)
    if why is not None:
        return why
    ours.load_state_dict(theirs.state_dict())
    return ours.train(theirs.training)


def _difference(theirs: nn.Module, ours: nn.Module) -> str | None:
    """What their block has otherwise, as far as its layers tell; None for nothing."""
    for name, layer in ours.named_children():
        other = getattr(theirs, name, None)
        if isinstance(layer, nn.LayerNorm) and "LayerNorm" not in type(other).__name__:
            return f"its {name} is {type(other).__name__}"
        for setting in _SETTINGS.get(type(layer), ()):
            mine, found = getattr(layer, setting), getattr(other, setting, None)
            if mine != found:
                return f"its {name} has {setting} {found}, not {mine}"
    activation = getattr(theirs, "act", None)
    if isinstance(ours, Mamba) and not isinstance(activation, nn.SiLU | None):
        return f"its act is {type(activation).__name__}, not SiLU"
    needed = {name: tuple(t.shape) for name, t in _flat(ours.state_dict()).items()}
    held = {name: tuple(t.shape) for name, t in _flat(theirs.state_dict()).items()}
    for name in sorted(needed.keys() | held.keys()):
        if needed.get(name) != held.get(name):
            return f"its '{name}' is {held.get(name, 'absent')}, not {needed.get(name, 'absent')}"
    return None


def _flat(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """1x1 convolutions as the matrices they are; SS2D reads either."""
    return {name: t[..., 0, 0] if t.shape[2:] == (1, 1) else t for name, t in state.items()}


def _mamba(theirs: Theirs) -> nn.Module:
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


def _ss2d(theirs: Theirs) -> nn.Module:
    _, inner, rank = theirs.dt_projs_weight.shape
    out, into = theirs.out_proj.weight.shape[:2]
    core = getattr(theirs, "forward_core", None)
    mode = getattr(core, "keywords", {}).get("scan_mode", "cross2d")
    mode = _MODES.get(mode, mode)
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
    ours = SS2D(
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
    if isinstance(ours.out_norm, nn.LayerNorm):
        ours.out_norm.eps = getattr(theirs.out_norm, "eps", ours.out_norm.eps)
    return ours


#: VMamba's numbers of the modes.
_MODES: dict[object, str] = {0: "cross2d", 1: "unidi", 2: "bidi"}
_CONVOLUTION = ("kernel_size", "stride", "padding", "dilation", "groups", "padding_mode")
#: By layer: what no weight tells.
_SETTINGS: dict[type[nn.Module], tuple[str, ...]] = {
    nn.Conv1d: _CONVOLUTION,
    nn.Conv2d: _CONVOLUTION,
}
#: By class: how to make ours, and what a block of that name must have.
_KNOWN: dict[str, tuple[Callable[[Theirs], nn.Module], tuple[str, ...]]] = {
    "Mamba": (_mamba, ("in_proj", "conv1d", "x_proj", "dt_proj", "A_log", "D", "out_proj")),
    "SS2D": (_ss2d, ("in_proj", "x_proj_weight", "dt_projs_weight", "A_logs", "Ds", "out_proj")),
}
