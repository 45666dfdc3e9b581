"""Inputs to try a network with: its sizes, and seeded numbers of its types."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from pmexport.exporting.module_request import FreeSize, InputSpec
from posemamba.errors import InputError

Sizes = Mapping[str, int]
"""Of the free sizes, by symbol."""

_ANOTHER = 3
"""Added to a traced size for a second one that is not a multiple of it."""


def traced_sizes(inputs: Sequence[InputSpec], dynamic: Sequence[FreeSize]) -> dict[str, int]:
    """The free sizes a network is traced with: as given, but 1 would be taken for a constant."""
    shapes = {spec.name: spec.shape for spec in inputs}
    return {
        size.symbol: max(2, *(shapes[name][axis] for name, axis in size.places)) for size in dynamic
    }


def tried_sizes(inputs: Sequence[InputSpec], dynamic: Sequence[FreeSize]) -> Iterator[Sizes]:
    """Sizes a check runs: the traced ones, others for all that are free, and 1 for each alone."""
    traced = traced_sizes(inputs, dynamic)
    yield traced
    if not dynamic:
        return
    most = {size.symbol: size.most for size in dynamic}
    yield {
        symbol: min(value + _ANOTHER, most[symbol] or value + _ANOTHER)
        for symbol, value in traced.items()
    }
    for symbol in traced:
        yield traced | {symbol: 1}


def random_inputs(
    network: nn.Module, inputs: Sequence[InputSpec], dynamic: Sequence[FreeSize], sizes: Sizes
) -> dict[str, Tensor]:
    """Seeded numbers: normal ones, or whole ones that every embedding of the network has a row for.

    Args:
        sizes: of the free sizes.
    """
    generator = torch.Generator().manual_seed(0)
    rows = [m.num_embeddings for m in network.modules() if isinstance(m, nn.Embedding)]
    found = {}
    for spec in inputs:
        shape = shape_at(spec, dynamic, sizes)
        if spec.dtype == "float32":
            found[spec.name] = torch.randn(shape, generator=generator)
            continue
        end = 2 if spec.dtype == "bool" else min(rows, default=2)
        whole = torch.randint(end, shape, generator=generator)
        found[spec.name] = whole.to(getattr(torch, spec.dtype))
    return found


def shape_at(spec: InputSpec, dynamic: Sequence[FreeSize], sizes: Sizes) -> tuple[int, ...]:
    """An input's shape where the free sizes are these."""
    shape = list(spec.shape)
    for size in dynamic:
        for name, axis in size.places:
            if name == spec.name:
                shape[axis] = sizes[size.symbol]
    return tuple(shape)


def positions(network: nn.Module, inputs: Sequence[InputSpec]) -> list[int]:
    """Where each input goes among the arguments of ``forward``: by name, or in order.

    Raises:
        InputError: some names are parameters and others not, one before them has no input, or one
            goes by keyword alone.
    """
    names = [spec.name for spec in inputs]
    signature = inspect.signature(network.forward).parameters
    keyword = next((n for n, p in signature.items() if p.kind is p.KEYWORD_ONLY and n in names), "")
    if keyword:
        raise InputError(
            f"--input {keyword}: forward takes it by keyword alone; wrap the network in one whose "
            "forward takes tensors in order"
        )
    parameters = list(signature)
    named = [name for name in names if name in parameters]
    if not named:
        return list(range(len(names)))
    first = parameters[: len(names)]
    if set(names) != set(first):
        raise InputError(
            f"--input names {', '.join(names)}, forward begins with {', '.join(first)}: name its "
            "first parameters, or none of them to go in order"
        )
    return [first.index(name) for name in names]


def call(network: nn.Module, inputs: Sequence[InputSpec], given: Mapping[str, Tensor]) -> object:
    """What a network gives for inputs by name."""
    return network(*in_order(network, inputs, given))


def in_order(
    network: nn.Module, inputs: Sequence[InputSpec], given: Mapping[str, Tensor]
) -> tuple[Tensor, ...]:
    """Inputs by name as the arguments of ``forward``."""
    places = positions(network, inputs)
    ordered = sorted(zip(places, (spec.name for spec in inputs), strict=True))
    return tuple(given[name] for _, name in ordered)
