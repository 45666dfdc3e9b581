"""What the launchers are told of a tensor."""

from __future__ import annotations

import pytest
import torch

from posemamba.errors import InputError
from posemamba.native import launch


def test_tensors_of_two_devices_are_refused() -> None:
    here, elsewhere = torch.zeros(2, 3), torch.zeros(4, device="meta")
    with pytest.raises(InputError, match="A is on meta, the first input on cpu"):
        launch.require_shapes("op", here, {"A": (elsewhere, (4,))})


def test_the_number_of_axes_is_told_in_words() -> None:
    with pytest.raises(InputError, match="u has 1 axis, it must have 3"):
        launch.require_axes("op", "u", torch.zeros(2), 3)


def test_none_is_a_null_pointer() -> None:
    x = torch.zeros(2)
    assert launch.addresses(x=x, z=None) == {"x": x.data_ptr(), "z": None}


@pytest.mark.parametrize("width", [8, 24])
def test_a_slice_of_the_last_axis_is_rows_at_a_distance(width: int) -> None:
    wide = torch.zeros(2, 3, 5, width)
    part = wide[..., :8]
    rows, stride = launch.position_rows(part)
    assert (rows.data_ptr(), stride) == (wide.data_ptr(), width)
    assert launch.row_stride(part) == width


def test_rows_at_uneven_distances_are_copied_or_refused() -> None:
    uneven = torch.zeros(2, 3, 7, 8)[:, :, :5]
    rows, stride = launch.position_rows(uneven)
    assert rows.is_contiguous()
    assert stride == 8
    with pytest.raises(InputError, match="not evenly spaced"):
        launch.row_stride(uneven)
