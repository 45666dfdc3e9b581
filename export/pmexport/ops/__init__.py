"""Any Mamba-1 network to ONNX: the scan, the blocks built on it, and what stands for others' code.

``selective_scan_fn``, ``Mamba`` (Vim's too) and ``SS2D`` have the authors' signatures and need none
of their packages. Within ``stand_ins()``, imports of mamba-ssm give these; ``adopt()`` puts them in
the place of blocks that are there already. ``translation_table()`` is what PyTorch's exporter needs
to make ONNX nodes of them.
"""

from pmexport.ops.adopt import adopt, left_alone
from pmexport.ops.stand_ins import stand_ins
from pmexport.ops.translation import translation_table
from posemamba.mamba import SS2D, Mamba, plain_pytorch, selective_scan_fn

__all__ = [
    "SS2D",
    "Mamba",
    "adopt",
    "left_alone",
    "plain_pytorch",
    "selective_scan_fn",
    "stand_ins",
    "translation_table",
]
