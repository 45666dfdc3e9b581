"""What is in the installed package, the .deb and the wheel."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from native_build import build_folder, install, run
from places import ROOT

LIBRARIES = {"libposemamba_runtime.so", "libposemamba_ort.so"}


def dynamic(library: Path) -> dict[str, list[str]]:
    """A library's dynamic section: every value by its tag."""
    text = run("readelf", "--dynamic", "--wide", library).stdout
    entries: dict[str, list[str]] = {}
    for tag, value in re.findall(r"\((\w+)\).*\[(.*)\]", text):
        entries.setdefault(tag, []).append(value)
    return entries


def exported(library: Path) -> set[str]:
    """The names it defines for others, without their version."""
    text = run("nm", "--dynamic", "--defined-only", library).stdout
    return {line.split()[-1].split("@")[0] for line in text.splitlines() if " A " not in line}


def test_layout(prefix: Path) -> None:
    files = {path.relative_to(prefix).as_posix() for path in prefix.rglob("*")}
    (pc,) = (name for name in files if name.endswith("/posemamba.pc"))
    lib = pc.split("/pkgconfig")[0]
    for name in (
        *(f"{lib}/{library}" for library in LIBRARIES),
        f"{lib}/cmake/posemamba/posemambaConfig.cmake",
        f"{lib}/cmake/posemamba/posemambaConfigVersion.cmake",
        "include/posemamba/runtime/lifter.h",
        "include/posemamba/runtime/lifter.hpp",
    ):
        assert name in files
    assert not {name for name in files if "pmexport" in name}


def test_the_runtime_shows_its_interface_and_no_more(prefix: Path) -> None:
    (library,) = prefix.rglob("libposemamba_runtime.so")
    tags = dynamic(library)
    assert tags["SONAME"] == ["libposemamba_runtime.so.0"]
    header = (prefix / "include/posemamba/runtime/lifter.h").read_text()
    assert exported(library) == set(re.findall(r"\b(pm_[a-z_]+)\s*\(", header))
    allowed = r"(libc|libm|libdl|libpthread|ld-linux[-\w]*)\.so\.\d"
    assert all(re.fullmatch(allowed, name) for name in tags["NEEDED"]), tags["NEEDED"]
    assert "RUNPATH" not in tags


def test_no_path_of_the_build_is_in_the_package(prefix: Path) -> None:
    texts = [*prefix.rglob("*.cmake"), *prefix.rglob("*.pc")]
    assert {path.suffix for path in texts} == {".cmake", ".pc"}
    for path in texts:
        assert str(ROOT) not in path.read_text(), path


def test_deb(build: Path, prefix: Path, tmp_path: Path) -> None:
    run("cpack", "-G", "DEB", "-B", tmp_path, "--config", build / "CPackConfig.cmake")
    (deb,) = tmp_path.glob("posemamba_*.deb")
    fields = run("dpkg-deb", "--field", deb).stdout
    assert "Package: posemamba\n" in fields
    # What the libraries ask of the C library is no newer than what the package depends on.
    (library,) = prefix.rglob("libposemamba_runtime.so")
    asked = re.findall(r"GLIBC_2\.(\d+)", run("readelf", "--version-info", library).stdout)
    least = re.search(r"Depends: libc6 \(>= 2\.(\d+)\)", fields)
    assert least is not None
    assert max(map(int, asked)) <= int(least[1])
    names = run("dpkg-deb", "--contents", deb).stdout
    assert "./usr/lib" in names
    assert "libposemamba_runtime.so" in names
    assert "./usr/include/posemamba/runtime/lifter.h" in names
    assert "lib/pmexport" not in names
    control = tmp_path / "control"
    run("dpkg-deb", "--control", deb, control)
    assert (control / "triggers").read_text() == "activate-noawait ldconfig\n"


@pytest.mark.slow
def test_the_wheel_holds_what_it_opens(tmp_path: Path) -> None:
    """The files that every other package ships; and it needs NumPy alone to be imported."""
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", ROOT / "deploy" / "python",
        "--wheel-dir", tmp_path)  # fmt: skip
    (wheel,) = tmp_path.glob("posemamba_runtime-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        archive.extractall(tmp_path / "site")
    assert {f"posemamba_runtime/lib/{name}" for name in LIBRARIES} <= names
    installed = install(build_folder(), tmp_path / "usr")  # of the build that the wheel was made of
    for name in (*LIBRARIES, "libposemamba_trt.so"):
        shipped = [path.read_bytes() for path in installed.rglob(name)]
        inside = tmp_path / "site" / "posemamba_runtime" / "lib" / name
        assert ([inside.read_bytes()] if inside.exists() else []) == shipped, name
    assert "posemamba_runtime/py.typed" in names
    assert not {name for name in names if name.startswith(("posemamba/", "pmexport/", "include/"))}
    code = (
        "import sys; before = set(sys.modules); import posemamba_runtime\n"
        "assert posemamba_runtime.version()\n"
        "new = {m.split('.')[0] for m in set(sys.modules) - before}\n"
        "sys.exit(str(new - {'posemamba_runtime', 'numpy'} - sys.stdlib_module_names) "
        "if new - {'posemamba_runtime', 'numpy'} - sys.stdlib_module_names else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "site",
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
