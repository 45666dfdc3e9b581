"""What PyTorch gives for a network of one's own: random inputs of every size that is tried."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from pmexport.check.module import ModuleCase
from pmexport.exporting.module_inputs import call, random_inputs, tried_sizes
from pmexport.exporting.module_request import FreeSize, InputSpec
from pmexport.ops import plain_pytorch
from posemamba.errors import InputError
from posemamba.text import one_line

#: What Python raises where a network takes something else than tensors, and what helps.
_OF_OTHER_INPUTS = (TypeError, KeyError, AttributeError)
_ONE_TENSOR = (
    "; every --input is one tensor: wrap a network that takes dictionaries or lists in one whose "
    "forward takes tensors"
)


def pytorch_cases(
    network: nn.Module, inputs: Sequence[InputSpec], dynamic: Sequence[FreeSize]
) -> list[ModuleCase]:
    """What PyTorch gives for every size that is tried, without any kernel of ours.

    Raises:
        InputError: the network cannot run on the CPU, or gives something else than tensors.
    """
    cases = []
    for sizes in tried_sizes(inputs, dynamic):
        given = random_inputs(network, inputs, dynamic, sizes)
        name = ", ".join(f"{symbol} {size}" for symbol, size in sizes.items()) or "as traced"
        try:
            with torch.no_grad(), plain_pytorch():
                result = call(network, inputs, given)
        except InputError:
            raise
        except Exception as error:  # of a user's network
            raise InputError(
                f"PyTorch cannot run the network ({name}): {type(error).__name__}: "
                f"{one_line(error)[:200]}"
                f"{_ONE_TENSOR if isinstance(error, _OF_OTHER_INPUTS) else ''}"
            ) from None
        outputs = [leaf for leaf in pytree.tree_leaves(result) if leaf is not None]
        if not outputs or not all(isinstance(output, Tensor) for output in outputs):
            raise InputError("the network gives something else than tensors: wrap it in one")
        arrays = {key: tensor.numpy() for key, tensor in given.items()}
        cases.append(ModuleCase(name, arrays, [output.detach().numpy() for output in outputs]))
    return cases
