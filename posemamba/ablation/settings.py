"""What all runs of an ablation have in common."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from posemamba.errors import InputError
from posemamba.files.input import require_no_device


@dataclass(frozen=True)
class Settings:
    """What all runs have in common.

    Attributes:
        data: clip sets to train on.
        val: name to clip set to measure on.
        steps: optimizer steps of every run.
        seeds: runs of every row, seeds 0, 1, ...
        depth, d_model, frames: of the network.
        batch: clips per step.
        learning_rate: at the start.
        device: ``cpu`` or ``cuda``.
        scan: a differentiable scan backend.
        cuda_graph: capture the training step, see :class:`posemamba.training.config.TrainConfig`.
        digests: SHA-256 of each file, filled in here: a changed file is another experiment.
    """

    data: tuple[str, ...]
    val: Mapping[str, str]
    steps: int
    seeds: int
    depth: int
    d_model: int
    frames: int
    batch: int
    learning_rate: float
    device: str
    scan: str
    cuda_graph: bool = False
    digests: Mapping[str, str] = field(default_factory=dict)

    def with_digests(self) -> Settings:
        """A copy that names the content of its files.

        Raises:
            InputError: a file that cannot be read, or is none.
        """
        digests = {}
        for path in (*self.data, *self.val.values()):
            require_no_device(path)
            try:
                digests[path] = hashlib.sha256(Path(path).read_bytes()).hexdigest()
            except OSError as error:
                raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
        return replace(self, digests=digests)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        plain = asdict(self)
        return plain | {"data": list(self.data), "val": dict(self.val)}

    def refuse_others(self, earlier: Mapping[str, Any], folder: Path) -> None:
        """Make sure a folder's runs were made with these settings.

        Moving a file is no change; what it holds is.

        Args:
            earlier: what :meth:`to_dict` gave when the folder's first run was saved.

        Raises:
            InputError: another value of any setting.
        """
        ours, theirs = _comparable(self.to_dict()), _comparable(earlier)
        for name, value in ours.items():
            if value != theirs.get(name):
                raise InputError(
                    f"{folder}: holds runs with other settings ({name} was {theirs.get(name)}, is "
                    f"now {value}): name another folder with -o, or keep the settings"
                )


def _comparable(settings: Mapping[str, Any]) -> dict[str, Any]:
    digests = {path: str(digest)[:12] for path, digest in settings["digests"].items()}
    return {name: value for name, value in settings.items() if name != "digests"} | {
        "data": [digests.get(str(path)) for path in settings["data"]],
        "val": {name: digests.get(str(path)) for name, path in settings["val"].items()},
    }
