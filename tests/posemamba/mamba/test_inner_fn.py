"""``mamba_inner_fn`` against its formula in NumPy and float64."""

from __future__ import annotations

from typing import Any

import mamba_oracle as oracle
import numpy as np
import pytest
import torch
from float64_tolerance import check

from posemamba.mamba.functions import mamba_inner_fn, mamba_inner_fn_no_out_proj

BATCH, INNER, STATE, RANK, LENGTH, WIDTH, KERNEL = 2, 6, 4, 2, 9, 5, 3
EPS = 1e-2  # large enough to show
RNG = np.random.default_rng(0)


def draw(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape)


REQUIRED = {
    "xz": draw(BATCH, 2 * INNER, LENGTH),
    "conv1d_weight": draw(INNER, 1, KERNEL),
    "conv1d_bias": draw(INNER),
    "x_proj_weight": draw(RANK + 2 * STATE, INNER),
    "delta_proj_weight": draw(INNER, RANK),
    "A": -np.exp(draw(INNER, STATE)),
    "D": draw(INNER),
}
NORMS = {"b_rms_weight": draw(STATE), "c_rms_weight": draw(STATE), "dt_rms_weight": draw(INNER)}
#: What is given beside.
ROWS: dict[str, dict[str, np.ndarray]] = {
    "plain": {},
    "delta_bias": {"delta_bias": draw(INNER)},
    "projection biases": {"B_proj_bias": draw(STATE), "C_proj_bias": draw(STATE)},
    "norms": NORMS | {"b_c_dt_rms_eps": np.array(EPS)},
    "a norm": {"c_rms_weight": NORMS["c_rms_weight"], "b_c_dt_rms_eps": np.array(EPS)},
    "norms after biases": NORMS | {"B_proj_bias": draw(STATE), "C_proj_bias": draw(STATE)},
    "B given, and its norm": {"B": draw(BATCH, STATE, LENGTH), **NORMS},
    "both constant": {"B": draw(INNER, STATE), "C": draw(INNER, STATE)},
}


def expected(given: dict[str, Any]) -> np.ndarray:
    """(batch, inner, L)."""
    x, z = np.split(given["xz"], 2, axis=1)
    padded = np.pad(x, ((0, 0), (0, 0), (KERNEL - 1, 0)))
    taps = given["conv1d_weight"][:, 0]
    u = sum(taps[:, k, None] * padded[..., k : k + LENGTH] for k in range(KERNEL))
    u = oracle.silu(u + given["conv1d_bias"][:, None])
    steps = np.einsum("rc,bcl->blr", given["x_proj_weight"], u)

    def normed(part: np.ndarray, name: str) -> np.ndarray:
        weight, eps = given.get(name), given.get("b_c_dt_rms_eps", 1e-6)
        if weight is None:
            return part
        return part / np.sqrt((part**2).mean(-1, keepdims=True) + eps) * weight

    delta = normed(steps[..., :RANK] @ given["delta_proj_weight"].T, "dt_rms_weight")
    delta = delta + given.get("delta_bias", 0.0)
    projected = {"B": steps[..., RANK : RANK + STATE], "C": steps[..., -STATE:]}
    both = []
    for name, part in projected.items():
        own = normed(part + given.get(f"{name}_proj_bias", 0.0), f"{name.lower()}_rms_weight")
        value = given.get(name, own.transpose(0, 2, 1))
        both.append(oracle.own_projection(value, INNER, LENGTH))
    dt = oracle.softplus(delta.transpose(0, 2, 1))
    y, _ = oracle.scan(u, dt, given["A"], *both)
    return (y + given["D"][:, None] * u) * oracle.silu(z)


@pytest.mark.parametrize("name", ROWS)
def test_inner_function(name: str) -> None:
    given = REQUIRED | ROWS[name]
    truth = expected(given)
    eps = {"b_c_dt_rms_eps": float(given["b_c_dt_rms_eps"])} if "b_c_dt_rms_eps" in given else {}
    tensors = {n: torch.from_numpy(v) for n, v in given.items() if n != "b_c_dt_rms_eps"}
    y = mamba_inner_fn_no_out_proj(**tensors, **eps)
    check(y.numpy(), truth, largest=np.abs(truth).max())
    weight, bias = draw(WIDTH, INNER), draw(WIDTH)
    out = {"out_proj_weight": torch.from_numpy(weight), "out_proj_bias": torch.from_numpy(bias)}
    whole = mamba_inner_fn(**tensors, **out, **eps).numpy()
    want = truth.transpose(0, 2, 1) @ weight.T + bias
    check(whole, want, largest=np.abs(want).max())
