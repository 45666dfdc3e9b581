"""Save a network as one safetensors file that :mod:`posemamba.checkpoint.read` reads back."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from posemamba.files.output import replacing
from posemamba.model.network import PoseMamba
from posemamba.text import problem

#: Where the configuration stands in the header, as JSON.
CONFIG_KEY = "config"
#: Where it says what the network was trained on.
DATA_KEY = "data"
#: Where it says how it was trained.
TRAINING_KEY = "training"


def save_checkpoint(
    model: PoseMamba,
    path: str | os.PathLike[str],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write weights and configuration as one ``.safetensors`` file, whole or not at all.

    Args:
        model: its parameters are stored as they are, under the official keys.
        path: must end in ``.safetensors``; an existing file is replaced.
        metadata: further strings for the file's header.

    Raises:
        InputError: another suffix, a reserved metadata key, or a place that cannot be written.
    """
    import safetensors.torch

    target = Path(path)
    if target.suffix != ".safetensors":
        raise problem(target, "checkpoints are saved as safetensors: end the name in .safetensors")
    header = dict(metadata or {})
    if CONFIG_KEY in header:
        raise problem(target, f"metadata key '{CONFIG_KEY}' is reserved for the configuration")
    header |= {"format": "pt", CONFIG_KEY: json.dumps(model.config.to_dict())}
    # Copies: the library refuses a parameter that stands under two names.
    tensors = {key: t.detach().cpu().contiguous().clone() for key, t in model.state_dict().items()}
    data = _with_sorted_metadata(safetensors.torch.save(tensors, metadata=header))
    with replacing(target) as temporary:
        temporary.write_bytes(data)


def _with_sorted_metadata(data: bytes) -> bytes:
    """The same safetensors file with its metadata in order.

    The library writes them in an order that changes from call to call, and a checkpoint is known by
    its SHA-256: the same weights must give the same bytes. Format: eight bytes of header length,
    the header in JSON padded with spaces to a multiple of eight, the tensors.
    """
    start = 8
    end = start + int.from_bytes(data[:start], "little")
    header = json.loads(data[start:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(start, "little") + text + data[end:]
