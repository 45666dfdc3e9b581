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

from posemamba.config import MAX_FRAMES, PoseMambaConfig
from posemamba.errors import InputError
from posemamba.skeleton import NUM_JOINTS
from posemamba.text import plural, printable

Shape = tuple[int, ...]

DIRECTIONS = 4
MAX_PARAMETERS = 1 << 30
"""30 times the paper's largest model; keeps a forged shape from filling the memory."""

_BLOCK_KEY = re.compile(r"(STE|TTE)blocks\.(0|[1-9]\d{0,5})\.(.+)")
_BLOCK = "{block}."

#: size -> (key, axis) of tensors that show it; ``{block}.`` stands for each block's prefix.
_WITNESSES: dict[str, tuple[tuple[str, int], ...]] = {
    "d_model": (
        ("Spatial_pos_embed", 2),
        ("Temporal_pos_embed", 2),
        ("Spatial_patch_to_embedding.bias", 0),
        (_BLOCK + "norm.weight", 0),
        (_BLOCK + "norm2.weight", 0),
    ),
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


def state_shapes(config: PoseMambaConfig) -> dict[str, Shape]:
    """Key and shape of every tensor of a checkpoint of this configuration, in file order."""
    d = config.d_model
    shapes: dict[str, Shape] = {
        "Spatial_pos_embed": (1, config.joints, d),
        "Temporal_pos_embed": (1, config.frames, d),
        "Spatial_patch_to_embedding.weight": (d, 2),
        "Spatial_patch_to_embedding.bias": (d,),
    }
    block = _block_shapes(config)
    for stack in ("STE", "TTE"):
        for index in range(config.depth):
            shapes |= {f"{stack}blocks.{index}.{key}": shape for key, shape in block.items()}
    for norm in ("Spatial_norm", "Temporal_norm", "head.0"):
        shapes |= {f"{norm}.weight": (d,), f"{norm}.bias": (d,)}
    return shapes | {"head.1.weight": (3, d), "head.1.bias": (3,)}


def _block_shapes(config: PoseMambaConfig) -> dict[str, Shape]:
    d, inner, states, rank = config.d_model, config.d_inner, config.d_state, config.dt_rank
    hidden = config.mlp_ratio * d
    return {
        "norm.weight": (d,),
        "norm.bias": (d,),
        "op.x_proj_weight": (DIRECTIONS, rank + 2 * states, inner),
        "op.dt_projs_weight": (DIRECTIONS, inner, rank),
        "op.dt_projs_bias": (DIRECTIONS, inner),
        "op.A_logs": (DIRECTIONS * inner, states),
        "op.Ds": (DIRECTIONS * inner,),
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


def infer_sizes(shapes: Mapping[str, Shape]) -> Sizes:
    """Read every size off the shapes and check those the architecture fixes.

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
        "d_inner": 2 * d,
        "d_state": 16,
        "directions": DIRECTIONS,
        "dt_rank": math.ceil(d / 16),
        "mlp": 2 * d,
    }
    seen = {size: _vote(shapes, blocks, size, value) for size, value in usual.items()}
    inner, rank, hidden = seen["d_inner"], seen["dt_rank"], seen["mlp"]
    if seen["directions"] != DIRECTIONS:
        raise _misfit(
            shapes, "op.dt_projs_weight", (DIRECTIONS, inner, rank), "the scan has 4 directions"
        )
    if rank != math.ceil(d / 16):
        raise _misfit(
            shapes,
            "op.dt_projs_weight",
            (DIRECTIONS, inner, math.ceil(d / 16)),
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
    return Sizes(d, depth, seen["frames"], seen["joints"], seen["d_state"], inner // d, hidden // d)


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
    problems = [*_missing(state, expected), *_unexpected(state, expected)]
    for key, shape in expected.items():
        if key in state and (found := tuple(state[key].shape)) != shape:
            hint = _shape_hint(key, found)
            problems.append(f"key '{key}' has shape {found}, expected {shape}{hint}")
    if not problems:
        problems = [*_bad_values(state)]
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


def _unexpected(state: Mapping[str, Tensor], expected: Mapping[str, Shape]) -> Iterable[str]:
    for key, tensor in state.items():
        if key not in expected:
            yield (
                f"unexpected key '{printable(key)}' of shape {tuple(tensor.shape)}: expected none, "
                "PoseMamba has no such tensor"
            )


def _shape_hint(key: str, found: Shape) -> str:
    if key == "Spatial_patch_to_embedding.weight" and found[1:] == (3,):
        return ": trained on x, y and confidence; only x, y models (no_conf: True) are supported"
    return ""


def _bad_values(state: Mapping[str, Tensor]) -> Iterable[str]:
    for key, tensor in state.items():
        bad = int((~torch.isfinite(tensor.float())).sum())
        if bad:
            yield (
                f"key '{key}' of shape {tuple(tensor.shape)} holds NaN or Inf in {bad} of its "
                f"{plural(tensor.numel(), 'element')}: use an earlier epoch of this training run"
            )
