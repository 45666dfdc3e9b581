"""The demonstration networks: what each is, what it is trained on and what it goes on from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

#: Of every network. The noise is that which tools/data_trial.py found to do no harm.
SETTINGS: dict[str, object] = {
    "schedule": "cosine", "epochs": 1000, "noise": 0.004, "drop-joints": 0.02, "jitter": 0.01,
    "offset": 0.012, "save-every": 100, "seed": 0,
}  # fmt: skip


@dataclass(frozen=True)
class Network:
    """A demonstration network. S and streaming go on from those that are bundled.

    Attributes:
        settings: of ``posemamba train``.
        train: clip sets it is trained on.
        beside: networks of this run that its card shows too, by their name there.
        after: network of this run whose weights it goes on from.
    """

    settings: Mapping[str, object]
    train: tuple[str, ...]
    beside: Mapping[str, str]
    after: str | None = None


_S = {"variant": "S", "batch": 4, "learning-rate": 7e-4, "init": "demo"}
_STREAMING = {
    "depth": 6, "frames": 81, "batch": 8, "learning-rate": 1e-3, "init": "demo-streaming",
}  # fmt: skip
#: With the authors' recipe, 20 pairs of blocks stay at the mean pose for thousands of steps.
_L = {"variant": "L", "drop-path": 0.0, "clip-norm": 1.0, "warmup": 200}
_L_27 = _L | {
    "frames": 27, "batch": 16, "learning-rate": 7e-4, "branch-scale": 0.1, "val-every": 8,
}  # fmt: skip
PYBULLET = ("train_varied", "train_centred")
BOTH = (*PYBULLET, "train_climbs")
NETWORKS = {
    "S": Network(_S, BOTH, {"without the climbs": "S_pybullet"}),
    "S_pybullet": Network(_S, PYBULLET, {"with the climbs": "S"}),
    "streaming": Network(_STREAMING, BOTH, {}),
    # From nothing, L learns in short clips first: nearly twice the steps in the same time.
    "L_27": Network(_L_27, BOTH, {}),
    "L": Network(
        _L | {"batch": 4, "learning-rate": 5e-4},
        BOTH,
        {"first stage, 27 frames": "L_27"},
        after="L_27",
    ),
}


def stages(names: Sequence[str]) -> list[list[str]]:
    """The networks in the order they can be trained in; those of a stage side by side."""
    waiting, ordered = list(names), []
    while waiting:
        ready = [name for name in waiting if NETWORKS[name].after not in waiting]
        ordered.append(ready)
        waiting = [name for name in waiting if name not in ready]
    return ordered
