"""Averages that libraries keep where no name says PoseMamba, and weights that are no tensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from right_weights import RIGHT, ZEROS, State, assert_right

from posemamba.checkpoint.read import read_checkpoint
from posemamba.errors import InputError


def named(before: str, state: State, mark: str = ".") -> State:
    return {before + key.replace(".", mark): value for key, value in state.items()}


def counters(before: str) -> State:
    return {f"{before}decay": torch.tensor(0.999), f"{before}num_updates": torch.tensor(7)}


LISTED = list(RIGHT.values())

#: Around the same averages, beside raw weights that are zero.
AVERAGED: dict[str, Any] = {
    "LitEma": {"state_dict": named("model.", ZEROS) | named("model_ema.", RIGHT, "")
               | counters("model_ema.")},
    "LitEma in a dictionary of its own": {"model": ZEROS, "ema": named("", RIGHT, "")},
    "buffers by underscores": {"model": ZEROS, "ema": named("", RIGHT, "_")},
    "buffers by dashes": {"model": ZEROS, "shadow": named("net-", RIGHT, "-")},
    "LitEma before the raw ones": {"ema": named("", RIGHT, ""), "model": ZEROS},
    "NeMo": {"state_dict": named("model.", ZEROS), "optimizer_states": [
        {"state": {}, "param_groups": [], "ema": tuple(LISTED), "current_step": 3}]},
    "WeightAveraging": {"state_dict": RIGHT, "current_model_state": ZEROS,
                        "averaging_state": {"n_averaged": torch.tensor(3)}},
}  # fmt: skip


@pytest.mark.parametrize("name", AVERAGED)
def test_the_average_is_taken(name: str, tmp_path: Path) -> None:
    torch.save(AVERAGED[name], tmp_path / "w.pth")
    assert_right(tmp_path / "w.pth")


#: What looks like one of them and is none; the weights are beside it.
NO_AVERAGE: dict[str, Any] = {
    "another network's": {"model": RIGHT, "ema": {
        key: torch.zeros(3) for key in named("", RIGHT, "")}},
    "a part": {"model": RIGHT, "ema": dict(list(named("", ZEROS, "").items())[:-1])},
    "no tensors": {"model": RIGHT, "ema": dict.fromkeys(named("", RIGHT, ""), 0)},
    "an optimizer's averages": {"model": RIGHT, "optimizer": {
        "exp_avg": list(ZEROS.values()), "exp_avg_sq": list(ZEROS.values())}},
    "an optimizer's averages by name": {"model": RIGHT, "optimizer": {"exp_avg": ZEROS}},
}  # fmt: skip


@pytest.mark.parametrize("name", NO_AVERAGE)
def test_what_is_no_average_is_left_alone(name: str, tmp_path: Path) -> None:
    torch.save(NO_AVERAGE[name], tmp_path / "w.pth")
    assert_right(tmp_path / "w.pth")


KEYS = list(RIGHT)
HEAD = {key: ZEROS[key] for key in KEYS[-2:]}
BLOCK = {key: value for key, value in ZEROS.items() if key.startswith("STEblocks.0.")}

#: Averages of a part of the network, beside all of it, and what is said of them.
PARTS: dict[str, tuple[Any, str]] = {
    "a block": (BLOCK, f"'ema' is an average of {len(BLOCK)} of the {len(KEYS)} tensors"),
    "the head": (HEAD, "'ema' is called an average and holds 2 tensors, not all that the network"),
    "a list": ({"shadow_params": LISTED[:-1]},
               f"'ema/shadow_params' is called an average and holds {len(KEYS) - 1} tensors"),
    "LitEma": (named("", BLOCK, ""),
               f"'ema' is called an average and holds {len(BLOCK)} tensors, not all"),
    "one tensor": ([torch.zeros(3)], "'ema' is called an average and holds 1 tensor, not all"),
}  # fmt: skip


@pytest.mark.parametrize("name", PARTS)
def test_an_average_of_a_part_is_passed_over_and_told(name: str, tmp_path: Path) -> None:
    average, says = PARTS[name]
    torch.save({"model": RIGHT, "ema": average}, tmp_path / "w.pth")
    with pytest.warns(UserWarning, match=f"{says}.*: passed over"):
        read_checkpoint(tmp_path / "w.pth")
    assert_right(tmp_path / "w.pth")


def test_an_average_that_lacks_a_block_is_told_with_the_way_out(tmp_path: Path) -> None:
    average = {key: value for key, value in ZEROS.items() if not key.startswith("TTEblocks.1.")}
    torch.save({"model": RIGHT, "ema": average}, tmp_path / "w.pth")
    with pytest.raises(InputError, match=r"missing keys.*'ema', not 'model'; --weights chooses"):
        read_checkpoint(tmp_path / "w.pth")
    torch.save({"model": RIGHT, "ema": BLOCK}, tmp_path / "w.pth")
    with pytest.raises(InputError, match="has no weights 'averaged': it has 'model'; 'ema' is an"):
        read_checkpoint(tmp_path / "w.pth", weights="averaged")


FC1 = "STEblocks.0.mlp.fc1.weight"
REST = {key: value for key, value in RIGHT.items() if key != FC1}
WEIGHT = RIGHT[FC1]

WRONG: dict[str, tuple[Any, str]] = {
    "lists": ({key: value.tolist() for key, value in RIGHT.items()}, "are no tensors, but list"),
    "None": (dict.fromkeys(RIGHT), "are no tensors, but NoneType"),
    "LoRA": (RIGHT | {f"{FC1[:-7]}.lora_A.weight": WEIGHT[:2]}, "a LoRA adapter: merge it"),
    "PEFT": (named("base_model.model.", REST | {f"{FC1[:-7]}.base_layer.weight": WEIGHT}),
             "merge_and_unload"),
    "weight norm": (REST | {f"{FC1}_g": WEIGHT[:, :1], f"{FC1}_v": WEIGHT}, "remove_weight_norm"),
    "parametrisation": (
        REST | {f"{FC1[:-6]}parametrizations.weight.original0": WEIGHT[:, :1],
                f"{FC1[:-6]}parametrizations.weight.original1": WEIGHT},
        "remove_parametrizations"),
    "pruning": (REST | {f"{FC1}_orig": WEIGHT, f"{FC1}_mask": WEIGHT}, "prune.remove"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_to_do_is_said(name: str, tmp_path: Path) -> None:
    content, says = WRONG[name]
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(InputError, match=says):
        read_checkpoint(tmp_path / "w.pth")
