"""Which scan order a checkpoint was trained with. The weights do not tell.

A wrong order gives wrong poses that agree with our own PyTorch to the last digit, so the source is
always named, and a guess is called one.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from posemamba.checkpoint.official_config import (
    config_fields,
    config_scan_order,
    read_official_config,
)
from posemamba.errors import InputError
from posemamba.scan_order import SCAN_ORDERS, get_scan_order

DEFAULT_SCAN_ORDER = "global-local"


class OrderSource(NamedTuple):
    """Name of a scan order, what decided it, and whether nothing did."""

    order: str
    source: str
    guessed: bool = False


def find_scan_order(
    path: Path, given: str | None, stated: Mapping[str, Any], header: Mapping[str, Any]
) -> OrderSource:
    """The scan order, from the argument, the config, the header or the file name, in this order.

    Args:
        given: overrides everything.
        stated: the official config beside the file, or empty.
        header: the configuration in a safetensors header, or empty.

    Raises:
        InputError: an order that does not exist.
    """
    if given is not None:
        return OrderSource(given, "the scan_order argument")
    embedded = header.get("scan_order")
    if (beside := config_scan_order(stated)) is not None:
        if embedded is not None and get_scan_order(str(embedded)).name != beside:
            warnings.warn(
                f"{path}: its header says scan order {embedded}, the config.yaml beside it "
                f"{beside}; using {beside}",
                stacklevel=3,
            )
        return OrderSource(beside, "config.yaml beside the checkpoint")
    if embedded is not None:
        return OrderSource(get_scan_order(str(embedded)).name, "the safetensors header")
    if hint := scan_order_in_name(path.name):
        return OrderSource(hint, "the file name")
    return OrderSource(DEFAULT_SCAN_ORDER, "the default", guessed=True)


def scan_order_in_name(name: str) -> str | None:
    """The scan order a file name spells out as a word of its own.

    Only ``fs_ft``-like words and full names count: a bare ``v2`` is more often a version than the
    official name of the bidirectional scan. ``global-local`` wins over ``bidirectional``, since the
    paper calls its model both.
    """
    words = "-" + re.sub(r"[^a-z0-9]+", "-", name.lower()) + "-"
    for order in SCAN_ORDERS:
        if f"-{order}-" in words:
            return order
    return None


def config_beside(path: Path, sizes: Mapping[str, int]) -> Mapping[str, Any]:
    """The official config next to the weights, if any; its conflicts with the shapes are warned of.

    A broken or foreign ``config.yaml`` does not stop the weights from loading.
    """
    folders = (path, path.parent) if path.is_dir() else (path.parent,)
    for file in (folder / "config.yaml" for folder in folders):
        if not file.is_file():
            continue
        try:
            raw = read_official_config(file)
        except InputError as error:
            warnings.warn(f"{error}; ignored", stacklevel=3)
            return {}
        for field, value in config_fields(raw).items():
            if value != sizes[field]:
                warnings.warn(
                    f"{file}: it says {field} {value}, but the weights have {sizes[field]}; "
                    "the weights are right",
                    stacklevel=3,
                )
        return raw
    return {}
