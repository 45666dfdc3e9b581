"""``--precision fp16-sums``: after :mod:`pmexport.passes.fp16`, every fp16 scan may sum in fp16."""

from __future__ import annotations

from onnxscript import ir

from pmexport.format.operators import CROSS_SELECTIVE_SCAN, HALF_SUMS
from posemamba.errors import InputError


def ask_half_sums(model: ir.Model) -> None:
    """Write the attribute, in place.

    Raises:
        InputError: no scan could: all walk tables (version 2), or are kept fp32.
    """
    scans = [
        node
        for node in model.graph
        if node.op_type == CROSS_SELECTIVE_SCAN
        and "order" in node.attributes
        and node.outputs[0].dtype == ir.DataType.FLOAT16
    ]
    for node in scans:
        node.attributes[HALF_SUMS] = ir.AttrInt64(HALF_SUMS, 1)
    if not scans:
        raise InputError(
            "--precision fp16-sums: no scan of this network has such sums, they walk tables or are "
            "kept fp32: use --precision fp16"
        )
