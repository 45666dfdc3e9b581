"""What a TensorRT build is refused for, before any work: options, plugin, output, disk."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from pmexport.engine.gpu import current_architecture
from pmexport.engine.sidecar import sidecar_path
from pmexport.format.file import ModelFile
from pmexport.format.names import ENGINE_SUFFIX, PLUGIN_VERSION
from pmexport.format.operators import SCANS
from pmexport.format.options import Precision
from pmexport.trt.backends import Backend
from pmexport.trt.build import Outcome
from pmexport.trt.options import Options
from posemamba.errors import InputError
from posemamba.files.output import check_file, check_takes_files

_DISK_FACTOR = 3
"""Free disk asked for, in sizes of the ONNX model; a plan of L for three targets takes 1.7."""
_DISK_LEAST = 16 * 10**6
"""And beyond that: the kernels TensorRT adds do not shrink with the model."""


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


def check_tf32(options: Options, precision: Precision) -> None:
    """Refuse TF32 where no product is float32.

    Raises:
        InputError: so.
    """
    if options.tf32 and precision != "fp32":
        raise InputError(
            f"--tf32 rounds the inputs of float32 products, this engine is {precision}: leave it "
            "out, or build it with --fp32"
        )


def check_plugin(probed: Outcome, plugin: Path, model: ModelFile | None) -> None:
    """Make sure the plugin library holds the operators that a build needs, in their versions.

    Args:
        model: what TensorRT will parse; None where that is not known yet.

    Raises:
        InputError: it does not.
    """
    needed = {(name, PLUGIN_VERSION) for name in SCANS}
    if model is not None:
        needed |= {(node.op_type, node.plugin_version) for node in model.own_nodes}
    for name, version in sorted(needed):
        has = [each["version"] for each in probed.creators if each["name"] == name]
        if not has:
            raise InputError(f"plugin library '{plugin}' lacks {name}: build it again")
        if version not in has:
            raise InputError(
                f"plugin library '{plugin}' has version {' and '.join(has)} of {name}, the model "
                f"needs version {version}: use the library of this pmexport"
            )


def check_output(output: Path, inputs: Sequence[Path], timing_cache: Path | None) -> None:
    """Make sure the engine, its sidecar and the timing cache can be written.

    Raises:
        InputError: they cannot.
    """
    sidecar = sidecar_path(output)
    check_file(output, suffix=ENGINE_SUFFIX, inputs=inputs)
    check_file(sidecar, suffix=".json", inputs=inputs)
    if timing_cache is not None:
        _check_timing_cache(timing_cache, [*inputs, output, sidecar])


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
    check_takes_files(cache.parent)
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
