"""What types the nodes of an fp16 model work in: a table that needs no graph library.

:mod:`pmexport.passes.fp16` applies it and gives the reasons, :mod:`pmexport.trt` reads it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum, auto


class Rule(Enum):
    """What types a node works in."""

    HALF = auto()  # fp16 in, fp16 out
    SINGLE = auto()  # fp32 in, fp32 out
    MOVE = auto()  # whatever comes in goes out: nothing is computed
    WIDEST = auto()  # fp32 if an operand is computed in fp32, else fp16: the residual stream
    SCAN = auto()  # our operators: activations fp16, constants fp32
    SHAPE = auto()  # integers; nothing to type


RULES: dict[str, Rule] = {
    "Add": Rule.WIDEST,
    "Cast": Rule.SHAPE,
    "Concat": Rule.MOVE,
    "ConstantOfShape": Rule.SINGLE,
    "Conv": Rule.HALF,
    "CrossSelectiveScan": Rule.SCAN,
    "Div": Rule.HALF,
    "Equal": Rule.SHAPE,
    "Erf": Rule.HALF,
    "Expand": Rule.MOVE,
    "Gather": Rule.MOVE,
    "Gelu": Rule.HALF,
    "LayerNormalization": Rule.SINGLE,
    "Less": Rule.SHAPE,
    "MatMul": Rule.HALF,
    "Max": Rule.SHAPE,
    "Mod": Rule.SHAPE,
    "Mul": Rule.HALF,
    "Pad": Rule.MOVE,
    "Range": Rule.SHAPE,
    "Reshape": Rule.MOVE,
    "Scan": Rule.SINGLE,
    "ScatterElements": Rule.SINGLE,
    "SelectiveScan": Rule.SCAN,
    "Shape": Rule.SHAPE,
    "Sigmoid": Rule.HALF,
    "Slice": Rule.MOVE,
    "Softplus": Rule.SINGLE,
    "Split": Rule.MOVE,
    "Squeeze": Rule.MOVE,
    "Sub": Rule.WIDEST,
    "Transpose": Rule.MOVE,
    "Unsqueeze": Rule.MOVE,
    "Where": Rule.MOVE,
}

#: Nodes that stay fp32 whatever their type: the boundary layers, and what ``--ops standard``
#: computes inside a scan.
SINGLE_SCOPES = re.compile(r"^(Spatial_patch_to_embedding|head)\.|\.scan\.")


def is_kept(node: str, keep: Sequence[str]) -> bool:
    """Whether a node is kept fp32: an entry is a module, with all inside of it, or a node."""
    return any(node == entry or node.startswith(f"{entry}.") for entry in keep)
