"""The model ``demo``: the bundled network, which needs no checkpoint of anybody's.

It is ``assets/demo_S.onnx`` of this package where the build put it there. Without it, and with the
exporter installed, it is exported once into the user's cache.
"""

from __future__ import annotations

import hashlib
import os
import sys
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

from posemamba_runtime.errors import Missing

DEMO = "demo"
_FILE = "demo_S.onnx"
_CHECKPOINT = "demo_S.safetensors"


def check_model(name: str) -> None:
    """Refuse a model that is not there, before any work.

    Raises:
        Missing: no such file.
    """
    if name == DEMO or Path(name).is_file():
        return
    what = "is a folder" if Path(name).is_dir() else "no such model"
    raise Missing(f"'{name}': {what}; name an ONNX file, an engine, or 'demo'")


def model_path(name: str) -> Path:
    """A model's file; ``demo`` is the bundled one, ``./demo`` a file of that name.

    Raises:
        Missing: there is no bundled network, nor anything to make it with.
    """
    if name != DEMO:
        return Path(name)
    packaged = Path(str(resources.files("posemamba_runtime"))) / "assets" / _FILE
    return packaged if packaged.is_file() else _exported()


def _exported() -> Path:
    if find_spec("pmexport") is None or find_spec("posemamba") is None:
        raise Missing(
            "the bundled network is not in this installation: pip install pmexport, or name a model"
        )
    checkpoint = Path(str(resources.files("posemamba"))) / "assets" / _CHECKPOINT
    if not checkpoint.is_file():
        raise Missing(f"'{checkpoint}' is not there: install pmexport again")
    digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()[:12]
    root = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111 (never raises)
    path = Path(root) / "posemamba" / f"demo_S-{digest}.onnx"
    if not path.is_file():
        sys.stderr.write(f"Exporting the bundled network to '{path}', once\n")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _export(checkpoint, path)
        except OSError as error:
            raise Missing(
                f"'{path}' cannot be written ({error.strerror}): point XDG_CACHE_HOME at a folder "
                "that can"
            ) from None
    return path


def _export(checkpoint: Path, path: Path) -> None:
    """Written whole or not at all: two commands may run at once."""
    from pmexport.exporting.export import ExportOptions, export_onnx
    from posemamba import load_checkpoint

    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        export_onnx(load_checkpoint(checkpoint), temporary, ExportOptions())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
