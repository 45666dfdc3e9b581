"""The two TensorRTs: what each is called, builds for, and lacks. Nothing here imports either."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pmexport.engine.gpu import current_architecture
from pmexport.format.environment import has_module, package_version
from pmexport.format.names import TENSORRT, TENSORRT_RTX
from pmexport.trt.targets import ARCHITECTURES, CURRENT
from posemamba.errors import InputError


@dataclass(frozen=True)
class Backend:
    """A TensorRT flavour.

    Attributes:
        name: as ``--backend`` and the sidecar call it.
        module: the Python module.
        tool: its command-line builder, which ``--dry-run`` writes a line for.
        install: how to get it.
        targets: architectures it builds for.
        cross_builds: whether it builds for GPUs that are not in this machine.
        lacks: option -> why a request for it is refused.
    """

    name: str
    module: str
    tool: str
    install: str
    targets: tuple[str, ...]
    cross_builds: bool
    lacks: Mapping[str, str]


#: TensorRT-RTX: as ``ComputeCapability`` of 1.7 lists them, and as its messages say.
BACKENDS: dict[str, Backend] = {
    TENSORRT: Backend(
        name=TENSORRT,
        module="tensorrt",
        tool="trtexec",
        install="on a Jetson it comes with JetPack, elsewhere 'pip install tensorrt'",
        targets=tuple(ARCHITECTURES),
        cross_builds=False,
        lacks={},
    ),
    TENSORRT_RTX: Backend(
        name=TENSORRT_RTX,
        module="tensorrt_rtx",
        tool="tensorrt_rtx",
        install="pip install '.[tensorrt-rtx]'",
        targets=("sm75", "sm80", "sm86", "sm89", "sm120", "sm121"),
        cross_builds=True,
        lacks={
            "--timing-cache": "its timing cache does nothing",
            "--hardware-compat": "list the architectures in --target instead",
            "--version-compat": "its packages hold no lean runtime",
        },
    ),
}


def installed_version(backend: Backend) -> str | None:
    """Version of an installed flavour, ``unknown`` if only its module is there, None without it."""
    if not has_module(backend.module):
        return None
    return package_version(backend.module, otherwise="unknown")


def choose_backend(
    wanted: str, targets: tuple[str, ...], *, elsewhere: bool = False
) -> tuple[Backend, tuple[str, ...]]:
    """The flavour for a request, and its targets with ``current`` replaced by the GPU's name.

    ``auto`` takes full TensorRT for the GPU in this machine where it is installed, and
    TensorRT-RTX otherwise.

    Args:
        elsewhere: the engine will be built on another machine: what is missing here is no matter.

    Raises:
        InputError: it is not installed, or cannot build for a target from here.
    """
    here = current_architecture()
    if elsewhere and here is None and CURRENT in targets and wanted != TENSORRT_RTX:
        return BACKENDS[TENSORRT], targets
    if CURRENT in targets:
        if here is None:
            raise InputError(
                "--target current: no GPU is found here: name the GPUs the engine is for, such "
                "as --target sm86,sm89 (tensorrt-rtx builds for them without one)"
            )
        targets = (here,)
    backend = BACKENDS[wanted] if wanted != "auto" else _automatic(targets, here)
    for target in targets:
        if target not in backend.targets:
            raise InputError(
                f"--target {target} ({ARCHITECTURES.get(target, 'unknown')}): {backend.name} "
                f"builds for {', '.join(backend.targets)}; {_who_has(target)}"
            )
    if elsewhere:
        return backend, targets
    if not backend.cross_builds and targets != (here,):
        raise InputError(
            f"--target {','.join(targets)}: {backend.name} builds for the GPU of the machine it "
            f"runs on, here {here or 'none'}: run this on a machine with that GPU{_hint(targets)}"
        )
    if installed_version(backend) is None:
        raise InputError(f"{backend.name} is not installed: {backend.install}")
    return backend, targets


def _automatic(targets: tuple[str, ...], here: str | None) -> Backend:
    full, rtx = BACKENDS[TENSORRT], BACKENDS[TENSORRT_RTX]
    if targets == (here,) and installed_version(full) is not None:
        return full
    return rtx if set(targets) & set(rtx.targets) else full


def _who_has(target: str) -> str:
    names = [f"--backend {one.name}" for one in BACKENDS.values() if target in one.targets]
    if not names:
        return "no backend has it"
    return f"{' and '.join(names)} has it, on a machine with that GPU"


def _hint(targets: tuple[str, ...]) -> str:
    rtx = BACKENDS[TENSORRT_RTX]
    return f", or use --backend {rtx.name}" if set(targets) <= set(rtx.targets) else ""


def library_folder(backend: Backend) -> Path | None:
    """Where TensorRT-RTX's package keeps its libraries; None for other flavours."""
    if backend.name != TENSORRT_RTX:
        return None
    spec = importlib.util.find_spec("tensorrt_rtx_libs")
    return Path(spec.origin).parent if spec is not None and spec.origin else None


def unversioned_links(folder: Path) -> dict[str, Path]:
    """Names to make elsewhere, each with the library it stands for.

    TensorRT-RTX's ONNX parser opens ``libtensorrt_rtx.so``, but its package holds
    ``libtensorrt_rtx.so.1`` only; the first plugin node would end the process.
    """
    return {
        path.name.split(".so")[0] + ".so": path
        for path in sorted(folder.glob("lib*.so.*"))
        if not (folder / (path.name.split(".so")[0] + ".so")).exists()
    }
