"""The language model of mamba-ssm against its formula in NumPy and float64."""

from __future__ import annotations

import mamba_oracle as oracle
import numpy as np
import pytest
import torch

from posemamba.errors import InputError
from posemamba.mamba.language_model import GatedMLP, MambaConfig, MambaLMHeadModel, MixerModel

Weights = dict[str, np.ndarray]
SMALL = {"d_model": 8, "n_layer": 2, "vocab_size": 21}
TOKENS = torch.tensor([[3, 1, 20, 0, 7], [2, 2, 2, 9, 11]])


def below(weights: Weights, prefix: str) -> Weights:
    return {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}


def norm(x: np.ndarray, weights: Weights) -> np.ndarray:
    """LayerNorm, or RMSNorm where there is no bias."""
    bias = weights.get("bias")
    if bias is None:
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5) * weights["weight"]
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    return scaled * weights["weight"] + bias


def mamba(x: np.ndarray, w: Weights) -> np.ndarray:
    """(batch, L, d_model) through one block."""
    inner, state = w["A_log"].shape
    rank = w["dt_proj.weight"].shape[1]
    u, z = np.split((x @ w["in_proj.weight"].T).transpose(0, 2, 1), 2, axis=1)
    taps = w["conv1d.weight"][:, 0]
    padded = np.pad(u, ((0, 0), (0, 0), (taps.shape[1] - 1, 0)))
    length = u.shape[2]
    u = sum(taps[:, k, None] * padded[..., k : k + length] for k in range(taps.shape[1]))
    u = oracle.silu(u + w["conv1d.bias"][:, None])
    steps = np.einsum("rc,bcl->brl", w["x_proj.weight"], u)
    delta = np.einsum("dr,brl->bdl", w["dt_proj.weight"], steps[:, :rank])
    y, _ = oracle.selective_scan(
        u, delta, -np.exp(w["A_log"]), steps[:, rank : rank + state], steps[:, rank + state :],
        w["D"], z, w["dt_proj.bias"], True,
    )  # fmt: skip
    assert y.shape[1] == inner
    return y.transpose(0, 2, 1) @ w["out_proj.weight"].T


def stack(weights: Weights, tokens: np.ndarray) -> np.ndarray:
    """What MixerModel gives."""
    x, total = weights["embedding.weight"][tokens], 0.0
    for layer in range(SMALL["n_layer"]):
        w = below(weights, f"layers.{layer}.")
        total = total + x
        x = mamba(norm(total, below(w, "norm.")), below(w, "mixer."))
        if "mlp.fc1.weight" in w:
            total = total + x
            y = norm(total, below(w, "norm2.")) @ w["mlp.fc1.weight"].T
            value, gate = np.split(y, 2, axis=-1)
            x = (value * oracle.silu(gate)) @ w["mlp.fc2.weight"].T
    return norm(total + x, below(weights, "norm_f."))


def moved(network: torch.nn.Module) -> Weights:
    """Every weight off its initial value; the same in float64."""
    torch.manual_seed(1)
    with torch.no_grad():
        for p in network.parameters():
            p.add_(0.2 * torch.randn_like(p))
    return {name: t.double().numpy() for name, t in network.state_dict().items()}


@pytest.mark.parametrize("options", [{}, {"rms_norm": True, "residual_in_fp32": True},
                                     {"d_intermediate": 5}], ids=str)  # fmt: skip
def test_the_stack(options: dict[str, object]) -> None:
    network = MixerModel(**SMALL, **options).eval()
    truth = stack(moved(network), TOKENS.numpy())
    with torch.no_grad():
        found = network(TOKENS).numpy()
    assert np.abs(found - truth).max() < 1e-5 * np.abs(truth).max()


@pytest.mark.parametrize("tied", [True, False])
def test_the_head(tied: bool) -> None:
    network = MambaLMHeadModel(MambaConfig(**SMALL, tie_embeddings=tied)).eval()
    weights = moved(network)
    assert weights["lm_head.weight"].shape == (24, 8)  # a multiple of 8
    truth = stack(below(weights, "backbone."), TOKENS.numpy()) @ weights["lm_head.weight"].T
    with torch.no_grad():
        found = network(TOKENS).logits.numpy()
        last = network(TOKENS, num_last_tokens=1).logits.numpy()
    assert np.abs(found - truth).max() < 1e-5 * np.abs(truth).max()
    assert last.shape == (2, 1, 24)
    assert np.abs(last - truth[:, -1:]).max() < 1e-5 * np.abs(truth).max()


def test_hidden_sizes_are_rounded_up() -> None:
    assert GatedMLP(12).fc1.weight.shape == (2 * 128, 12)
    assert GatedMLP(12, 129, 7, bias=True).fc2.weight.shape == (7, 256)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"ssm_cfg": {"layer": "Mamba2"}}, "layer 'Mamba2' is not Mamba-1"),
        ({"attn_layer_idx": [1], "attn_cfg": {"num_heads": 2}}, "layer 1 is attention"),
    ],
)
def test_other_layers_are_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        MambaLMHeadModel(MambaConfig(**SMALL, **options))


def test_nothing_is_fetched() -> None:
    with pytest.raises(InputError, match="weights of 'state-spaces/mamba-130m' are not fetched"):
        MambaLMHeadModel.from_pretrained("state-spaces/mamba-130m")
