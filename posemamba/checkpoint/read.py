"""Load any PoseMamba checkpoint safely.

Accepted: what the official trainer wrote (``.bin``, ``.pth``, ``.pth.tr``), the same archive
unpacked into a folder, a bare state dict, ``.pt``, and ``.safetensors``. Nothing in a file is ever
executed, see :mod:`posemamba.files.torch_pickle`.
"""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from posemamba.checkpoint.containers import read_weight_file
from posemamba.checkpoint.official_config import (
    config_fields,
    config_scan_order,
    read_official_config,
)
from posemamba.checkpoint.save import CONFIG_KEY
from posemamba.checkpoint.save import save_checkpoint as save_checkpoint
from posemamba.config import PoseMambaConfig
from posemamba.errors import InputError
from posemamba.model.network import PoseMamba
from posemamba.model.state_layout import check_state, infer_sizes
from posemamba.scan_order import SCAN_ORDERS, get_scan_order
from posemamba.text import printable, problem

DEFAULT_SCAN_ORDER = "global-local"

_WRAPPERS = ("model_pos", "model", "state_dict")  # the first is the official one
_PREFIX = re.compile(r"^(?:module\.|_orig_mod\.)+")  # DataParallel, torch.compile
_PROFILER_KEYS = re.compile(r"(?:^|\.)total_(?:ops|params)$")  # thop leaves them in state dicts
_FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)


@dataclass(frozen=True)
class Checkpoint:
    """A checked checkpoint.

    Attributes:
        state: float32 tensors by official key, without ``module.``.
        config: sizes from the shapes, scan order from ``scan_order_source``.
        path: as given.
        sha256: of the file; of an unpacked folder, of its records.
        scan_order_source: what decided the scan order, for people.
        epoch: epochs trained, where the file says so.
        min_loss: best evaluation error in mm, where the file says so.
    """

    state: dict[str, Tensor]
    config: PoseMambaConfig
    path: Path
    sha256: str
    scan_order_source: str
    epoch: int | None = None
    min_loss: float | None = None

    def build(self) -> PoseMamba:
        """The network with these weights, in eval mode, on the CPU."""
        model = PoseMamba(self.config)
        model.load_state_dict(self.state)
        return model.eval()


def load_checkpoint(path: str | os.PathLike[str], *, scan_order: str | None = None) -> PoseMamba:
    """Build the network a checkpoint holds, in eval mode, on the CPU.

    Args:
        path: file or unpacked folder.
        scan_order: overrides what the file, its config or its name says of the scan order.

    Raises:
        InputError: see :func:`read_checkpoint`.
    """
    return read_checkpoint(path, scan_order=scan_order).build()


def read_checkpoint(path: str | os.PathLike[str], *, scan_order: str | None = None) -> Checkpoint:
    """Read and check a checkpoint without building the network.

    The scan order is not in the weights. It comes from, in this order: the argument, a
    ``config.yaml`` beside the file, the safetensors header, a word such as ``bs_bt`` in the file
    name, and is the paper's global-local order otherwise.

    Raises:
        InputError: one line that names the file and what is wrong: unreadable, truncated, unsafe,
            not PoseMamba, or a missing, unexpected, misshapen, non-float or non-finite tensor.
    """
    source = Path(path)
    given = None if scan_order is None else get_scan_order(scan_order).name
    file = read_weight_file(source)
    wrapper, raw_state = _unwrap(file.content, source)
    tensors = _plain_keys(raw_state, source)
    extras = _saved_config(file.metadata)
    try:
        sizes = infer_sizes({key: tuple(tensor.shape) for key, tensor in tensors.items()})
        stated = _config_beside(source, sizes._asdict())
        order, order_source = _scan_order(source, given, stated, extras)
        config = PoseMambaConfig(**sizes._asdict(), **_untold_by_shapes(extras), scan_order=order)
        check_state(tensors, config)
    except InputError as error:
        raise problem(source, str(error)) from None
    state = {key: tensor.detach().to(torch.float32).contiguous() for key, tensor in tensors.items()}
    return Checkpoint(
        state=state,
        config=config,
        path=source,
        sha256=file.sha256,
        scan_order_source=order_source,
        epoch=_whole(wrapper.get("epoch")),
        min_loss=_number(wrapper.get("min_loss")),
    )


def _unwrap(content: object, path: Path) -> tuple[Mapping[Any, Any], Mapping[Any, Any]]:
    """The trainer's dict and the state dict in it; twice the same for a bare state dict."""
    if not isinstance(content, dict):
        kind = type(content).__name__
        raise problem(path, f"holds a {kind}, not a state dict: save model.state_dict()")
    for name in _WRAPPERS:
        if name in content:
            state = content[name]
            if not isinstance(state, dict):
                kind = type(state).__name__
                raise problem(path, f"its '{name}' is a {kind}, not a state dict")
            return content, state
    if not any(isinstance(value, Tensor) for value in content.values()):
        held = ", ".join(f"'{printable(key, 30)}'" for key in list(content)[:4]) or "nothing"
        raise problem(path, f"holds no weights: no 'model_pos' in it, it has {held}")
    return content, content


def _plain_keys(raw: Mapping[Any, Any], path: Path) -> dict[str, Tensor]:
    """Strip wrappers' prefixes and refuse whatever is not a dense floating-point tensor."""
    tensors: dict[str, Tensor] = {}
    for raw_key, value in raw.items():
        shown = printable(raw_key)
        if not isinstance(raw_key, str):
            raise problem(path, f"key {shown} is of type {type(raw_key).__name__}, not a name")
        key = _PREFIX.sub("", raw_key)
        if _PROFILER_KEYS.search(key):
            continue
        if not isinstance(value, Tensor):
            kind = type(value).__name__
            raise problem(path, f"key '{shown}' holds a {kind}, not a tensor: remove it")
        if key in tensors:
            raise problem(path, f"key '{shown}' is there twice, with and without a prefix")
        if value.dtype not in _FLOATS or value.layout != torch.strided or value.is_meta:
            raise problem(
                path,
                f"key '{shown}' of shape {tuple(value.shape)} is {value.dtype} "
                f"({value.layout}), expected dense float32, float16, bfloat16 or float64",
            )
        tensors[key] = value
    return tensors


def _config_beside(path: Path, sizes: Mapping[str, int]) -> Mapping[str, Any]:
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
            warnings.warn(f"{error}; ignored", stacklevel=4)
            return {}
        for field, value in config_fields(raw).items():
            if value != sizes[field]:
                warnings.warn(
                    f"{file}: it says {field} {value}, but the weights have {sizes[field]}; "
                    "the weights are right",
                    stacklevel=4,
                )
        return raw
    return {}


def _scan_order(
    path: Path, given: str | None, stated: Mapping[str, Any], extras: Mapping[str, Any]
) -> tuple[str, str]:
    """Name of the scan order and what decided it."""
    if given is not None:
        return given, "the scan_order argument"
    embedded = extras.get("scan_order")
    if (beside := config_scan_order(stated)) is not None:
        if embedded is not None and get_scan_order(str(embedded)).name != beside:
            warnings.warn(
                f"{path}: its header says scan order {embedded}, the config.yaml beside it "
                f"{beside}; using {beside}",
                stacklevel=4,
            )
        return beside, "config.yaml beside the checkpoint"
    if embedded is not None:
        return get_scan_order(str(embedded)).name, "the safetensors header"
    if hint := scan_order_in_name(path.name):
        return hint, "the file name"
    return DEFAULT_SCAN_ORDER, "the default"


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


def _saved_config(metadata: Mapping[str, str]) -> dict[str, Any]:
    """The JSON under ``config`` in a safetensors header; empty where it is somebody else's."""
    try:
        saved = json.loads(metadata.get(CONFIG_KEY, "{}"))
    except (ValueError, RecursionError):
        return {}
    return saved if isinstance(saved, dict) else {}


def _untold_by_shapes(extras: Mapping[str, Any]) -> dict[str, Any]:
    """Fields that no shape shows, as they were saved; not the scan order."""
    untold: dict[str, Any] = {}
    limbs = extras.get("limb_index")
    if limbs is not None:
        if not isinstance(limbs, list) or not all(type(joint) is int for joint in limbs):
            raise InputError("its header's limb_index is not a list of joint numbers")
        untold["limb_index"] = tuple(limbs)
    rate = _number(extras.get("drop_path"))
    if rate is not None:
        untold["drop_path"] = rate
    return untold


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and type(value) is not bool else None


def _whole(value: object) -> int | None:
    return value if type(value) is int else None
