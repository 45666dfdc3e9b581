"""What ``pmexport trt`` was asked for, refused before any work if it cannot succeed."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pmexport.engine.sidecar import read_sidecar
from pmexport.exporting.request import ExportJob, ExportRequest, default_name, prepare_export
from pmexport.format.file import ModelFile
from pmexport.format.files import file_sha256, is_utf8
from pmexport.format.limits import check_elements, check_sizes
from pmexport.format.macs import concrete_shapes, largest_tensor
from pmexport.format.options import ExportOptions, Precision, Rewrite
from pmexport.format.paths import NamesFiles
from pmexport.libraries import plugin_path, tensorrt_plugin_library
from pmexport.trt.backends import Backend, choose_backend
from pmexport.trt.build import Outcome, probe
from pmexport.trt.checks import check_disk, check_options, check_output, check_plugin, check_tf32
from pmexport.trt.gpu_code import GpuCode, gpu_code
from pmexport.trt.graph import Graph, check_rewrite, choose_form, choose_graph
from pmexport.trt.options import Options
from pmexport.trt.profiles import Profile, build_profiles, parse_range
from pmexport.trt.source import check_operators, read_source
from pmexport.trt.targets import parse_targets
from pmexport.trt.trtexec import trtexec_line
from posemamba.errors import InputError
from posemamba.native.packing import norm_fits
from posemamba.text import pasted, problem


@dataclass(frozen=True)
class TrtRequest(NamesFiles):
    """The command line.

    Attributes:
        checkpoint, onnx: what to build from; exactly one.
        precision: ``fp32`` or ``fp16``; None for the ONNX model's own, fp32 for a checkpoint.
        targets: as written.
        batch, frames: ranges as written, one per profile.
        scan_order: of the checkpoint, where it does not tell it.
        weights: which set of a checkpoint that holds several; None for its usual one.
        keep_file, keep: modules of the checkpoint that stay fp32, and the file that lists them.
        cache: folder of built engines; None to build without.
        rewrite: how the model is rewritten for TensorRT.
    """

    checkpoint: Path | None
    onnx: Path | None
    precision: Precision | None
    backend: str
    targets: str
    batch: tuple[str, ...]
    frames: tuple[str, ...]
    options: Options
    output: Path | None
    scan_order: str | None = None
    weights: str | None = None
    keep_file: Path | None = None
    keep: tuple[str, ...] = ()
    cache: Path | None = None
    cache_limit: int = 0
    rewrite: Rewrite = "auto"

    @property
    def inputs(self) -> list[Path]:
        """Files that must not be overwritten."""
        return [path for path in (self.checkpoint, self.onnx) if path is not None]


@dataclass(frozen=True)
class TrtJob:
    """A request that nothing stands against.

    Attributes:
        source: the ONNX model; None as long as it must be exported from ``export``.
        plugin: the library; ``gpu_code``: the GPUs its kernels are for, None if unknown.
        probed: what TensorRT says of itself and of the plugin.
        graph: what TensorRT parses; None as long as the model must be exported.
    """

    request: TrtRequest
    backend: Backend
    targets: tuple[str, ...]
    precision: Precision
    plugin: Path
    plugin_sha256: str
    gpu_code: GpuCode | None
    probed: Outcome
    output: Path
    source: ModelFile | None
    export: ExportJob | None
    profiles: tuple[Profile, ...]
    graph: Graph | None
    scratch: Path

    def graph_of(self, source: ModelFile) -> Graph:
        """What TensorRT parses of a model, and can.

        Raises:
            InputError: the plugin library lacks an operator, or a tensor is too large.
        """
        request = self.request
        graph = choose_graph(
            source,
            request.rewrite,
            request.options.strip_weights,
            {creator["name"] for creator in self.probed.creators},
            self.scratch,
        )
        check_plugin(self.probed, self.plugin, graph.model)
        check_tensors(graph.model, self.profiles)
        return graph


def prepare(request: TrtRequest, scratch: Path) -> TrtJob:
    """Find out whether a build can succeed, before any work.

    Args:
        scratch: folder for an exported ONNX model.

    Raises:
        InputError: it cannot.
    """
    check_origin(request)
    for option, texts in (("--batch", request.batch), ("--frames", request.frames)):
        for text in texts:
            parse_range(text, option)  # before what this machine lacks
    if request.output is not None:
        check_output(request.output, request.inputs, request.options.timing_cache)
    targets = parse_targets(request.targets)
    backend, targets = choose_backend(request.backend, targets)
    check_options(request.options, backend, targets)
    check_rewrite(request.rewrite, request.options.strip_weights)
    plugin = Path(tensorrt_plugin_library())
    precision, source, export, profiles = read_inputs(request, scratch)
    output = request.output or Path(default_output(request, precision))
    check_output(output, request.inputs, request.options.timing_cache)
    if request.output is None:
        origin = source.metadata.get("checkpoint_sha256") if source is not None else None
        _keep_others(output, export.checkpoint.sha256 if export is not None else origin)
    size = source.size_bytes if source is not None else _checkpoint_bytes(export)
    check_disk(output.absolute().parent, size)
    probed = probe(backend, str(plugin))
    check_plugin(probed, plugin, source)
    job = TrtJob(
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
        graph=None,
        scratch=scratch,
    )
    return job if source is None else replace(job, graph=job.graph_of(source))


def check_origin(request: TrtRequest) -> None:
    """Make sure there is one model to build from.

    Raises:
        InputError: there is none, or two, or an option that only the other kind has a use for.
    """
    if (request.checkpoint is None) == (request.onnx is None):
        what = "neither is" if request.onnx is None else "both are"
        raise InputError(f"give --ckpt or --onnx, one of them: {what} given")
    for option, asked, what in (("--scan-order", request.scan_order, "the order is"),
                                ("--weights", request.weights, "they are"),
                                ("--keep", request.keep_file, "types are")):  # fmt: skip
        if request.onnx is not None and asked is not None:
            raise InputError(
                f"{option} {asked}: {what} in the model '{request.onnx}': leave it out, or build "
                "from --ckpt"
            )
    if request.onnx is not None and not is_utf8(request.onnx):
        raise InputError(f"'{request.onnx}' is no UTF-8, as TensorRT wants names: rename the file")


def read_inputs(
    request: TrtRequest, scratch: Path
) -> tuple[Precision, ModelFile | None, ExportJob | None, tuple[Profile, ...]]:
    """Precision, the ONNX model or the export that will make it, and the profiles.

    Raises:
        InputError: the checkpoint or the model is wrong, or does not fit the request.
    """
    if request.onnx is not None:
        source = read_source(request.onnx)
        precision = request.precision or source.precision
        check_tf32(request.options, precision)
        return precision, source, None, check_source(source, request, precision)
    assert request.checkpoint is not None
    precision = request.precision or "fp32"
    check_tf32(request.options, precision)
    export = prepare_export(
        ExportRequest(
            checkpoint=request.checkpoint,
            variant=None,
            scan_order=request.scan_order,
            options=ExportOptions(precision=precision, keep=request.keep),
            output=scratch / "model.onnx",
            weights=request.weights,
        )
    )
    config = export.checkpoint.config
    profiles = build_profiles(request.batch, request.frames, max_frames=config.frames)
    for profile in profiles:
        check_sizes(config, profile.batch.max, profile.frames.max)
    return precision, None, export, profiles


def check_source(source: ModelFile, request: TrtRequest, precision: str) -> tuple[Profile, ...]:
    """The profiles of an ONNX model that TensorRT and the plugin can be given.

    Raises:
        InputError: a node nobody has a rule for, another precision than asked, a plugin of another
            version, sizes it does not take.
    """
    check_operators(source, precision)
    if precision != source.precision:
        raise InputError(
            f"--precision {precision}: '{source.path}' is {source.precision}, and TensorRT builds "
            f"what the model says: export it with 'pmexport onnx --precision {precision}'"
        )
    profiles = build_profiles(
        request.batch,
        request.frames,
        max_frames=source.metadata["max_frames"],
        fixed_batch=source.batch,
        fixed_frames=source.frames,
    )
    check_tensors(source, profiles)
    return profiles


def check_tensors(model: ModelFile, profiles: Sequence[Profile]) -> None:
    """Make sure TensorRT and the kernels can index every tensor of a graph.

    Raises:
        InputError: they cannot.
    """
    for profile in profiles:
        sizes = {"batch": profile.batch.max, "frames": profile.frames.max}
        name, elements = largest_tensor(model, concrete_shapes(model, sizes))
        check_elements(elements, profile.batch, profile.frames, f"'{name}'")


def default_output(request: TrtRequest, precision: str) -> str:
    """``best_epoch.fp16.engine``."""
    if request.onnx is not None:
        return f"{request.onnx.stem}.engine"
    assert request.checkpoint is not None
    return default_name(request.checkpoint, precision).removesuffix(".onnx") + ".engine"


def _keep_others(engine: Path, checkpoint_sha256: str | None) -> None:
    """Make sure that a name nobody chose costs nobody an engine.

    Raises:
        InputError: the sidecar of what is there tells another checkpoint.
    """
    try:
        model = read_sidecar(engine)["model"]
    except InputError:
        return
    if model.get("checkpoint_sha256") not in (None, checkpoint_sha256):
        raise problem(
            engine, f"was built from other weights, '{model.get('checkpoint')}': name another file "
            "with -o, or remove it"
        )  # fmt: skip


def _checkpoint_bytes(export: ExportJob | None) -> int:
    """Of the weights; the ONNX model is about as large."""
    assert export is not None
    path = export.checkpoint.path
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def plan_commands(request: TrtRequest, scratch: Path) -> list[str]:
    """Commands that build the same engine with TensorRT's own tool, here or on another machine.

    Neither TensorRT nor a GPU is needed here.

    Raises:
        InputError: the request could not succeed anywhere.
    """
    check_origin(request)
    backend, targets = choose_backend(
        request.backend, parse_targets(request.targets), elsewhere=True
    )
    check_options(request.options, backend, targets)
    check_rewrite(request.rewrite, request.options.strip_weights)
    precision, source, export, profiles = read_inputs(request, scratch)
    output = request.output or Path(default_output(request, precision))
    check_output(output, request.inputs, request.options.timing_cache)
    lines = []
    if source is not None:
        onnx, joints = source.path, len(source.metadata["joint_names"])
        channels = source.channels
    else:
        assert export is not None
        onnx, joints = output.with_suffix(".onnx"), export.checkpoint.config.joints
        options = {
            "--ckpt": request.checkpoint,
            "--weights": request.weights,
            "--scan-order": request.scan_order,
            "--precision": precision,
            "--keep": request.keep_file,
            "-o": onnx,
        }
        given = [
            f"{name} {pasted(v) if isinstance(v, Path) else shlex.quote(str(v))}"
            for name, v in options.items()
            if v is not None
        ]
        lines.append(" ".join(["pmexport onnx", *given]))
        channels = export.checkpoint.config.channels
    if _is_rewritten(request, source, export):
        plain, onnx = onnx, onnx.with_suffix(".cuda.onnx")
        fusion = [] if request.rewrite == "auto" else ["--fusion", request.rewrite]
        words = ["pmexport optimize", *fusion, pasted(plain), "-o", pasted(onnx)]
        lines.append(" ".join(words))
    line = trtexec_line(
        backend,
        onnx,
        output,
        str(plugin_path()),
        targets,
        profiles,
        joints,
        request.options,
        channels,
    )
    return [*lines, line]


def _is_rewritten(request: TrtRequest, source: ModelFile | None, export: ExportJob | None) -> bool:
    """Whether TensorRT is given another file than the model; of a checkpoint, before its export."""
    strip = request.options.strip_weights
    if source is not None:
        return choose_form(source, request.rewrite, strip, None).optimized is not None
    assert export is not None
    config = export.checkpoint.config
    fits = norm_fits(config.d_model) and norm_fits(config.d_inner)
    one_scan = len(config.walks) == 1 and not request.keep
    return request.rewrite != "off" and not strip and one_scan and fits
