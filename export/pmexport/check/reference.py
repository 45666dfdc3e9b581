"""Reference files: inputs and the poses somebody trusts, so that a check needs no PyTorch.

An ``.npz`` of pairs of arrays: ``keypoints_2d`` (frames, 17, 2) or (batch, frames, 17, 2),
normalised, and ``poses_3d``, the same with 3 at the end; several pairs share an ending, such as
``keypoints_2d_1`` and ``poses_3d_1``. ``pmexport onnx`` writes PyTorch's own and adds
``reference``, JSON text with ``names`` of the pairs and what they came from. A user's file has the
poses of the authors' code, the only proof of a scan order.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pmexport.check.cases import Case
from pmexport.format.files import file_sha256
from pmexport.runtimes.base import FloatArray
from posemamba.config import MAX_CHANNELS
from posemamba.errors import InputError
from posemamba.files.input import require_file
from posemamba.files.output import replacing
from posemamba.pose.preprocess import MOST_NORMALISED
from posemamba.skeleton import NUM_JOINTS
from posemamba.text import parse_json, printable, problem

SUFFIX = ".reference.npz"
_INPUT, _OUTPUT, _FACTS = "keypoints_2d", "poses_3d", "reference"
_FACT_KEYS = ("checkpoint", "checkpoint_sha256", "model_sha256", "scan_order", "torch")


@dataclass(frozen=True)
class Reference:
    """What a reference file held.

    Attributes:
        poses: of each case, (batch, frames, 17, 3) float32.
        facts: what ``pmexport onnx`` said of them; None for a user's own file.
        sha256: of the file.
    """

    path: Path
    cases: list[Case]
    poses: list[FloatArray]
    facts: dict[str, str] | None
    sha256: str


def reference_path(model: str | os.PathLike[str]) -> Path:
    """``M.reference.npz`` beside ``M.onnx``."""
    model = Path(model)
    return model.with_name(model.stem + SUFFIX)


def write_reference(
    path: str | os.PathLike[str],
    cases: Sequence[Case],
    poses: Sequence[FloatArray],
    facts: Mapping[str, str],
) -> None:
    """Write inputs and poses, whole or not at all.

    Raises:
        InputError: the file cannot be written.
    """
    path = Path(path)
    arrays: dict[str, Any] = {}
    for index, (case, pose) in enumerate(zip(cases, poses, strict=True)):
        arrays[f"{_INPUT}_{index:03}"], arrays[f"{_OUTPUT}_{index:03}"] = case.keypoints_2d, pose
    said = {**facts, "names": [case.name for case in cases]}
    arrays[_FACTS] = np.array(json.dumps(said))
    with replacing(path) as partial, partial.open("wb") as stream:
        np.savez_compressed(stream, **arrays)


def inspect_reference(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What is in a reference file, for people.

    Raises:
        InputError: as :func:`read_reference`.
    """
    path = Path(path)
    reference = read_reference(path)
    shapes = {case.name: case.keypoints_2d.shape for case in reference.cases}
    return {
        "file": {"path": str(path), "bytes": path.stat().st_size, "sha256": reference.sha256},
        "made_by": "user" if reference.facts is None else "pmexport",
        "from": reference.facts or {},
        "frames": sum(shape[0] * shape[1] for shape in shapes.values()),
        "runs": {name: {"batch": shape[0], "frames": shape[1]} for name, shape in shapes.items()},
    }


def keep_users_file(path: Path) -> None:
    """Make sure that writing a reference costs nobody poses of their own.

    Raises:
        InputError: what is there was not written by ``pmexport onnx``.
    """
    if not path.is_file():
        return
    try:
        users = read_reference(path).facts is None
    except InputError:
        users = False  # nothing that a check could use
    if users:
        raise problem(
            path, "poses of your own would be replaced: give the model another name with -o"
        )


def read_reference(path: str | os.PathLike[str]) -> Reference:
    """Read and judge a reference file.

    Raises:
        InputError: one line naming the file, the array and what is wrong with it.
    """
    path = Path(path)
    arrays = _read_arrays(path)
    facts, names = _read_facts(arrays.pop(_FACTS, None), path)
    endings = [key.removeprefix(_INPUT) for key in arrays if key.startswith(_INPUT)]
    alone = next((k for k in arrays if k.startswith(_OUTPUT) and k[len(_OUTPUT) :] not in endings),
                 None)  # fmt: skip
    if any(key.endswith("data.pkl") for key in arrays):
        raise problem(path, "a checkpoint of PyTorch, not an .npz of poses: give it with --ckpt")
    if not endings or alone is not None:
        held = ", ".join(f"'{printable(key, 30)}'" for key in list(arrays)[:4]) or "nothing"
        lacking = _INPUT if alone is None else _INPUT + alone.removeprefix(_OUTPUT)
        raise problem(path, f"has no array '{lacking}': save {_INPUT} and {_OUTPUT}, it has {held}")
    cases, poses = [], []
    for index, ending in enumerate(endings):
        keypoints = _checked(arrays, _INPUT + ending, (2, MAX_CHANNELS), path)
        if _OUTPUT + ending not in arrays:
            raise problem(path, f"has no array '{_OUTPUT + ending}' beside '{_INPUT + ending}'")
        pose = _checked(arrays, _OUTPUT + ending, (3, 3), path)
        if pose.shape[:-1] != keypoints.shape[:-1]:
            raise problem(
                path,
                f"'{_OUTPUT + ending}' is {pose.shape}, '{_INPUT + ending}' {keypoints.shape}: "
                "they must be the same but for the last axis",
            )
        most = float(np.abs(keypoints).max())
        if most > MOST_NORMALISED:
            raise problem(
                path,
                f"'{_INPUT + ending}' reaches {most:g}, as pixels do: save what the network was "
                "given, normalised by the image width",
            )
        cases.append(Case(names[index] if index < len(names) else _INPUT + ending, keypoints))
        poses.append(pose)
    return Reference(path, cases, poses, facts, file_sha256(path))


def _read_arrays(path: Path) -> dict[str, Any]:
    require_file(path, "give the .npz file, 'pmexport onnx' writes it beside a model")
    try:
        with path.open("rb") as stream:
            if not stream.read(2) == b"PK":
                raise problem(path, "not an .npz file: save it with numpy.savez")
            stream.seek(0)
            with np.load(stream, allow_pickle=False) as archive:
                return {key: archive[key] for key in archive.files}
    except InputError:
        raise
    except OSError as error:
        raise problem(path, f"cannot be read ({error.strerror or error})") from None
    except Exception as error:  # scrambled bytes reach zipfile, zlib, NumPy and the tokenizer
        if "allow_pickle" in str(error):
            raise problem(
                path, "holds pickled Python objects, which are never loaded: save float32 arrays"
            ) from None
        raise problem(path, "is damaged or cut short: copy or write it again") from None


def _read_facts(held: object, path: Path) -> tuple[dict[str, str] | None, list[str]]:
    """What ``pmexport onnx`` said of the pairs, and their names; None and no names elsewhere."""
    if held is None:
        return None, []
    try:
        said = parse_json(str(held))
        facts = {key: printable(said[key], 100) for key in _FACT_KEYS}
        return facts, [printable(name, 100) for name in said["names"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise problem(
            path, f"its '{_FACTS}' is not what 'pmexport onnx' writes: export again"
        ) from None


def _checked(
    arrays: Mapping[str, Any], name: str, widths: tuple[int, int], path: Path
) -> FloatArray:
    """An array as (batch, frames, 17, width) float32, the width within bounds."""
    values = arrays[name]
    shape: tuple[int, ...] = getattr(values, "shape", ())
    least, most = widths
    fits = len(shape) in (3, 4) and shape[-2] == NUM_JOINTS and least <= shape[-1] <= most
    if not fits or 0 in shape:
        raise problem(
            path,
            f"'{name}' is {shape}: it must be (batch, frames, {NUM_JOINTS}, {least}), none of 0",
        )
    if values.dtype.kind != "f":
        raise problem(path, f"'{name}' is of type {values.dtype}: save float32")
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        where = tuple(int(i) for i in bad[0])
        raise problem(path, f"'{name}' has {values[where]} at {where}: save finite numbers")
    whole = values if values.ndim == 4 else values[None]
    return np.ascontiguousarray(whole, dtype=np.float32)
