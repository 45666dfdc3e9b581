"""Numbers from whatever a caller holds: lists, NumPy arrays, masked ones, torch tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from posemamba.errors import InputError
from posemamba.text import printable


def real_numbers(values: Any, what: str) -> npt.NDArray[Any]:  # noqa: ANN401 (anything at all)
    """An array of real numbers, of the type that it came in.

    What a masked array hides is NaN: NumPy's own conversion would show it again.

    Args:
        what: names the values in messages, in the plural.

    Raises:
        InputError: ragged lists, text, complex numbers, truth values or objects.
    """
    if hasattr(values, "detach"):  # a tensor, which NumPy reads neither from a GPU nor a graph
        if str(values.layout) != "torch.strided":
            raise InputError(f"{what} are a tensor of {values.layout}: give to_dense() of it")
        tensor = values.detach().cpu()
        values = (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy()
    if isinstance(values, np.ma.MaskedArray):
        floats = values.astype(np.result_type(values.dtype, np.float32))
        values = np.ma.filled(floats, np.nan)
    try:
        array = np.asarray(values)
    except ValueError:
        raise InputError(f"{what} are lists of different lengths: give an array") from None
    if array.dtype.kind not in "fiu":
        raise InputError(f"{what} are of type {printable(array.dtype)}: give real numbers")
    return array
