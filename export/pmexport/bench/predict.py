"""What a network would take on a GPU that is not here. A prediction, never a measurement.

A block is the scan and what is around it; a forward is its blocks, one after the other, in a CUDA
graph. Each part costs a constant number of clock cycles and, by the roofline,

* the scan: cycles for each step of the walk, and exponentials over 16 per cycle and multiprocessor;
* the rest: bytes over memory bandwidth or products over the tensor cores' rate, whichever is more.

The factors are fitted to :mod:`pmexport.bench.calibration`, least squares of relative errors, and
moved to another GPU by its clock, multiprocessors, bandwidth and tensor rate. What that cannot know
is in docs/guide/predictions.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from pmexport.bench.calibration import FORWARDS, KERNELS, OTHER_DEVICE
from pmexport.runtimes.base import Runnable
from posemamba.config import VARIANTS
from posemamba.errors import InputError
from posemamba.skeleton import NUM_JOINTS
from posemamba.text import plural, suggestion, table

FRAMES, DIRECTIONS, STATES, EXPAND = 243, 4, 16, 2
"""What every calibrated network has, but for the frames of the kernels' rows."""
COPY_SHARE = 0.83
"""Of a memory's bandwidth by its data sheet that a large copy reached on the H200."""
_EXPS = STATES + 2  # per step and channel: the decays, and softplus
_EXP_RATE = 16.0  # per cycle and multiprocessor, on every one of these GPUs


@dataclass(frozen=True)
class Device:
    """A GPU by its data sheet.

    Attributes:
        clock_ghz: boost clock of the mode named.
        bandwidth: GB/s by the data sheet.
        tensor: dense fp16 TFLOP/s with fp32 sums.
    """

    name: str
    multiprocessors: int
    clock_ghz: float
    bandwidth: float
    tensor: float


CALIBRATED = Device("H200", 132, 1.98, 4800, 989)
LEFT_OUT = Device("H100", 132, 1.98, 3350, 989)
DEVICES: dict[str, Device] = {
    "orin-agx": Device("Jetson AGX Orin 64 GB, MAXN", 16, 1.30, 204.8, 42.6),
    "orin-nano": Device("Jetson Orin Nano 8 GB, MAXN SUPER", 8, 1.02, 102.0, 16.7),
    "thor": Device("Jetson AGX Thor (T5000), MAXN", 20, 1.57, 273.0, 258.0),
    "rtx4090": Device("GeForce RTX 4090", 128, 2.52, 1008.0, 165.0),
}


@dataclass(frozen=True)
class Shape:
    """A launch: clips, frames and channels of the scan."""

    batch: int
    frames: int
    d_inner: int

    @property
    def positions(self) -> int:
        return self.batch * self.frames * NUM_JOINTS

    @property
    def rank(self) -> int:
        return -(-self.d_inner // (16 * EXPAND))


Features = Callable[[Shape, Device], list[float]]


def _scan(shape: Shape, device: Device) -> list[float]:
    cycle_us = 1e-3 / device.clock_ghz
    exps = shape.positions * DIRECTIONS * shape.d_inner * _EXPS
    return [
        cycle_us,
        shape.frames * NUM_JOINTS * cycle_us,
        exps / (_EXP_RATE * device.multiprocessors) * cycle_us,
    ]


def memory_us(bytes_: float, shape: Shape, device: Device) -> float:
    """Microseconds that so many bytes a position take at least."""
    return bytes_ * shape.positions / (COPY_SHARE * device.bandwidth * 1e3)


def _roofline(values: Callable[[Shape], float], products: Callable[[Shape], float]) -> Features:
    """Bytes and multiply-accumulates per position, as features."""

    def features(shape: Shape, device: Device) -> list[float]:
        bytes_us = memory_us(values(shape), shape, device)
        tensor_us = 2 * products(shape) * shape.positions / (device.tensor * 1e6)
        return [1e-3 / device.clock_ghz, max(bytes_us, tensor_us)]

    return features


def _tail_bytes(shape: Shape) -> float:
    return 20.0 * shape.d_inner


def _tail_products(shape: Shape) -> float:
    return 2.5 * shape.d_inner**2  # out_proj, both layers of the MLP, the next in_proj


def _conv_columns(shape: Shape) -> int:
    return DIRECTIONS * (shape.rank + 2 * STATES)


def _conv_bytes(shape: Shape) -> float:
    return 4.0 * shape.d_inner + 2.0 * _conv_columns(shape)


def _conv_products(shape: Shape) -> float:
    return float(shape.d_inner * _conv_columns(shape))


def around_bytes(kernel: str, shape: Shape) -> float:
    """Bytes of a position that ``tail`` or ``conv_proj`` reads and writes once each."""
    return {"tail": _tail_bytes, "conv_proj": _conv_bytes}[kernel](shape)


PARTS: dict[str, Features] = {
    "scan": _scan,
    "tail": _roofline(_tail_bytes, _tail_products),
    "conv_proj": _roofline(_conv_bytes, _conv_products),
    "composed rest": _roofline(
        lambda shape: _tail_bytes(shape) + _conv_bytes(shape),
        lambda shape: _tail_products(shape) + _conv_products(shape),
    ),
}
FLOWS: dict[str, tuple[str, ...]] = {
    "fused": ("scan", "tail", "conv_proj"),
    "composed": ("scan", "composed rest"),
}
"""Our fused kernels; and our scan between a framework's own products, as TensorRT runs it."""

Row = tuple[Shape, float]
Factors = npt.NDArray[np.float64]


@cache
def measured_rows(part: str) -> tuple[Row, ...]:
    """Shapes and microseconds that a part is calibrated on."""
    if part != "composed rest":
        return tuple(
            (Shape(batch, frames, width), us)
            for width, rows in KERNELS[part].items()
            for batch, frames, us in rows
        )
    scans = dict(measured_rows("scan"))
    found = []
    for variant, times in FORWARDS["composed"].items():
        depth, d_model = VARIANTS[variant]
        for batch, ms in times.items():
            shape = Shape(batch, FRAMES, EXPAND * d_model)
            found.append((shape, 1e3 * ms / (2 * depth) - scans[shape]))
    return tuple(found)


def fit(part: str, rows: Iterable[Row]) -> Factors:
    """Factors of a part's features that fit the rows, by relative error."""
    rows = list(rows)
    measured = np.array([us for _, us in rows])
    features = np.array([PARTS[part](shape, CALIBRATED) for shape, _ in rows])
    relative = features / measured[:, None]
    factors: Factors = np.linalg.lstsq(relative, np.ones(len(rows)), rcond=None)[0]
    return factors


@cache
def _factors(part: str) -> Factors:
    return fit(part, measured_rows(part))


def part_us(part: str, shape: Shape, device: Device, factors: Factors | None = None) -> float:
    """Microseconds of a part; ``factors`` others than those of all rows."""
    used = _factors(part) if factors is None else factors
    return float(np.dot(PARTS[part](shape, device), used))


def forward_ms(
    flow: str, shape: Shape, blocks: int, device: Device, left_out: Callable[[Shape], bool] | None
) -> float:
    """Milliseconds of a forward.

    Args:
        left_out: rows of the calibration to do without; None for none.
    """
    total = 0.0
    for part in FLOWS[flow]:
        factors = None
        if left_out is not None:
            factors = fit(part, [row for row in measured_rows(part) if not left_out(row[0])])
        total += part_us(part, shape, device, factors)
    return blocks * total / 1e3


@dataclass(frozen=True)
class LeftOut:
    """How far the model is off where it was not calibrated, shares of the measured time."""

    flow: str
    what: str
    errors: dict[str, float]

    @property
    def worst(self) -> float:
        return max(self.errors.values(), key=abs)

    @property
    def line(self) -> str:
        mean = sum(abs(error) for error in self.errors.values()) / len(self.errors)
        return (
            f"{self.flow}, {self.what}: off by {100 * mean:.0f} % on average, "
            f"{100 * self.worst:+.0f} % at worst ({len(self.errors)} forwards)"
        )


@cache
def left_out_errors() -> tuple[LeftOut, ...]:
    """The model against forwards it has not seen: each width and batch, then another device.

    A size's forwards are predicted from the rows of other widths alone, and of other batches; those
    of fused forwards are in no calibration at all. The other device is an H100 with the kernels of
    its day, so what they gained since is in that error.
    """
    found = []
    for flow in FLOWS:
        for what, key in (("its width left out", "d_inner"), ("its batch left out", "batch")):
            errors = {
                f"{variant} x{shape.batch}": forward_ms(
                    flow, shape, blocks, CALIBRATED,
                    _alike(shape, key),
                ) / ms - 1
                for variant, shape, blocks, ms in _forwards(FORWARDS[flow])
            }  # fmt: skip
            found.append(LeftOut(flow, what, errors))
    errors = {
        f"{variant} x{shape.batch}": forward_ms("fused", shape, blocks, LEFT_OUT, None) / ms - 1
        for variant, shape, blocks, ms in _forwards(OTHER_DEVICE)
    }
    return (*found, LeftOut("fused", f"another device ({LEFT_OUT.name}, older kernels)", errors))


def _alike(shape: Shape, key: str) -> Callable[[Shape], bool]:
    return lambda row: bool(getattr(row, key) == getattr(shape, key))


def _forwards(times: Mapping[str, Mapping[int, float]]) -> Iterable[tuple[str, Shape, int, float]]:
    for variant, by_batch in times.items():
        depth, d_model = VARIANTS[variant]
        for batch, ms in by_batch.items():
            yield variant, Shape(batch, FRAMES, EXPAND * d_model), 2 * depth, ms


@dataclass(frozen=True)
class Prediction:
    """What a network would take; ``kind`` says in every report that nobody measured it.

    Attributes:
        least_ms, most_ms: the time if the model is off by as much as on any forward left out.
        extrapolated: smaller or larger than everything calibrated.
    """

    kind: str
    device: str
    device_name: str
    flow: str
    batch: int
    frames: int
    ms: float
    least_ms: float
    most_ms: float
    frames_per_s: float
    extrapolated: bool


def predict(model: Runnable, device: str, batch: int, frames: int) -> list[Prediction]:
    """Both flows of a model's network in fp16 on a device.

    Raises:
        InputError: no such device, or a network of another kind than the calibrated ones.
    """
    if device not in DEVICES:
        raise InputError(
            f"--predict '{device}' is no known device{suggestion(device, list(DEVICES))}"
        )
    shape, blocks = _network(model, batch, frames)
    found = []
    for flow in FLOWS:
        ms = forward_ms(flow, shape, blocks, DEVICES[device], None)
        worst = max(abs(each.worst) for each in left_out_errors() if each.flow == flow)
        found.append(
            Prediction("prediction", device, DEVICES[device].name, flow, batch, frames, ms,
                       ms / (1 + worst), ms * (1 + worst), 1e3 * batch * frames / ms,
                       not _calibrated(shape))
        )  # fmt: skip
    return found


def _calibrated(shape: Shape) -> bool:
    rows = [row for part in PARTS for row, _ in measured_rows(part)]
    return all(
        min(getattr(row, key) for row in rows) <= getattr(shape, key)
        <= max(getattr(row, key) for row in rows)
        for key in ("batch", "frames", "d_inner")
    )  # fmt: skip


def _network(model: Runnable, batch: int, frames: int) -> tuple[Shape, int]:
    config = model.metadata.get("config")
    if not config:
        raise InputError(
            f"'{model.path}' does not say its network's size: export it with 'pmexport onnx'"
        )
    kind = (config["d_state"], config["expand"], config["joints"])
    if kind != (STATES, EXPAND, NUM_JOINTS):
        raise InputError(
            f"'{model.path}' has {plural(kind[0], 'state')}, expand {kind[1]} and "
            f"{plural(kind[2], 'joint')}: "
            f"predictions know {STATES}, {EXPAND} and {NUM_JOINTS}; measure it instead"
        )
    return Shape(batch, frames, EXPAND * config["d_model"]), 2 * config["depth"]


def prediction_lines(predictions: list[Prediction]) -> list[str]:
    """A table that says what it is, and how far the model was off elsewhere."""
    rows = [
        (f"{each.device}, {each.flow}", f"{each.ms:.2f}",
         f"{each.least_ms:.2f} to {each.most_ms:.2f}", f"{each.frames_per_s:,.0f}")
        for each in predictions
    ]  # fmt: skip
    names = {each.device: each.device_name for each in predictions}
    first = predictions[0]
    return [
        f"PREDICTION, not measured: fp16, {plural(first.batch, 'clip')} of "
        f"{plural(first.frames, 'frame')}, in a CUDA graph",
        table(("predicted for", "ms", "if as far off", "frames/s"), rows),
        *(f"  {device}: {name}" for device, name in names.items()),
        "  fused: our kernels; composed: our scan between the framework's products, as TensorRT",
        "  Left out of the calibration (one H200), the model was off by:",
        *(f"    {each.line}" for each in left_out_errors()),
        *["  This network is smaller or larger than all calibrated ones: trust it less"]
        * first.extrapolated,
        "  No device of the kind predicted was ever measured: measure before you promise",
    ]


def to_dict(predictions: list[Prediction]) -> dict[str, Any]:
    """For ``--json``."""
    return {
        "schema": 1,
        "kind": "prediction",
        "predictions": [asdict(each) for each in predictions],
        "left_out": [asdict(each) for each in left_out_errors()],
    }
