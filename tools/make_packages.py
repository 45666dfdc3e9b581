"""Everything a release consists of, into one folder.

    make_packages.py -o dist [sdist] [cpu] [cuda] [runtime] [deb]     default: all of them

    sdist    pmexport-V.tar.gz
    cpu      pmexport-V-py3-none-manylinux_*.whl, built from that sdist, without code for GPUs
    cuda     pmexport-V+cuMN-py3-none-manylinux_*.whl, with the CUDA kernels and the TensorRT plugin
    runtime  posemamba_runtime-V-py3-none-manylinux_*.whl, with what this machine can build
    deb      posemamba_V_ARCH.deb

A wheel gets the oldest manylinux tag its libraries allow, a bill of materials (CycloneDX, in
.dist-info/sboms) and the licences of what it holds. ``manifest.json`` has size, SHA-256 and, of a
library with code for GPUs, the architectures; ``SHA256SUMS`` is for `sha256sum -c`. Needs the extra
`packages`. CMAKE_ARGS is passed on, such as -DCMAKE_CUDA_ARCHITECTURES=90.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from finish_wheel import finish, run
from package_manifest import write_manifest

ROOT = Path(__file__).parents[1]
WITHOUT_GPUS = ("cmake.define.POSEMAMBA_CUDA=OFF", "cmake.define.POSEMAMBA_TENSORRT=OFF")

WITH_GPUS = ("cmake.define.POSEMAMBA_CUDA=ON", "cmake.define.POSEMAMBA_TENSORRT=ON")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("-o", "--out", type=Path, default=ROOT / "dist", help="folder")
    options = parser.parse_args()
    unknown = sorted(set(options.kinds) - set(KINDS))
    if unknown:
        parser.error(f"'{unknown[0]}' is no kind of package: give {', '.join(KINDS)}")
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for kind in options.kinds or KINDS:
            made = KINDS[kind](Path(folder))
            target = options.out / made.name
            shutil.move(made, target)
            sys.stdout.write(f"{kind}: {target} ({target.stat().st_size:,} bytes)\n")
    write_manifest(options.out)
    return 0


# The five kinds.


def sdist(scratch: Path) -> Path:
    folder = scratch / "sdist"
    run(sys.executable, "-m", "build", "--sdist", "--outdir", folder, ROOT)
    (made,) = folder.glob("*.tar.gz")
    return made


def cpu(scratch: Path) -> Path:
    return finish(pip_wheel(sdist(scratch), scratch / "cpu", WITHOUT_GPUS), scratch)


def cuda(scratch: Path) -> Path:
    run(sys.executable, ROOT / "tools" / "trt_headers.py")
    wheel = pip_wheel(ROOT, scratch / "cuda", WITH_GPUS)
    return finish(wheel, scratch, cuda=True)


def runtime(scratch: Path) -> Path:
    wheel = pip_wheel(ROOT / "deploy" / "python", scratch / "runtime", ())
    return finish(wheel, scratch)


def deb(scratch: Path) -> Path:
    pip_wheel(ROOT / "deploy" / "python", scratch / "built", ())  # fills the build folder
    (config,) = ROOT.glob("build/py3-none-*/CPackConfig.cmake")
    run("cpack", "-G", "DEB", "-B", scratch / "deb", "--config", config)
    (made,) = (scratch / "deb").glob("*.deb")
    return made


KINDS: dict[str, Callable[[Path], Path]] = {
    "sdist": sdist, "cpu": cpu, "cuda": cuda, "runtime": runtime, "deb": deb,
}  # fmt: skip


def pip_wheel(source: Path, folder: Path, settings: tuple[str, ...]) -> Path:
    words = [f"--config-settings={setting}" for setting in settings]
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", *words, "--wheel-dir", folder,
        source)  # fmt: skip
    (made,) = folder.glob("*.whl")
    return made


if __name__ == "__main__":
    sys.exit(main())
