"""What an exporter and an optimiser may be asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

OpsMode = Literal["fused", "generic", "standard"]
Precision = Literal["fp32", "fp16", "fp16-sums"]
"""``fp16-sums``: fp16, and a scan's sums over its states may be fp16 too. It lives in the nodes
(``half_sums``): a kernel without such sums makes them in fp32."""
Fusion = Literal["auto", "fused", "composed"]
"""``fused``: one node per block, float16 and the paper's widths. ``composed``: standard matrix
products with our nodes between them, any type and size. ``auto``: the first where it fits."""
Rewrite = Fusion | Literal["off"]
"""How a model is rewritten for a GPU before it runs there; ``off``: not at all."""
Form = Literal["fused", "composed", "as exported"]
"""What a GPU is given in the end."""

OPSETS = range(18, 23)
"""Operator sets the export is tested with. LayerNormalization needs 17, Gelu is one node from 20;
23 would need a newer file format than TensorRT 10 reads."""
DEFAULT_OPSET = 20
"""Suits TensorRT 10 and ONNX Runtime 1.19 or later."""


@dataclass(frozen=True)
class ExportOptions:
    """Sizes, operators and types of an exported model.

    Attributes:
        frames: frames of a clip; None for any number up to the network's.
        batch: clips at once; None for any number.
        opset: version of the standard operators, see :data:`OPSETS`.
        ops: ``fused``: one ``CrossSelectiveScan`` per block. ``generic``: ``SelectiveScan``, the op
            of any Mamba-1 network. ``standard``: ONNX ``Scan``, portable and slow.
        precision: types inside the graph; inputs and outputs are float32 in all.
        keep: modules or nodes that stay fp32 in an fp16 model, such as ``STEblocks.0.mlp``.
    """

    frames: int | None = None
    batch: int | None = None
    opset: int = DEFAULT_OPSET
    ops: OpsMode = "fused"
    precision: Precision = "fp32"
    keep: tuple[str, ...] = ()
