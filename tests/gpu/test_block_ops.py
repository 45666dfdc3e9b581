"""The fused block ops on a GPU against their plain PyTorch compositions in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from posemamba import PoseMamba, PoseMambaConfig
from posemamba.model.inference import PoseMambaInference, capture
from posemamba.native import block_ops

pytestmark = pytest.mark.gpu

#: Largest error over largest value. fp32: rounding of sums over up to 1024 values; fp16: half a
#: unit in the last place (2**-11) of the output, with a little for the float32 interior.
BOUNDS = {torch.float32: 2e-6, torch.float16: 5.2e-4}
DTYPES = list(BOUNDS)


def draw(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, device="cuda").to(dtype)


def slice_of(tensor: Tensor) -> Tensor:
    """The same values as a slice of a wider tensor whose other elements are NaN."""
    channels = tensor.shape[-1]
    wide = torch.full((*tensor.shape[:-1], 2 * channels), torch.nan, device="cuda").to(tensor.dtype)
    wide[..., channels:] = tensor
    return wide[..., channels:]


def relative_error(got: Tensor, expected: Tensor) -> float:
    return float((got.double() - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("batch", "frames", "joints", "channels"),
    [
        (2, 9, 17, 64),
        (1, 1, 17, 64),
        (3, 2, 17, 64),
        (2, 243, 17, 256),
        (1, 5, 1, 64),
        (1, 6, 3, 12),
    ],
)
def test_conv_silu(dtype: torch.dtype, batch: int, frames: int, joints: int, channels: int) -> None:
    x, weight, bias = (
        draw(batch, frames, joints, channels, dtype=dtype),
        draw(9, channels),
        draw(channels),
    )
    kernel = weight.t().reshape(channels, 1, 3, 3).double()
    grid = x.double().permute(0, 3, 1, 2)
    expected = F.silu(F.conv2d(grid, kernel, bias.double(), padding=1, groups=channels))
    got = block_ops.conv_silu(slice_of(x), weight, bias)
    assert relative_error(got, expected.permute(0, 2, 3, 1)) < BOUNDS[dtype]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", [1, 7, 4131])
@pytest.mark.parametrize("channels", [4, 64, 128, 256, 500, 1024])
def test_gated_norm(dtype: torch.dtype, rows: int, channels: int) -> None:
    y, z = draw(rows, channels, dtype=dtype), draw(rows, channels, dtype=dtype)
    gamma, beta = draw(channels), draw(channels)
    expected = F.layer_norm(y.double(), (channels,), gamma.double(), beta.double(), 1e-5)
    got = block_ops.gated_norm(y, slice_of(z), gamma, beta, 1e-5)
    assert relative_error(got, expected * F.silu(z.double())) < BOUNDS[dtype]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("channels", [4, 64, 128, 256, 1024])
def test_add_norm(dtype: torch.dtype, shared: bool, channels: int) -> None:
    residual, branch = draw(33, channels), draw(33, channels, dtype=dtype)
    gammas, betas = draw(2, channels), draw(2, channels)
    stream = residual.double() + branch.double()
    if shared:
        stream = F.layer_norm(stream, (channels,), gammas[0].double(), betas[0].double(), 1e-6)
    out = F.layer_norm(stream, (channels,), gammas[1].double(), betas[1].double(), 1e-6)
    first = (gammas[0], betas[0]) if shared else (None, None)
    got = block_ops.add_norm(residual, branch, *first, gammas[1], betas[1], 1e-6, 1e-6)
    assert relative_error(got[0], stream) < BOUNDS[torch.float32]
    assert relative_error(got[1], out) < BOUNDS[dtype]


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_whole_forward_equals_the_cpu_model(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    model = PoseMamba(PoseMambaConfig(d_model=64, depth=3, frames=81)).eval()
    keypoints = torch.rand(2, 81, 17, 2) * 2 - 1
    with torch.no_grad():
        expected = model(keypoints)
    lift = PoseMambaInference(model.cuda(), dtype)
    got = lift(keypoints.cuda())
    # fp32: summation order of matrix products; fp16: as tests/posemamba/model/test_inference.py.
    bound = 1e-4 if dtype == torch.float32 else 5e-3
    assert (got.cpu() - expected).abs().max() < bound
    replayed = capture(lift, keypoints.cuda())(keypoints.cuda())
    assert torch.equal(replayed, got)
