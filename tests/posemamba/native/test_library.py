"""Finding the kernel library and holding its structs against ours."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from places import ROOT

from posemamba.errors import InputError
from posemamba.native import library, structs

SIZES = """
#include <stddef.h>
#include <string.h>
size_t pm_struct_size(const char* name) {
  if (strcmp(name, "pm_scan_params") == 0) return SIZE;
  return 0;
}
"""


def told(folder: Path, size: int) -> ctypes.CDLL:
    """A library that knows one struct, of that size."""
    source, built = folder / "sizes.c", folder / f"sizes{size}.so"
    source.write_text(SIZES)
    subprocess.run(["cc", "-shared", "-fPIC", f"-DSIZE={size}", source, "-o", built], check=True)
    return ctypes.CDLL(str(built))


def test_a_struct_of_another_size_is_refused(tmp_path: Path) -> None:
    right = ctypes.sizeof(structs.ScanParams)
    library._check_structs(told(tmp_path, right), "kernels", "build them")
    wrong = rf"kernels: pm_scan_params has {right + 8} bytes there, {right} here: build them"
    with pytest.raises(InputError, match=wrong):
        library._check_structs(told(tmp_path, right + 8), "kernels", "build them")


@pytest.mark.parametrize("what", ["directions", "joints"])
def test_more_than_the_kernels_hold_is_refused(what: str) -> None:
    too_many = structs.MAX_DIRECTIONS + 1 if what == "directions" else 1
    walk = structs.Walk((0,) * too_many, (0,), (0,), (0,) * (structs.MAX_JOINTS + 1))
    with pytest.raises(InputError, match=rf"\d+ {what} given, the scan kernels hold at most"):
        structs.walk_fields(walk)


def test_a_checkout_without_built_files_uses_the_installed_library(tmp_path: Path) -> None:
    """As in the root of a checkout, where the source folder hides the installed package."""
    checkout, site = tmp_path / "checkout", tmp_path / "site"
    shutil.copytree(ROOT / "posemamba", checkout / "posemamba",
                    ignore=shutil.ignore_patterns("lib", "assets", "__pycache__"))  # fmt: skip
    record = site / "pmexport-0.dist-info"
    record.mkdir(parents=True)
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: pmexport\nVersion: 0\n")
    built = site / "posemamba" / "lib" / "libposemamba_kernels.so"
    code = (
        f"import sys; sys.path.insert(0, {str(site)!r}); sys.path.insert(0, '')\n"
        "from posemamba.native.library import library_path; print(library_path())"
    )

    def found() -> str:
        return subprocess.run([sys.executable, "-c", code], cwd=checkout, check=True, text=True,
                              capture_output=True).stdout.strip()  # fmt: skip

    beside = checkout / "posemamba" / "lib" / built.name
    assert found() == str(beside)  # neither is there: the message names the place beside
    for place in (built, beside):
        place.parent.mkdir(parents=True)
        place.touch()
        assert found() == str(place)
