"""Rooms for NumPy alone can be imported where PyTorch is not."""

from __future__ import annotations

import subprocess
import sys

from places import ROOT

NUMPY_ONLY = ("pose", "data")


def test_rooms_without_torch() -> None:
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for room in NUMPY_ONLY
        for path in sorted((ROOT / "posemamba" / room).rglob("*.py"))
        if path.name != "__init__.py"
    ]
    assert len(names) > 10
    code = "import sys, importlib; sys.modules['torch'] = None\n"
    code += f"for name in {names!r}: importlib.import_module(name)\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
