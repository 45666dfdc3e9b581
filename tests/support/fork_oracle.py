"""Networks of public forks in float64, one step of one direction after the other, from their facts.

Nothing of the package is used but the shapes of a state dict: directions are the rows that a table
of an order of one's own has (``docs/reference/cli.md``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

JOINTS = 17
LIMBS = [0, 0, 1, 2, 3, 0, 4, 5, 6, 8, 11, 12, 13, 8, 14, 15, 16]
BREADTH_FIRST = [0, 1, 4, 7, 2, 5, 8, 3, 6, 9, 11, 14, 10, 12, 15, 13, 16]
#: Parent and child.
BONES = [(0, 1), (1, 2), (2, 3), (0, 4), (4, 5), (5, 6), (0, 7), (7, 8), (8, 9), (9, 10), (8, 11),
         (11, 12), (12, 13), (8, 14), (14, 15), (15, 16)]  # fmt: skip

Row = dict[str, Any]
FRAMES, JOINT_BY_JOINT = "frame-major", "joint-major"


def four(*, limbs: bool = False, **rest: object) -> list[Row]:
    """Frame by frame, joint by joint, and both from the end."""
    ways = [{"order": FRAMES, "limbs": limbs, **rest}, {"order": JOINT_BY_JOINT, **rest}]
    return [*ways, *({**way, "reversed": True} for way in ways)]


#: Directions of the orders that have a name, by the official one.
DIRECTIONS: dict[str, list[Row]] = {
    "v2_plus_poselimbs": four(limbs=True),
    "v2": four(),
    "v31d": [{"order": FRAMES}] * 4,
    "v32d": [{"order": FRAMES}] * 2 + [{"order": FRAMES, "reversed": True}] * 2,
    "v2_bfs": four(joints=BREADTH_FIRST),
    "v2_bfs_first": four(joints=BREADTH_FIRST, put_back=False),
    "v2_fused_bfs": four(limbs=True) + four(joints=BREADTH_FIRST, gated=True),
}


def steps(row: Row, frames: int, limb_index: Sequence[int]) -> list[tuple[int, int, int, bool]]:
    """Of each step what is read, what is added (-1: nothing), where it goes, if it restarts."""
    visits = row.get("visits") or row.get("joints") or list(range(JOINTS))
    places, times = list(range(len(visits))), list(range(frames))
    by_frame = row["order"].startswith(FRAMES)
    if row["order"].endswith("flipped"):
        (places if by_frame else times).reverse()
    walk = (
        [(t, place) for t in times for place in places]
        if by_frame
        else [(t, place) for place in places for t in times]
    )
    if row.get("reversed"):
        walk.reverse()
    reset = row.get("reset", False)
    if reset is True:
        reset = len(places) if by_frame else frames
    found = []
    for number, (t, place) in enumerate(walk):
        joint, start = visits[place], t * JOINTS
        added = start + limb_index[joint] if row.get("limbs") else -1
        written = start + (joint if row.get("put_back", True) else place)
        restarts = number == 0 or bool(reset and number % reset == 0)
        found.append((start + joint, added, written, restarts))
    return found


def scan(
    p: Mapping[str, Tensor], x: Tensor, rows: Sequence[Row], limb_index: Sequence[int],
    step_bias: Tensor | None,
) -> Tensor:  # fmt: skip
    """The operator of a block, whose parameters ``p`` has without a prefix."""
    batch, frames, _, _ = x.shape
    u, z = F.linear(x, p["in_proj.weight"]).chunk(2, -1)
    inner, states = u.shape[-1], p["A_logs"].shape[1]
    u = F.conv2d(u.permute(0, 3, 1, 2), p["conv2d.weight"], p["conv2d.bias"], padding=1,
                 groups=inner)  # fmt: skip
    flat = F.silu(u.permute(0, 2, 3, 1)).flatten(1, 2)  # (batch, L, inner)
    total = torch.zeros_like(flat)
    for k, row in enumerate(rows):
        rates, skip = -p["A_logs"].view(-1, inner, states)[k].exp(), p["Ds"].view(-1, inner)[k]
        rank = p["dt_projs_weight"].shape[2]
        y, h = torch.zeros_like(flat), flat.new_zeros(batch, inner, states)
        for number, (read, added, written, restarts) in enumerate(steps(row, frames, limb_index)):
            h = torch.zeros_like(h) if restarts else h
            v = flat[:, read] + (flat[:, added] if added >= 0 else 0)
            raw, b, c = F.linear(v, p["x_proj_weight"][k]).split([rank, states, states], -1)
            delta = F.linear(raw, p["dt_projs_weight"][k], p["dt_projs_bias"][k])
            if step_bias is not None:
                delta = delta + step_bias[0, k, :, 0, number % JOINTS]
            dt = F.softplus(delta)
            h = torch.exp(dt[..., None] * rates) * h + (dt * v)[..., None] * b[:, None]
            y[:, written] += (h * c[:, None]).sum(-1) + skip * v
        total = total + (y * p["bfs_gate"] if row.get("gated") else y)
    y = F.layer_norm(total, (inner,), p["out_norm.weight"], p["out_norm.bias"])
    y = torch.unflatten(y, 1, (frames, JOINTS)) * F.silu(z)
    return F.linear(y, p["out_proj.weight"])


def bone_channels(keypoints: Tensor) -> Tensor:
    """With two channels more: the mean of (child - parent) over the bones at each joint."""
    found = []
    for joint in range(JOINTS):
        ends = [(parent, child) for parent, child in BONES if joint in (parent, child)]
        vectors = [keypoints[:, :, c, :2] - keypoints[:, :, p, :2] for p, c in ends]
        found.append(torch.stack(vectors).mean(0))
    return torch.cat([keypoints, torch.stack(found, 2)], -1)


def lift(
    state: Mapping[str, Tensor], keypoints: Tensor, rows: Sequence[Row], *,
    limb_index: Sequence[int] = LIMBS, bones: bool = False,
) -> Tensor:  # fmt: skip
    """The whole network: (batch, frames, 17, channels) to (batch, frames, 17, 3), float64."""
    p = {key: tensor.double() for key, tensor in state.items()}

    def norm(x: Tensor, name: str, epsilon: float = 1e-6) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], p[f"{name}.weight"], p[f"{name}.bias"], epsilon)

    def linear(x: Tensor, name: str) -> Tensor:
        return F.linear(x, p[f"{name}.weight"], p[f"{name}.bias"])

    x = bone_channels(keypoints.double()) if bones else keypoints.double()
    x = linear(x, "Spatial_patch_to_embedding") + p["Spatial_pos_embed"][:, None]
    depth = 1 + max(int(key.split(".")[1]) for key in p if key.startswith("STEblocks."))
    for index in range(depth):
        for stack, shared in (("STE", "Spatial_norm"), ("TTE", "Temporal_norm")):
            block = f"{stack}blocks.{index}"
            if index == 0 and stack == "TTE":
                x = x + p["Temporal_pos_embed"][:, : x.shape[1], None]
            own = {key[len(block) + 4 :]: p[key] for key in p if key.startswith(f"{block}.op.")}
            bias = p.get("msm.bias") if stack == "STE" else None
            x = x + scan(own, norm(x, f"{block}.norm"), rows, limb_index, bias)
            hidden = F.gelu(linear(norm(x, f"{block}.norm2"), f"{block}.mlp.fc1"))
            x = norm(x + linear(hidden, f"{block}.mlp.fc2"), shared)
    return linear(norm(x, "head.0", 1e-5), "head.1")
