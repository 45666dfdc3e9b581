"""TF32: float32 products on a GPU's tensor cores, whose inputs are rounded to 10 bits.

Off unless asked for, in every runtime of ours. ONNX Runtime and TensorRT have it on by default.
"""

from __future__ import annotations

from collections.abc import Collection

from pmexport.format.options import Precision
from posemamba.errors import InputError

TF32_RUNTIMES = ("ort-cuda", "torch-cuda")
"""Those that can be told when they run; an engine was told when it was built."""


def require_float32_products(names: Collection[str], precisions: Collection[Precision]) -> None:
    """Refuse ``--tf32`` where no product is float32, or nobody reads the option.

    Args:
        names: the runtimes chosen.
        precisions: of what they run.

    Raises:
        InputError: so.
    """
    if not set(TF32_RUNTIMES) & set(names):
        raise InputError(
            f"--tf32: for --runtime {' or '.join(TF32_RUNTIMES)} alone, this is "
            f"{', '.join(names)}: leave it out, or add --runtime {TF32_RUNTIMES[0]}"
        )
    if "fp32" not in precisions:
        raise InputError(
            "--tf32 rounds the inputs of float32 products, and those of fp16 have as few bits "
            "already: leave it out, or take an fp32 model"
        )
