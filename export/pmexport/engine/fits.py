"""Whether an engine can run here: a mismatch is one sentence with both sides and what mends it."""

from __future__ import annotations

from pmexport.engine.file import EngineFile
from pmexport.engine.module import TensorRtModule
from pmexport.format.names import TENSORRT, TENSORRT_RTX
from pmexport.format.operators import SCANS
from posemamba.errors import InputError
from posemamba.text import pasted

#: Architectures an engine of ``--hardware-compat ampere+`` runs on begin here.
_AMPERE = 80

PLAN_START: dict[str, bytes] = {TENSORRT: b"ftrt", TENSORRT_RTX: b"vtrt"}
_SHORTEST = 64  # bytes; a real plan has thousands


def rebuild(engine: EngineFile, more: str = "") -> str:
    """The command that builds an engine again where it is run."""
    name, checkpoint = engine.sidecar["onnx"]["file"], engine.sidecar["model"]["checkpoint"]
    model = engine.path.with_name(name)
    # An engine built from a checkpoint had its ONNX model for as long as the build took.
    origin = f"--onnx {pasted(model)}"
    if checkpoint is not None and not model.is_file():
        origin = f"--ckpt {pasted(checkpoint)} --precision {engine.precision}"
    rtx = f" --backend {TENSORRT_RTX}" if engine.flavour == TENSORRT_RTX else ""
    return f"'pmexport trt {origin}{rtx}{more} -o {pasted(engine.path)}'"


def check_plan(engine: EngineFile) -> None:
    """Make sure the file begins as a plan of its flavour does; TensorRT may end its process else.

    Raises:
        InputError: it does not.
    """
    with engine.path.open("rb") as stream:
        start = stream.read(4)
    if start == PLAN_START[engine.flavour] and engine.path.stat().st_size >= _SHORTEST:
        return
    others = {begin: name for name, begin in PLAN_START.items() if name != engine.flavour}
    other = others.get(start)
    what = f"a plan of {other}, its sidecar says {engine.flavour}" if other else "no TensorRT plan"
    raise InputError(f"'{engine.path}' is {what}: build it again with {rebuild(engine)}")


def check_flavour(engine: EngineFile, runtime: str) -> None:
    """Make sure a runtime is the one an engine was built for.

    Raises:
        InputError: it is the other one.
    """
    if engine.flavour != runtime:
        raise InputError(
            f"'{engine.path}' was built by {engine.flavour}, --runtime {runtime} cannot open it: "
            f"use --runtime {engine.flavour}"
        )


def check_library(engine: EngineFile, module: TensorRtModule) -> None:
    """Make sure the installed TensorRT opens an engine.

    Raises:
        InputError: another version, or the lean runtime and an engine that is not for it.
    """
    compatible = engine.sidecar["options"]["version_compat"]
    if engine.sidecar["options"]["strip_weights"]:
        raise InputError(
            f"'{engine.path}' was built with --strip-weights and holds none to run with: refit it, "
            f"or build it whole, {rebuild(engine)}"
        )
    if module.lean and not compatible:
        raise InputError(
            f"'{engine.path}' was built for full TensorRT, here is {module.title}, which runs "
            "version-compatible engines: install full TensorRT, or build it again with "
            + rebuild(engine, " --version-compat")
        )
    built, here = engine.sidecar["tensorrt"]["version"], module.version
    if _number(built) == _number(here):
        return
    if compatible and _number(here)[:1] == _number(built)[:1] and _number(here) > _number(built):
        return
    kind = "a version-compatible engine opens from its own version on" if compatible else (
        "an engine opens in its own version"
    )  # fmt: skip
    raise InputError(
        f"'{engine.path}' was built by {engine.flavour} {built}, here is {module.title} {here}, "
        f"and {kind}: build it again with {rebuild(engine)}"
    )


def check_gpu(engine: EngineFile, here: str | None) -> None:
    """Make sure an engine is for the GPU of this machine.

    Args:
        here: such as ``sm87``; None without one.

    Raises:
        InputError: there is none, or it is another one.
    """
    targets = list(engine.sidecar["targets"])
    if here is None:
        raise InputError(
            f"'{engine.path}' is for {', '.join(targets)}, and no GPU is found here: run it where "
            f"one is, or check its ONNX model with 'pmexport check {_onnx_name(engine)}'"
        )
    ampere = engine.sidecar["options"]["hardware_compat"] == "ampere+"
    if here in targets or (ampere and _architecture(here) >= _AMPERE):
        return
    target = f" --target {here}" if engine.flavour == TENSORRT_RTX else ""
    raise InputError(
        f"'{engine.path}' is for {', '.join(targets)}, the GPU here is {here}: build it again with "
        + rebuild(engine, target)
    )


def check_plugin(engine: EngineFile, library: str, creators: list[dict[str, str]]) -> None:
    """Make sure the plugin library has the operators an engine was built with.

    Raises:
        InputError: it lacks one, or has another version of it.
    """
    needed = engine.sidecar["plugin"]["version"]
    for name in engine.sidecar["plugin"]["creators"]:
        held = sorted(each["version"] for each in creators if each["name"] == name)
        # Of the scans there are two versions, of the others one; an engine tells the newest.
        if not held or (name in SCANS and needed not in held):
            has = f"has version {' and '.join(held)}" if held else "lacks it"
            raise InputError(
                f"'{engine.path}' needs version {needed} of the plugin {name}, '{library}' {has}: "
                f"use the library it was built with, or build it again with {rebuild(engine)}"
            )


def _onnx_name(engine: EngineFile) -> str:
    return pasted(engine.path.with_name(engine.sidecar["onnx"]["file"]))


def _number(version: str) -> tuple[int, ...]:
    """(10, 16, 1) of ``10.16.1.11``: the fourth number is a rebuild of the same TensorRT."""
    return tuple(int(part) for part in version.split(".")[:3] if part.isdigit())


def _architecture(name: str) -> int:
    return int(name.removeprefix("sm"))
