"""What an exported ONNX model says about itself: ``metadata_props``.

``docs/reference/onnx.md`` lists them.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pmexport.format.environment import tool_version
from pmexport.format.names import PREFIX
from pmexport.format.options import ExportOptions
from posemamba.config import MAX_FRAMES
from posemamba.errors import Caution, InputError
from posemamba.skeleton import JOINT_NAMES
from posemamba.text import Json, parse_json, pasted, printable

if TYPE_CHECKING:
    from posemamba.config import PoseMambaConfig

SCHEMA_VERSION = 1
_GUESS = "the default"
"""The ``scan_order_source`` of a checkpoint that nothing tells the scan order of."""

NORMALISATION = (
    "keypoints_2d = pixels / image_width * 2 - [1, image_height / image_width]; "
    "x to the right, y down, confidence dropped"
)
UNITS = (
    "poses_3d is root-relative, x, y and z in units of half the image width, as keypoints_2d; "
    "millimetres need the scale of the scene, so any figure in mm assumes one"
)

_JSON_KEYS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "schema_version": ("a whole number", lambda value: type(value) is int),
    "config": ("an object", lambda value: isinstance(value, dict)),
    "inputs": ("an object", lambda value: isinstance(value, dict)),
    "parameters": ("a whole number", lambda value: type(value) is int and value >= 0),
    "joint_names": (
        f"a list of {len(JOINT_NAMES)} names",
        lambda value: (
            isinstance(value, list)
            and len(value) == len(JOINT_NAMES)
            and all(isinstance(name, str) for name in value)
        ),
    ),
    "keep_fp32": (
        "a list of names",
        lambda value: isinstance(value, list) and all(isinstance(name, str) for name in value),
    ),
    "max_frames": (
        f"a whole number from 1 to {MAX_FRAMES}",
        lambda value: type(value) is int and 1 <= value <= MAX_FRAMES,
    ),
}
"""What is stored as JSON, what it has to be, and whether it is; a boolean is not a number here."""


def build_metadata(
    config: PoseMambaConfig,
    options: ExportOptions,
    parameters: int,
    source: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Everything known about an export, by prefixed key. No dates: equal exports are equal bytes.

    Args:
        parameters: number of trained scalars.
        source: where the weights came from, such as ``checkpoint``, ``checkpoint_sha256`` and
            ``scan_order_source``.

    Raises:
        InputError: ``source`` has a key that is already taken.
    """
    facts: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "tool_version": tool_version(),
        "variant": config.variant,
        "config": config.to_dict(),
        "scan_order": config.scan_order,
        "parameters": parameters,
        "normalisation": NORMALISATION,
        "units": UNITS,
        "joint_names": JOINT_NAMES,
        "ops": options.ops,
        "precision": options.precision,
        "batch": str(options.batch or "dynamic"),
        "frames": str(options.frames or "dynamic"),
        "max_frames": options.frames or config.frames,
    }
    if options.keep:  # absent otherwise: older files and equal exports stay as they are
        facts["keep_fp32"] = list(options.keep)
    taken = sorted(facts.keys() & (source or {}).keys())
    if taken:
        raise InputError(f"source has the key '{taken[0]}', which the exporter writes itself")
    facts.update(source or {})
    return _as_properties(facts)


def build_module_metadata(
    module: str, options: ExportOptions, parameters: int, inputs: Mapping[str, Any]
) -> dict[str, str]:
    """Of a network that is no PoseMamba, as :func:`build_metadata`.

    Args:
        module: where it came from, ``package.module:factory``.
        inputs: by name, ``dtype``, the ``shape`` it was asked with, and ``dynamic``: by axis,
            ``name`` of a size that is free and ``most``, its largest value, or null.
    """
    return _as_properties(
        {
            "schema_version": SCHEMA_VERSION,
            "tool_version": tool_version(),
            "module": module,
            "parameters": parameters,
            "inputs": inputs,
            "ops": options.ops,
            "precision": options.precision,
        }
    )


def _as_properties(facts: Mapping[str, Any]) -> dict[str, str]:
    return {
        PREFIX + key: json.dumps(facts[key]) if key in _JSON_KEYS else str(facts[key])
        for key in sorted(facts)
    }


def parse_metadata(properties: Mapping[str, str]) -> dict[str, Any]:
    """Undo :func:`build_metadata`; other tools' properties are left out.

    Raises:
        InputError: an entry that is JSON by its name and cannot be read or is of another kind, or
            a newer schema.
    """
    found: dict[str, Any] = {}
    for name, text in properties.items():
        if not name.startswith(PREFIX):
            continue
        key = name.removeprefix(PREFIX)
        found[key] = _parsed(name, text, *_JSON_KEYS[key]) if key in _JSON_KEYS else text
    version = found.get("schema_version", SCHEMA_VERSION)
    if version != SCHEMA_VERSION:
        raise InputError(
            f"metadata has schema version {version}, this pmexport reads {SCHEMA_VERSION}: "
            "update pmexport, or export the model again"
        )
    return found


def order_is_guessed(metadata: Mapping[str, Any]) -> bool:
    """Whether a model's scan order was taken without anything that tells it."""
    return metadata.get("scan_order_source") == _GUESS


@contextmanager
def guess_told_here() -> Iterator[None]:
    """Within, reading a checkpoint warns of no guess: :func:`guess_warning` will be printed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Caution)
        yield


def guess_warning(order: str, path: object) -> str:
    """The line on a scan order that was a guess.

    Args:
        path: of the model, to be pasted.
    """
    return (
        f"WARNING: scan order {order} is a guess: nothing in or beside the checkpoint tells it, "
        "and parity with our PyTorch cannot, for both sides walk the same way. Outputs of the "
        f"authors' code can: pmexport check {pasted(str(path))} --reference THEIRS.npz"
    )


def _parsed(name: str, text: str, kind: str, is_kind: Callable[[object], bool]) -> Json:
    try:
        value = parse_json(text)
    except (ValueError, RecursionError) as error:  # no JSON, digits or brackets without end
        raise InputError(
            f"metadata '{name}' is damaged ('{text[:40]}', {printable(error, 80)}): export the "
            "model again"
        ) from None
    if not is_kind(value):
        raise InputError(f"metadata '{name}' is {text[:40]}, not {kind}: export the model again")
    return value
