"""The C API's contract: statuses, workspace, symbols, pool, instruction sets."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import kernel_api
import kernel_cases as cases
import numpy as np
import pytest
from kernel_api import (
    BAD_DTYPE,
    BAD_ORDER,
    BAD_SHAPE,
    BAD_STRIDE,
    NULL_POINTER,
    OK,
    UNSUPPORTED,
    CrossScanParams,
    ScanParams,
)
from places import ROOT

from posemamba.native.library import ABI_VERSION

INT64_MAX = 2**63 - 1

CROSS_SCAN_MISTAKES = [
    *[(name, None, NULL_POINTER) for name in ("x", "x_dbl", "dt_weight", "dt_bias", "A", "D", "y")],
    *[(name, 0, BAD_SHAPE) for name in ("batch", "frames", "joints", "d_inner", "d_state")],
    *[(name, -1, BAD_SHAPE) for name in ("batch", "frames", "joints", "d_inner", "d_state")],
    ("dt_rank", 0, BAD_SHAPE),
    ("directions", 0, BAD_SHAPE),
    ("joints", 65, BAD_SHAPE),
    ("d_state", 65, BAD_SHAPE),
    ("dt_rank", 129, BAD_SHAPE),
    ("directions", 9, BAD_SHAPE),
    ("batch", INT64_MAX // 4, BAD_SHAPE),  # sizes whose product overflows
    ("frames", INT64_MAX // 4, BAD_SHAPE),
    ("x_stride", INT64_MAX // 4, BAD_SHAPE),
    ("x_stride", 39, BAD_STRIDE),
    ("y_stride", 39, BAD_STRIDE),
    ("x_dbl_stride", 4 * 40 - 1, BAD_STRIDE),
    ("x_stride", -40, BAD_STRIDE),
    ("dtype", 2, BAD_DTYPE),
    ("dtype", -1, BAD_DTYPE),
    ("half_sums", 1, BAD_DTYPE),  # of a float32 case
    ("half_sums", 2, BAD_ORDER),
    ("half_sums", -1, BAD_ORDER),
    (("order", 3), 4, BAD_ORDER),
    (("order", 0), -1, BAD_ORDER),
    (("reverse", 1), 2, BAD_ORDER),
    (("limb_mask", 2), -1, BAD_ORDER),
    (("limb_index", 16), 17, BAD_ORDER),
    (("limb_index", 0), -1, BAD_ORDER),
]

SCAN_MISTAKES = [
    *[(name, None, NULL_POINTER) for name in ("u", "delta", "A", "B", "C", "y")],
    *[(name, 0, BAD_SHAPE) for name in ("batch", "length", "groups", "channels", "d_state")],
    ("length", -1, BAD_SHAPE),
    ("d_state", 65, BAD_SHAPE),
    ("groups", 9, BAD_SHAPE),
    ("length", INT64_MAX // 4, BAD_SHAPE),
    ("delta_softplus", 2, BAD_ORDER),
    (("reverse", 1), 2, BAD_ORDER),
    ("dtype", 7, BAD_DTYPE),
]


def spoil(params: ctypes.Structure, field: str | tuple[str, int], value: int | None) -> None:
    if isinstance(field, tuple):
        getattr(params, field[0])[field[1]] = value
    else:
        setattr(params, field, value)


@pytest.mark.parametrize(("field", "value", "status"), CROSS_SCAN_MISTAKES, ids=str)
def test_cross_scan_refuses(
    lib: ctypes.CDLL, field: str | tuple[str, int], value: int | None, status: int
) -> None:
    case = cases.cross_scan_case()
    p = kernel_api.cross_scan_params(case)
    y = np.zeros_like(case.x)
    p.y = y.ctypes.data
    workspace = np.zeros(lib.pm_cpu_cross_scan_workspace(ctypes.byref(p), 1), np.uint8)
    spoil(p, field, value)
    assert lib.pm_cpu_cross_scan(ctypes.byref(p), workspace.ctypes.data, None) == status
    assert not y.any(), "wrote y although it refused"
    size = lib.pm_cpu_cross_scan_workspace(ctypes.byref(p), 1)
    # A workspace may be asked for before the tensors exist.
    assert (size > 0) == (status == NULL_POINTER)


@pytest.mark.parametrize(("field", "value", "status"), SCAN_MISTAKES, ids=str)
def test_scan_refuses(
    lib: ctypes.CDLL, field: str | tuple[str, int], value: int | None, status: int
) -> None:
    case = cases.scan_case()
    p = kernel_api.scan_params(case)
    y = np.zeros_like(case.u)
    p.y = y.ctypes.data
    workspace = np.zeros(64, np.uint8)
    spoil(p, field, value)
    assert lib.pm_cpu_scan(ctypes.byref(p), workspace.ctypes.data, None) == status
    assert not y.any(), "wrote y although it refused"
    size = lib.pm_cpu_scan_workspace(ctypes.byref(p), 1)
    assert (size > 0) == (status == NULL_POINTER)


def test_null_params_and_workspace(lib: ctypes.CDLL) -> None:
    case, plain = cases.cross_scan_case(), cases.scan_case()
    y = np.zeros_like(case.x)
    p, q = kernel_api.cross_scan_params(case), kernel_api.scan_params(plain)
    p.y = q.y = y.ctypes.data
    for launch, workspace, params in (
        (lib.pm_cpu_cross_scan, lib.pm_cpu_cross_scan_workspace, p),
        (lib.pm_cpu_scan, lib.pm_cpu_scan_workspace, q),
    ):
        assert launch(None, y.ctypes.data, None) == NULL_POINTER
        assert workspace(None, 1) == 0
        assert launch(ctypes.byref(params), None, None) == NULL_POINTER


def test_limb_indices_are_read_only_where_used(lib: ctypes.CDLL) -> None:
    case = cases.cross_scan_case(limb_mask=(0, 0, 0, 0))
    want = kernel_api.run_cross_scan(lib, case)
    case.limb_index = (99,) * 17
    assert kernel_api.run_cross_scan(lib, case).tobytes() == want.tobytes()


def test_names(lib: ctypes.CDLL) -> None:
    assert lib.pm_abi_version() == ABI_VERSION
    texts = [lib.pm_status_string(status).decode() for status in range(9)]
    assert len(set(texts)) == 9
    assert texts[OK] == "ok"
    assert texts[8] == "unknown status"
    assert all("\n" not in text and text for text in texts)


def test_instruction_sets(lib: ctypes.CDLL) -> None:
    assert lib.pm_cpu_set_isa(b"altivec") == UNSUPPORTED
    names = kernel_api.available_isas(lib)
    assert "baseline" in names or "neon" in names
    assert lib.pm_cpu_isa().decode() == names[0], "the automatic choice is the widest"
    flags = Path("/proc/cpuinfo").read_text()
    if "avx512vl" in flags:
        assert names[0] == "avx512"
    elif "avx2" in flags and "fma" in flags:
        assert names[0] == "avx2"


def test_workspace_grows_with_threads_only(lib: ctypes.CDLL) -> None:
    """A workspace for n threads is enough for fewer, so a host may ask once."""
    for batch, d_inner in ((1, 8), (1, 256), (3, 40), (64, 128)):
        p = kernel_api.cross_scan_params(cases.cross_scan_case(batch=batch, d_inner=d_inner))
        sizes = [lib.pm_cpu_cross_scan_workspace(ctypes.byref(p), n) for n in range(1, 70)]
        assert sizes == sorted(sizes)
        assert lib.pm_cpu_cross_scan_workspace(ctypes.byref(p), 0) == sizes[0]


def test_only_the_api_is_exported() -> None:
    nm = shutil.which("nm")
    assert nm is not None, "binutils are needed to build the library, so nm is here"
    listing = subprocess.run(
        [nm, "-D", "--defined-only", str(kernel_api.library_path())],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    names = [line.split()[-1] for line in listing.splitlines()]
    assert names
    assert [name for name in names if not name.startswith("pm_")] == []


@pytest.mark.parametrize("tasks", [1, 2, 7, 1000])
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_pool_runs_every_task_once(lib: ctypes.CDLL, threads: int, tasks: int) -> None:
    pool = lib.pm_cpu_pool(threads).contents
    assert pool.threads == threads
    counts = [0] * tasks

    def task(_arg: int | None, index: int) -> None:
        counts[index] += 1

    pool.run(pool.context, tasks, kernel_api.Task(task), None)
    assert counts == [1] * tasks


def test_pool_takes_concurrent_and_nested_callers(lib: ctypes.CDLL) -> None:
    case = cases.cross_scan_case()
    want = kernel_api.run_cross_scan(lib, case).tobytes()
    results: list[bytes] = []

    def call() -> None:
        results.extend(kernel_api.run_cross_scan(lib, case, threads=3).tobytes() for _ in range(20))

    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert results == [want] * 80
    pool = lib.pm_cpu_pool(2).contents
    nested: list[bytes] = []

    def task(_arg: int | None, _index: int) -> None:
        nested.append(kernel_api.run_cross_scan(lib, case, threads=2).tobytes())

    pool.run(pool.context, 4, kernel_api.Task(task), None)
    assert nested == [want] * 4


def test_pool_survives_fork(lib: ctypes.CDLL) -> None:
    case = cases.cross_scan_case()
    want = kernel_api.run_cross_scan(lib, case, threads=3).tobytes()
    child = os.fork()
    if child == 0:
        good = kernel_api.run_cross_scan(lib, case, threads=3).tobytes() == want
        os._exit(0 if good else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert kernel_api.run_cross_scan(lib, case, threads=3).tobytes() == want


def test_process_with_sleeping_workers_ends_cleanly() -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import kernel_api, kernel_cases as cases\n"
        "kernel_api.run_cross_scan(kernel_api.load_library(), cases.cross_scan_case(), threads=4)\n"
    )
    here = str(ROOT / "tests" / "support")
    done = subprocess.run(
        [sys.executable, "-c", code, here], cwd=here, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_any_host_pool_will_do(lib: ctypes.CDLL) -> None:
    """A host that runs tasks last to first, and one whose `run` is null."""
    case = cases.cross_scan_case()
    want = kernel_api.run_cross_scan(lib, case)

    @kernel_api.Run
    def backwards(_context: int, tasks: int, task: Callable[..., None], arg: int) -> None:
        for index in reversed(range(tasks)):
            task(arg, index)

    for run in (backwards, kernel_api.Run()):
        parallel = kernel_api.Parallel(None, 3, run)
        p = kernel_api.cross_scan_params(case)
        y = np.full_like(case.x, np.nan)
        p.y = y.ctypes.data
        workspace = np.full(lib.pm_cpu_cross_scan_workspace(ctypes.byref(p), 3), 0xFF, np.uint8)
        args = (ctypes.byref(p), workspace.ctypes.data, ctypes.byref(parallel))
        assert lib.pm_cpu_cross_scan(*args) == OK
        assert y.tobytes() == want.tobytes()


def test_struct_layout_matches_the_header(tmp_path: Path) -> None:
    """The ctypes mirror against the compiler's sizes, and the headers as plain C."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler on this machine (an installed wheel needs none)")
    source = tmp_path / "layout.c"
    source.write_text(
        '#include <stdio.h>\n#include "posemamba/scan_cpu.h"\n'
        'int main(void) { printf("%zu %zu %zu\\n", sizeof(pm_cross_scan_params),'
        " sizeof(pm_scan_params), sizeof(pm_parallel)); return 0; }\n"
    )
    include = ROOT / "trt_plugins" / "include"
    program = tmp_path / "layout"
    subprocess.run(
        [compiler, "-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", f"-I{include}",
         str(source), "-o", str(program)],
        check=True,
    )  # fmt: skip
    sizes = subprocess.run([str(program)], capture_output=True, text=True, check=True).stdout
    mirrors = (CrossScanParams, ScanParams, kernel_api.Parallel)
    assert [int(s) for s in sizes.split()] == [ctypes.sizeof(m) for m in mirrors]


def test_selfcheck_links_and_passes(tmp_path: Path) -> None:
    """A C++ program against the shared library alone, as a foreign build would use it."""
    compiler = shutil.which("c++")
    if compiler is None:
        pytest.skip("no C++ compiler on this machine (an installed wheel needs none)")
    library = kernel_api.library_path().resolve()
    program = tmp_path / "selfcheck"
    subprocess.run(
        [compiler, "-std=c++17", "-O1", "-pthread",
         f"-I{ROOT / 'trt_plugins' / 'include'}", str(ROOT / "tests/native/kernels/selfcheck.cc"),
         str(library), f"-Wl,-rpath,{library.parent}", "-o", str(program)],
        check=True,
    )  # fmt: skip
    done = subprocess.run([str(program)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
