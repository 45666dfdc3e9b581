"""The official trainer's ``config.yaml``, read without believing its Python tags.

The file is a YAML dump of an ``EasyDict``, so its nodes carry tags such as
``!!python/object/new:easydict.EasyDict``. Only the node tree is composed here; no constructor of
PyYAML that could import or call anything is ever reached, and an unknown tag means nothing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from posemamba.errors import InputError
from posemamba.files.input import require_no_device
from posemamba.scan_order import SHARED_NAMES, get_scan_order, own_scan_order
from posemamba.text import printable, problem

MAX_BYTES = 1 << 20
"""An official config is 1 kB."""

_SCALAR_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float")}

#: official name -> field of :class:`posemamba.config.PoseMambaConfig`. ``n_frames`` and
#: ``clip_len`` are lengths of training clips, not of the position embedding, and stay out.
FIELD_NAMES = {
    "maxlen": "frames",
    "dim_feat": "d_model",
    "depth": "depth",
    "num_joints": "joints",
    "mlp_ratio": "mlp_ratio",
    "input_channels": "channels",
}


def read_official_config(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a ``config.yaml`` as plain dicts, lists, strings, numbers, booleans and None.

    Objects become the mapping of their ``dictitems`` or ``state``; any other tag is dropped.

    Raises:
        InputError: unreadable, not YAML, or not a mapping at the top.
    """
    require_no_device(path)
    try:
        with Path(path).open("rb") as stream:
            text = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise problem(path, f"cannot be read: {error.strerror or error}") from None
    return official_config(text, path)


def official_config(text: bytes, path: str | os.PathLike[str]) -> dict[str, Any]:
    """The same of a file that was read already.

    Args:
        path: for the messages.

    Raises:
        InputError: as :func:`read_official_config`.
    """
    if len(text) > MAX_BYTES:
        raise problem(path, "larger than 1 MiB: not a training config")
    try:
        plain = parse_yaml(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = printable(getattr(error, "problem", None) or error, 100)
        raise problem(path, f"not valid YAML ({reason})") from None
    if not isinstance(plain, dict):
        raise problem(path, "not a config: its top level is not a mapping of names to values")
    return {str(key): value for key, value in plain.items()}


def parse_yaml(text: str | bytes) -> object:
    """A document as plain values, see :func:`read_official_config`.

    Raises:
        InputError: a key has two values, of which YAML's readers take one or the other.
        ValueError, yaml.YAMLError, RecursionError: it is no YAML.
    """
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    return _plain(node, {}) if node is not None else None


def _plain(node: yaml.Node, done: dict[int, Any]) -> object:
    """A node as plain Python; ``done`` keeps aliases shared, so a bomb of them stays small."""
    if id(node) in done:
        return done[id(node)]
    if isinstance(node, yaml.ScalarNode):
        done[id(node)] = _scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        items: list[Any] = []
        done[id(node)] = items  # before its children: they may refer back to it
        items.extend(_plain(child, done) for child in node.value)
    elif isinstance(node, yaml.MappingNode):
        mapping: dict[Any, Any] = {}
        done[id(node)] = mapping
        for key_node, value_node in _object_items(node):
            value = _plain(value_node, done)
            if not isinstance(key_node, yaml.ScalarNode):
                mapping[str(key_node.tag)] = value
                continue
            key = _scalar(key_node)
            if key in mapping and not _same(mapping[key], value):
                raise InputError(f"it has '{printable(key)}' twice, with two values: keep one")
            mapping[key] = value
    return done.get(id(node))


def _same(one: object, other: object) -> bool:
    """Of two values under one key; lists are not walked, which aliases can make endless."""
    return not isinstance(one, list | dict) and one == other


def _object_items(node: yaml.MappingNode) -> list[tuple[yaml.Node, yaml.Node]]:
    """The items of a mapping, or of the dict that a dumped Python object wraps."""
    items: list[tuple[yaml.Node, yaml.Node]] = list(node.value)
    if node.tag.startswith("tag:yaml.org,2002:python/object"):
        parts = {key.value: value for key, value in items if isinstance(key, yaml.ScalarNode)}
        for name in ("dictitems", "state"):  # an EasyDict repeats its items as attributes
            inner = parts.get(name)
            if isinstance(inner, yaml.MappingNode):
                return list(inner.value)
    return items


def _scalar(node: yaml.ScalarNode) -> object:
    if node.tag not in _SCALAR_TAGS:
        return node.value
    return yaml.constructor.SafeConstructor().construct_object(node)


def config_fields(raw: Mapping[str, Any]) -> dict[str, int]:
    """The sizes that an official config states, by the names of ``PoseMambaConfig``.

    Values that are no whole numbers are left out: the weights decide anyway.
    """
    fields: dict[str, int] = {}
    for name, field in FIELD_NAMES.items():
        value = raw.get(name)
        if type(value) is int or (isinstance(value, float) and value.is_integer()):
            fields[field] = int(value)
    return fields


def config_scan_order(raw: Mapping[str, Any]) -> str | None:
    """The scan order a config states as ``scan_order`` (ours) or ``forward_type`` (official).

    Returns:
        The order's name, or None where the config is silent, as the official ones are.

    Raises:
        InputError: it states one that is not supported.
    """
    if raw.get("scan_order") is not None:
        return get_scan_order(str(raw["scan_order"])).name
    stated = raw.get("forward_type")
    if stated is None:
        return None
    if not isinstance(stated, str) or stated.startswith("{"):
        raise InputError(f"forward_type '{printable(stated)}' is no name of a scan")
    try:
        return get_scan_order(stated).name
    except InputError as error:
        raise InputError(f"forward_type: {error}; --scan-order overrides it") from None


def is_shared_name(raw: Mapping[str, Any]) -> bool:
    """Whether the order a config states is an official name that stands for two of them."""
    return raw.get("scan_order") is None and config_scan_order(raw) in SHARED_NAMES


def read_scan_order_file(path: str | os.PathLike[str]) -> str:
    """The name of the scan order that a YAML table describes.

    The format is that of :func:`posemamba.scan_order.own_scan_order`.

    Raises:
        InputError: unreadable, or no such table.
    """
    try:
        return own_scan_order(read_official_config(path)).name
    except InputError as error:
        text = str(error)
        raise error if text.startswith(os.fspath(path)) else problem(path, text) from None
