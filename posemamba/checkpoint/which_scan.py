"""Which scan order reproduces outputs that the owner of a checkpoint has.

Nothing in weights tells the order, so every order of the table that has as many directions is run
on inputs whose outputs are known.
"""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass, replace
from math import inf, isfinite
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from posemamba.checkpoint.read import read_checkpoint
from posemamba.errors import Caution, InputError
from posemamba.files.input import require_file
from posemamba.model.network import PoseMamba
from posemamba.pose.preprocess import MOST_NORMALISED
from posemamba.scan_order import orders_with
from posemamba.text import printable, problem

TOLERANCE = 1e-3
"""In the network's unit. Forks' float32 outputs differ from ours by 6e-6 at most, other orders of
the same weights by 0.6 and more. A float16 reference may miss it: our own float16 exports of those
networks were up to 1e-2 off."""

_SAVE = "save keypoints_2d and poses_3d with numpy.savez"
_ROUNDING = 1e-5
"""Orders this near the reference are all as near as float32 can be."""
_FARTHER = 20
"""How many times farther from the reference than the nearest order another one must be. Orders of
one small network lie as near as 5e-4, so that a distance alone proves nothing."""

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class WhichScan:
    """What every order of the table gave.

    Attributes:
        max_abs: largest difference from the reference by order, the smallest first.
    """

    max_abs: dict[str, float]

    @property
    def fits(self) -> list[str]:
        """The nearest order and those about as near; one, if the reference tells them apart.

        Empty where the nearest is not within :data:`TOLERANCE`.
        """
        nearest = min(self.max_abs.values(), default=inf)
        if nearest > TOLERANCE:
            return []
        most = max(_FARTHER * nearest, _ROUNDING)
        return [name for name, error in self.max_abs.items() if error <= most]

    @property
    def best(self) -> str | None:
        return self.fits[0] if len(self.fits) == 1 else None

    @property
    def verdict(self) -> str:
        """One sentence for people."""
        if self.best is not None:
            return f"scan order {self.best}: use --scan-order {self.best}"
        if self.fits:
            return (
                f"{', '.join(self.fits)} fit about as well: the reference does not tell them "
                "apart, give a float32 one with more frames that differ; or the network scans in "
                "an order of its own"
            )
        return (
            f"none fits within {TOLERANCE:g}: the reference is of other weights or inputs, or the "
            "network scans in an order of its own (--scan-order FILE.yaml)"
        )

    def to_dict(self) -> dict[str, Any]:
        """For programs; ``schema`` grows when a meaning changes. JSON has no infinity."""
        apart = {name: value if isfinite(value) else None for name, value in self.max_abs.items()}
        return {"schema": 1, "best": self.best, "tolerance": TOLERANCE, "max_abs": apart}


def which_scan(
    checkpoint: str | os.PathLike[str],
    reference: str | os.PathLike[str],
    *,
    weights: str | None = None,
) -> WhichScan:
    """Run a checkpoint in every order of the table that it may have.

    Args:
        reference: an ``.npz`` with ``keypoints_2d`` (batch, frames, 17, channels), normalised, and
            the original code's ``poses_3d`` (batch, frames, 17, 3); both may lack the batch.
        weights: as :func:`posemamba.checkpoint.read.read_checkpoint`.

    Raises:
        InputError: a file that cannot be read, or arrays that the network does not take.
    """
    keypoints, expected = _read_reference(Path(reference))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Caution)  # of a guess: it is what we are to replace
        read = read_checkpoint(checkpoint, weights=weights)
    found: dict[str, float] = {}
    has = read.config.order
    for order in orders_with(has.directions, gated=has.is_gated):
        model = PoseMamba(replace(read.config, scan_order=order.name))
        model.load_state_dict(read.state)
        try:
            with torch.inference_mode():
                poses = model.eval()(torch.from_numpy(keypoints)).numpy()
        except InputError as error:
            raise problem(reference, str(error)) from None
        apart = float(np.abs(poses - expected).max())
        found[order.name] = apart if np.isfinite(apart) else float("inf")
    return WhichScan(dict(sorted(found.items(), key=lambda item: item[1])))


def _read_reference(path: Path) -> tuple[Array, Array]:
    require_file(path, "give an .npz file")
    try:
        # NumPy takes other files for pickles, and leaves a damaged one open that it opened itself.
        with path.open("rb") as stream:
            if stream.read(2) != b"PK":
                raise problem(path, f"is no .npz file: {_SAVE}")
            stream.seek(0)
            with np.load(stream, allow_pickle=False) as file:
                arrays = {name: np.asarray(file[name]) for name in file.files}
    except InputError:
        raise
    except OSError as error:
        raise problem(path, f"cannot be read: {error.strerror or error}") from None
    except Exception:  # scrambled bytes reach zipfile, zlib and NumPy
        raise problem(path, f"is damaged, or no .npz file of plain arrays: {_SAVE}") from None
    keypoints, poses = (_array(path, arrays, name) for name in ("keypoints_2d", "poses_3d"))
    if poses.shape != (*keypoints.shape[:3], 3):
        raise problem(
            path,
            f"poses_3d has shape {poses.shape}, keypoints_2d {keypoints.shape}: it must be "
            f"{(*keypoints.shape[:3], 3)}",
        )
    most = float(np.abs(keypoints[..., :2]).max())
    if most > MOST_NORMALISED:
        raise problem(
            path, f"keypoints_2d reaches {most:g}, as pixels do: save what the network was given, "
            "normalised by the image width",
        )  # fmt: skip
    return keypoints, poses


def _array(path: Path, arrays: dict[str, npt.NDArray[Any]], name: str) -> Array:
    if name not in arrays:
        held = ", ".join(printable(each, 30) for each in arrays) or "nothing"
        raise problem(path, f"has no array '{name}', only {held}")
    values = arrays[name]
    if values.dtype.kind != "f" or values.ndim not in (3, 4) or not values.size:
        raise problem(
            path, f"array '{name}' is {values.dtype} of shape {values.shape}: it must be floats, "
            "(batch, frames, joints, channels)",
        )  # fmt: skip
    if not np.isfinite(values).all():
        raise problem(path, f"array '{name}' holds NaN or Inf")
    return values.astype(np.float32).reshape(-1, *values.shape[-3:])
