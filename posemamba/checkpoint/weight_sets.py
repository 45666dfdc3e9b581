"""Which weights are in a file: every set of PoseMamba tensors, wherever and however it is wrapped.

Trainers nest a state dict in others, put a prefix before every key, and keep an averaged set beside
the raw one. A set is known by keys no other network has: ``STEblocks.0.op.*``. Everything else in a
file is left alone: optimizer states, counters, losses, other modules.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Any

import torch
from torch import Tensor

from posemamba.errors import InputError
from posemamba.files.torch_pickle import PickledArray
from posemamba.model.state_layout import LIMB_BUFFER
from posemamba.text import plural, printable

#: What wrappers put before a module's name, anywhere in a key: DataParallel and DDP, torch.compile,
#: FSDP, activation checkpointing, Lightning Fabric.
_WRAPPER = r"(?:module|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module|_forward_module)\."
_WRAPPERS = re.compile(rf"(?:^|(?<=\.)){_WRAPPER}")
_OWN_KEY = re.compile(rf"(.*?)(?:STE|TTE)blocks\.(?:{_WRAPPER})*\d+\.(?:{_WRAPPER})*op\.")
_PROFILER_KEYS = re.compile(r"(?:^|\.)total_(?:ops|params)$")  # thop leaves them in state dicts
_AVERAGED = re.compile(
    r"(?:^|[^a-z])(?:ema|swa|avg|averaged?|averages|polyak|shadow|teacher)(?:$|[^a-z])"
)
#: What an averaging class keeps beside its average: the raw weights.
_RAW = re.compile(r"(?:^|[^a-z])(?:backup|collected|online|student)(?:$|[^a-z])")
#: What optimizers keep for each parameter: of its shapes and names, and no weights.
_OPTIMIZER = re.compile(
    r"(?:^|[^a-z])(?:optim(?:izer)?s?|exp_avg|exp_inf|square_avg|moment(?:um|s)?|grads?)(?:$|[^a-z])"
)
#: What trainers count in a state dict's own names; another number alone may be a parameter.
_COUNTER = re.compile(
    r"(?:^|_)(?:lr|epochs?|steps?|iters?|iterations?|loss|best|decay|averaged|updates|mpjpe|score)(?:$|_)"
)
_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")  # of modelEMA, EMAModel
#: What stands in names of buffers where a parameter's has dots.
_DOTLESS = ("", "_", "-")
_FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
#: A dictionary nested deeper, or more of them, is no checkpoint of any trainer.
_MAX_DEPTH = 8
_MAX_DICTIONARIES = 20_000


@dataclass(frozen=True)
class WeightSet:
    """One set of weights.

    Attributes:
        name: where it stands in the file, such as ``model_ema`` or ``state_dict/net``; a bare state
            dict has the empty name.
        tensors: as they are stored, by official key.
        beside: the dictionary around it, which may tell the epoch.
        prefix: what was stripped from every key; wrappers' words only where sets differ in them.
        averaged: whether its name says that it is a running average.
    """

    name: str
    tensors: dict[str, Tensor]
    beside: Mapping[Any, Any]
    prefix: str = ""

    @property
    def averaged(self) -> bool:
        words = self._words
        return _AVERAGED.search(words) is not None and _RAW.search(words) is None

    @property
    def of_optimizer(self) -> bool:
        """Whether its name says that an optimizer keeps it, and not that it is the average that
        some optimizers keep among their states."""
        last = self._words.strip("/").rpartition("/")[2]
        is_average = _AVERAGED.search(last) is not None and _OPTIMIZER.search(last) is None
        return not is_average and _OPTIMIZER.search(self._words) is not None

    @property
    def _words(self) -> str:
        return _WORDS.sub("_", f"{self.name}/{self.prefix}").lower()


def find_weight_sets(content: object) -> list[WeightSet]:
    """Every set of PoseMamba weights in a decoded file, in the order of the file.

    Raises:
        InputError: a tensor under a PoseMamba key that is no dense floating-point tensor, a key
            twice, a key that is no name, or tensors without numbers.
    """
    found: list[WeightSet] = []
    for path, mapping, around in _dictionaries(content):
        by_prefix = _by_prefix(mapping)
        owns = [_WRAPPERS.sub("", prefix) for prefix in by_prefix]
        for own, (prefix, raw) in zip(owns, by_prefix.items(), strict=True):
            told = own if owns.count(own) == 1 else prefix  # else two sets would have one name
            found.append(WeightSet("/".join(path), _plain(raw), around, told))
    if found and not any(each.tensors for each in found):
        raise InputError(
            f"its values under PoseMamba's names are no tensors, but {_kinds(content)}"
            ": save model.state_dict()"
        )
    if found:
        named = max(found, key=lambda each: len(each.tensors))
        found += [*_lists_like(content, named), *_undotted_like(content, named)]
        found = [each for each in found if not each.of_optimizer] or found
    if found and not any(tensor.numel() for each in found for tensor in each.tensors.values()):
        raise InputError(
            "its tensors are empty: DeepSpeed's ZeRO-3 keeps their numbers in other files, gather "
            "them with the zero_to_fp32.py beside it"
        )
    return found


def choose(found: list[WeightSet], asked: str | None) -> tuple[WeightSet, str | None]:
    """One of the sets, and a sentence on the choice where there was one.

    A set that holds less than half of the largest one's tensors is a part of something else. Where
    it is an average, of what was trained alone, say, that is told.

    Args:
        asked: ``averaged``, ``raw``, the name of a set, or None for the averaged one, which is what
            trainers validate.

    Raises:
        InputError: no set that was asked for.
    """
    most = max(len(each.tensors) for each in found)
    sets = [each for each in found if 2 * len(each.tensors) > most]
    parts = [
        f"'{_label(each)}' is an average of {len(each.tensors)} of the {most} tensors: passed over"
        for each in found
        if each.averaged and 0 < 2 * len(each.tensors) <= most
    ]
    if asked is None:
        chosen = next((each for each in sets if each.averaged), sets[0])
    else:
        kinds = {"averaged": True, "raw": False}
        fits = [
            each
            for each in sets
            if (each.averaged == kinds[asked] if asked in kinds else _label(each) == asked)
        ]
        if not fits:
            held = ", ".join(f"'{_label(each)}'" for each in sets)
            said = "; ".join([f"it has {held}", *parts])
            raise InputError(f"has no weights '{printable(asked)}': {said}")
        chosen = fits[0]
    if len(sets) == 1:
        return chosen, "; ".join(parts) or None
    others = ", ".join(f"'{_label(each)}'" for each in sets if each is not chosen)
    kind = "averaged weights" if chosen.averaged else "weights"
    choice = (
        f"holds {plural(len(sets), 'set')} of weights: taking the {kind} '{_label(chosen)}', "
        f"not {others}; --weights chooses another"
    )
    return chosen, "; ".join([choice, *parts])


def unfitting_averages(content: object, found: list[WeightSet]) -> list[str]:
    """What a file calls an average and is no set: of frozen parts nobody averages, or of another
    network. A sentence each.
    """
    known = {each.name for each in found}
    said = []
    for path, values, _ in _containers(content, Mapping | list | tuple):
        held = values.values() if isinstance(values, Mapping) else values
        count = sum(isinstance(value, Tensor) and value.ndim > 0 for value in held)
        here = WeightSet("/".join(path), {}, {})
        if count and here.averaged and not here.of_optimizer and here.name not in known:
            said.append(
                f"'{here.name}' is called an average and holds {plural(count, 'tensor')}, not all "
                "that the network has: passed over"
            )
    return said


def tensor_names(content: object) -> list[str]:
    """Names of all tensors in a decoded file, whatever network they are of."""
    return [
        str(key)
        for _, mapping, _ in _dictionaries(content)
        for key, value in mapping.items()
        if isinstance(value, Tensor)
    ]


def longest_list(content: object) -> tuple[str, int] | None:
    """Where the longest list of tensors stands in a file, and how many it has; None without one."""
    lists = [
        (len(values), "/".join(path))
        for path, values, _ in _containers(content, list | tuple)
        if values and all(isinstance(value, Tensor) for value in values)
    ]
    return max(lists)[::-1] if lists else None


def _label(each: WeightSet) -> str:
    return "/".join(part for part in (each.name, each.prefix.rstrip(".")) if part) or "the file"


def _dictionaries(
    content: object,
) -> Iterator[tuple[tuple[str, ...], Mapping[Any, Any], Mapping[Any, Any]]]:
    """Path, dictionary and the one around it, outer ones first."""
    return _containers(content, Mapping)


def _containers(
    content: object,
    kind: type[Any] | UnionType,
) -> Iterator[tuple[tuple[str, ...], Any, Mapping[Any, Any]]]:
    """Path, dictionary or list (which of them, tells ``kind``) and the dictionary around it."""
    around: Mapping[Any, Any] = content if isinstance(content, Mapping) else {}
    todo: deque[tuple[tuple[str, ...], object, Mapping[Any, Any]]] = deque()
    todo.append(((), content, around))
    for _ in range(_MAX_DICTIONARIES):
        if not todo:
            return
        path, here, outer = todo.popleft()
        children: list[tuple[object, object]] = []
        if isinstance(here, kind):
            yield path, here, outer
        if isinstance(here, Mapping):
            children, outer = list(here.items()), here
        elif isinstance(here, list | tuple):
            children = list(enumerate(here))
        if len(path) < _MAX_DEPTH:
            todo += [
                ((*path, printable(name, 30)), child, outer)
                for name, child in children
                if isinstance(child, Mapping | list | tuple)
            ]


def _by_prefix(mapping: Mapping[Any, Any]) -> dict[str, dict[str, Any]]:
    """The keys of one dictionary by what stands before PoseMamba's names, wrappers' words gone."""
    keys = [key for key in mapping if isinstance(key, str)]
    prefixes = {match[1] for key in keys if (match := _OWN_KEY.match(key))}
    if not prefixes:
        return {}
    if "" in prefixes and (odd := next((k for k in mapping if not isinstance(k, str)), None)):
        raise InputError(f"key {printable(odd)} is of type {type(odd).__name__}, not a name")
    sets: dict[str, dict[str, Any]] = {prefix: {} for prefix in sorted(prefixes)}
    for key in keys:
        fitting = [prefix for prefix in prefixes if key.startswith(prefix)]
        if not fitting:
            continue
        prefix = max(fitting, key=len)
        short = _WRAPPERS.sub("", key[len(prefix) :])
        if short in sets[prefix]:
            raise InputError(f"key '{printable(key)}' is there twice, with and without a prefix")
        value = mapping[key]
        sets[prefix][short] = value.tensor() if isinstance(value, PickledArray) else value
    return sets


def _plain(raw: Mapping[str, Any]) -> dict[str, Tensor]:
    """Tensors that can be weights; counters and values that are no tensors are left out."""
    tensors = {}
    for key, value in raw.items():
        if _PROFILER_KEYS.search(key) or not isinstance(value, Tensor):
            continue
        if not value.ndim and (not value.is_floating_point() or _COUNTER.search(key)):
            continue
        if value.dtype not in _FLOATS or value.layout != torch.strided or value.is_meta:
            raise InputError(
                f"key '{printable(key)}' of shape {tuple(value.shape)} is {value.dtype} "
                f"({value.layout}), expected dense float32, float16, bfloat16 or float64"
                f"{_what_to_do(value)}"
            )
        tensors[key] = value
    return tensors


def _what_to_do(tensor: Tensor) -> str:
    """With a tensor that is no weight as it is; empty where there is no advice."""
    if tensor.is_meta:
        return ": it was saved without its numbers (meta device)"
    if tensor.layout != torch.strided:
        return ": save it as to_dense()"
    if tensor.is_quantized or (tensor.element_size() == 1 and tensor.dtype != torch.bool):
        return ": a quantised network, pass the one it was made from"
    return ""


def _kinds(content: object) -> str:
    """Types of what stands under PoseMamba's names."""
    values = [
        value
        for _, mapping, _ in _dictionaries(content)
        for key, value in mapping.items()
        if isinstance(key, str) and _OWN_KEY.match(key)
    ]
    return " and ".join(sorted({type(value).__name__ for value in values}))


def _undotted_like(content: object, named: WeightSet) -> Iterator[WeightSet]:
    """Sets of a set's tensors under names without dots: PyTorch allows a buffer none, so that
    averaging classes that keep buffers (latent diffusion's LitEma) take them out."""
    for mark in _DOTLESS:
        keys = {key.replace(".", mark): key for key in named.tensors if key != LIMB_BUFFER}
        telling = next((dotless for dotless in keys if dotless.startswith("STEblocks")), None)
        for path, mapping, around in _dictionaries(content):
            for text in [text for text in mapping if isinstance(text, str)]:
                if telling is None or not text.endswith(telling):
                    continue
                prefix = text.removesuffix(telling)
                raw = {key: mapping.get(prefix + dotless) for dotless, key in keys.items()}
                if all(
                    isinstance(value, Tensor) and value.shape == named.tensors[key].shape
                    for key, value in raw.items()
                ):
                    raw |= {k: v for k, v in named.tensors.items() if k == LIMB_BUFFER}
                    yield WeightSet("/".join(path), _plain(raw), around, prefix)


def _lists_like(content: object, named: WeightSet) -> Iterator[WeightSet]:
    """Lists of tensors that are those of a set in the network's order, as averaging classes keep.

    Our own runs do, under ``average``, and torch_ema, under ``shadow_params``. They hold parameters
    alone, each once: a buffer has no place in them, and of shared tensors the first has one.
    """
    first: dict[tuple[int, tuple[int, ...]], str] = {}
    alike = {}  # what stands for each tensor in such a list
    for key, tensor in named.tensors.items():
        if key != LIMB_BUFFER:
            alike[key] = first.setdefault((tensor.data_ptr(), tuple(tensor.shape)), key)
    keys = list(first.values())
    shapes = [named.tensors[key].shape for key in keys]
    for path, values, around in _containers(content, list | tuple):
        if [value.shape if isinstance(value, Tensor) else None for value in values] == shapes:
            by_key = dict(zip(keys, values, strict=True))
            tensors = {key: by_key[one] for key, one in alike.items()}
            if LIMB_BUFFER in named.tensors:  # no parameter, but it tells of bones
                tensors[LIMB_BUFFER] = named.tensors[LIMB_BUFFER]
            yield WeightSet("/".join(path), _plain(tensors), around)
