"""What a folder of packages holds: manifest.json, and SHA256SUMS for `sha256sum -c`.

    package_manifest.py FOLDER

Of every file its size and SHA-256; of a wheel its libraries too, and of a library with code for
GPUs the architectures it is compiled for, as the library itself says (null where it is for another
processor than this).
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from finish_wheel import ARCHITECTURES

SUFFIXES = (".whl", ".gz", ".deb")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    if not options.folder.is_dir():
        parser.error(f"'{options.folder}' is no folder")
    write_manifest(options.folder)
    return 0


def write_manifest(folder: Path) -> None:
    rows = [facts(path) for path in sorted(folder.iterdir()) if path.suffix in SUFFIXES]
    (folder / "manifest.json").write_text(json.dumps({"files": rows}, indent=1) + "\n")
    sums = "".join(f"{row['sha256']}  {row['file']}\n" for row in rows)
    (folder / "SHA256SUMS").write_text(sums)


def facts(path: Path) -> dict[str, Any]:
    row: dict[str, Any] = {"file": path.name, **size_and_hash(path)}
    if path.suffix == ".whl":
        with tempfile.TemporaryDirectory() as scratch:
            root = Path(scratch)
            shutil.unpack_archive(path, root, "zip")
            row["libraries"] = [
                {"file": library.relative_to(root).as_posix(), **size_and_hash(library)}
                | architectures(library)
                for library in sorted(root.rglob("*.so"))
            ]
    return row


def size_and_hash(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def architectures(library: Path) -> dict[str, str | None]:
    function = ARCHITECTURES.get(library.name)
    if function is None:
        return {}
    try:
        ask = ctypes.CDLL(str(library))[function]
    except OSError:
        return {"architectures": None}
    ask.restype = ctypes.c_char_p
    return {"architectures": ask().decode()}


if __name__ == "__main__":
    sys.exit(main())
