"""``check --bisect``: from a check that was run to the module where two runtimes part."""

from __future__ import annotations

from collections.abc import Callable

from pmexport.check.bisect import LIMITS, BisectReport, Side, bisect
from pmexport.check.observe import torch_points
from pmexport.check.points import values_of
from pmexport.check.run import CheckOutcome
from pmexport.check.sides import OrtSide, TorchSide
from pmexport.format.file import ModelFile
from posemamba.checkpoint.read import load_checkpoint
from posemamba.errors import InputError

_MAPPED = 0.9
"""Share of PyTorch's modules that a graph must have; files of other tools have none."""


def diagnose(
    outcome: CheckOutcome, progress: Callable[[int, int], None] = lambda done, of: None
) -> BisectReport:
    """Look into the worst clip of a check.

    Args:
        outcome: of a request with ``bisect``.
        progress: told how many points are compared, of how many.

    Raises:
        InputError: the model's nodes have no names of modules.
    """
    model, request, report = outcome.model, outcome.request, outcome.report
    assert isinstance(model, ModelFile)
    assert request.checkpoint is not None
    network = load_checkpoint(
        request.checkpoint, scan_order=outcome.scan_order, weights=outcome.weights
    )
    case = outcome.worst_case()
    assert report.baseline is not None
    scan = report.baseline.scan
    points = torch_points(network.set_scan("reference" if scan == "reference" else "fused"),
                          case.keypoints_2d)  # fmt: skip
    values = values_of(points, model.nodes)
    if len(values) < _MAPPED * len(points):
        raise InputError(
            f"--bisect: the nodes of '{model.path}' are not named after PyTorch's modules "
            f"({len(values)} of {len(points)} found): another tool rewrote it; export it again "
            "with 'pmexport onnx'"
        )
    sides: list[Side] = [TorchSide("PyTorch", network, scan, request.threads)]
    for name in report.runtimes:
        if name == "torch":
            sides.append(TorchSide(name, network, "reference", request.threads))
        else:
            sides.append(OrtSide(name, model, values, outcome.lifts[name], request.threads))
    shapes = {point: points[point] for point in points if point in values}
    return bisect(sides, case, shapes, LIMITS[model.precision], progress)
