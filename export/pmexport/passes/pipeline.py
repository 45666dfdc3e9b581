"""The order of the passes: from a traced graph to an exported one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from onnxscript import ir

from pmexport.format.options import ExportOptions
from pmexport.passes.clean import Dimensions, clean, complete_types
from pmexport.passes.fp16 import to_fp16
from pmexport.passes.graph import prune
from pmexport.passes.half_sums import ask_half_sums
from pmexport.passes.lower_cross_scan import lower_cross_scans
from pmexport.passes.lower_indexed_scan import lower_indexed_scans
from pmexport.passes.lower_scan import lower_scans

Pass = Callable[[ir.Model], None]
_CLIP: Dimensions = {0: {0: "batch", 1: "frames"}}  # of keypoints_2d


def export_stages(
    options: ExportOptions, dimensions: Dimensions = _CLIP
) -> Iterator[tuple[str, list[Pass]]]:
    """Stages by name, each a list of passes that change a graph in place.

    Args:
        dimensions: names of the inputs' dynamic axes.
    """
    lowered: list[Pass] = []
    if options.ops != "fused":
        lowered += [lower_indexed_scans, lower_cross_scans]
    if options.ops == "standard":
        lowered.append(lower_scans)
    yield "clean", [partial(clean, dimensions=dimensions), *lowered, prune, complete_types]
    if options.precision != "fp32":
        sums: list[Pass] = [ask_half_sums] if options.precision == "fp16-sums" else []
        yield options.precision, [partial(to_fp16, keep=options.keep), *sums]
