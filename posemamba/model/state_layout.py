"""Names and shapes of a PoseMamba state dict: what a configuration implies, and the reverse.

Every size is read where several tensors agree on it, so that one misshapen tensor is reported
as such instead of being taken for another network.
"""

from __future__ import annotations

import difflib
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from posemamba.config import MAX_CHANNELS, MAX_FRAMES, PoseMambaConfig
from posemamba.errors import InputError
from posemamba.scan_order import MAX_DIRECTIONS
from posemamba.skeleton import NUM_JOINTS, PARENTS, ROOT
from posemamba.text import plural, printable

Shape = tuple[int, ...]

DIRECTIONS = 4
"""Of every order of the paper."""
MAX_PARAMETERS = 1 << 30
"""30 times the paper's largest model; keeps a forged shape from filling the memory."""

_BLOCK_KEY = re.compile(r"(STE|TTE)blocks\.(0|[1-9]\d{0,5})\.(.+)")
_BLOCK = "{block}."
_EMBEDDING = "Spatial_patch_to_embedding.weight"
_GATE, _STEP_BIAS = "op.bfs_gate", "msm.bias"
LIMB_BUFFER = "joint_to_limb"
"""A buffer of a public fork; only networks with bones use it."""

_OTHER = "the network is another one"
#: What forks were seen to add, by key: what it is and what follows for the poses.
_ADDITIONS: tuple[tuple[str, str], ...] = (
    (r"^head_rot\.",
     "it is of a rotation head beside the poses' own: delete 'head_rot.*' to have the poses alone"),
    (r"^head\.(?:norm|W_query|W_key|W_value|proj)\.", f"it is of an attention head: {_OTHER}"),
    (r"^ssi\.", f"it is of a structural embedding: {_OTHER}"),
    (r"^hypergcn\.", f"it is of a hypergraph network: {_OTHER}"),
    (r"^action_embedding_layer\.", f"it is of an embedding of the action: {_OTHER}"),
    (r"\.conv_[dp]w\.", f"it is of ASGM-Pose's two convolutions: {_OTHER}"),
    (r"\.conv2d_z\.", f"it is of STAMPose's second convolution: {_OTHER}"),
    (r"\.lora_|\.base_layer\.",
     "it is of a LoRA adapter: merge it before saving, with PEFT's merge_and_unload()"),
    (r"\.parametrizations\.|\.weight_[gv]$",
     "it is a part of a parametrised weight: call remove_parametrizations or remove_weight_norm "
     "before saving"),
    (r"\.weight_(?:orig|mask)$",
     "it is a part of a pruned weight: call torch.nn.utils.prune.remove before saving"),
    (r"\.gatingConv\.", f"it is of a causal lifter of few joints: {_OTHER}"),
)  # fmt: skip

#: size -> (key, axis) of tensors that show it; ``{block}.`` stands for each block's prefix.
_WITNESSES: dict[str, tuple[tuple[str, int], ...]] = {
    "d_model": (
        ("Spatial_pos_embed", 2),
        ("Temporal_pos_embed", 2),
        ("Spatial_patch_to_embedding.bias", 0),
        (_BLOCK + "norm.weight", 0),
        (_BLOCK + "norm2.weight", 0),
    ),
    "embedded": ((_EMBEDDING, 1),),
    "joints": (("Spatial_pos_embed", 1),),
    "frames": (("Temporal_pos_embed", 1),),
    "d_inner": (
        (_BLOCK + "op.out_norm.weight", 0),
        (_BLOCK + "op.conv2d.bias", 0),
        (_BLOCK + "op.dt_projs_bias", 1),
    ),
    "d_state": ((_BLOCK + "op.A_logs", 1),),
    "directions": (
        (_BLOCK + "op.dt_projs_weight", 0),
        (_BLOCK + "op.dt_projs_bias", 0),
        (_BLOCK + "op.x_proj_weight", 0),
    ),
    "dt_rank": ((_BLOCK + "op.dt_projs_weight", 2),),
    "mlp": ((_BLOCK + "mlp.fc1.bias", 0), (_BLOCK + "mlp.fc2.weight", 1)),
}


class Sizes(NamedTuple):
    """The part of a configuration that tensor shapes fix."""

    d_model: int
    depth: int
    frames: int
    joints: int
    d_state: int
    expand: int
    mlp_ratio: int
    channels: int
    bones: bool
    step_bias: bool


def state_shapes(config: PoseMambaConfig) -> dict[str, Shape]:
    """Key and shape of every tensor of a checkpoint of this configuration, in file order."""
    d = config.d_model
    shapes: dict[str, Shape] = {
        "Spatial_pos_embed": (1, config.joints, d),
        "Temporal_pos_embed": (1, config.frames, d),
        _EMBEDDING: (d, config.embedded),
        "Spatial_patch_to_embedding.bias": (d,),
    }
    block = _block_shapes(config)
    step_bias = (1, config.order.directions, config.d_inner, 1, config.joints)
    if config.step_bias:
        shapes[_STEP_BIAS] = step_bias
    for stack in ("STE", "TTE"):
        for index in range(config.depth):
            shapes |= {f"{stack}blocks.{index}.{key}": shape for key, shape in block.items()}
            if config.step_bias and stack == "STE":  # one tensor, under many names
                shapes[f"{stack}blocks.{index}.op.{_STEP_BIAS}"] = step_bias
    for norm in ("Spatial_norm", "Temporal_norm", "head.0"):
        shapes |= {f"{norm}.weight": (d,), f"{norm}.bias": (d,)}
    return shapes | {"head.1.weight": (3, d), "head.1.bias": (3,)}


def _block_shapes(config: PoseMambaConfig) -> dict[str, Shape]:
    d, inner, states, rank = config.d_model, config.d_inner, config.d_state, config.dt_rank
    hidden, directions = config.mlp_ratio * d, config.order.directions
    gate: dict[str, Shape] = {_GATE: (1,)} if any(w.gated for w in config.walks) else {}
    return gate | {
        "norm.weight": (d,),
        "norm.bias": (d,),
        "op.x_proj_weight": (directions, rank + 2 * states, inner),
        "op.dt_projs_weight": (directions, inner, rank),
        "op.dt_projs_bias": (directions, inner),
        "op.A_logs": (directions * inner, states),
        "op.Ds": (directions * inner,),
        "op.out_norm.weight": (inner,),
        "op.out_norm.bias": (inner,),
        "op.in_proj.weight": (2 * inner, d),
        "op.conv2d.weight": (inner, 1, 3, 3),
        "op.conv2d.bias": (inner,),
        "op.out_proj.weight": (d, inner),
        "norm2.weight": (d,),
        "norm2.bias": (d,),
        "mlp.fc1.weight": (hidden, d),
        "mlp.fc1.bias": (hidden,),
        "mlp.fc2.weight": (d, hidden),
        "mlp.fc2.bias": (d,),
    }


#: The smallest network: tells known keys and their ranks.
_PROBE = state_shapes(PoseMambaConfig(d_model=16, depth=1))


def directions_of(shapes: Mapping[str, Shape]) -> int:
    """Scan directions of a network whose sizes :func:`infer_sizes` could read."""
    return _vote(shapes, _refuse_other_networks(shapes), "directions", DIRECTIONS)


def is_gated(shapes: Mapping[str, Shape]) -> bool:
    """Whether a network multiplies the outputs of some directions by a learned scalar."""
    return any(key.endswith(f".{_GATE}") for key in shapes)


def infer_sizes(shapes: Mapping[str, Shape], *, bones: bool = False) -> Sizes:
    """Read every size off the shapes and check those the architecture fixes.

    Args:
        bones: whether the network is known to make bone channels; a buffer of the fork that does
            so tells it too.

    Raises:
        InputError: not a PoseMamba state dict, or one of a network that cannot be built.
    """
    blocks = _refuse_other_networks(shapes)
    depth = _depth(blocks)
    d = _vote(shapes, blocks, "d_model", 0)
    if not d:
        raise _misfit(shapes, "Spatial_pos_embed", (1, NUM_JOINTS, 64), "64 or another d_model")
    # A size that no tensor shows is the paper's: check_state then reports the tensor at fault.
    usual = {
        "joints": NUM_JOINTS,
        "frames": MAX_FRAMES,
        "embedded": 2,
        "d_inner": 2 * d,
        "d_state": 16,
        "directions": DIRECTIONS,
        "dt_rank": math.ceil(d / 16),
        "mlp": 2 * d,
    }
    seen = {size: _vote(shapes, blocks, size, value) for size, value in usual.items()}
    inner, rank, hidden = seen["d_inner"], seen["dt_rank"], seen["mlp"]
    directions = seen["directions"]
    if directions > MAX_DIRECTIONS:
        most = f"the scan kernels hold at most {MAX_DIRECTIONS} directions"
        raise _misfit(shapes, "op.dt_projs_weight", (DIRECTIONS, inner, rank), most)
    if rank != math.ceil(d / 16):
        raise _misfit(
            shapes,
            "op.dt_projs_weight",
            (directions, inner, math.ceil(d / 16)),
            "dt_rank is d_model / 16, rounded up",
        )
    if inner % d:
        raise _misfit(shapes, "op.out_proj.weight", (d, 2 * d), "d_inner is a multiple of d_model")
    if hidden % d:
        raise _misfit(shapes, "mlp.fc1.weight", (2 * d, d), "the MLP is a multiple of d_model wide")
    if seen["joints"] != NUM_JOINTS:
        raise _misfit(
            shapes, "Spatial_pos_embed", (1, NUM_JOINTS, d), "the limb scan needs these 17 joints"
        )
    if seen["frames"] > MAX_FRAMES:
        raise _misfit(
            shapes, "Temporal_pos_embed", (1, MAX_FRAMES, d), "PoseMamba takes no more frames"
        )
    bones = bones or (LIMB_BUFFER in shapes and seen["embedded"] > 3)
    channels = seen["embedded"] - (2 if bones else 0)
    if not 2 <= channels <= MAX_CHANNELS:
        why = f"the input has 2 to {MAX_CHANNELS} channels, x and y first"
        why += ", and two more are made of the bones" if bones else ""
        raise _misfit(shapes, _EMBEDDING, (d, 4 if bones else 2), why)
    return Sizes(
        d_model=d,
        depth=depth,
        frames=seen["frames"],
        joints=seen["joints"],
        d_state=seen["d_state"],
        expand=inner // d,
        mlp_ratio=hidden // d,
        channels=channels,
        bones=bones,
        step_bias=_STEP_BIAS in shapes,
    )


def told_channels(sizes: Sizes, stated: int | None) -> Sizes:
    """Sizes where a config states the input's channels: all that the first layer reads are the
    input's then, whatever a buffer suggests.

    Args:
        stated: None where nothing does; a number the shapes contradict changes nothing.
    """
    embedded = sizes.channels + (2 if sizes.bones else 0)
    return sizes._replace(channels=embedded, bones=False) if stated == embedded else sizes


def without_buffers(state: Mapping[str, Tensor], config: PoseMambaConfig) -> dict[str, Tensor]:
    """A state dict without what forks store beside the parameters.

    Raises:
        InputError: the network uses the buffer, and it tells of other bones than ours.
    """
    kept = {key: tensor for key, tensor in state.items() if key != LIMB_BUFFER}
    buffer = state.get(LIMB_BUFFER)
    if buffer is not None and config.bones:
        bones = [(child, parent) for child, parent in enumerate(PARENTS) if child != ROOT]
        touches = torch.tensor([[joint in bone for bone in bones] for joint in range(NUM_JOINTS)])
        means = touches.float() / touches.sum(1, keepdim=True)
        if buffer.shape != means.shape or not torch.allclose(buffer.float(), means, atol=1e-3):
            raise InputError(
                f"key '{LIMB_BUFFER}' of shape {tuple(buffer.shape)} tells of other bones than "
                "those of the 17 joints of Human3.6M: such a network is not supported"
            )
    return kept


def _refuse_other_networks(shapes: Mapping[str, Shape]) -> dict[str, set[int]]:
    """Block numbers by stack, if most keys are PoseMamba's."""
    blocks: dict[str, set[int]] = {"STE": set(), "TTE": set()}
    foreign: list[str] = []
    for key in shapes:
        match = _BLOCK_KEY.fullmatch(key)
        if match and f"STEblocks.0.{match[3]}" in _PROBE:
            blocks[match[1]].add(int(match[2]))
        elif match or key not in _PROBE:
            foreign.append(key)
    if 2 * len(foreign) < len(shapes) and blocks["STE"] | blocks["TTE"]:
        return blocks
    absent = next((key for key in _PROBE if key not in shapes), "STEblocks.0.norm.weight")
    held = ", ".join(f"'{printable(key, 40)}'" for key in (foreign or list(shapes))[:3])
    raise InputError(
        f"not a PoseMamba checkpoint: no key '{absent}'; of its {plural(len(shapes), 'key')} some "
        f"are {held or 'none'}"
    )


def _depth(blocks: Mapping[str, set[int]]) -> int:
    depth = max(blocks["STE"] | blocks["TTE"]) + 1
    for stack, numbers in blocks.items():
        if len(numbers) != depth:
            absent = next(n for n in range(depth) if n not in numbers)
            raise InputError(
                f"missing keys '{stack}blocks.{absent}.*': the highest block is {depth - 1}, and "
                "both STEblocks and TTEblocks must hold every block from 0 to it"
            )
    return depth


def _vote(
    shapes: Mapping[str, Shape], blocks: Mapping[str, set[int]], size: str, usual: int
) -> int:
    """The size most tensors of the right rank show, or ``usual`` where none shows one."""
    votes: Counter[int] = Counter()
    prefixes = [f"{stack}blocks.{n}." for stack, numbers in blocks.items() for n in numbers]
    for pattern, axis in _WITNESSES[size]:
        rank = len(_PROBE[pattern.replace(_BLOCK, "STEblocks.0.")])
        keys = {
            pattern.replace(_BLOCK, prefix) for prefix in prefixes
        }  # one where no block is meant
        found = [shapes[key] for key in keys if len(shapes.get(key, ())) == rank]
        votes.update(shape[axis] for shape in found if shape[axis] > 0)
    return votes.most_common(1)[0][0] if votes else usual


def _misfit(shapes: Mapping[str, Shape], name: str, expected: Shape, why: str) -> InputError:
    key = name if name in shapes else f"STEblocks.0.{name}"
    return InputError(f"key '{key}' has shape {shapes.get(key)}, expected {expected}: {why}")


def check_state(state: Mapping[str, Tensor], config: PoseMambaConfig) -> None:
    """Compare a state dict with the configuration inferred from it.

    Raises:
        InputError: a missing, unexpected, misshapen, non-float or non-finite tensor; the message
            describes the first and counts the others.
    """
    expected = state_shapes(config)
    if sum(math.prod(shape) for shape in expected.values()) > MAX_PARAMETERS:
        raise InputError(
            f"its shapes describe more than {MAX_PARAMETERS:,} parameters: no PoseMamba has"
        )
    unexpected = sorted(_unexpected(state, expected), key=lambda each: not each[0])
    named = [text for is_known, text in unexpected if is_known]  # tells more than what is missing
    problems = [*named, *_missing(state, expected), *(text for _, text in unexpected[len(named) :])]
    for key, shape in expected.items():
        if key in state and (found := tuple(state[key].shape)) != shape:
            problems.append(f"key '{key}' has shape {found}, expected {shape}")
    if not problems:
        problems = [*_bad_values(state), *_unlike_copies(state)]
    if problems:
        others = len(problems) - 1
        more = f" (and {plural(others, 'more problem')})" if others else ""
        raise InputError(problems[0] + more)


def _missing(state: Mapping[str, Tensor], expected: Mapping[str, Shape]) -> Iterable[str]:
    spare = [key for key in state if key not in expected]
    for key, shape in expected.items():
        if key not in state:
            close = difflib.get_close_matches(key, spare, n=1, cutoff=0.8)
            hint = f"; '{printable(close[0])}' looks like it, rename it" if close else ""
            yield f"missing key '{key}': expected shape {shape}, found none{hint}"


def _unexpected(
    state: Mapping[str, Tensor], expected: Mapping[str, Shape]
) -> Iterable[tuple[bool, str]]:
    """Of each, whether a fork is known to add it, and what to say."""
    for key, tensor in state.items():
        if key not in expected:
            known = next((what for pattern, what in _ADDITIONS if re.search(pattern, key)), None)
            yield (
                known is not None,
                f"unexpected key '{printable(key)}' of shape {tuple(tensor.shape)}: expected none, "
                f"{known or 'PoseMamba has no such tensor'}",
            )


def _unlike_copies(state: Mapping[str, Tensor]) -> Iterable[str]:
    shared = state.get(_STEP_BIAS)
    for key, tensor in state.items():
        if (
            shared is not None
            and key.endswith(f".{_STEP_BIAS}")
            and not torch.equal(tensor, shared)
        ):
            yield f"key '{key}' differs from '{_STEP_BIAS}': the network has one of them for all"


def _bad_values(state: Mapping[str, Tensor]) -> Iterable[str]:
    for key, tensor in state.items():
        bad = int((~torch.isfinite(tensor.float())).sum())
        if bad:
            yield (
                f"key '{key}' of shape {tuple(tensor.shape)} holds NaN or Inf in {bad} of its "
                f"{plural(tensor.numel(), 'element')}: use an earlier epoch of this training run"
            )
