"""Small networks that combine what public forks add, with the directions they scan in."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from fork_oracle import BREADTH_FIRST, DIRECTIONS, FRAMES, JOINT_BY_JOINT, LIMBS, Row, four, lift
from torch import Tensor

from posemamba.config import PoseMambaConfig
from posemamba.model.network import PoseMamba
from posemamba.scan_order import own_scan_order


class Combination(NamedTuple):
    """An order by its official name or as a table of one's own, and fields of the configuration."""

    order: str | list[Row]
    fields: dict[str, Any] = {}  # noqa: RUF012 (never changed)
    limb_index: list[int] = LIMBS

    @property
    def rows(self) -> list[Row]:
        return DIRECTIONS[self.order] if isinstance(self.order, str) else self.order

    def network(self) -> PoseMamba:
        """With every parameter off its initial value; one seed."""
        name = self.order
        if not isinstance(name, str):
            table = {"directions": name, "limb_index": self.limb_index}
            name = own_scan_order(table).name
        config = PoseMambaConfig(d_model=16, depth=1, frames=6, scan_order=name, **self.fields)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            model = PoseMamba(config).eval()
        generator = torch.Generator().manual_seed(3)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
        return model

    def keypoints(self) -> Tensor:
        generator = torch.Generator().manual_seed(4)
        channels = int(self.fields.get("channels", 2))
        return torch.randn(2, 4, 17, channels, generator=generator)

    def expected(self, model: PoseMamba) -> Tensor:
        """What the oracle makes of the weights and :meth:`keypoints`."""
        bones = bool(self.fields.get("bones"))
        return lift(model.state_dict(), self.keypoints(), self.rows, limb_index=self.limb_index,
                    bones=bones)  # fmt: skip


_STEP_BIAS, _BONES = {"step_bias": True}, {"bones": True}
_REVERSED_LIMBS = LIMBS[::-1]
COMBINATIONS: dict[str, Combination] = {
    **{f"step bias, {name}": Combination(name, _STEP_BIAS) for name in DIRECTIONS},
    "step bias, an order of one's own": Combination(
        [{"order": "frame-major-flipped", "joints": BREADTH_FIRST, "limbs": True},
         {"order": "joint-major-flipped", "joints": BREADTH_FIRST[::-1], "reversed": True}],
        _STEP_BIAS,
    ),
    "bones and a confidence, v31d": Combination("v31d", _BONES | {"channels": 3}),
    "bones, eight directions": Combination("v2_fused_bfs", _BONES),
    "bones and a step bias": Combination("v32d", _BONES | _STEP_BIAS),
    "five channels, breadth first": Combination("v2_bfs", {"channels": 5}),
    "limbs along another order": Combination(four(limbs=True, joints=BREADTH_FIRST)),
    "other limbs": Combination(four(limbs=True), limb_index=_REVERSED_LIMBS),
    "one direction": Combination([{"order": FRAMES, "limbs": True}]),
    "eight directions without a gate": Combination(four(limbs=True) + four()),
    "repeats, omissions and resets": Combination(
        [{"order": FRAMES, "visits": [0, 1, 2, 3, 2, 1, 0, 4], "reset": True, "limbs": True},
         {"order": JOINT_BY_JOINT, "visits": [16, 0, 0, 3], "reversed": True},
         {"order": "joint-major-flipped", "reset": 7},
         {"order": "frame-major-flipped", "reset": True, "reversed": True}],
    ),
    "resets, not put back, gated": Combination(
        [{"order": FRAMES, "reset": True, "gated": True},
         {"order": JOINT_BY_JOINT, "joints": BREADTH_FIRST, "put_back": False, "limbs": True,
          "reset": 3}],
    ),
}  # fmt: skip
