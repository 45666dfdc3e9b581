"""What a wheel of ours gets once it is built: a platform's tag, a bill of materials, a name.

    finish_wheel.py WHEEL FOLDER [--cuda]

The tag is the oldest manylinux that the wheel's libraries allow, as auditwheel finds it. The bill
of materials is put into .dist-info/sboms (PEP 770). ``--cuda`` adds the toolkit to the version, as
in 0.2.0+cu130, so that both wheels of a release have names of their own.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import sbom

ROOT = Path(__file__).parents[1]
#: Functions that name the GPUs a library is compiled for.
ARCHITECTURES = {
    "libposemamba_cuda.so": "pm_cuda_architectures",
    "libposemamba_trt.so": "pm_trt_architectures",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wheel", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cuda", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        made = finish(options.wheel, Path(scratch), cuda=options.cuda)
        shutil.move(made, options.folder / made.name)
    sys.stdout.write(f"{options.folder / made.name}\n")
    return 0


def run(*command: str | Path) -> str:
    """What a program printed; its own words, and an end, where it failed."""
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False
    )
    if done.returncode:
        words = done.stdout[-4000:] + done.stderr[-4000:]
        raise SystemExit(f"{words}\n'{' '.join(map(str, command))}' failed")
    return done.stdout


def finish(wheel: Path, scratch: Path, *, cuda: bool = False) -> Path:
    """Another wheel, in a new folder of ``scratch``; the given one stays."""
    folder = Path(tempfile.mkdtemp(dir=scratch))
    run(sys.executable, "-m", "wheel", "unpack", "--dest", folder / "opened", wheel)
    (root,) = (folder / "opened").iterdir()
    (info,) = root.glob("*.dist-info")
    name, version = info.name.removesuffix(".dist-info").rsplit("-", 1)
    if cuda:
        version = f"{version}+{toolkit()}"
        metadata = info / "METADATA"
        text = re.sub(r"(?m)^Version: .*$", f"Version: {version}", metadata.read_text(), count=1)
        metadata.write_text(text)
        info = info.rename(root / f"{name}-{version}.dist-info")
    add_licence(info)
    names = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]
    gpus = any(Path(each).name in ARCHITECTURES for each in names)
    bill = info / "sboms" / f"{name}.cdx.json"
    bill.parent.mkdir()
    bill.write_text(sbom.document(name.replace("_", "-"), version, names, gpus), encoding="utf-8")
    packed = folder / "packed"
    packed.mkdir()
    run(sys.executable, "-m", "wheel", "pack", "--dest-dir", packed, root)
    (made,) = packed.iterdir()
    tag = platform_tag(made)
    run(sys.executable, "-m", "wheel", "tags", "--remove", "--platform-tag", tag, made)
    (made,) = packed.iterdir()
    return made


def add_licence(info: Path) -> None:
    """Ours, where the project's folder has none to name: deploy/python lies below it (PEP 639)."""
    target = info / "licenses" / "LICENSE"
    if target.exists():
        return
    target.parent.mkdir(exist_ok=True)
    shutil.copyfile(ROOT / "LICENSE", target)
    metadata = info / "METADATA"
    expression, found = re.subn(
        r"(?m)^(License-Expression: .*)$",
        r"\1\nLicense-File: LICENSE",
        metadata.read_text(),
        count=1,
    )
    if not found:
        raise SystemExit(f"finish_wheel.py: {metadata} has no License-Expression")
    metadata.write_text(expression)


def toolkit() -> str:
    """CUDA's release as wheels name it: cu130."""
    release = re.search(r"release (\d+)\.(\d+)", run("nvcc", "--version"))
    if release is None:
        raise SystemExit("finish_wheel.py: nvcc does not say its release")
    return "cu" + "".join(release.groups())


def platform_tag(wheel: Path) -> str:
    said = run(sys.executable, "-m", "auditwheel", "show", wheel)
    found = re.search(r'platform tag:\s+"(manylinux_\w+)"', " ".join(said.split()))
    if found is None:
        raise SystemExit(f"finish_wheel.py: auditwheel names no manylinux for {wheel}:\n{said}")
    return found[1]


if __name__ == "__main__":
    sys.exit(main())
