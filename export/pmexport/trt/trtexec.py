"""The command of TensorRT's own tool that builds the same engine."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence

from pmexport.format.names import INPUT_NAME
from pmexport.trt.backends import Backend
from pmexport.trt.options import HARDWARE_LEVELS, Options
from pmexport.trt.profiles import Profile
from pmexport.trt.targets import architecture_number


def trtexec_line(
    backend: Backend,
    onnx: str | os.PathLike[str],
    engine: str | os.PathLike[str],
    plugin: str,
    targets: Sequence[str],
    profiles: Sequence[Profile],
    joints: int,
    options: Options,
    channels: int = 2,
) -> str:
    """One line for a shell, with the settings ``pmexport trt`` gives the builder."""
    words = [
        backend.tool,
        f"--onnx={onnx}",
        f"--saveEngine={engine}",
        f"--staticPlugins={plugin}",
        *_shapes(profiles, joints, channels),
        *(() if options.tf32 else ("--noTF32",)),
        "--profilingVerbosity=detailed",
        "--skipInference",
    ]
    if backend.cross_builds:
        numbers = ",".join(str(architecture_number(target)) for target in targets)
        words.append(f"--computeCapabilities={numbers}")
    else:
        words.append("--stronglyTyped")  # from TensorRT 11 on it changes nothing
    if options.workspace is not None:
        words.append(f"--memPoolSize=workspace:{options.workspace}B")
    if options.optimization_level is not None:
        words.append(f"--builderOptimizationLevel={options.optimization_level}")
    if options.hardware_compat is not None:
        words.append(f"--hardwareCompatibilityLevel={HARDWARE_LEVELS[options.hardware_compat][1]}")
    if options.version_compat:
        words.append("--versionCompatible")
    if options.strip_weights:
        words += ["--stripWeights", "--refit"]
    if options.timing_cache is not None:
        words.append(f"--timingCacheFile={options.timing_cache}")
    return shlex.join(words)


def load_line(backend: Backend, engine: str | os.PathLike[str], plugin: str) -> str:
    """The command that opens and times an engine where its GPU is."""
    return shlex.join([backend.tool, f"--loadEngine={engine}", f"--staticPlugins={plugin}"])


def _shapes(profiles: Sequence[Profile], joints: int, channels: int) -> list[str]:
    words = []
    for index, profile in enumerate(profiles):
        if len(profiles) > 1:
            words.append(f"--profile={index}")
        for which in ("min", "opt", "max"):
            shape = "x".join(str(size) for size in profile.shape(which, joints, channels))
            words.append(f"--{which}Shapes={INPUT_NAME}:{shape}")
    return words
