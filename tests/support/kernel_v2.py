"""Problems of version 2 of both operators, their sequential oracles, their launches on a CPU."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import kernel_cases as cases
import kernel_oracle as oracle
import numpy as np
from kernel_api import H36M_LIMB, OK, Guarded, ScanCase, scan_params
from kernel_oracle import softplus, step_positions

from posemamba.native.structs import IndexedScanParams, StatefulScanParams
from posemamba.scan_order import SCAN_ORDERS

_RNG = np.random.default_rng(7)


@dataclass
class IndexedCase:
    """One CrossSelectiveScan of version 2."""

    x: np.ndarray  # [batch, positions, d_inner]
    x_dbl: np.ndarray  # [batch, positions, directions * (dt_rank + 2 * d_state)]
    dt_weight: np.ndarray  # [directions, d_inner, dt_rank]
    dt_bias: np.ndarray  # [directions, d_inner]
    A: np.ndarray  # [directions, d_inner, d_state]
    D: np.ndarray  # [directions, d_inner]
    scan_index: np.ndarray  # int32 [directions, steps]
    neighbour_index: np.ndarray | None = None  # int32 [directions, steps]
    reset_length: np.ndarray | None = None  # int32 [directions]


def order_tables(name: str, frames: int, joints: int = 17) -> dict[str, np.ndarray | None]:
    """The tables of one of our scan orders; a fork's joints in their order too."""
    order = SCAN_ORDERS[name]
    visited = np.arange(joints) if order.joints is None else np.asarray(order.joints)
    scan, limbs = [], []
    rows = zip(order.order, order.reverse, order.limb_mask, strict=True)
    for code, reverse, masked in rows:
        at = step_positions(frames, joints, code, reverse)
        frame, place = at // joints, at % joints
        scan.append(frame * joints + visited[place])
        neighbour = frame * joints + np.asarray(H36M_LIMB)[visited[place]]
        limbs.append(neighbour if masked else np.full_like(at, -1))
    table = np.array(limbs, np.int32)
    return {
        "scan_index": np.array(scan, np.int32),
        "neighbour_index": table if any(order.limb_mask) else None,
    }


#: A walk round the body that goes back through the joints it came by, and leaves three out.
TOUR = (0, 1, 2, 3, 2, 1, 0, 4, 5, 6, 5, 4, 0, 7, 8, 9, 10, 9, 8, 11, 12, 13)


def tour_tables(frames: int, *, idle: bool = False) -> dict[str, np.ndarray | None]:
    """Repeats and omissions: the tour in every frame, there and back, perhaps with idle steps."""
    there = (np.arange(frames)[:, None] * 17 + np.asarray(TOUR)).reshape(-1)
    back = there[::-1].copy()
    if idle:
        back[-5:] = back[3] = -1
    return {"scan_index": np.stack([there, back]).astype(np.int32)}


def indexed_case(
    seed: int = 0,
    *,
    tables: dict[str, np.ndarray | None] | None = None,
    batch: int = 1,
    positions: int = 9 * 17,
    d_inner: int = 40,
    d_state: int = 16,
    dt_rank: int = 8,
    dtype: str = "float32",
    reset: tuple[int, ...] | None = None,
) -> IndexedCase:
    """A contiguous problem; ``tables`` default to the tour with idle steps."""
    tables = tour_tables(9, idle=True) if tables is None else tables
    directions = tables["scan_index"].shape[0]
    grid = cases.cross_scan_case(
        seed,
        batch=batch,
        frames=positions,
        joints=1,
        d_inner=d_inner,
        d_state=d_state,
        dt_rank=dt_rank,
        dtype=dtype,
        dt_scale=0.3 if dt_rank < 64 else 0.05,
        order=(0,) * directions,
        reverse=(0,) * directions,
        limb_mask=(0,) * directions,
    )
    return IndexedCase(
        x=grid.x[:, :, 0],
        x_dbl=grid.x_dbl[:, :, 0],
        **{name: getattr(grid, name) for name in ("dt_weight", "dt_bias", "A", "D")},
        **tables,
        reset_length=None if reset is None else np.array(reset, np.int32),
    )


def indexed_scan(case: IndexedCase, dtype: type = np.float64) -> np.ndarray:
    """y [batch, positions, d_inner], step by step from the specification, in ``dtype``."""
    x, x_dbl = case.x.astype(dtype), case.x_dbl.astype(dtype)
    directions, _, rank = case.dt_weight.shape
    state = case.A.shape[2]
    width = rank + 2 * state
    y = np.zeros_like(x)
    for k in range(directions):
        reset = 0 if case.reset_length is None else case.reset_length[k]
        h = np.zeros((x.shape[0], x.shape[2], state), dtype)
        for s, p in enumerate(case.scan_index[k]):
            if reset and s % reset == 0:
                h[:] = 0
            if p < 0:
                continue
            u, row = x[:, p], x_dbl[:, p, k * width : (k + 1) * width]
            limb = -1 if case.neighbour_index is None else case.neighbour_index[k, s]
            if limb >= 0:
                u = u + x[:, limb]
                row = row + x_dbl[:, limb, k * width : (k + 1) * width]
            raw, B, C = np.split(row, [rank, rank + state], axis=1)
            dt = softplus(raw @ case.dt_weight[k].astype(dtype).T + case.dt_bias[k].astype(dtype))
            h = np.exp(dt[..., None] * case.A[k].astype(dtype)) * h
            h += (dt * u)[..., None] * B[:, None]
            y[:, p] += (h @ C[..., None])[..., 0] + case.D[k].astype(dtype) * u
    return y


def indexed_params(case: IndexedCase) -> IndexedScanParams:
    """Parameters of a case, all but y."""
    p = IndexedScanParams()
    for name in vars(case):
        array = getattr(case, name)
        if array is not None:
            assert array.flags.c_contiguous, name
            setattr(p, name, array.ctypes.data)
    p.batch, p.positions, p.d_inner = case.x.shape
    p.directions, p.steps = case.scan_index.shape
    p.x_stride = p.y_stride = p.d_inner
    p.x_dbl_stride = case.x_dbl.shape[2]
    p.d_state, p.dt_rank = case.A.shape[2], case.dt_weight.shape[2]
    p.dtype = {"float32": 0, "float16": 1}[case.x.dtype.name]
    return p


def run_indexed(
    lib: ctypes.CDLL, case: IndexedCase, *, threads: int = 1, misalign: int = 0
) -> np.ndarray:
    """y [batch, positions, d_inner] through the C API, with all guards checked."""
    p = indexed_params(case)
    y = Guarded(case.x.nbytes, misalign)
    p.y = y.pointer
    _launch(lib, "indexed_scan", p, threads, misalign)
    y.check("y")
    return y.bytes.view(case.x.dtype).reshape(case.x.shape).copy()


def run_stateful(
    lib: ctypes.CDLL,
    case: ScanCase,
    initial_state: np.ndarray | None = None,
    *,
    threads: int = 1,
    want_state: bool = True,
) -> tuple[np.ndarray, np.ndarray | None]:
    """y [batch, groups * channels, length] and the state after it, guards checked."""
    p = StatefulScanParams(scan=scan_params(case))
    y = Guarded(case.u.nbytes, case.u.itemsize)
    p.scan.y = y.pointer
    shape = (case.u.shape[0], *case.A.shape)
    state = Guarded(int(np.prod(shape)) * 4, 4)
    p.initial_state = None if initial_state is None else initial_state.ctypes.data
    p.final_state = state.pointer if want_state else None
    _launch(lib, "stateful_scan", p, threads, 0)
    y.check("y")
    state.check("final_state")
    result = y.bytes.view(case.u.dtype).reshape(case.u.shape).copy()
    return result, state.bytes.view(np.float32).reshape(shape).copy() if want_state else None


def _launch(
    lib: ctypes.CDLL, name: str, params: ctypes.Structure, threads: int, misalign: int
) -> None:
    size_of, launch = getattr(lib, f"pm_cpu_{name}_workspace"), getattr(lib, f"pm_cpu_{name}")
    size_of.restype = ctypes.c_size_t
    size = size_of(ctypes.byref(params), threads)
    assert size > 0
    workspace = Guarded(size, misalign)
    parallel = lib.pm_cpu_pool(threads) if threads > 1 else None
    status = launch(ctypes.byref(params), ctypes.c_void_p(workspace.pointer), parallel)
    assert status == OK, lib.pm_status_string(status).decode()
    workspace.check("the workspace")


def stateful_scan(
    case: ScanCase, initial_state: np.ndarray | None, dtype: type = np.float64
) -> tuple[np.ndarray, np.ndarray]:
    """y and the state after it, step by step from the specification, in ``dtype``."""
    groups, channels = case.B.shape[1], case.u.shape[1] // case.B.shape[1]
    u, dt = case.u.astype(dtype), case.delta.astype(dtype)
    if case.delta_bias is not None:
        dt = dt + case.delta_bias.astype(dtype)[:, None]
    dt = oracle.softplus(dt) if case.delta_softplus else dt
    h = np.zeros((u.shape[0], *case.A.shape), dtype)
    h = h if initial_state is None else initial_state.astype(dtype)
    y = np.empty_like(u)
    A, B, C = (t.astype(dtype) for t in (case.A, case.B, case.C))
    length = u.shape[2]
    for g in range(groups):
        of = slice(g * channels, (g + 1) * channels)
        for t in range(length)[:: -1 if case.reverse[g] else 1]:
            decayed = np.exp(dt[:, of, t, None] * A[of]) * h[:, of]
            h[:, of] = decayed + (dt[:, of, t] * u[:, of, t])[..., None] * B[:, g, None, :, t]
            y[:, of, t] = (h[:, of] @ C[:, g, :, t, None])[..., 0]
    y = y if case.D is None else y + case.D.astype(dtype)[:, None] * u
    if case.z is not None:
        z = case.z.astype(dtype)
        y = y * z / (1 + np.exp(-z))
    return y, h


def piece_of(case: ScanCase, begin: int, end: int) -> ScanCase:
    """The steps ``begin`` to ``end`` of a scan that runs forwards."""
    cut = {name: np.ascontiguousarray(getattr(case, name)[..., begin:end])
           for name in ("u", "delta", "B", "C")}  # fmt: skip
    z = None if case.z is None else np.ascontiguousarray(case.z[..., begin:end])
    rest = {name: getattr(case, name)
            for name in ("A", "D", "delta_bias", "delta_softplus", "reverse")}  # fmt: skip
    return ScanCase(**cut, z=z, **rest)


def anywhere(directions: int, steps: int, positions: int) -> dict[str, np.ndarray | None]:
    """Any positions in any order, limb neighbours and idle steps among them."""
    tables = _RNG.integers(-1, positions, (2, directions, steps)).astype(np.int32)
    return {"scan_index": tables[0], "neighbour_index": tables[1]}


#: What every kernel of the operator is tried with; arguments of :func:`indexed_case`.
CROSS_ROWS: dict[str, dict[str, object]] = {
    "base": {},
    "v3": {"tables": order_tables("bidirectional", 9)},
    "v31d": {"tables": order_tables("v31d", 9)},
    "breadth first": {"tables": order_tables("bfs", 9)},
    "the paper's": {"tables": order_tables("global-local", 9)},
    "tour": {"tables": tour_tables(9)},
    "reset by frame": {"reset": (len(TOUR),) * 2},
    "reset inside a tile": {"reset": (5, 0)},
    "anywhere": {"tables": anywhere(3, 200, 153)},
    "one position": {"tables": {"scan_index": np.zeros((2, 70), np.int32)}, "positions": 1},
    "eight directions": {"tables": anywhere(8, 40, 153), "reset": (0, 1, 2, 3, 31, 32, 33, 7)},
    "joints beyond 64": {"tables": anywhere(2, 300, 3 * 133), "positions": 3 * 133},
    "batch=3": {"batch": 3},
    "d_inner=1": {"d_inner": 1},
    "d_inner=37": {"d_inner": 37},
    "d_state=1": {"d_state": 1},
    "d_state=65": {"d_state": 65},
    "d_state=128": {"d_state": 128},
}

#: What chunks have to carry, or to forget; arguments of :func:`indexed_case`. 198 or 200 steps.
CHUNK_ROWS: dict[str, dict[str, object]] = {
    "base": {},
    "anywhere": {"tables": anywhere(3, 200, 153)},
    "reset by frame": {"reset": (len(TOUR),) * 2},
    "a reset or none in a chunk": {"reset": (150, 70)},
    "reset at each step": {"reset": (1, 2)},
}


def unvisited_case(d_inner: int) -> IndexedCase:
    """Position 0, which idle steps read in vain and no step visits, is NaN."""
    case = indexed_case(d_inner=d_inner)
    case.scan_index[case.scan_index == 0] = -1
    case.x[:, 0] = case.x_dbl[:, 0] = np.nan
    case.neighbour_index = np.where(case.scan_index == 3, 4, -1).astype(np.int32)
    return case


def widened(array: np.ndarray, before: int) -> np.ndarray:
    """Rows of NaN, wider by five elements, with the array's from the element ``before`` on."""
    whole = np.full((*array.shape[:2], array.shape[2] + 5), np.nan, array.dtype)
    whole[..., before : before + array.shape[2]] = array
    return whole
