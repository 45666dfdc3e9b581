"""The model ``demo``: the exporter's bundled network, which needs no checkpoint of anybody's.

Where the exporter is installed its command writes the model once into the user's cache. This
package imports nothing of the exporter's.
"""

from __future__ import annotations

import sys
from importlib import resources
from pathlib import Path

from posemamba_runtime.cli.cache import cache_path, has_exporter, make
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
    if not has_exporter():
        raise Missing(
            "the bundled network is not in this installation: pip install '.[export]' in the "
            "repository, or name a model"
        )
    checkpoint = Path(str(resources.files("posemamba"))) / "assets" / _CHECKPOINT
    if not checkpoint.is_file():
        raise Missing(f"'{checkpoint}' is not there: install pmexport again")
    path = cache_path("demo_S", checkpoint, ".onnx")
    if not path.is_file():
        sys.stderr.write(f"Exporting the bundled network to '{path}', once\n")
        words = ("onnx", "--ckpt", DEMO, "--no-check")
        make(path, words, "the bundled network cannot be exported")
    return path
