"""How the scan directions walk the (frames, joints) grid: one table for every variant.

Each direction is described by three facts: the order in which it visits positions, whether it
walks that order backwards, and whether it reads every joint summed with its limb neighbour. The
paper's model and the five ablations of its Table 4 differ in nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from posemamba.errors import InputError


class Order(IntEnum):
    """Visiting order; the codes are those of the ONNX operator's ``order`` attribute."""

    FRAME_MAJOR = 0
    JOINT_MAJOR = 1
    FRAME_MAJOR_FLIPPED = 2
    """Frame by frame, joints descending inside a frame."""
    JOINT_MAJOR_FLIPPED = 3
    """Joint by joint, frames descending inside a joint."""


@dataclass(frozen=True)
class Walk:
    """How K scan directions cross a grid: what every implementation of the scan is told.

    Attributes:
        order, reverse, limb_mask: per direction, see :class:`ScanOrder`.
        limb_index: limb neighbour of each joint.
    """

    order: tuple[int, ...]
    reverse: tuple[int, ...]
    limb_mask: tuple[int, ...]
    limb_index: tuple[int, ...]

    @property
    def directions(self) -> int:
        return len(self.order)

    def lists(self) -> tuple[list[int], list[int], list[int], list[int]]:
        """The four attributes as the operators take them."""
        return list(self.order), list(self.reverse), list(self.limb_mask), list(self.limb_index)


@dataclass(frozen=True)
class ScanOrder:
    """The K directions of one model variant.

    Attributes:
        name: what ``PoseMambaConfig.scan_order`` calls it.
        order: visiting order of each direction.
        reverse: 1 where the direction runs from the last position to the first.
        limb_mask: 1 where the direction reads ``x[joint] + x[limb_index[joint]]``.
    """

    name: str
    order: tuple[int, ...]
    reverse: tuple[int, ...]
    limb_mask: tuple[int, ...]

    @property
    def directions(self) -> int:
        return len(self.order)

    def walk(self, limb_index: Sequence[int]) -> Walk:
        """This order on a skeleton."""
        return Walk(self.order, self.reverse, self.limb_mask, tuple(limb_index))


_FT, _JT = Order.FRAME_MAJOR, Order.JOINT_MAJOR
_FB, _JB = Order.FRAME_MAJOR_FLIPPED, Order.JOINT_MAJOR_FLIPPED
_NONE = (0, 0, 0, 0)
_BACK = (0, 0, 1, 1)

#: fs/bs: forward or flipped joints inside a frame; ft/bt: forward or flipped frames inside a joint.
SCAN_ORDERS: dict[str, ScanOrder] = {
    entry.name: entry
    for entry in (
        ScanOrder("global-local", (_FT, _JT, _FT, _JT), _BACK, (1, 0, 1, 0)),
        ScanOrder("bidirectional", (_FT, _JT, _FT, _JT), _BACK, _NONE),
        ScanOrder("fs-ft", (_FT, _JT, _FT, _JT), _NONE, _NONE),
        ScanOrder("fs-bt", (_FT, _JB, _FT, _JB), _NONE, _NONE),
        ScanOrder("bs-ft", (_FB, _JT, _FB, _JT), _NONE, _NONE),
        ScanOrder("bs-bt", (_FB, _JB, _FB, _JB), _NONE, _NONE),
    )
}


def get_scan_order(name: str) -> ScanOrder:
    """Look a scan order up; ``_`` and case do not matter.

    Raises:
        InputError: no such order.
    """
    try:
        return SCAN_ORDERS[name.lower().replace("_", "-")]
    except KeyError:
        known = ", ".join(SCAN_ORDERS)
        raise InputError(f"unknown scan order '{name}': use one of {known}") from None
