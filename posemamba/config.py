"""Size and scan order of a model."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from posemamba.errors import InputError
from posemamba.scan_order import ScanOrder, Walk, get_scan_order
from posemamba.skeleton import LIMB_INDEX, NUM_JOINTS
from posemamba.text import plural

MAX_FRAMES = 243
"""Longest clip the paper trains on; a position embedding holds no more frames than it has rows."""
MAX_DEPTH, MAX_D_MODEL = 100, 4096
"""Far beyond the paper's 20 and 256; building anything much larger does not return."""
MAX_CHANNELS = 5
"""x, y, a confidence and two more of a user's own."""


@dataclass(frozen=True)
class PoseMambaConfig:
    """Everything that fixes a PoseMamba network.

    Attributes:
        d_model: channels of the residual stream.
        depth: pairs of blocks; the network has ``2 * depth`` blocks (the paper's N).
        frames: rows of the temporal position embedding, the longest clip in frames.
        joints: joints per frame; the limb list is defined for 17.
        d_state: states per channel of the selective scan.
        expand: ``d_inner / d_model``.
        mlp_ratio: hidden channels of the MLP over ``d_model``.
        drop_path: stochastic depth rate of the last pair of blocks (training only).
        scan_order: a name :func:`posemamba.scan_order.get_scan_order` knows.
        limb_index: limb neighbour of each joint, length ``joints``.
        channels: of the input for each joint: x, y and, beyond 2, a confidence and more.
        bones: whether the network adds two channels of its own, the mean over the bones at a joint
            of (child - parent) in x and y (a public fork).
        step_bias: whether spatial blocks add a learned bias of the step to the raw step size (a
            public fork).

    Raises:
        InputError: a value that no model can have.
    """

    d_model: int
    depth: int
    frames: int = MAX_FRAMES
    joints: int = NUM_JOINTS
    d_state: int = 16
    expand: int = 2
    mlp_ratio: int = 2
    drop_path: float = 0.2
    scan_order: str = "global-local"
    limb_index: tuple[int, ...] = LIMB_INDEX
    channels: int = 2
    bones: bool = False
    step_bias: bool = False

    def __post_init__(self) -> None:
        for field in ("d_model", "depth", "frames", "joints", "d_state", "expand", "mlp_ratio"):
            value = getattr(self, field)
            if not isinstance(value, int) or value < 1:
                raise InputError(f"{field} is {value!r}: it must be a positive integer")
        if type(self.channels) is not int or not 2 <= self.channels <= MAX_CHANNELS:
            raise InputError(f"channels is {self.channels!r}: it must be from 2 to {MAX_CHANNELS}")
        if self.frames > MAX_FRAMES:
            raise InputError(f"frames is {self.frames}: PoseMamba takes at most {MAX_FRAMES}")
        if not 0.0 <= self.drop_path < 1.0:
            raise InputError(f"drop_path is {self.drop_path}: it must be in [0, 1)")
        if len(self.limb_index) != self.joints or not all(
            0 <= j < self.joints for j in self.limb_index
        ):
            raise InputError(
                f"limb_index has {len(self.limb_index)} entries: it must name one of "
                f"{plural(self.joints, 'joint')} for each of them"
            )
        # The canonical spelling, so that equal configurations compare equal.
        object.__setattr__(self, "scan_order", get_scan_order(self.scan_order).name)

    @property
    def d_inner(self) -> int:
        return self.expand * self.d_model

    @property
    def dt_rank(self) -> int:
        return math.ceil(self.d_model / 16)

    @property
    def order(self) -> ScanOrder:
        return get_scan_order(self.scan_order)

    @property
    def walk(self) -> Walk:
        """The first of :attr:`walks`, for the paper's orders all there is."""
        return self.order.walk(self.limb_index)

    @property
    def walks(self) -> tuple[Walk, ...]:
        return self.order.walks(self.limb_index)

    @property
    def embedded(self) -> int:
        """Channels that the first layer reads."""
        return self.channels + (2 if self.bones else 0)

    @property
    def is_papers(self) -> bool:
        """Whether nothing but sizes and the table of directions differs from the paper's."""
        return (
            self.order.is_one_walk and self.channels == 2 and not self.bones and not self.step_bias
        )

    @property
    def variant(self) -> str:
        """``S``, ``B``, ``L`` or ``X`` where depth and width are the paper's, else ``custom``."""
        for name, (depth, d_model) in VARIANTS.items():
            if (self.depth, self.d_model) == (depth, d_model):
                return name
        return "custom"

    def to_dict(self) -> dict[str, Any]:
        """Every field; those that only forks' networks have, where they are used."""
        fields = asdict(self)
        for name, usual in _FORK_FIELDS.items():
            if fields[name] == usual:
                del fields[name]
        return fields

    @classmethod
    def from_variant(cls, variant: str, **overrides: Any) -> PoseMambaConfig:
        """Configuration of a size of the paper's Table 2.

        Raises:
            InputError: no such size.
        """
        if variant.upper() not in VARIANTS:
            raise InputError(f"unknown variant '{variant}': use one of {', '.join(VARIANTS)}")
        depth, d_model = VARIANTS[variant.upper()]
        return cls(d_model=d_model, depth=depth, **overrides)


#: Fields of public forks' networks and what they are in the paper's.
_FORK_FIELDS: dict[str, object] = {"channels": 2, "bones": False, "step_bias": False}

#: (depth, d_model) of the paper's sizes.
VARIANTS: dict[str, tuple[int, int]] = {
    "S": (10, 64),
    "B": (10, 128),
    "L": (20, 128),
    "X": (20, 256),
}
