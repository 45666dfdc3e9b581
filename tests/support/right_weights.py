"""Weights that are in a test's files, whatever is around them."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from places import TINY
from torch import Tensor

from posemamba.checkpoint.read import read_checkpoint

State = dict[str, Tensor]


def _state(path: Path) -> State:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its order is a guess
        return dict(read_checkpoint(path).state)


RIGHT: State = _state(TINY)
ZEROS: State = {key: torch.zeros_like(value) for key, value in RIGHT.items()}


def assert_right(path: Path) -> None:
    """The file's weights are :data:`RIGHT`, to the bit."""
    found = _state(path)
    assert found.keys() == RIGHT.keys()
    assert all(torch.equal(found[key], RIGHT[key]) for key in RIGHT)
