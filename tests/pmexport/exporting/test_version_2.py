"""What only version 2 of the operators can do is exported as such; the rest stays version 1."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch

from pmexport import custom_op_library
from pmexport.exporting.export import export_onnx
from pmexport.format.file import open_model
from pmexport.format.options import ExportOptions, OpsMode
from pmexport.ops import translation_table
from pmexport.runtimes.base import RuntimeOptions
from pmexport.runtimes.registry import usable_runtime
from posemamba import PoseMamba, PoseMambaConfig
from posemamba.scan_order import own_scan_order

FRAMES = 5
TOUR = [0, 1, 2, 3, 2, 1, 0, 4, 5, 6, 5, 4, 0, 7, 8, 9, 10, 9, 8, 11, 12, 13]
FRAME, JOINT = {"order": "frame-major"}, {"order": "joint-major"}
#: Repeats, omissions, limb sums and resets, beside a direction that version 1 has.
OWN = own_scan_order(
    {
        "directions": [
            FRAME | {"visits": TOUR, "reset": True, "limbs": True},
            JOINT | {"visits": TOUR, "reset": True, "reversed": True},
            FRAME | {"reset": 4},
            JOINT,
        ]
    }
)


def network(order: str, d_state: int = 16) -> PoseMamba:
    torch.manual_seed(0)
    config = PoseMambaConfig(d_model=16, depth=1, frames=FRAMES, scan_order=order, d_state=d_state)
    made = PoseMamba(config).eval()
    for parameter in made.parameters():  # outputs of about 1
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.2)
    return made


def scans(path: Path) -> list[str]:
    """The plugin version of every scan, in order."""
    nodes = [node for node in onnx.load(path).graph.node if node.domain == "posemamba"]
    return [a.s.decode() for node in nodes for a in node.attribute if a.name == "plugin_version"]


@pytest.mark.parametrize(
    ("ops", "frames", "precision", "bound"),
    [
        ("fused", None, "fp32", 1e-4),
        ("fused", FRAMES, "fp16", 2e-2),  # of poses of about 1: ten roundings, as for forks
        ("generic", None, "fp32", 1e-4),
        ("standard", None, "fp32", 1e-4),
    ],
)
def test_an_own_walk(
    ops: OpsMode, frames: int | None, precision: str, bound: float, tmp_path: Path
) -> None:
    path, own = tmp_path / "m.onnx", network(OWN.name)
    options = ExportOptions(ops=ops, frames=frames, precision=precision)  # type: ignore[arg-type]
    export_onnx(own, path, options)
    run = usable_runtime("ort-cpu", RuntimeOptions(precision=options.precision)).load(
        open_model(path)
    )
    own.double().set_scan("reference")
    for length in {FRAMES, frames or 3}:
        keypoints = torch.randn(2, length, 17, 2, generator=torch.Generator().manual_seed(length))
        with torch.no_grad():
            want = own(keypoints.double()).numpy()
        assert np.abs(run(keypoints.numpy()) - want).max() < bound
    if ops == "fused":  # three walks in each of two blocks, the last of which version 1 has
        assert scans(path) == ["2", "2", "1"] * 2


def test_more_states_alone_make_a_table(tmp_path: Path) -> None:
    export_onnx(network("global-local", 65), tmp_path / "wide.onnx", ExportOptions(frames=FRAMES))
    export_onnx(network("global-local"), tmp_path / "usual.onnx", ExportOptions(frames=FRAMES))
    assert scans(tmp_path / "wide.onnx") == ["2", "2"]
    assert scans(tmp_path / "usual.onnx") == ["1", "1"]
    domains = {
        name: {o.domain: o.version for o in onnx.load(tmp_path / f"{name}.onnx").opset_import}
        for name in ("wide", "usual")
    }
    assert (domains["wide"]["posemamba"], domains["usual"]["posemamba"]) == (2, 1)


class Stream(torch.nn.Module):
    """A scan that hands its state on; without a gate, a skip weight or a bias."""

    def forward(
        self, u: torch.Tensor, delta: torch.Tensor, A: torch.Tensor, B: torch.Tensor,
        C: torch.Tensor, state: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
        made: tuple[torch.Tensor, torch.Tensor] = torch.ops.posemamba.selective_scan_v2(
            u, delta, A, B, C, None, None, None, state, True, [0]
        )
        return made


def test_a_stream_in_onnx_runtime_is_one_long_scan(tmp_path: Path) -> None:
    table = translation_table()
    generator = torch.Generator().manual_seed(0)
    rows, states, length = 8, 4, 30

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    A = -draw(rows, states).exp()
    u, delta = draw(1, rows, length), draw(1, rows, length)
    B, C = draw(1, 1, states, length), draw(1, 1, states, length)
    state = torch.zeros(1, rows, states)
    steps = torch.export.Dim("steps", min=2, max=64)
    moving = {2: steps}
    torch.onnx.export(
        Stream(),
        (u, delta, A, B, C, state),
        tmp_path / "stream.onnx",
        dynamo=True,
        dynamic_shapes=(moving, moving, None, {3: steps}, {3: steps}, None),
        custom_translation_table=table,
        verbose=False,
    )
    options = ort.SessionOptions()
    options.register_custom_ops_library(custom_op_library())
    run = ort.InferenceSession(tmp_path / "stream.onnx", options, ["CPUExecutionProvider"])
    names = [each.name for each in run.get_inputs()]

    def piece(cut: slice, start: np.ndarray) -> list[np.ndarray]:
        given = (u[..., cut], delta[..., cut], A, B[..., cut], C[..., cut])
        arrays = [np.ascontiguousarray(t.numpy()) for t in given]
        found: list[np.ndarray] = run.run(None, dict(zip(names, [*arrays, start], strict=True)))
        return found

    whole, end = piece(slice(None), state.numpy())
    first, middle = piece(slice(0, 11), state.numpy())
    second, last = piece(slice(11, None), middle)
    assert np.concatenate([first, second], axis=2).tobytes() == whole.tobytes()
    assert last.tobytes() == end.tobytes()
    expected = torch.ops.posemamba.selective_scan_v2(
        u, delta, A, B, C, None, None, None, state, True, [0]
    )
    np.testing.assert_array_equal(whole, expected[0].numpy())
