"""Load any PoseMamba checkpoint safely.

Accepted: what the official trainer wrote (``.bin``, ``.pth``, ``.pth.tr``), the same archive
unpacked into a folder, what Lightning, FSDP, torch.compile and averaging make of it, shards with
their index, archives that hold one, and ``.safetensors``. Nothing in a file is ever executed, see
:mod:`posemamba.files.torch_pickle`.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from posemamba.checkpoint.bundled import bundled_checkpoint
from posemamba.checkpoint.containers import file_in, read_weight_file, shard_hint
from posemamba.checkpoint.official_config import config_fields
from posemamba.checkpoint.other_networks import name_network
from posemamba.checkpoint.save import CONFIG_KEY, DATA_KEY, TRAINING_KEY
from posemamba.checkpoint.scan_order_source import OrderSource, config_beside, find_scan_order
from posemamba.checkpoint.weight_sets import (
    WeightSet,
    choose,
    find_weight_sets,
    longest_list,
    tensor_names,
    unfitting_averages,
)
from posemamba.config import PoseMambaConfig
from posemamba.errors import Caution, InputError
from posemamba.model.network import PoseMamba
from posemamba.model.state_layout import (
    check_state,
    directions_of,
    infer_sizes,
    is_gated,
    told_channels,
    without_buffers,
)
from posemamba.scan_order import get_scan_order
from posemamba.text import parse_json, plural, printable, problem


@dataclass(frozen=True)
class Checkpoint:
    """A checked checkpoint.

    Attributes:
        state: float32 tensors by official key, without ``module.``.
        config: sizes from the shapes, scan order from ``scan_order_source``.
        path: as given; of a folder with one file of weights, that file.
        sha256: of the file; of an unpacked folder, of its records.
        scan_order_source: what decided the scan order, for people.
        scan_order_guessed: whether nothing did: poses may be wrong, and parity cannot tell.
        epoch: epochs trained, where the file says so.
        min_loss: best evaluation error in mm, where the file says so.
        data, training: what it was trained on, and how, where the file says so.
    """

    state: dict[str, Tensor]
    config: PoseMambaConfig
    path: Path
    sha256: str
    scan_order_source: str
    scan_order_guessed: bool = False
    epoch: int | None = None
    min_loss: float | None = None
    data: str | None = None
    training: str | None = None

    def build(self) -> PoseMamba:
        """The network with these weights, in eval mode, on the CPU.

        Raises:
            InputError: parts of the network that do not go together.
        """
        try:
            model = PoseMamba(self.config)
        except InputError as error:
            raise problem(self.path, str(error)) from None
        model.load_state_dict(self.state)
        return model.eval()


def load_checkpoint(
    path: str | os.PathLike[str], *, scan_order: str | None = None, weights: str | None = None
) -> PoseMamba:
    """Build the network a checkpoint holds, in eval mode, on the CPU.

    Args:
        path: file or unpacked folder; ``demo`` for the network that ships with the package.
        scan_order: overrides what the file, its config or its name says of the scan order.
        weights: ``averaged``, ``raw`` or a name, where the file holds several sets.

    Raises:
        InputError: see :func:`read_checkpoint`.
    """
    return read_checkpoint(path, scan_order=scan_order, weights=weights).build()


def read_checkpoint(
    path: str | os.PathLike[str], *, scan_order: str | None = None, weights: str | None = None
) -> Checkpoint:
    """Read and check a checkpoint without building the network.

    The scan order is not in the weights. It comes from, in this order: the argument, a
    ``config.yaml`` beside the file or in the folder that was given, the safetensors header, a word
    such as ``bs_bt`` in the file name, and is the paper's global-local order otherwise. That guess,
    a choice among several sets of weights and a prefix that was stripped are said in a warning.

    Args:
        path: file or unpacked folder; ``demo`` for the network that ships with the package.
        scan_order: overrides all of these.
        weights: ``averaged``, ``raw`` or a name, where the file holds several sets. By default the
            averaged one, which is what trainers validate.

    Raises:
        InputError: one line that names the file and what is wrong: unreadable, truncated, unsafe,
            not PoseMamba, or a missing, unexpected, misshapen, non-float or non-finite tensor.
    """
    named = bundled_checkpoint(path) or Path(path)
    source = file_in(named)
    given = None if scan_order is None else get_scan_order(scan_order).name
    file = read_weight_file(source)
    choice = None
    try:
        header = _saved_config(file.metadata)
        sets = find_weight_sets(file.content)
        if not sets:
            raise InputError(_what_else(file.content))
        chosen, choice = choose(sets, weights)
        shapes = {key: tuple(tensor.shape) for key, tensor in chosen.tensors.items()}
        sizes = infer_sizes(shapes, bones=header.get("bones") is True)
        places = [source, named / source.name] if source != named else [source]
        stated = config_beside(places, file.config, sizes._asdict())
        sizes = told_channels(sizes, config_fields(stated).get("channels"))
        order = find_scan_order(
            [file.inside, source.name, source.resolve().name],
            given,
            stated,
            header,
            directions_of(shapes),
            gated=is_gated(shapes),
        )
        config = PoseMambaConfig(
            **sizes._asdict(), **_untold_by_shapes(header), scan_order=order.order
        )
        tensors = without_buffers(chosen.tensors, config)
        check_state(tensors, config)
    except InputError as error:
        told = "" if choice is None else f"; it {choice}"
        raise problem(source, f"{shard_hint(source)}{error}{told}") from None
    _say(source, chosen, choice)
    for unfitting in unfitting_averages(file.content, sets):
        warnings.warn(f"{source}: {unfitting}", stacklevel=2)
    if order.guessed:
        _say_guess(source, order)
    return Checkpoint(
        state={key: t.detach().to(torch.float32).contiguous() for key, t in tensors.items()},
        config=config,
        path=source,
        sha256=file.sha256,
        scan_order_source=order.source,
        scan_order_guessed=order.guessed,
        epoch=_whole(chosen.beside.get("epoch")),
        min_loss=_number(chosen.beside.get("min_loss")),
        data=file.metadata.get(DATA_KEY),
        training=file.metadata.get(TRAINING_KEY),
    )


def _say(path: Path, chosen: WeightSet, choice: str | None) -> None:
    if choice is not None:
        warnings.warn(f"{path}: {choice}", stacklevel=3)
    if chosen.prefix:
        text = f"{path}: taking the keys that begin with '{printable(chosen.prefix)}', without it"
        warnings.warn(text, stacklevel=3)


def _say_guess(path: Path, order: OrderSource) -> None:
    warnings.warn(
        f"{path}: scan order {order.order} is a guess ({order.source}); another gives other poses, "
        "and parity with PyTorch cannot tell. Name it with --scan-order, or ask 'posemamba "
        "which-scan --ckpt FILE --reference io.npz', with outputs of the original code",
        Caution,
        stacklevel=3,
    )


def _what_else(content: object) -> str:
    """What a file is that holds no PoseMamba weights."""
    if not isinstance(content, Mapping):
        return f"holds a {type(content).__name__}, not a state dict: save model.state_dict()"
    keys = tensor_names(content)
    if (name := name_network(keys)) is not None:
        return f"not a PoseMamba checkpoint: its tensors are {name}"
    if not keys and (unnamed := longest_list(content)) is not None:
        return (
            f"holds {plural(unnamed[1], 'tensor')} in a list, '{printable(unnamed[0])}', without "
            "names: pass a file that has the network's state dict beside them"
        )
    if keys:
        held = ", ".join(f"'{printable(key, 40)}'" for key in keys[:3])
        return (
            f"not a PoseMamba checkpoint: no key 'STEblocks.0.op.*'; its {len(keys)} keys are e.g. "
            f"{held}"
        )
    held = ", ".join(
        f"'{printable(key, 30)}' ({type(value).__name__})" for key, value in [*content.items()][:4]
    )
    return f"holds no weights: no tensors in it, it has {held or 'nothing'}"


def _saved_config(metadata: Mapping[str, str]) -> dict[str, Any]:
    """The JSON under ``config`` in a safetensors header; empty where it is somebody else's."""
    try:
        saved = parse_json(metadata.get(CONFIG_KEY, "{}"))
    except InputError as error:
        raise InputError(f"its header's {CONFIG_KEY} cannot be believed, {error}") from None
    except (ValueError, RecursionError):
        return {}
    return saved if isinstance(saved, dict) else {}


def _untold_by_shapes(extras: Mapping[str, Any]) -> dict[str, Any]:
    """Fields besides the scan order that no shape shows, as :func:`save_checkpoint` stored them."""
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
