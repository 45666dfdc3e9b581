"""The arrangement of fused weights: NumPy and PyTorch alike, and undone exactly."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from posemamba.errors import InputError
from posemamba.native.packing import TailVectors, fits, pack_weight, skips, taps, unpack_weight


def matrix(outputs: int, inputs: int) -> np.ndarray:
    return np.arange(outputs * inputs, dtype=np.float32).reshape(outputs, inputs)


def test_each_lane_finds_its_operands() -> None:
    """PTX ISA, "Matrix fragments for mma.m16n8k16", operand B (k by n), column-major.

    Lane l holds rows 2 * (l % 4) + {0, 1} and those plus 8, of column l // 4. A tile of 16 outputs
    is two such operands.
    """
    weight = matrix(32, 48) / 2048  # exact in float16
    packed = pack_weight(weight)
    assert packed.shape == (2, 3, 32, 8)
    for lane in range(32):
        expected = [
            weight[16 + half * 8 + lane // 4, 32 + part * 8 + 2 * (lane % 4) + pair]
            for half in (0, 1)
            for part in (0, 1)
            for pair in (0, 1)
        ]
        assert packed[1, 2, lane].tolist() == expected


@pytest.mark.parametrize("shape", [(16, 16), (32, 48), (64, 128)])
def test_numpy_and_torch_agree_and_unpacking_undoes_it(shape: tuple[int, int]) -> None:
    weight = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    packed = pack_weight(weight)
    np.testing.assert_array_equal(pack_weight(torch.from_numpy(weight)).numpy(), packed)
    np.testing.assert_array_equal(unpack_weight(packed), weight.astype(np.float16))
    np.testing.assert_array_equal(unpack_weight(torch.from_numpy(packed)).numpy(),
                                  weight.astype(np.float16))  # fmt: skip


@pytest.mark.parametrize("shape", [(16, 17), (8, 16)])
def test_other_sizes_are_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="multiples of 16 only"):
        pack_weight(matrix(*shape))


def test_vectors_are_found_again() -> None:
    d = 4
    parts = [np.full(width, index, np.float32)
             for index, width in enumerate([2 * d] * 4 + [d] * 6 + [2 * d, d])]  # fmt: skip
    packed = TailVectors(*parts).pack()
    tensors = TailVectors(*map(torch.from_numpy, parts)).pack()
    assert packed.shape == (17 * d,)
    assert tensors.tolist() == packed.tolist()
    for found, part in zip(TailVectors.unpack(packed), parts, strict=True):
        np.testing.assert_array_equal(found, part)


@pytest.mark.parametrize("mask", [(0, 0, 0, 0), (1, 0, 1, 0), (1, 1, 1, 1)])
def test_skips_are_sums_of_D(mask: tuple[int, ...]) -> None:
    D = np.random.default_rng(1).standard_normal((4, 6)).astype(np.float32)
    both, limbs = skips(D, mask)
    np.testing.assert_allclose(both, D.sum(0))
    np.testing.assert_allclose(limbs, D[np.array(mask, bool)].sum(0), rtol=1e-6)
    np.testing.assert_array_equal(skips(torch.from_numpy(D), mask)[1].numpy(), limbs)


def test_taps_go_row_by_row() -> None:
    kernel = np.arange(18.0).reshape(2, 1, 3, 3)
    assert taps(kernel)[:, 1].tolist() == list(range(9, 18))


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [((64, 128, 128, 144), True), ((32, 64, 64, 144), False), ((64, 64, 128, 144), False),
     ((64, 128, 256, 144), False), ((64, 128, 128, 140), False)],
)  # fmt: skip
def test_sizes_that_are_compiled(sizes: tuple[int, int, int, int], expected: bool) -> None:
    assert fits(*sizes) == expected
