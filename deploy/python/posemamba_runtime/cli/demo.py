"""The model ``demo``: the exporter's bundled network, which needs no checkpoint of anybody's.

Where the exporter is installed its command writes the model once into the user's cache. This
package imports nothing of the exporter's.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

from posemamba_runtime.errors import Missing

DEMO = "demo"
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
        Missing: there is no exporter to make the bundled network with.
    """
    if name != DEMO:
        return Path(name)
    return _exported()


def _exported() -> Path:
    if find_spec("pmexport") is None or find_spec("posemamba") is None:
        raise Missing(
            "the bundled network is not in this installation: pip install '.[export]' in the "
            "repository, or name a model"
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
            _export(path)
        except OSError as error:
            raise Missing(
                f"'{path}' cannot be written ({error.strerror}): point XDG_CACHE_HOME at a folder "
                "that can"
            ) from None
    return path


def _export(path: Path) -> None:
    """Written whole or not at all: two commands may run at once.

    Raises:
        Missing: the exporter's command fails; its own line is told.
    """
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    command = [sys.executable, "-m", "pmexport", "onnx", "--ckpt", DEMO, "--no-check"]
    try:
        done = subprocess.run(
            [*command, "-o", str(temporary)], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            said = (done.stderr.strip() or "no reason given").splitlines()[-1]
            raise Missing(f"the bundled network cannot be exported: {said}")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
