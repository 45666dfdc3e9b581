"""The operators of domain ``posemamba``: one table of their inputs, outputs and attributes.

``docs/reference/ops.md`` specifies them: two scans, which every runtime has, and the others, which
``pmexport optimize`` writes for a GPU. All carry the attributes
:data:`pmexport.format.names.PLUGIN_ATTRIBUTES` too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

CROSS_SELECTIVE_SCAN, SELECTIVE_SCAN = "CrossSelectiveScan", "SelectiveScan"
CONV_SILU, GATED_NORM, ADD_NORM = "ConvSilu", "GatedNorm", "AddNorm"
EMBED, BLOCK, LAST_BLOCK = "Embed", "Block", "LastBlock"
CONV_PROJ, BLOCK_TAIL, LAST_BLOCK_TAIL = "ConvProj", "BlockTail", "LastBlockTail"
FUSED = (EMBED, BLOCK, LAST_BLOCK)
"""The whole network of the fused rewrite."""
FUSED_IN_TWO = (EMBED, CONV_PROJ, BLOCK_TAIL, LAST_BLOCK_TAIL)
"""The same in files of before: a block was two nodes."""


@dataclass(frozen=True)
class Operator:
    """One operator.

    Attributes:
        inputs: in order.
        activations: those of type T, float32 or float16; the others have a fixed type.
        optional: those that may be left out.
        ints, int_lists, floats: attributes by kind.
        further: inputs that version 2 adds after these, all optional, for which the attributes of
            :attr:`int_lists` may be left out.
        integers: those of the inputs that are int32.
        optional_ints: attributes that may be left out of version 1, 0 then.
        further_ints: optional attributes of version 2.
        further_outputs: float32 outputs of version 2 after ``y``, optional.
    """

    inputs: tuple[str, ...]
    activations: tuple[str, ...]
    optional: tuple[str, ...] = ()
    ints: tuple[str, ...] = ()
    optional_ints: tuple[str, ...] = ()
    int_lists: tuple[str, ...] = ()
    floats: tuple[str, ...] = ()
    further: tuple[str, ...] = ()
    integers: tuple[str, ...] = ()
    further_ints: tuple[str, ...] = ()
    further_outputs: tuple[str, ...] = ()

    @property
    def all_inputs(self) -> tuple[str, ...]:
        """Those of every version, in order: a node of version 1 has the first of them."""
        return self.inputs + self.further


_SCAN_WEIGHTS = ("dt_weight", "dt_bias", "A", "D")
_SIZES = ("d_state", "dt_rank")
_WALK = ("order", "reverse", "limb_mask", "limb_index")
HALF_SUMS = "half_sums"
"""1: the sum over a channel's states may be float16, where the activations are."""
_CONV_WEIGHTS = ("conv_weight", "conv_bias", "projection")
_TAIL_WEIGHTS = (*_SCAN_WEIGHTS, "vectors", "out_proj", "fc1", "fc2")
_BLOCK_INPUTS = ("xz", "residual", *_CONV_WEIGHTS, *_TAIL_WEIGHTS)
_TAIL_ACTIVATIONS = ("u", "x_dbl", "xz")
_TAIL_INPUTS = (*_TAIL_ACTIVATIONS, "residual", *_TAIL_WEIGHTS)
_NEXT, _HEAD = ("in_proj", "position"), ("head_weight", "head_bias")
_TAIL_EPSILONS = ("out_epsilon", "norm2_epsilon", "shared_epsilon", "next_epsilon")


def _block(
    inputs: tuple[str, ...], activations: tuple[str, ...], optional: tuple[str, ...] = ()
) -> Operator:
    """A block or its tail, with the attributes of its scan."""
    kinds = {"ints": _SIZES, "int_lists": _WALK, "floats": _TAIL_EPSILONS}
    return Operator(inputs, activations, optional, optional_ints=(HALF_SUMS,), **kinds)


SCANS: dict[str, Operator] = {
    CROSS_SELECTIVE_SCAN: Operator(
        inputs=("x", "x_dbl", *_SCAN_WEIGHTS),
        activations=("x", "x_dbl"),
        ints=_SIZES,
        optional_ints=(HALF_SUMS,),
        int_lists=_WALK,
        further=("scan_index", "neighbour_index", "reset_length"),
        integers=("scan_index", "neighbour_index", "reset_length"),
    ),
    SELECTIVE_SCAN: Operator(
        inputs=("u", "delta", "A", "B", "C", "D", "delta_bias", "z"),
        activations=("u", "delta", "B", "C", "z"),
        optional=("D", "delta_bias", "z"),
        ints=("delta_softplus",),
        int_lists=("reverse",),
        further=("initial_state",),
        further_ints=("gated",),
        further_outputs=("final_state",),
    ),
}
"""What ``pmexport onnx`` writes, and every runtime and the TensorRT plugin have."""

OPERATORS: dict[str, Operator] = SCANS | {
    CONV_SILU: Operator(("xz", "weight", "bias"), ("xz",)),
    GATED_NORM: Operator(("y", "xz", "gamma", "beta"), ("y", "xz"), floats=("epsilon",)),
    ADD_NORM: Operator(
        inputs=("residual", "branch", "gamma", "beta", "shared_gamma", "shared_beta"),
        activations=("branch",),
        optional=("shared_gamma", "shared_beta"),
        floats=("epsilon", "shared_epsilon"),
    ),
    EMBED: Operator(
        ("keypoints_2d", "weight", "bias", "joint_position", "next_norm", "in_proj"),
        (),
        floats=("epsilon",),
    ),
    BLOCK: _block((*_BLOCK_INPUTS, *_NEXT), ("xz",), ("position",)),
    LAST_BLOCK: _block((*_BLOCK_INPUTS, *_HEAD), ("xz",)),
    CONV_PROJ: Operator(("xz", "weight", "bias", "projection"), ("xz",)),
    BLOCK_TAIL: _block((*_TAIL_INPUTS, *_NEXT), _TAIL_ACTIVATIONS, ("position",)),
    LAST_BLOCK_TAIL: _block((*_TAIL_INPUTS, *_HEAD), _TAIL_ACTIVATIONS),
}


def inputs_by_name(op_type: str, values: Sequence[T]) -> dict[str, T]:
    """The inputs of a node by name, without those left out at the end.

    Raises:
        ValueError: more than the operator has.
    """
    names = OPERATORS[op_type].all_inputs
    if len(values) > len(names):
        raise ValueError(f"{op_type} has {len(names)} inputs, not {len(values)}")
    return dict(zip(names, values, strict=False))


def inputs_in_order(op_type: str, given: Mapping[str, T]) -> list[T]:
    """The inputs of a node from their names; the last ones may be left out.

    Raises:
        ValueError: another is left out, or the operator has no input of a name.
    """
    names = OPERATORS[op_type].inputs[: len(given)]
    if set(given) != set(names):
        raise ValueError(f"{op_type} is given {', '.join(given)}, not {', '.join(names)}")
    return [given[name] for name in names]
