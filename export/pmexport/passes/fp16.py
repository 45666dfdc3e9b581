"""``--precision fp16``: give an fp32 graph explicit types, by one table of rules.

TensorRT 11 has no fp16 switch and ONNX Runtime never had one: precision is in the graph. Products,
convolutions and what lies between them are fp16. Kept in fp32, with casts around:

- LayerNormalization (sums of squares) and the residual stream, to which 80 branches add;
- the scan's constants (the operators take them as float32 by schema) and ONNX ``Scan``;
- the first and last layer: they are tiny, and rounding a pixel or a pose to 11 bits is not.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence

import numpy as np
from onnxscript import ir

from pmexport.format.operators import SCANS
from pmexport.passes.fp16_rules import RULES, SINGLE_SCOPES, Rule, is_kept
from pmexport.passes.graph import add_initializer, new_node
from posemamba.errors import InputError
from posemamba.text import printable

_HALF, _SINGLE = ir.DataType.FLOAT16, ir.DataType.FLOAT
_HALF_SUFFIX = ".fp16"
_LARGEST = float(np.finfo(np.float16).max)


def to_fp16(model: ir.Model, keep: Sequence[str] = ()) -> None:
    """Type the graph, in place; its inputs and outputs stay float32.

    Args:
        keep: what stays fp32 besides, as :func:`is_kept` reads it.

    Raises:
        InputError: a weight is beyond the range of fp16, there is no rule for a node, or an entry
            of ``keep`` is of no node.
    """
    names = [node.name for node in model.graph]
    for entry in keep:
        if not any(is_kept(name, [entry]) for name in names):
            scopes = sorted({name.rpartition(".")[0] for name in names if "." in name})
            near = difflib.get_close_matches(entry, scopes, n=1)
            hint = f": did you mean '{near[0]}'?" if near else ", such as STEblocks.0.mlp"
            raise InputError(f"keep list: no module of this network is '{printable(entry)}'{hint}")
    _Typing(model.graph, keep).run()


class _Typing:
    def __init__(self, graph: ir.Graph, keep: Sequence[str]) -> None:
        self.graph = graph
        self.keep = keep
        self.casts: dict[tuple[int, ir.DataType], ir.Value] = {}  # by id of the source

    def run(self) -> None:
        for node in list(self.graph):
            self._apply(node)
        for output in self.graph.outputs:
            if output.dtype != _SINGLE:
                raise InputError(
                    f"output '{output.name}' became {output.dtype}: this model has no fp32 head; "
                    "export it with precision='fp32'"
                )
        self._drop_unused_originals()

    def _drop_unused_originals(self) -> None:
        """Constants of which only the fp16 copy is used hand it their name."""
        constants = self.graph.initializers
        for name, value in list(constants.items()):
            if value.uses():
                continue
            del constants[name]
            converted = constants.pop(name + _HALF_SUFFIX, None)
            if converted is not None:
                converted.name = converted.const_value.name = name
                self.graph.register_initializer(converted)

    def _apply(self, node: ir.Node) -> None:
        rule = RULES.get(node.op_type)
        if rule is None:
            raise InputError(
                f"node '{node.name}' has type {node.op_type}, for which fp16 has no rule: export "
                "with precision='fp32', or add it to pmexport.passes.fp16.RULES"
            )
        if rule is Rule.SHAPE:
            return
        if SINGLE_SCOPES.search(node.name) or is_kept(node.name, self.keep):
            rule = Rule.SINGLE
        wanted = self._result(rule, node)
        for index, value in enumerate(node.inputs):
            if value is None or value.dtype not in (_HALF, _SINGLE):
                continue  # absent, or integers
            needed = wanted
            if rule is Rule.SCAN and not _is_activation(node, index):
                needed = _SINGLE
            if value.dtype != needed:
                node.replace_input_with(index, self._cast(value, needed, node))
        for index, output in enumerate(node.outputs):
            if rule is Rule.SCAN and index > 0:
                continue  # a state is float32 whatever the activations are
            if output.dtype in (_HALF, _SINGLE):
                output.dtype = wanted

    def _result(self, rule: Rule, node: ir.Node) -> ir.DataType:
        """The type a node computes in."""
        if rule in (Rule.HALF, Rule.SCAN):
            return _HALF
        if rule is Rule.SINGLE:
            return _SINGLE
        operands = [v for v in node.inputs if v is not None and v.dtype in (_HALF, _SINGLE)]
        computed = [v.dtype for v in operands if not v.is_initializer()]
        return _SINGLE if not computed or _SINGLE in computed else _HALF

    def _cast(self, value: ir.Value, dtype: ir.DataType, before: ir.Node) -> ir.Value:
        """``value`` in another type: a constant is converted here, a result by one Cast."""
        key = (id(value), dtype)
        if key not in self.casts:
            convert: Callable[[ir.Value, ir.DataType, ir.Node], ir.Value] = (
                self._constant if value.is_initializer() else self._node
            )
            self.casts[key] = convert(value, dtype, before)
        return self.casts[key]

    def _node(self, value: ir.Value, dtype: ir.DataType, before: ir.Node) -> ir.Value:
        name = value.name + (_HALF_SUFFIX if dtype == _HALF else ".fp32")
        cast = new_node("Cast", [value], {"to": dtype}, name, [(dtype, value.shape)])
        self.graph.insert_before(before, cast)
        return cast.outputs[0]

    def _constant(self, value: ir.Value, dtype: ir.DataType, _before: ir.Node) -> ir.Value:
        array = value.const_value.numpy()
        largest = float(np.abs(array).max(initial=0.0))
        if largest > _LARGEST:
            raise InputError(
                f"weight '{value.name}' holds {largest:.4g}, fp16 ends at {_LARGEST:.0f}: "
                "export with precision='fp32'"
            )
        return add_initializer(self.graph, value.name + _HALF_SUFFIX, array.astype(np.float16))


def _is_activation(node: ir.Node, index: int) -> bool:
    scan = SCANS[node.op_type]
    return scan.all_inputs[index] in scan.activations
