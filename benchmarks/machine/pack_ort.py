"""Pack an onnxruntime-gpu wheel small enough to be carried to a GPU machine that can fetch nothing.

    pip download onnxruntime-gpu --no-deps --python-version 3.12 --only-binary=:all: -d DIR
    python -m benchmarks.machine.pack_ort DIR/onnxruntime_gpu-*.whl --out DIR [--arch 90]

Python files and the CUDA provider are kept, TensorRT's is not. In the provider's fat binaries the
device code of other architectures, and of kernels no PoseMamba graph can reach (attention, mixture
of experts, quantised products), is overwritten with zeros, which compress to nothing; headers stay,
and CUDA loads a module only when one of its kernels is first used (CUDA_MODULE_LOADING=LAZY, the
default). For measuring only: never install the result. Writes ``ort-gpu.part0``, ... and
``ort-gpu.sha256``, which ``unpack_ort.sh`` joins, checks and unpacks. Needs the ``zstd`` tool.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import lzma
import re
import struct
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

PART_BYTES = 58 * 10**6
PROVIDER = "onnxruntime/capi/libonnxruntime_providers_cuda.so"
LEFT_OUT = ("tensorrt", "transformers/", "quantization/", "tools/", "datasets/", "backend/",
            "ThirdParty")  # fmt: skip
UNREACHABLE = (b"cutlass", b"flash", b"moe", b"fpa_intb", b"int4")

# A fat binary: magic, version, header bytes, bytes that follow; then entries of kind, version,
# header bytes, payload bytes, and the architecture at offset 28.
MAGIC = struct.pack("<I", 0xBA55ED50)
HEADER, ENTRY = struct.Struct("<IHHQ"), struct.Struct("<HHIQ")
ARCH_OFFSET = 28
SMALL = 30_000  # payloads below this are not worth looking into


def slim(library: bytearray, arch: int) -> tuple[int, int]:
    """Zero what is not needed, in place; returns bytes of device code kept and zeroed."""
    kept = zeroed = 0
    at = library.find(MAGIC)
    while at >= 0:
        _, version, header, size = HEADER.unpack_from(library, at)
        if (version, header) != (1, HEADER.size):
            at = library.find(MAGIC, at + 4)
            continue
        entry, end = at + header, at + header + size
        while entry < end:
            _, _, header, size = ENTRY.unpack_from(library, entry)
            (found,) = struct.unpack_from("<I", library, entry + ARCH_OFFSET)
            payload = slice(entry + header, entry + header + size)
            if found != arch or unreachable(bytes(library[payload])):
                library[payload] = bytes(size)
                zeroed += size
            else:
                kept += size
            entry = payload.stop
        at = library.find(MAGIC, end)
    return kept, zeroed


def unreachable(payload: bytes) -> bool:
    """Whether every kernel of a compressed module is of a kind that no graph of ours uses."""
    if len(payload) < SMALL:
        return False
    unpacked = subprocess.run(["zstd", "-dcq"], input=payload, capture_output=True, check=False)
    kernels = re.findall(rb"\.nv\.info\.([A-Za-z0-9_$]+)", unpacked.stdout)
    return bool(kernels) and all(any(word in k.lower() for word in UNREACHABLE) for k in kernels)


def pack(wheel: Path, arch: int) -> bytes:
    """The tar.xz of a wheel's needed files."""
    archive = io.BytesIO()
    with zipfile.ZipFile(wheel) as source, tarfile.open(fileobj=archive, mode="w") as target:
        for name in source.namelist():
            if not name.startswith("onnxruntime/") or name.endswith("/"):
                continue
            if any(part in name for part in LEFT_OUT):
                continue
            content = bytearray(source.read(name))
            if name == PROVIDER:
                kept, zeroed = slim(content, arch)
                sys.stdout.write(f"{name}: {kept} bytes for sm_{arch} kept, {zeroed} zeroed\n")
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o644
            target.addfile(info, io.BytesIO(content))
    return lzma.compress(archive.getvalue(), preset=6)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--arch", type=int, default=90, help="compute capability, as 90")
    options = parser.parse_args()
    packed = pack(options.wheel, options.arch)
    sums = []
    for number, start in enumerate(range(0, len(packed), PART_BYTES)):
        part = options.out / f"ort-gpu.part{number}"
        part.write_bytes(packed[start : start + PART_BYTES])
        sums.append(f"{hashlib.sha256(part.read_bytes()).hexdigest()}  {part.name}")
        sys.stdout.write(f"{part}: {part.stat().st_size} bytes\n")
    (options.out / "ort-gpu.sha256").write_text("\n".join(sums) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
