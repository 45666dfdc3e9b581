"""Which scan order a checkpoint was trained with. The weights do not tell.

A wrong order gives wrong poses that agree with our own PyTorch to the last digit, so the source is
always named, and a guess is called one.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from posemamba.checkpoint.official_config import (
    config_fields,
    config_scan_order,
    is_shared_name,
    official_config,
    read_official_config,
)
from posemamba.errors import InputError
from posemamba.scan_order import SCAN_ORDERS, SHARED_NAMES, get_scan_order, orders_with
from posemamba.text import plural


class OrderSource(NamedTuple):
    """Name of a scan order, what decided it, and whether nothing did."""

    order: str
    source: str
    guessed: bool = False


#: Words that a file name says for other reasons: versions, fields of study.
_PLAIN_WORDS = {"v2", "v3", "v01", "bfs", "selfsum"}


def find_scan_order(
    names: Sequence[str],
    given: str | None,
    stated: Mapping[str, Any],
    header: Mapping[str, Any],
    directions: int,
    *,
    gated: bool,
) -> OrderSource:
    """The scan order, from the argument, the config, the header or the file name, in this order.

    Args:
        names: of the file; where it is an archive or a link, also of what that holds or leads to.
        given: overrides everything.
        stated: the official config beside the file, or empty.
        header: the configuration in a safetensors header, or empty.
        directions: of the weights.
        gated: whether the weights hold a gate of directions.

    Raises:
        InputError: an order that does not exist, or has another number of directions.
    """
    found = _stated_order(names, given, stated, header)
    if found is None:
        return _guess(directions, gated)
    order = get_scan_order(found.order)
    if order.directions != directions:
        raise InputError(
            f"key 'STEblocks.0.op.dt_projs_weight' has {plural(directions, 'direction')}, scan "
            f"order {found.order} ({found.source}) has {order.directions}: "
            f"{_fitting(directions, gated)}"
        )
    if order.is_gated != gated:
        key, has = "key 'STEblocks.0.op.bfs_gate'", ("is there", "is not there")
        raise InputError(
            f"{key} {has[not gated]}, scan order {found.order} ({found.source}) has "
            f"{'no gate' if gated else 'one'}: {_fitting(directions, gated)}"
        )
    return found


def _stated_order(
    names: Sequence[str], given: str | None, stated: Mapping[str, Any], header: Mapping[str, Any]
) -> OrderSource | None:
    if given is not None:
        return OrderSource(given, "the scan_order argument")
    embedded = header.get("scan_order")
    if (beside := config_scan_order(stated)) is not None:
        if embedded is not None and get_scan_order(str(embedded)).name != beside:
            warnings.warn(
                f"{names[0] or names[1]}: its header says scan order {embedded}, the config.yaml "
                f"beside it {beside}; using {beside}",
                stacklevel=4,
            )
        shared = is_shared_name(stated)
        said = f", which may also mean {SHARED_NAMES[beside]}" if shared else ""
        return OrderSource(beside, f"config.yaml beside the checkpoint{said}", guessed=shared)
    if embedded is not None:
        return OrderSource(get_scan_order(str(embedded)).name, "the safetensors header")
    return next((found for name in names if (found := scan_order_in_name(name))), None)


def _guess(directions: int, gated: bool) -> OrderSource:
    known = orders_with(directions, gated=gated)
    if not known:
        raise InputError(
            f"key 'STEblocks.0.op.dt_projs_weight' has {plural(directions, 'direction')}"
            f"{' and a gate' if gated else ''}: {_fitting(directions, gated)}"
        )
    if len(known) == 1:
        return OrderSource(known[0].name, f"the only one with {plural(directions, 'direction')}")
    return OrderSource(known[0].name, "the default", guessed=True)


def _fitting(directions: int, gated: bool) -> str:
    names = ", ".join(order.name for order in orders_with(directions, gated=gated))
    own = "describe it in a YAML file (--scan-order FILE.yaml)"
    return f"use one of {names}" if names else f"no order of the table has as many, {own}"


def scan_order_in_name(name: str) -> OrderSource | None:
    """The scan order a file name spells out as a word of its own.

    Only ``fs_ft``-like words and full names count: a bare ``v2`` is more often a version than the
    official name of the bidirectional scan. The longest name wins, and ``global-local`` over
    ``bidirectional``, since the paper calls its model both.
    """
    words = "-" + re.sub(r"[^a-z0-9]+", "-", name.lower()) + "-"
    spelled = [
        (-len(spelling) if spelling != order.name else 0, order.name)
        for order in SCAN_ORDERS.values()
        for spelling in (order.name, *order.official)
        if spelling not in _PLAIN_WORDS and f"-{spelling}-" in words
    ]
    if not spelled:
        return None
    _, found = min(spelled, key=lambda each: each[0])
    shared = found in SHARED_NAMES
    said = f", which may also mean {SHARED_NAMES[found]}" if shared else ""
    return OrderSource(found, f"the file name{said}", guessed=shared)


def config_beside(
    places: Sequence[Path], packed: bytes | None, sizes: Mapping[str, int]
) -> Mapping[str, Any]:
    """The official config next to the weights, if any; its conflicts with the shapes are warned of.

    A broken or foreign ``config.yaml`` does not stop the weights from loading. One that lies beside
    a link counts before one beside what the link leads to.

    Args:
        places: the file or unpacked folder, and further ones to look beside.
        packed: the config that is in the same archive; it counts before all others.
    """
    folders = [
        folder
        for place in places
        for path in (place, place.resolve())
        for folder in ((path, path.parent) if path.is_dir() else (path.parent,))
    ]
    file = next((f for folder in folders if (f := folder / "config.yaml").is_file()), None)
    if packed is not None:
        file = places[0] / "config.yaml"
    if file is None:
        return {}
    try:
        raw = read_official_config(file) if packed is None else official_config(packed, file)
    except InputError as error:
        warnings.warn(f"{error}; ignored", stacklevel=3)
        return {}
    # Two channels more may be bones, or the input's: there the config decides.
    wide = sizes["channels"] + 2 * sizes["bones"]
    for field, value in config_fields(raw).items():
        if value != sizes[field] and not (field == "channels" and value == wide):
            warnings.warn(
                f"{file}: it says {field} {value}, but the weights have {sizes[field]}; "
                "the weights are right",
                stacklevel=3,
            )
    return raw
