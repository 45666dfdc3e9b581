"""Packages that only large installations have; absent, one line says how to get them."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from posemamba_runtime.errors import Missing


def ray(part: str = "") -> ModuleType:
    """Ray, or a part of it such as ``data``.

    Raises:
        Missing: it is not installed.
    """
    return _import(f"ray.{part}" if part else "ray", "ray[data,serve]")


def pyarrow_parquet() -> ModuleType:
    """Arrow's reader of Parquet.

    Raises:
        Missing: it is not installed.
    """
    return _import("pyarrow.parquet", "pyarrow")


def _import(module: str, package: str) -> ModuleType:
    try:
        return import_module(module)
    except ImportError as error:
        raise Missing(f"this needs {module} ({error}): pip install '{package}'") from None
