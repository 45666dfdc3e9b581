"""The ONNX Runtime custom-op library: every input type, optional inputs, threads, error lines."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper
from ort_cases import (
    BATCH,
    BOUNDS,
    CPU,
    CROSS_ATTRIBUTES,
    EPSILON,
    FRAMES,
    INNER,
    JOINTS,
    RANK,
    SCAN_ATTRIBUTES,
    SHARED_EPSILON,
    STATE,
    Arrays,
    K,
    add_norm_expected,
    add_norm_inputs,
    conv_silu_expected,
    conv_silu_inputs,
    cross_expected,
    cross_inputs,
    gated_norm_expected,
    gated_norm_inputs,
    relative_error,
    scan_expected,
    scan_inputs,
    session,
)

from pmexport import custom_op_library


@pytest.mark.parametrize(("dtype", "bound"), BOUNDS)
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_cross_selective_scan(dtype: type, bound: float, threads: int) -> None:
    inputs = cross_inputs(dtype)
    (got,) = session("CrossSelectiveScan", inputs, CROSS_ATTRIBUTES, threads).run(None, inputs)
    assert got.dtype == dtype
    assert relative_error(got, cross_expected(inputs)) < bound


@pytest.mark.parametrize(("dtype", "bound"), BOUNDS)
@pytest.mark.parametrize(
    "absent", [(), ("z",), ("D", "delta_bias", "z"), ("D",), ("delta_bias",)], ids=str
)
def test_selective_scan(dtype: type, bound: float, absent: tuple[str, ...]) -> None:
    inputs = {n: a for n, a in scan_inputs(dtype).items() if n not in absent}
    (got,) = session("SelectiveScan", inputs, SCAN_ATTRIBUTES, absent=absent).run(None, inputs)
    assert got.dtype == dtype
    assert relative_error(got, scan_expected(inputs)) < bound


def test_one_session_serves_several_threads_and_lengths() -> None:
    lengths = [1, 2, 7, 27] * 4
    cases = {f: cross_inputs(frames=f) for f in set(lengths)}
    expected = {f: cross_expected(c) for f, c in cases.items()}
    run = session("CrossSelectiveScan", cases[1], CROSS_ATTRIBUTES)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda f: run.run(None, cases[f])[0], lengths))
    for frames, got in zip(lengths, results, strict=True):
        assert relative_error(got, expected[frames]) < dict(BOUNDS)[np.float32]


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("x_dbl", (BATCH, FRAMES, JOINTS, 7)),
        ("x_dbl", (BATCH, FRAMES + 1, JOINTS, K * (RANK + 2 * STATE))),
        ("dt_weight", (K, INNER, RANK + 1)),
        ("dt_bias", (K, INNER + 1)),
        ("A", (K, INNER, STATE + 1)),
        ("D", (K - 1, INNER)),
        ("x", (BATCH, FRAMES, JOINTS - 1, INNER)),
        ("x", (BATCH, FRAMES * JOINTS, INNER)),
    ],
)
def test_mismatched_inputs_are_refused_by_name(name: str, shape: tuple[int, ...]) -> None:
    inputs = cross_inputs()
    inputs[name] = np.zeros(shape, np.float32)
    with pytest.raises(Exception, match="posemamba::CrossSelectiveScan"):
        session("CrossSelectiveScan", inputs, CROSS_ATTRIBUTES).run(None, inputs)


@pytest.mark.parametrize(
    "change",
    [
        {"order": [0, 1, 0, 9]},
        {"reverse": [0, 1]},
        {"limb_mask": [0, 0, 0, 3]},
        {"limb_index": [0] * 16},
        {"limb_index": [99] * 17},
        {"d_state": 65},
        {"dt_rank": -1},
    ],
    ids=str,
)
def test_bad_attributes_are_refused(change: dict[str, object]) -> None:
    inputs = cross_inputs()
    with pytest.raises(Exception, match="posemamba::"):
        session("CrossSelectiveScan", inputs, CROSS_ATTRIBUTES | change).run(None, inputs)


def test_half_sums_may_be_float32_sums() -> None:
    """The CPU has none in float16: the bits are those without the attribute."""
    inputs = cross_inputs(np.float16)
    usual, zero, asked = (
        session("CrossSelectiveScan", inputs, CROSS_ATTRIBUTES | more).run(None, inputs)[0]
        for more in ({}, {"half_sums": 0}, {"half_sums": 1})
    )
    assert np.array_equal(usual, zero)
    assert np.array_equal(usual, asked)


@pytest.mark.parametrize(
    ("dtype", "value", "words"),
    [
        (np.float16, 2, "'half_sums' takes 0 or 1"),
        (np.float16, -1, "half_sums: attribute out of range"),
        (np.float32, 1, "'half_sums' is for float16 activations"),
    ],
)
def test_wrong_half_sums_are_refused(dtype: type, value: int, words: str) -> None:
    inputs = cross_inputs(dtype)
    with pytest.raises(Exception, match=words):
        session("CrossSelectiveScan", inputs, CROSS_ATTRIBUTES | {"half_sums": value})


@pytest.mark.parametrize(
    "change",
    [
        {"order": [], "reverse": [0, 0, 0, 0]},  # a count must not come from the next list
        {"order": [2**32, 1, 2**32, 1]},  # nor a value from its low bits
        {"limb_index": [2**33] + [0] * 16},
    ],
    ids=str,
)
def test_attributes_are_not_truncated(change: dict[str, object]) -> None:
    inputs = cross_inputs()
    with pytest.raises(Exception, match=r"no entries|out of range"):
        session("CrossSelectiveScan", inputs, CROSS_ATTRIBUTES | change).run(None, inputs)


@pytest.mark.parametrize("axis", [0, 1])
def test_no_clips_and_no_frames_give_an_empty_result(axis: int) -> None:
    """A camera that sees nobody makes a batch of none."""
    attributes: dict[str, object] = {"epsilon": EPSILON, "shared_epsilon": SHARED_EPSILON}
    cases: list[tuple[str, Arrays, dict[str, object], int]] = [
        ("CrossSelectiveScan", cross_inputs(), CROSS_ATTRIBUTES, 2),
        ("ConvSilu", conv_silu_inputs(np.float32, FRAMES), {}, 1),
        ("GatedNorm", gated_norm_inputs(np.float32), {"epsilon": EPSILON}, 2),
        ("AddNorm", add_norm_inputs(np.float32, True), attributes, 2),
    ]
    for op, inputs, given, activations in cases:
        for name in list(inputs)[:activations]:
            inputs[name] = np.take(inputs[name], [], axis)
        for got in session(op, inputs, given).run(None, inputs):
            assert got.shape[axis] == 0, op
    scan = scan_inputs()
    if axis == 0:
        scan |= {name: scan[name][:0] for name in ("u", "delta", "B", "C", "z")}
    else:
        scan |= {name: scan[name][..., :0] for name in ("u", "delta", "B", "C", "z")}
    (got,) = session("SelectiveScan", scan, SCAN_ATTRIBUTES).run(None, scan)
    assert got.shape == scan["u"].shape


def test_one_of_two_optional_inputs_is_refused() -> None:
    inputs = add_norm_inputs(np.float32, True)
    del inputs["shared_beta"]
    attributes: dict[str, object] = {"epsilon": EPSILON, "shared_epsilon": SHARED_EPSILON}
    with pytest.raises(Exception, match="come together"):
        session("AddNorm", inputs, attributes).run(None, inputs)


@pytest.mark.parametrize("op", ["CrossSelectiveScan", "ConvSilu"])
def test_an_input_of_unknown_shape_leaves_the_output_unknown(op: str) -> None:
    """ONNX Runtime folds ``Shape`` of what shape inference claims, right or wrong."""
    inputs = cross_inputs() if op == "CrossSelectiveScan" else conv_silu_inputs(np.float32, FRAMES)
    first = next(iter(inputs))
    infos = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, None if n == first else list(a.shape))
        for n, a in inputs.items()
    ]
    attributes = CROSS_ATTRIBUTES if op == "CrossSelectiveScan" else {}
    nodes = [
        helper.make_node(op, list(inputs), ["y"], domain="posemamba", **attributes),
        helper.make_node("Transpose", ["y"], ["t"], perm=[0, 3, 1, 2]),
        helper.make_node("Shape", ["t"], ["sizes"]),
    ]
    sizes = helper.make_tensor_value_info("sizes", TensorProto.INT64, [4])
    graph = helper.make_graph(nodes, "unranked", infos, [sizes])
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("posemamba", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    options = ort.SessionOptions()
    options.register_custom_ops_library(custom_op_library())
    run = ort.InferenceSession(model.SerializeToString(), options, providers=[CPU])
    batch, frames, joints = inputs[first].shape[:3]
    channels = inputs["x"].shape[3] if op == "CrossSelectiveScan" else len(inputs["bias"])
    assert run.run(None, inputs)[0].tolist() == [batch, channels, frames, joints]


@pytest.mark.parametrize(("dtype", "bound"), BOUNDS)
@pytest.mark.parametrize("frames", [1, 2, FRAMES])
def test_conv_silu(dtype: type, bound: float, frames: int) -> None:
    inputs = conv_silu_inputs(dtype, frames)
    (got,) = session("ConvSilu", inputs, {}).run(None, inputs)
    assert got.dtype == dtype
    assert relative_error(got, conv_silu_expected(inputs)) < bound


@pytest.mark.parametrize(("dtype", "bound"), BOUNDS)
def test_gated_norm(dtype: type, bound: float) -> None:
    inputs = gated_norm_inputs(dtype)
    (got,) = session("GatedNorm", inputs, {"epsilon": EPSILON}).run(None, inputs)
    assert got.dtype == dtype
    assert relative_error(got, gated_norm_expected(inputs)) < bound


@pytest.mark.parametrize(("dtype", "bound"), BOUNDS)
@pytest.mark.parametrize("shared", [False, True])
def test_add_norm(dtype: type, bound: float, shared: bool) -> None:
    inputs = add_norm_inputs(dtype, shared)
    attributes: dict[str, object] = {"epsilon": EPSILON, "shared_epsilon": SHARED_EPSILON}
    stream, out = session("AddNorm", inputs, attributes).run(None, inputs)
    want_stream, want_out = add_norm_expected(inputs)
    assert (stream.dtype, out.dtype) == (np.float32, dtype)
    assert relative_error(stream, want_stream) < BOUNDS[0][1]
    assert relative_error(out, want_out) < bound


def test_half_precision_covers_its_whole_range() -> None:
    """Every float16, subnormals and infinities too, through a convolution of weight one."""
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    every = every[~np.isnan(every)]
    xz = np.zeros((1, 1, 2 * len(every), 1), np.float16)  # a zero beside each: 0 * inf is no number
    xz[0, 0, ::2, 0] = every
    weight = np.zeros((9, 1), np.float32)
    weight[4] = 1.0  # the tap of the position itself
    inputs: Arrays = {"xz": xz, "weight": weight, "bias": np.zeros(1, np.float32)}
    (got,) = session("ConvSilu", inputs, {}).run(None, inputs)
    value = every.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        want = np.where(value == -np.inf, np.nan, value / (1.0 + np.exp(-value)))
        want_half = want.astype(np.float16)
    finite = np.isfinite(want_half)
    got = got[0, 0, ::2, 0]
    # One unit in the last place: the exponential is a float32's.
    spacing = np.maximum(np.abs(want_half[finite]).astype(np.float64) * 2.0**-10, 2.0**-24)
    apart = np.abs(got[finite].astype(np.float64) - want_half[finite].astype(np.float64))
    assert (apart <= spacing).all()
    assert np.array_equal(np.isposinf(got), np.isposinf(want_half))


@pytest.mark.parametrize(
    ("op", "make", "name", "shape"),
    [
        ("ConvSilu", conv_silu_inputs, "weight", (8, INNER)),
        ("ConvSilu", conv_silu_inputs, "bias", (3 * INNER,)),
        ("GatedNorm", gated_norm_inputs, "xz", (BATCH, FRAMES, JOINTS, INNER - 1)),
        ("GatedNorm", gated_norm_inputs, "gamma", (INNER + 1,)),
        ("AddNorm", add_norm_inputs, "branch", (BATCH, FRAMES, JOINTS, 1)),
        ("AddNorm", add_norm_inputs, "shared_beta", (1,)),
    ],
)
def test_block_operators_refuse_mismatched_inputs(
    op: str, make: Callable[[], Arrays], name: str, shape: tuple[int, ...]
) -> None:
    inputs = make()
    inputs[name] = np.zeros(shape, np.float32)
    norms: dict[str, object] = {"epsilon": EPSILON, "shared_epsilon": SHARED_EPSILON}
    with pytest.raises(Exception, match=f"posemamba::{op}"):
        session(op, inputs, {} if op == "ConvSilu" else norms).run(None, inputs)


def test_a_machine_without_cuda_can_load_the_library() -> None:
    """Nothing of CUDA is needed to load it: its runtime is inside and opens the driver later."""
    needed = subprocess.run(
        ["readelf", "-d", custom_op_library()], capture_output=True, text=True, check=True
    ).stdout
    assert "libc.so" in needed
    assert "cuda" not in needed.lower()
    assert "stdc++" not in needed


def test_sessions_that_come_and_go_do_not_unmap_it() -> None:
    """ONNX Runtime closes it with each session, and the C++ runtime inside would lose memory."""
    dynamic = subprocess.run(
        ["readelf", "-d", custom_op_library()], capture_output=True, text=True, check=True
    ).stdout
    assert "NODELETE" in dynamic
