"""How the scan directions walk the (frames, joints) grid: one table for every variant.

Each direction is described by three facts: the order in which it visits positions, whether it
walks that order backwards, and whether it reads every joint summed with its limb neighbour. The
paper's model and the five ablations of its Table 4 differ in nothing else. Public forks also visit
the joints in another order than theirs, and add directions behind a gate.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

from posemamba.errors import InputError
from posemamba.skeleton import NUM_JOINTS
from posemamba.text import parse_json, plural, printable, suggestion


class Order(IntEnum):
    """Visiting order; the codes are those of the ONNX operator's ``order`` attribute."""

    FRAME_MAJOR = 0
    JOINT_MAJOR = 1
    FRAME_MAJOR_FLIPPED = 2
    """Frame by frame, joints descending inside a frame."""
    JOINT_MAJOR_FLIPPED = 3
    """Joint by joint, frames descending inside a joint."""


EACH_ROW = -1
"""A reset at each frame of a frame-major direction, at each joint of a joint-major one."""


def _is_permutation(joints: tuple[int, ...] | None) -> bool:
    return joints is None or sorted(joints) == list(range(NUM_JOINTS))


@dataclass(frozen=True)
class Walk:
    """How K scan directions cross a grid: what every implementation of the scan is told.

    Attributes:
        order, reverse, limb_mask: per direction, see :class:`ScanOrder`.
        limb_index: limb neighbour of each joint; both count along ``joints``.
        joints: the joints in the order in which they lie on the grid; None for ascending. With
            repeats or omissions they are no grid: see :attr:`on_grid`.
        put_back: whether outputs return to the joints they were read from, or stay in that order.
        gated: whether the outputs are multiplied by a learned scalar.
        reset: the state restarts every so many steps; 0 for never, :data:`EACH_ROW`.
    """

    order: tuple[int, ...]
    reverse: tuple[int, ...]
    limb_mask: tuple[int, ...]
    limb_index: tuple[int, ...]
    joints: tuple[int, ...] | None = None
    put_back: bool = True
    gated: bool = False
    reset: int = 0

    @property
    def directions(self) -> int:
        return len(self.order)

    @property
    def on_grid(self) -> bool:
        """Whether version 1 of the scan's operator walks it once its joints are put in order.

        ``limb_index`` then counts along ``joints``, else it names joints.
        """
        return self.reset == 0 and _is_permutation(self.joints)

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
        official: the names of the authors and of forks for it, in our spelling.
        limb_index: the one it always has, None for the skeleton's.
        joints, put_back, gated, reset: see :class:`Walk`.
        further: directions after these that differ from them in ``joints``, ``put_back``,
            ``gated`` or ``reset``.
    """

    name: str
    order: tuple[int, ...]
    reverse: tuple[int, ...]
    limb_mask: tuple[int, ...]
    official: tuple[str, ...] = ()
    limb_index: tuple[int, ...] | None = None
    joints: tuple[int, ...] | None = None
    put_back: bool = True
    gated: bool = False
    reset: int = 0
    further: tuple[ScanOrder, ...] = ()

    @property
    def directions(self) -> int:
        return len(self.order) + sum(each.directions for each in self.further)

    @property
    def is_gated(self) -> bool:
        """Whether some directions are multiplied by a learned scalar."""
        return self.gated or any(each.gated for each in self.further)

    @property
    def is_one_walk(self) -> bool:
        """Whether one call of the scan's operator does it, joints ascending."""
        return not self.further and self.joints is None and self.reset == 0

    def walk(self, limb_index: Sequence[int]) -> Walk:
        """The first walk of this order on a skeleton: all of it, without ``further``."""
        limbs = tuple(self.limb_index or limb_index)
        if self.joints is not None and self.reset == 0 and _is_permutation(self.joints):
            limbs = tuple(self.joints.index(limbs[joint]) for joint in self.joints)
        return Walk(
            *(self.order, self.reverse, self.limb_mask, limbs),
            *(self.joints, self.put_back, self.gated, self.reset),
        )

    def walks(self, limb_index: Sequence[int]) -> tuple[Walk, ...]:
        """All walks of this order on a skeleton, in the order of the parameters."""
        return tuple(each.walk(limb_index) for each in (self, *self.further))


_FT, _JT = Order.FRAME_MAJOR, Order.JOINT_MAJOR
_FB, _JB = Order.FRAME_MAJOR_FLIPPED, Order.JOINT_MAJOR_FLIPPED
_NONE = (0, 0, 0, 0)
_BACK = (0, 0, 1, 1)
_LIMBS = (1, 0, 1, 0)
#: Joints by their distance from the root.
_BREADTH_FIRST = (0, 1, 4, 7, 2, 5, 8, 3, 6, 9, 11, 14, 10, 12, 15, 13, 16)

_GLOBAL_LOCAL = ScanOrder(
    "global-local", (_FT, _JT, _FT, _JT), _BACK, _LIMBS, ("v2-plus-poselimbs",)
)
_BFS = ScanOrder(
    "bfs", (_FT, _JT, _FT, _JT), _BACK, _NONE, ("v2-bfs",), joints=_BREADTH_FIRST
)  # fmt: skip

#: fs/bs: forward or flipped joints inside a frame; ft/bt: forward or flipped frames inside a joint.
#: The first six are the paper's, the others those of public forks.
SCAN_ORDERS: dict[str, ScanOrder] = {
    entry.name: entry
    for entry in (
        _GLOBAL_LOCAL,
        ScanOrder("bidirectional", (_FT, _JT, _FT, _JT), _BACK, _NONE, ("v2", "v3", "v01")),
        ScanOrder("fs-ft", (_FT, _JT, _FT, _JT), _NONE, _NONE, ("v2-fs-ft",)),
        ScanOrder("fs-bt", (_FT, _JB, _FT, _JB), _NONE, _NONE, ("v2-fs-bt",)),
        ScanOrder("bs-ft", (_FB, _JT, _FB, _JT), _NONE, _NONE, ("v2-bs-ft",)),
        ScanOrder("bs-bt", (_FB, _JB, _FB, _JB), _NONE, _NONE, ("v2-bs-bt",)),
        ScanOrder("v31d", (_FT, _FT, _FT, _FT), _NONE, _NONE),
        ScanOrder("v32d", (_FT, _FT, _FT, _FT), _BACK, _NONE),
        replace(_GLOBAL_LOCAL, name="selfsum", official=("selfsum-poselimbs",),
                limb_index=tuple(range(NUM_JOINTS))),
        _BFS,
        replace(_BFS, name="bfs-first", official=("v2-bfs-first",), put_back=False),
        replace(_GLOBAL_LOCAL, name="fused-bfs", official=("v2-fused-bfs",),
                further=(replace(_BFS, gated=True),)),
    )
}  # fmt: skip

_BY_NAME = {
    spelling: entry for entry in SCAN_ORDERS.values() for spelling in (entry.name, *entry.official)
}

#: A name of the forks that stands for two orders, and the one it is not taken for.
SHARED_NAMES = {"bfs": "bfs-first"}

#: Endings of the official names that change the block around the scan.
_ENDINGS = {
    "nozact": "no SiLU on the gate",
    "oact": "a GELU behind out_norm",
    "noz": "no gate",
    "onnone": "no out_norm",
    "onsigmoid": "a sigmoid instead of out_norm",
    "onsoftmax": "a softmax instead of out_norm",
    "ondwconv3": "a convolution behind out_norm",
}
_NO_CAST = "-no32"
"""The official ending for a scan without a cast to float32, which changes no parameter."""

_TRITON = "a scan inside the authors' Triton kernels"
_OTHERS = {
    "v32dc": "an order that the authors' own code cannot run",
    **dict.fromkeys(("v02", "v03", "v04", "v05", "v051d", "v052d"), _TRITON),
    "factorized": "the scan of GraphConditionedPoseMamba, which is another network",
    "v2-plus-poselimbs-t": "the scan of STAMPose, which is another network",
}


def get_scan_order(name: str) -> ScanOrder:
    """Look a scan order up, by our name or an official one; ``_`` and case do not matter.

    Args:
        name: also an order of one's own, as :func:`own_scan_order` names it.

    Raises:
        InputError: no such order, or one that is known and not supported.
    """
    if name.startswith("{"):
        return own_scan_order(_decoded(name))
    key = name.lower().replace("_", "-")
    found = _BY_NAME.get(key) or _BY_NAME.get(key.removesuffix(_NO_CAST))
    if found is not None:
        return found
    if key in _OTHERS:
        raise InputError(f"scan order '{name}' is {_OTHERS[key]}: it is not supported")
    stem, _, ending = key.rpartition("-")
    if stem in _BY_NAME and ending in _ENDINGS:
        raise InputError(
            f"scan order '{name}' is of a block with {_ENDINGS[ending]} ('_{ending}'): only the "
            "official block without such an ending is supported"
        )
    raise InputError(
        f"unknown scan order '{printable(name)}'{suggestion(key, tuple(SCAN_ORDERS))}, or a YAML "
        "file with a table of your own"
    )


def is_known_scan(name: str) -> bool:
    """Whether a name is of the official code or a fork, supported or not."""
    key = name.lower().replace("_", "-")
    stem, _, ending = key.rpartition("-")
    return key in _OTHERS or key in _BY_NAME or (stem in _BY_NAME and ending in _ENDINGS)


def orders_with(directions: int, *, gated: bool) -> list[ScanOrder]:
    """Those of the table that have so many directions, some gated or none; the likeliest first."""
    return [
        entry
        for entry in SCAN_ORDERS.values()
        if entry.directions == directions and entry.is_gated == gated
    ]


# --- an order of one's own ----------------------------------------------------------------------

MAX_DIRECTIONS = 8
"""As many as the kernels hold."""
_ORDER_NAMES = {order.name.lower().replace("_", "-"): order for order in Order}
_MAX_VISITS = 16 * NUM_JOINTS
"""Of the joints of a frame; a walk round the body and back has 32."""
_FLAGS = ("reversed", "limbs", "put_back", "gated")


def own_scan_order(table: object) -> ScanOrder:
    """An order of one's own; its name is the table itself in one line of JSON.

    Args:
        table: ``directions``, a list of mappings with ``order`` (``frame-major``, ``joint-major``
            or either with ``-flipped``) and, where they are not false, ``reversed`` and ``limbs``
            (reads each joint plus its limb neighbour); also ``joints`` (every joint once, in the
            order it is visited) or ``visits`` (the same with repeats and omissions), ``reset``
            (true to restart the state at each frame, or joint, of the order, or after how many
            steps), ``put_back`` (true) and ``gated``. Beside it ``limb_index``.

    Raises:
        InputError: it is none; the message names the entry.
    """
    where = "scan order table"
    if not isinstance(table, dict) or not isinstance(table.get("directions"), list):
        raise InputError(f"{where}: 'directions' must be a list with an entry per direction")
    _known(where, table, ("directions", "limb_index"))
    rows = table["directions"]
    if not 1 <= len(rows) <= MAX_DIRECTIONS:
        raise InputError(f"{where}: it has {plural(len(rows), 'direction')}, not 1 to "
                         f"{MAX_DIRECTIONS}")  # fmt: skip
    limbs = table.get("limb_index")
    if limbs is not None:
        limbs = _joint_list(f"{where}: limb_index", limbs)
    directions = [_direction(f"{where}: directions[{k}]", row) for k, row in enumerate(rows)]
    plain = {key: table[key] for key in ("directions", "limb_index") if table.get(key) is not None}
    first, *further = _runs(directions)
    named = replace(first, name=json.dumps(plain, separators=(",", ":")), limb_index=limbs)
    return replace(named, further=tuple(replace(run, limb_index=limbs) for run in further))


def _direction(where: str, row: object) -> ScanOrder:
    """One direction, as an order that has no other."""
    if not isinstance(row, dict):
        raise InputError(f"{where} is {printable(row)}: it must be a mapping such as order: "
                         "frame-major")  # fmt: skip
    _known(where, row, ("order", *_FLAGS, "joints", "visits", "reset"))
    order = row.get("order")
    if not isinstance(order, str) or order not in _ORDER_NAMES:
        raise InputError(f"{where}: order is {printable(order)}: use one of "
                         f"{', '.join(_ORDER_NAMES)}")  # fmt: skip
    for flag in _FLAGS:
        if not isinstance(row.get(flag, False), bool):
            raise InputError(f"{where}: {flag} is {printable(row[flag])}: use true or false")
    joints, visits = row.get("joints"), row.get("visits")
    if joints is not None:
        joints = _joint_list(f"{where}: joints", joints)
        if not _is_permutation(joints):
            raise InputError(
                f"{where}: joints must name every joint once; visits may repeat and leave out"
            )
    if visits is not None:
        if joints is not None or not row.get("put_back", True):
            raise InputError(f"{where}: visits goes without joints, and with put_back true")
        joints = _joint_list(f"{where}: visits", visits, range(1, _MAX_VISITS + 1))
    reset = row.get("reset", False)
    if type(reset) is not bool and not (type(reset) is int and reset >= 1):
        raise InputError(f"{where}: reset is {printable(reset)}: use true, false or a number of "
                         "steps")  # fmt: skip
    return ScanOrder(
        "",
        (_ORDER_NAMES[order],),
        (int(row.get("reversed", False)),),
        (int(row.get("limbs", False)),),
        joints=joints,
        put_back=row.get("put_back", True),
        gated=row.get("gated", False),
        reset=(EACH_ROW if reset else 0) if isinstance(reset, bool) else reset,
    )


def _runs(directions: Sequence[ScanOrder]) -> Iterator[ScanOrder]:
    """Neighbouring directions that one walk can cross, as one order each."""
    run = directions[0]
    for each in directions[1:]:
        if replace(each, order=run.order, reverse=run.reverse, limb_mask=run.limb_mask) == run:
            run = replace(
                run,
                order=run.order + each.order,
                reverse=run.reverse + each.reverse,
                limb_mask=run.limb_mask + each.limb_mask,
            )
        else:
            yield run
            run = each
    yield run


def _known(where: str, mapping: dict[object, object], names: Sequence[str]) -> None:
    for key in mapping:
        if key not in names:
            raise InputError(f"{where} has '{printable(key)}'{suggestion(str(key), list(names))}")


def _joint_list(
    where: str, value: object, lengths: range = range(NUM_JOINTS, NUM_JOINTS + 1)
) -> tuple[int, ...]:
    if (
        not isinstance(value, list)
        or len(value) not in lengths
        or not all(type(joint) is int and 0 <= joint < NUM_JOINTS for joint in value)
    ):
        many = str(NUM_JOINTS) if len(lengths) == 1 else f"1 to {lengths[-1]}"
        raise InputError(f"{where} must be {many} joint numbers from 0 to {NUM_JOINTS - 1}")
    return tuple(value)


def _decoded(text: str) -> object:
    try:
        return parse_json(text)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"scan order '{printable(text)}' is no JSON of a table ({printable(error, 80)})"
        ) from None
