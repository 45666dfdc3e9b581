"""Two ONNX Runtimes in one process: Python's, and the one that posemamba_runtime opens."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from pmexport import custom_op_library
from pmexport.exporting.export import export_onnx
from pmexport.format.options import ExportOptions
from posemamba import PoseMamba, PoseMambaConfig
from posemamba_runtime.lifter import Lifter

#: Places in the OrtApi table, which is append-only.
CREATE_DOMAIN, ADD_OPERATOR, ADD_DOMAIN, PLACES = 26, 27, 28, 400
STATUS = ctypes.c_void_p
TWO = ctypes.CFUNCTYPE(STATUS, ctypes.c_void_p, ctypes.c_void_p)
GET_API = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_uint32)


class StandIn:
    """An ONNX Runtime that only counts what is registered with it."""

    def __init__(self, domain: int) -> None:
        self.domain = domain  # the address it gives out
        self.made, self.operators = 0, 0
        self.given: list[int | None] = []
        self._kept: list[Any] = []
        self.table = (ctypes.c_void_p * PLACES)()
        self._place(CREATE_DOMAIN, self._create)
        self._place(ADD_OPERATOR, self._add)
        self._place(ADD_DOMAIN, lambda _options, domain: self.given.append(domain))
        get_api = GET_API(lambda _version: ctypes.addressof(self.table))
        self._kept.append(get_api)
        self.base = (ctypes.c_void_p * 2)(ctypes.cast(get_api, ctypes.c_void_p))

    def _place(self, place: int, call: Callable[[Any, Any], object]) -> None:
        def answer(first: Any, second: Any) -> None:
            call(first, second)

        function = TWO(answer)
        self._kept.append(function)
        self.table[place] = ctypes.cast(function, ctypes.c_void_p)

    def _create(self, _name: int, out: int) -> None:
        ctypes.c_void_p.from_address(out).value = self.domain
        self.made += 1

    def _add(self, domain: int, _operator: int) -> None:
        assert domain == self.domain
        self.operators += 1


def test_each_runtime_has_a_domain_of_its_own() -> None:
    """What one has made is no use to the other, and may be of another release."""
    register = ctypes.CDLL(custom_op_library()).RegisterCustomOps
    register.restype, register.argtypes = STATUS, [ctypes.c_void_p, ctypes.c_void_p]
    one, two = StandIn(0x1000), StandIn(0x2000)
    for stand_in in (one, two, one, two):
        assert register(None, ctypes.addressof(stand_in.base)) is None
    for stand_in in (one, two):
        assert stand_in.given == [stand_in.domain] * 2
        assert stand_in.made == 1
        assert stand_in.operators == one.operators > 0


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("two") / "M.onnx"
    export_onnx(PoseMamba(PoseMambaConfig(d_model=16, depth=1, frames=9)), path, ExportOptions())
    return path


def test_python_and_the_library_take_turns(model: Path) -> None:
    clip = np.random.default_rng(0).uniform(-1, 1, (2, 9, 17, 2)).astype(np.float32)

    def in_python() -> tuple[ort.InferenceSession, np.ndarray[Any, Any]]:
        options = ort.SessionOptions()
        options.register_custom_ops_library(custom_op_library())
        session = ort.InferenceSession(str(model), options, ["CPUExecutionProvider"])
        return session, session.run(None, {"keypoints_2d": clip})[0]

    session, first = in_python()
    with Lifter(model, "onnxruntime-cpu", threads=1) as lifter:
        np.testing.assert_allclose(lifter.lift(clip), first, atol=1e-6)  # other releases may round
    np.testing.assert_array_equal(session.run(None, {"keypoints_2d": clip})[0], first)
    np.testing.assert_array_equal(in_python()[1], first)
