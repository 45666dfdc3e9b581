"""What a release consists of: each package in a clean environment, and what is written of it."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from native_build import run
from places import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

MAIN_LIBRARIES = {
    "posemamba/lib/libposemamba_kernels.so",
    "pmexport/lib/libposemamba_ort.so",
    "posemamba_runtime/lib/libposemamba_runtime.so",
}
CUDA_LIBRARIES = {"posemamba/lib/libposemamba_cuda.so", "pmexport/lib/libposemamba_trt.so"}
Make = Callable[..., Any]


def version() -> str:
    found = re.search(
        r"project\(posemamba VERSION ([0-9.]+)", (ROOT / "CMakeLists.txt").read_text()
    )
    assert found
    return found[1]


def wheel(dist: Path, pattern: str) -> Path:
    (found,) = dist.glob(pattern)
    return found


def cpu_wheel(dist: Path) -> Path:
    return wheel(dist, f"pmexport-{version()}-py3-none-manylinux_2_*_x86_64.whl")


def runtime_wheel(dist: Path) -> Path:
    return wheel(dist, f"posemamba_runtime-{version()}-py3-none-manylinux_2_*.whl")


def cuda_wheel(dist: Path) -> Path:
    found = list(dist.glob(f"pmexport-{version()}+cu*-py3-none-manylinux_2_*.whl"))
    if not found:
        pytest.skip("no nvcc here: no wheel with CUDA")
    return found[0]


def keypoints(tmp_path: Path) -> Path:
    """Forty frames of somebody who walks to the right, as a detector of our layout would write."""
    file = tmp_path / "keypoints.ndjson"
    lines = [
        json.dumps(
            {
                "frame": frame,
                "person": 0,
                "keypoints": [[300 + frame + 8 * (k % 5), 200 + 20 * k, 0.9] for k in range(17)],
            }
        )
        for frame in range(40)
    ]
    file.write_text("\n".join(lines) + "\n")
    return file


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled network as an ONNX file, which a device would be given."""
    from pmexport.exporting.export import export_onnx
    from pmexport.format.options import ExportOptions
    from posemamba import load_checkpoint
    from posemamba.checkpoint.bundled import demo_checkpoint

    path = tmp_path_factory.mktemp("model") / "streaming.onnx"
    export_onnx(load_checkpoint(demo_checkpoint("streaming")), path, ExportOptions())
    return path


def test_the_main_wheel_works_where_nothing_else_is(
    dist: Path, environment: Make, model: Path, tmp_path: Path
) -> None:
    clean = environment(cpu_wheel(dist))
    assert version() in clean.run("pmexport", "--version")
    assert version() in clean.run("posemamba", "--version")
    clean.run("python", "-m", "pip", "check")
    assert json.loads(clean.run("pmexport", "inspect", model, "--json"))
    out = tmp_path / "poses.json"
    clean.run("pmexport", "lift", model, keypoints(tmp_path), "--size", "1920x1080", "-o", out)
    assert json.loads(out.read_text())


def test_the_runtime_s_wheel_lifts(
    dist: Path, environment: Make, model: Path, tmp_path: Path
) -> None:
    clean = environment(runtime_wheel(dist), "onnxruntime")
    installed = clean.run("python", "-m", "pip", "list", "--format=freeze").lower()
    assert not re.search(r"(?m)^(torch|onnx|onnxscript|pmexport)==", installed)
    out = tmp_path / "poses.json"
    words = ("lift", model, keypoints(tmp_path), "--size", "1920x1080", "-o", out)
    clean.run("python", "-m", "posemamba_runtime", *words)
    assert json.loads(out.read_text())


def test_the_cuda_wheel_holds_the_kernels_and_the_plugin(
    dist: Path, environment: Make, manifest: dict[str, dict[str, Any]]
) -> None:
    file = cuda_wheel(dist)
    clean = environment("--no-deps", file)
    found = clean.run(
        "python", "-c",
        "import pmexport; print(pmexport.tensorrt_plugin_library(), pmexport.custom_op_library())",
    )  # fmt: skip
    assert all(Path(name).is_file() for name in found.split())
    libraries = {row["file"]: row for row in manifest[file.name]["libraries"]}
    assert set(libraries) == MAIN_LIBRARIES | CUDA_LIBRARIES
    for name in CUDA_LIBRARIES:
        assert re.search(r"\d", libraries[name]["architectures"]), name


def test_the_cpu_wheel_holds_no_code_for_gpus(
    dist: Path, manifest: dict[str, dict[str, Any]]
) -> None:
    rows = manifest[cpu_wheel(dist).name]["libraries"]
    assert {row["file"] for row in rows} == MAIN_LIBRARIES


def test_the_source_is_what_git_holds(dist: Path) -> None:
    """And no more: nothing that was built, fetched or measured. The CPU wheel was built from it."""
    (source,) = dist.glob("pmexport-*.tar.gz")
    with tarfile.open(source) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    tracked = set(
        run("git", "-C", ROOT, "ls-files", "-co", "--exclude-standard").stdout.split("\n")
    )
    assert {
        "CMakeLists.txt",
        "LICENSE",
        "tools/trt_headers.py",
        "export/pmexport/cli/main.py",
    } <= names
    assert names - tracked - {"PKG-INFO", ""} == set()
    assert not {name for name in names if name.startswith((".ci/", "reports/"))}


def test_the_deb_is_installed_and_removed(dist: Path, tmp_path: Path) -> None:
    """Into a root of its own, whose database knows no other package (so no dependency either)."""
    (deb,) = dist.glob("posemamba_*.deb")
    root = tmp_path / "root"
    (root / "var/lib/dpkg").mkdir(parents=True)
    for name in ("status", "available"):
        (root / "var/lib/dpkg" / name).touch()
    for name in ("info", "updates", "triggers"):
        (root / "var/lib/dpkg" / name).mkdir()
    dpkg = ("dpkg", f"--root={root}", "--force-depends", "--force-not-root", "--log=/dev/null")
    subprocess.run([*dpkg, "--install", str(deb)], check=True, capture_output=True)
    (library,) = root.rglob("libposemamba_runtime.so")
    program = tmp_path / "version"
    source = tmp_path / "version.c"
    source.write_text(
        "#include <posemamba/runtime/lifter.h>\n#include <stdio.h>\n"
        "int main(void) { return puts(pm_version()) < 0; }\n"
    )
    run("cc", source, "-o", program, f"-I{root / 'usr/include'}", f"-L{library.parent}",
        "-lposemamba_runtime", f"-Wl,-rpath,{library.parent}")  # fmt: skip
    assert run(program).stdout == version() + "\n"
    subprocess.run([*dpkg, "--purge", "posemamba"], check=True, capture_output=True)
    assert not list(root.rglob("*posemamba*.so*"))


def test_the_manifest_is_true(dist: Path, manifest: dict[str, dict[str, Any]]) -> None:
    packages = {path.name for path in dist.iterdir() if path.suffix in (".whl", ".gz", ".deb")}
    assert set(manifest) == packages
    run("sha256sum", "--check", "--quiet", "--strict", "SHA256SUMS", cwd=dist)
    for name, row in manifest.items():
        assert row["bytes"] == (dist / name).stat().st_size
        for library in row.get("libraries", ()):
            with zipfile.ZipFile(dist / name) as archive:
                content = archive.read(library["file"])
            assert library["sha256"] == hashlib.sha256(content).hexdigest()


def test_every_wheel_has_its_licences_and_its_bill_of_materials(dist: Path) -> None:
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    wheels = list(dist.glob("*.whl"))
    assert len(wheels) >= 2
    for file in wheels:
        with zipfile.ZipFile(file) as archive:
            names = set(archive.namelist())
            (bill,) = (name for name in names if name.endswith(".cdx.json"))
            text = archive.read(bill).decode()
            (licence,) = (name for name in names if name.endswith("licenses/LICENSE"))
            assert archive.read(licence) == (ROOT / "LICENSE").read_bytes()
        assert re.fullmatch(r"[\w.+-]+\.dist-info/sboms/\w+\.cdx\.json", bill)
        assert validator.validate_str(text) is None
        document = json.loads(text)
        stated = {
            entry["value"]
            for component in document["components"]
            for entry in component["properties"]
        }
        # Every library holds the C++ runtime, and the motion data is other people's.
        foreign = {name for name in names if name.endswith((".so", "pose2sim_balancing.npz",
                                                            "pybullet_motions.npz"))}  # fmt: skip
        assert stated == foreign
        cuda = any(name in names for name in CUDA_LIBRARIES)
        assert ("CUDA runtime" in text) == (cuda or any("libposemamba_trt" in n for n in names))
        assert all(component["licenses"] for component in document["components"])
