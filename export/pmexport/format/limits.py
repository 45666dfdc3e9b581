"""What an export or a build may be asked for: beyond it a request could only fail, or never return.

Every command refuses sizes with the words of this module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from pmexport.format.options import DEFAULT_OPSET, OPSETS, ExportOptions, OpsMode, Precision
from posemamba.errors import InputError
from posemamba.native.structs import SCAN_V2_SIZES
from posemamba.skeleton import NUM_JOINTS
from posemamba.text import plural

if TYPE_CHECKING:
    from posemamba.config import PoseMambaConfig

MAX_ELEMENTS = 2**31 - 1
"""TensorRT and the kernels count the elements of a tensor in 32 bits."""
MAX_BATCH = MAX_ELEMENTS // (NUM_JOINTS * 2)
"""Clips of one frame whose keypoints are that many; a network's own tensors allow fewer."""
#: Sizes of a network that the scan operators bound in either version, by ``--ops``: SelectiveScan
#: is given the projected dt. ONNX's own Scan bounds none.
_BOUND: dict[OpsMode, tuple[str, ...]] = {
    "fused": ("d_state", "dt_rank", "directions"),
    "generic": ("d_state", "directions"),
    "standard": (),
}
MAX_THREADS = 1024
"""More than any machine has cores for; a pool of 100,000 is never up."""


def check_options(options: ExportOptions, config: PoseMambaConfig) -> None:
    """Make sure a network can be exported with some options.

    Raises:
        InputError: it cannot.
    """
    check_sizes(config, options.batch, options.frames)
    check_opset(options.opset)
    for name, allowed in (("ops", OpsMode), ("precision", Precision)):
        value = getattr(options, name)
        if value not in get_args(allowed):
            raise InputError(f"--{name} {value!r}: use one of {', '.join(get_args(allowed))}")
    if options.keep and options.precision == "fp32":
        raise InputError("--keep: all of an fp32 model stays fp32: leave it out, or add --fp16")
    if options.precision == "fp16-sums" and options.ops != "fused":
        raise InputError(
            f"--precision fp16-sums: the scan of --ops {options.ops} has no such sums: leave --ops "
            "out, or use --precision fp16"
        )
    check_kernels(options.ops, config)


def check_opset(opset: int) -> None:
    """Make sure that networks are exported with an operator set.

    Raises:
        InputError: they are not.
    """
    if not _is_whole(opset) or opset not in OPSETS:
        raise InputError(
            f"--opset {opset!r}: use {OPSETS.start} to {OPSETS.stop - 1}; "
            f"{DEFAULT_OPSET} suits TensorRT 10 and ONNX Runtime 1.19 or later"
        )


def check_kernels(ops: OpsMode, config: PoseMambaConfig) -> None:
    """Make sure the scan kernels behind an operator take a network's sizes.

    Raises:
        InputError: they do not; the line names the size, the limit and what has no limits.
    """
    for size in _BOUND[ops]:
        owner = config.order if size == "directions" else config
        found, most = getattr(owner, size), SCAN_V2_SIZES[size]
        if most is not None and found > most:
            raise InputError(
                f"{size} is {found}, the kernels of --ops {ops} take at most {most}: use "
                "'pmexport onnx --ops standard', for ONNX Runtime alone"
            )


def check_sizes(config: PoseMambaConfig, batch: int | None, frames: int | None) -> None:
    """Make sure a network takes clips of a size, and the kernels can index all of its tensors.

    Args:
        batch, frames: None for any.

    Raises:
        InputError: it does not, or they cannot.
    """
    for name, size, allowed in (
        ("batch", batch, "at least 1"),
        ("frames", frames, f"1 to {config.frames}"),
    ):
        if size is not None and not (_is_whole(size) and size >= 1):
            raise InputError(f"--{name} {size!r}: use {allowed}, or dynamic")
    check_frames(frames, config.frames)
    check_elements(most_elements(config, batch, frames), batch or 1, frames or config.frames)


def most_elements(config: PoseMambaConfig, batch: int | None, frames: int | None) -> int:
    """Elements of the largest tensor between two nodes; sizes as :func:`check_sizes`."""
    return (batch or 1) * (frames or config.frames) * config.joints * _widest(config)


def check_frames(frames: int | None, most: int, shown: object = None) -> None:
    """Make sure a network takes clips of a length.

    Args:
        most: rows of its position embedding.
        shown: what a message calls the length, such as a range.

    Raises:
        InputError: it does not.
    """
    if frames is not None and frames > most:
        raise InputError(
            f"--frames {shown or frames}: this model's position embedding has "
            f"{plural(most, 'frame')}: use 1 to {most}"
        )


def check_elements(elements: int, batch: object, frames: object, tensor: str = "a tensor") -> None:
    """Make sure the kernels can index a tensor.

    Args:
        batch, frames: what it is that large at, a size or a range.
        tensor: how a message calls it.

    Raises:
        InputError: they cannot.
    """
    if elements > MAX_ELEMENTS:
        raise InputError(
            f"--batch {batch} with --frames {frames}: {tensor} would have {elements:,} elements, "
            f"the kernels index {MAX_ELEMENTS:,}: use a smaller --batch"
        )


def _widest(config: PoseMambaConfig) -> int:
    """Channels of the widest tensor: the scanned, all directions' ``x_proj``, or the MLP's."""
    projections = config.order.directions * (config.dt_rank + 2 * config.d_state)
    return max(config.d_inner, projections, config.mlp_ratio * config.d_model)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
