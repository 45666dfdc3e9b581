"""What ``pmexport trt`` was asked for, refused before any work if it cannot succeed."""

from __future__ import annotations

import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pmexport.format.files import check_folder, check_target, file_sha256, is_utf8
from pmexport.format.limits import MAX_ELEMENTS, check_elements
from pmexport.libraries import plugin_path, tensorrt_plugin_library
from pmexport.trt.backends import Backend, choose_backend
from pmexport.trt.build import Outcome, probe
from pmexport.trt.fatbin import GpuCode, gpu_code
from pmexport.trt.profiles import Profile, build_profiles
from pmexport.trt.sidecar import PLUGIN_VERSION, sidecar_path
from pmexport.trt.targets import current_architecture, parse_targets
from pmexport.trt.trtexec import Options
from posemamba.errors import InputError

if TYPE_CHECKING:
    from pmexport.exporting.request import ExportJob
    from pmexport.trt.source import Source

_DISK_FACTOR = 3
"""Free disk asked for, in sizes of the ONNX model; a plan of L for three targets takes 1.7."""
_DISK_LEAST = 16 * 10**6
"""And beyond that: the kernels TensorRT adds do not shrink with the model."""


@dataclass(frozen=True)
class TrtRequest:
    """The command line.

    Attributes:
        checkpoint, onnx: what to build from; exactly one.
        precision: ``fp32`` or ``fp16``; None for the ONNX model's own, fp32 for a checkpoint.
        targets: as written.
        batch, frames: ranges as written, one a profile.
        scan_order: of the checkpoint, where it does not tell it.
        cache: folder of built engines; None to build without.
    """

    checkpoint: Path | None
    onnx: Path | None
    precision: str | None
    backend: str
    targets: str
    batch: tuple[str, ...]
    frames: tuple[str, ...]
    options: Options
    output: Path | None
    scan_order: str | None = None
    cache: Path | None = None
    cache_limit: int = 0


@dataclass(frozen=True)
class TrtJob:
    """A request that nothing stands against.

    Attributes:
        source: the ONNX model; None as long as it must be exported from ``export``.
        plugin: the library; ``gpu_code``: the GPUs its kernels are for, None if unknown.
        probed: what TensorRT says of itself and of the plugin.
    """

    request: TrtRequest
    backend: Backend
    targets: tuple[str, ...]
    precision: str
    plugin: Path
    plugin_sha256: str
    gpu_code: GpuCode | None
    probed: Outcome
    output: Path
    source: Source | None
    export: ExportJob | None
    profiles: tuple[Profile, ...]


def prepare(request: TrtRequest, scratch: Path) -> TrtJob:
    """Find out whether a build can succeed, before any work.

    Args:
        scratch: folder for an exported ONNX model.

    Raises:
        InputError: it cannot.
    """
    check_origin(request)
    if request.output is not None:
        check_output(request.output, request)
    targets = parse_targets(request.targets)
    backend, targets = choose_backend(request.backend, targets)
    check_options(request.options, backend, targets)
    plugin = Path(tensorrt_plugin_library())
    precision, source, export, profiles = read_inputs(request, scratch)
    output = request.output or Path(default_output(request, export, precision))
    check_output(output, request)
    size = source.size_bytes if source is not None else _checkpoint_bytes(request)
    check_disk(output.absolute().parent, size)
    probed = probe(backend, str(plugin))
    check_plugin(probed, plugin)
    return TrtJob(
        request=request,
        backend=backend,
        targets=targets,
        precision=precision,
        plugin=plugin,
        plugin_sha256=file_sha256(plugin),
        gpu_code=gpu_code(plugin),
        probed=probed,
        output=output,
        source=source,
        export=export,
        profiles=profiles,
    )


def check_origin(request: TrtRequest) -> None:
    """Make sure there is one model to build from.

    Raises:
        InputError: there is none, or two, or an option that only the other kind has a use for.
    """
    if (request.checkpoint is None) == (request.onnx is None):
        what = "neither is" if request.onnx is None else "both are"
        raise InputError(f"give --ckpt or --onnx, one of them: {what} given")
    if request.onnx is not None and request.scan_order is not None:
        raise InputError(
            f"--scan-order {request.scan_order}: the order is in the model '{request.onnx}': leave "
            "it out, or build from --ckpt"
        )
    if request.onnx is not None and not is_utf8(request.onnx):
        raise InputError(f"'{request.onnx}' is no UTF-8, as TensorRT wants names: rename the file")


def read_inputs(
    request: TrtRequest, scratch: Path
) -> tuple[str, Source | None, ExportJob | None, tuple[Profile, ...]]:
    """Precision, the ONNX model or the export that will make it, and the profiles.

    Raises:
        InputError: the checkpoint or the model is wrong, or does not fit the request.
    """
    if request.onnx is not None:
        from pmexport.trt.source import read_source

        source = read_source(request.onnx)
        precision = request.precision or source.precision
        return precision, source, None, check_source(source, request, precision)
    from pmexport.exporting.export import ExportOptions
    from pmexport.exporting.request import ExportRequest, prepare_export

    assert request.checkpoint is not None
    precision = request.precision or "fp32"
    options = ExportOptions(precision="fp16" if precision == "fp16" else "fp32")
    export = prepare_export(
        ExportRequest(
            checkpoint=request.checkpoint,
            variant=None,
            scan_order=request.scan_order,
            options=options,
            output=scratch / "model.onnx",
            check=False,
        )
    )
    config = export.checkpoint.config
    profiles = build_profiles(request.batch, request.frames, max_frames=config.frames)
    for profile in profiles:
        check_elements(config, profile.batch.max, profile.frames.max)
    return precision, None, export, profiles


def check_source(source: Source, request: TrtRequest, precision: str) -> tuple[Profile, ...]:
    """The profiles of an ONNX model that TensorRT and the plugin can be given.

    Raises:
        InputError: a node nobody has a rule for, another precision than asked, a plugin of another
            version, sizes it does not take.
    """
    from pmexport.trt.macs import concrete_shapes, largest_tensor

    check_operators(source, precision)
    if precision != source.precision:
        raise InputError(
            f"--{precision}: '{source.path}' is {source.precision}, and TensorRT builds what the "
            f"model's types say: export it with 'pmexport onnx --precision {precision}'"
        )
    profiles = build_profiles(
        request.batch,
        request.frames,
        max_frames=source.max_frames,
        fixed_batch=source.batch,
        fixed_frames=source.frames,
    )
    for profile in profiles:
        sizes = {"batch": profile.batch.max, "frames": profile.frames.max}
        name, elements = largest_tensor(source, concrete_shapes(source, sizes))
        if elements > MAX_ELEMENTS:
            raise InputError(
                f"--batch {profile.batch} with --frames {profile.frames}: '{name}' would have "
                f"{elements:,} elements, the kernels index {MAX_ELEMENTS:,}: use a smaller "
                "--batch"
            )
    return profiles


def check_operators(source: Source, precision: str) -> None:
    """Make sure every node is one this tool writes.

    Raises:
        InputError: it is not, or wants another plugin version than ours.
    """
    from pmexport.format.operators import OP_INPUTS
    from pmexport.passes.fp16 import RULES
    from pmexport.runtimes.base import OP_DOMAIN

    for node in source.nodes:
        known = OP_INPUTS if node.domain == OP_DOMAIN else RULES if node.domain == "" else {}
        if node.op_type not in known:
            kind = f"{node.domain}:{node.op_type}" if node.domain else node.op_type
            raise InputError(
                f"'{source.path}': node '{node.name}' has type {kind}, which 'pmexport onnx' does "
                f"not write and --{precision} has no rule for: export the checkpoint again"
            )
        if node.domain != OP_DOMAIN:
            continue
        wanted = node.attributes.get("plugin_version", b"")
        version = wanted.decode(errors="replace") if isinstance(wanted, bytes) else str(wanted)
        if version != PLUGIN_VERSION:
            raise InputError(
                f"'{source.path}': node '{node.name}' wants version '{version}' of the plugin, "
                f"this pmexport has version {PLUGIN_VERSION}: export the checkpoint again"
            )


def check_options(options: Options, backend: Backend, targets: tuple[str, ...]) -> None:
    """Refuse what a flavour lacks.

    Raises:
        InputError: it lacks an option that is given.
    """
    given = {
        "--timing-cache": options.timing_cache is not None,
        "--hardware-compat": options.hardware_compat is not None,
        "--version-compat": options.version_compat,
    }
    for option, is_given in given.items():
        if is_given and option in backend.lacks:
            raise InputError(
                f"{option}: {backend.name} does not have it ({backend.lacks[option]}): leave it out"
            )
    if options.strip_weights and backend.cross_builds and targets != (current_architecture(),):
        raise InputError(
            f"--strip-weights: {backend.name} needs the GPU for it, and one --target, that GPU's: "
            "leave it out, or run this where the GPU is"
        )


def check_plugin(probed: Outcome, plugin: Path) -> None:
    """Make sure the plugin library holds the operators of the version this tool writes.

    Raises:
        InputError: it does not.
    """
    from pmexport.format.operators import CROSS_SELECTIVE_SCAN, SELECTIVE_SCAN

    versions = {creator["name"]: creator["version"] for creator in probed.creators}
    for name in (CROSS_SELECTIVE_SCAN, SELECTIVE_SCAN):
        if name not in versions:
            raise InputError(f"plugin library '{plugin}' lacks {name}: build it again")
        if versions[name] != PLUGIN_VERSION:
            raise InputError(
                f"plugin library '{plugin}' has version {versions[name]} of {name}, this pmexport "
                f"needs version {PLUGIN_VERSION}: use the library of this pmexport"
            )


def check_output(output: Path, request: TrtRequest) -> None:
    """Make sure the engine and its sidecar can be written.

    Raises:
        InputError: they cannot.
    """
    inputs = [path for path in (request.checkpoint, request.onnx) if path is not None]
    check_target(output, ".engine", inputs=inputs)
    check_target(sidecar_path(output), ".json", inputs=inputs)
    cache = request.options.timing_cache
    if cache is not None:
        _check_timing_cache(cache, [*inputs, output, sidecar_path(output)])


def _check_timing_cache(cache: Path, others: list[Path]) -> None:
    """It is read and then replaced, whatever its name.

    Args:
        others: files with another use in this build.

    Raises:
        InputError: it is one of them, no regular file, or cannot be written.
    """
    if cache.exists() and not cache.is_file():
        what = "a directory" if cache.is_dir() else "no regular file"
        raise InputError(f"--timing-cache '{cache}' is {what}: name a file")
    check_folder(cache.parent)
    for other in others:
        if cache.resolve() == other.resolve():
            raise InputError(
                f"--timing-cache '{cache}' is the model or the engine: writing there would "
                "overwrite it, name another file"
            )


def check_disk(folder: Path, model_bytes: int) -> None:
    """Make sure an engine fits.

    Raises:
        InputError: the disk is too full.
    """
    needed = _DISK_FACTOR * model_bytes + _DISK_LEAST
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise InputError(
            f"'{folder}' has {free / 1e6:.0f} MB left, an engine of this model may need "
            f"{needed / 1e6:.0f}: make room, or name another place with -o"
        )


def default_output(request: TrtRequest, export: ExportJob | None, precision: str) -> str:
    """``L.fp16.engine``."""
    if request.onnx is not None:
        return f"{request.onnx.stem}.engine"
    from pmexport.exporting.request import default_name

    assert export is not None
    return default_name(export.checkpoint, precision).removesuffix(".onnx") + ".engine"


def _checkpoint_bytes(request: TrtRequest) -> int:
    """Of the weights; the ONNX model is about as large."""
    path = request.checkpoint
    assert path is not None
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def plan_commands(request: TrtRequest, scratch: Path) -> list[str]:
    """Commands that build the same engine with TensorRT's own tool, here or on another machine.

    Neither TensorRT nor a GPU is needed here.

    Raises:
        InputError: the request could not succeed anywhere.
    """
    from pmexport.trt.trtexec import trtexec_line

    check_origin(request)
    backend, targets = choose_backend(
        request.backend, parse_targets(request.targets), elsewhere=True
    )
    check_options(request.options, backend, targets)
    precision, source, export, profiles = read_inputs(request, scratch)
    output = request.output or Path(default_output(request, export, precision))
    check_output(output, request)
    lines = []
    if source is not None:
        onnx, joints = source.path, source.joints
    else:
        assert export is not None
        onnx, joints = output.with_suffix(".onnx"), export.checkpoint.config.joints
        lines.append(
            f"pmexport onnx --ckpt {shlex.quote(str(request.checkpoint))} --precision {precision} "
            f"-o {shlex.quote(str(onnx))}"
        )
    line = trtexec_line(
        backend,
        onnx,
        output,
        str(plugin_path()),
        targets,
        profiles,
        joints,
        request.options,
    )
    return [*lines, line]
