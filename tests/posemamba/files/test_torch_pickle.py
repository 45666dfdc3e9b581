"""Pickles that would run code: refused in one line, and none of it runs."""

from __future__ import annotations

import builtins
import collections
import functools
import io
import operator
import os
import pickle
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from places import TINY as GOLDEN

from posemamba.checkpoint.read import read_checkpoint
from posemamba.errors import InputError

MAX_LINE = 400
REFUSED = "refused: its pickle asks for"

Case = tuple[Callable[[Path], Path], str]
CASES: dict[str, Case] = {}


def saved(content: object, **options: bool) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        torch.save(content, folder / "bad.pth", **options)
        return folder / "bad.pth"

    return build


def by_hand(content: object, protocol: int) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        (folder / "bad.bin").write_bytes(pickle.dumps(content, protocol=protocol))
        return folder / "bad.bin"

    return build


CANARY = "canary"


class Evil:
    """Pickles as a call of ``function`` that leaves a file in the working directory."""

    def __init__(self, function: Callable[..., Any], *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


class EvilState(Evil):
    """A call whose result is then given a state."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (*self.call, {"x": 1})


class ForgedArray:
    """Pickles as an array with a state that NumPy never wrote."""

    def __init__(self, shape: tuple[int, ...], kind: object, data: bytes) -> None:
        self.state = (1, shape, kind, False, data)

    def __reduce__(self) -> tuple[Any, ...]:
        make, arguments, _ = np.zeros(1).__reduce__()
        return (make, arguments, self.state)


TOUCH = f"open('{CANARY}', 'w').close()"
EVILS: dict[str, object] = {
    "os.system": Evil(os.system, f"touch {CANARY}"),
    "eval": Evil(builtins.eval, TOUCH),
    "exec": Evil(builtins.exec, TOUCH),
    "getattr": Evil(getattr, Path, "touch"),
    "open": Evil(open, CANARY, "w"),
    "subprocess.Popen": Evil(subprocess.Popen, ["touch", CANARY]),
    "torch.load": Evil(torch.load, "other.pth", "cpu", None),
    "torch.storage._load_from_bytes": Evil(torch.storage._load_from_bytes, b"x"),
    "functools.partial": EvilState(functools.partial, os.system, f"touch {CANARY}"),
    "operator.methodcaller": Evil(operator.methodcaller, "system", f"touch {CANARY}"),
    "a numpy array beyond its bytes": ForgedArray((9,), np.dtype("f8"), bytes(8)),
    "a numpy array of negative size": ForgedArray((-1,), np.dtype("f8"), bytes(8)),
    "a numpy array of no type": ForgedArray((1,), None, bytes(8)),
    "a numpy array of text": np.array(["a"]),
    "a numpy array of complex numbers": np.zeros(3, complex),
    "numpy object array": np.array([Evil(os.system, f"touch {CANARY}")], dtype=object),
    "numpy object dtype": np.dtype("O"),
    "numpy record dtype": np.dtype([("a", "f8"), ("b", "O")]),
    "numpy string": np.str_("text"),
    "numpy time": np.datetime64("2025-01-01"),
    "numpy complex": np.complex128(1j),
    "a whole module": torch.nn.Linear(2, 2),
}


@pytest.fixture(autouse=True)
def in_scratch_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where a payload that ran would leave the canary


def poisoned(evil: object) -> dict[str, object]:
    """The evil object where nobody looks: after the weights, in the optimizer's state."""
    return {"model_pos": dict(read_checkpoint(GOLDEN).state), "optimizer": {"state": evil}}


def unpacked_poison(evil: object) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        buffer = io.BytesIO()
        torch.save(poisoned(evil), buffer)
        with zipfile.ZipFile(buffer) as archive:
            archive.extractall(folder / "bad")
        return folder / "bad"

    return build


for label, evil in EVILS.items():
    CASES[f"{label} in a zip"] = saved(poisoned(evil)), REFUSED
for label in ("os.system", "eval", "torch.load", "numpy object array"):
    evil = EVILS[label]
    legacy = saved(poisoned(evil), _use_new_zipfile_serialization=False)
    CASES[f"{label} in a legacy file"] = legacy, REFUSED
    CASES[f"{label} in an unpacked folder"] = unpacked_poison(evil), REFUSED
    CASES[f"{label} pickled by hand"] = by_hand(evil, 2), REFUSED
    CASES[f"{label} pickled by protocol 4"] = by_hand(evil, 4), "by protocol 4"


@pytest.mark.parametrize("name", CASES)
def test_nothing_runs(name: str, tmp_path: Path) -> None:
    build, says = CASES[name]
    path = build(tmp_path)

    with pytest.raises(InputError) as caught:
        read_checkpoint(path)

    line = str(caught.value)
    assert says in line
    assert f"{path.name}: " in line
    assert line.isprintable(), "a control character or line break"
    assert len(line) < MAX_LINE
    assert not list(tmp_path.rglob(CANARY)), "code in the file ran"


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_torchscript(tmp_path: Path) -> None:
    path = tmp_path / "bad.pt"
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), path)
    with pytest.raises(InputError, match=r"bad\.pt: a TorchScript archive"):
        read_checkpoint(path)


def test_the_payload_would_work(tmp_path: Path) -> None:
    """Control: the canary cases above prove something only if the payload is live."""
    path = saved(poisoned(EVILS["os.system"]))(tmp_path)
    torch.load(path, weights_only=False)
    assert (tmp_path / CANARY).exists()


def test_names_the_host_program_allowed_do_not_apply(tmp_path: Path) -> None:
    path = saved(poisoned(collections.deque([1])))(tmp_path)
    with torch.serialization.safe_globals([collections.deque, Path, np.ndarray]):
        before = set(torch.serialization.get_safe_globals())
        with pytest.raises(InputError, match="refused"):
            read_checkpoint(path)
        assert set(torch.serialization.get_safe_globals()) == before


def test_the_environment_cannot_unlock_pickles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    with pytest.raises(InputError, match="refused"):
        read_checkpoint(saved(poisoned(EVILS["os.system"]))(tmp_path))
    assert not (tmp_path / CANARY).exists()
