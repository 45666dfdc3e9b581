"""What a block does again in its backward pass changes no number."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from posemamba.config import PoseMambaConfig
from posemamba.model import blocks
from posemamba.model.network import PoseMamba

CONFIG = PoseMambaConfig(d_model=16, depth=1, frames=9, drop_path=0.0)


def gradients(network: PoseMamba, half: bool) -> dict[str, Tensor]:
    network.zero_grad()
    keypoints = torch.linspace(-1, 1, 2 * 9 * 17 * 2).reshape(2, 9, 17, 2)
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        loss = network(keypoints).float().square().sum()
    loss.backward()
    return {n: p.grad.clone() for n, p in network.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("half", [False, True], ids=["float32", "autocast"])
def test_gradients_are_those_of_what_is_kept(half: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    network = PoseMamba(CONFIG).train()
    found = gradients(network, half)
    calls = []

    def kept(training: bool, part: object, *inputs: Tensor) -> Tensor:
        calls.append(training)
        return part(*inputs)  # type: ignore[operator, no-any-return]

    monkeypatch.setattr(blocks, "lean", kept)
    truth = gradients(network, half)
    assert calls == [True] * 4  # two in each of two blocks
    assert found.keys() == truth.keys()
    for name, gradient in truth.items():
        assert torch.equal(found[name], gradient), name


def test_nothing_is_done_again_in_inference(monkeypatch: pytest.MonkeyPatch) -> None:
    """No checkpoint stands in what torch.export and torch.compile see."""

    def refuse(*_args: object, **_kwargs: object) -> Tensor:
        raise AssertionError("a checkpoint")

    monkeypatch.setattr(blocks, "checkpoint", refuse)
    network, clip = PoseMamba(CONFIG), torch.zeros(1, 9, 17, 2)
    network.eval()(clip)
    with pytest.raises(AssertionError, match="a checkpoint"):
        network.train()(clip)
