"""The kernels' parameters as the C headers lay them out (``trt_plugins/include/posemamba``).

Every struct stands here once. :mod:`posemamba.native.library` holds their sizes against those that
a library tells.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from ctypes import Structure, c_float, c_int32, c_int64, c_void_p
from typing import Any

from posemamba.errors import InputError
from posemamba.scan_order import Walk

MAX_DIRECTIONS = 8
MAX_JOINTS = 64
MAX_WIDE_STATE = 256
"""``d_state`` of the operators' version 2."""
#: Fields of the scans' structs that are sizes, and the most each may be; None where memory is the
#: limit (``PM_MAX_*`` of ``posemamba/scan.h``).
SCAN_SIZES: dict[str, int | None] = {
    "batch": None, "frames": None, "length": None, "channels": None, "d_inner": None,
    "joints": MAX_JOINTS, "d_state": 64, "dt_rank": 128,
    "directions": MAX_DIRECTIONS, "groups": MAX_DIRECTIONS,
}  # fmt: skip
#: The same of version 2 (``posemamba/scan_v2.h``), which knows no joints.
SCAN_V2_SIZES: dict[str, int | None] = {
    **SCAN_SIZES, "positions": None, "steps": None, "joints": None, "d_state": MAX_WIDE_STATE,
}  # fmt: skip

_Directions = c_int32 * MAX_DIRECTIONS


def _all(kind: type, names: str) -> tuple[tuple[str, type], ...]:
    return tuple((name, kind) for name in names.split())


class CrossScanParams(Structure):
    _fields_ = (
        *_all(c_void_p, "x x_dbl dt_weight dt_bias A D y"),
        *_all(c_int64, "batch frames x_stride x_dbl_stride y_stride"),
        *_all(c_int32, "joints d_inner d_state dt_rank directions dtype"),
        *_all(_Directions, "order reverse limb_mask"),
        ("limb_index", c_int32 * MAX_JOINTS),
        ("half_sums", c_int32),
    )


class ScanParams(Structure):
    _fields_ = (
        *_all(c_void_p, "u delta A B C D z delta_bias y"),
        *_all(c_int64, "batch length"),
        *_all(c_int32, "groups channels d_state delta_softplus dtype"),
        ("reverse", _Directions),
    )


class CrossScanBackwardParams(Structure):
    _fields_ = (
        ("size", c_int64),
        ("forward", CrossScanParams),
        *_all(c_void_p, "dy dx dx_dbl dx_dbl_limb d_dt_weight d_dt_bias dA dD states"),
        ("dy_stride", c_int64),
        ("limb_gradient", c_int32),
    )


class ScanBackwardParams(Structure):
    _fields_ = (
        ("size", c_int64),
        ("forward", ScanParams),
        *_all(c_void_p, "dy du ddelta dB dC dz dA dD d_delta_bias states"),
    )


class IndexedScanParams(Structure):
    _fields_ = (
        *_all(c_void_p, "x x_dbl dt_weight dt_bias A D scan_index neighbour_index reset_length y"),
        *_all(c_int64, "batch positions steps x_stride x_dbl_stride y_stride"),
        *_all(c_int32, "d_inner d_state dt_rank directions dtype"),
    )


class StatefulScanParams(Structure):
    _fields_ = (("scan", ScanParams), *_all(c_void_p, "initial_state final_state"))


class ConvSiluParams(Structure):
    _fields_ = (
        *_all(c_void_p, "x weight bias y"),
        *_all(c_int64, "batch frames x_stride"),
        *_all(c_int32, "joints channels dtype"),
    )


class GatedNormParams(Structure):
    _fields_ = (
        *_all(c_void_p, "y z gamma beta out"),
        *_all(c_int64, "rows z_stride"),
        *_all(c_int32, "channels dtype"),
        ("epsilon", c_float),
    )


class AddNormParams(Structure):
    _fields_ = (
        *_all(c_void_p, "residual branch shared_gamma shared_beta gamma beta stream out"),
        ("rows", c_int64),
        *_all(c_int32, "channels dtype"),
        *_all(c_float, "shared_epsilon epsilon"),
    )


class ConvProjParams(Structure):
    _fields_ = (
        *_all(c_void_p, "x weight bias projection u x_dbl"),
        *_all(c_int64, "batch frames x_stride"),
        *_all(c_int32, "joints channels columns"),
    )


class NextParams(Structure):
    _fields_ = (
        *_all(c_void_p, "in_proj xz head_weight head_bias poses_3d"),
        ("epsilon", c_float),
    )


class BlockTailParams(Structure):
    _fields_ = (
        ("scan", CrossScanParams),
        ("z", c_void_p),
        ("z_stride", c_int64),
        *_all(c_void_p, "vectors out_proj fc1 fc2 residual position stream"),
        ("next", NextParams),
        ("d_model", c_int32),
        *_all(c_float, "out_epsilon norm2_epsilon shared_epsilon"),
    )


class EmbedParams(Structure):
    _fields_ = (
        *_all(c_void_p, "keypoints_2d weight bias joint_position next_norm stream"),
        ("next", NextParams),
        *_all(c_int64, "batch frames"),
        *_all(c_int32, "joints d_model"),
    )


#: By their names in the headers.
TABLE: dict[str, type[Structure]] = {
    "pm_cross_scan_params": CrossScanParams,
    "pm_scan_params": ScanParams,
    "pm_cross_scan_backward_params": CrossScanBackwardParams,
    "pm_scan_backward_params": ScanBackwardParams,
    "pm_indexed_scan_params": IndexedScanParams,
    "pm_stateful_scan_params": StatefulScanParams,
    "pm_conv_silu_params": ConvSiluParams,
    "pm_gated_norm_params": GatedNormParams,
    "pm_add_norm_params": AddNormParams,
    "pm_conv_proj_params": ConvProjParams,
    "pm_next_params": NextParams,
    "pm_block_tail_params": BlockTailParams,
    "pm_embed_params": EmbedParams,
}


def directions(values: Sequence[int]) -> ctypes.Array[c_int32]:
    """A fact of each scan direction.

    Raises:
        InputError: more directions than the kernels hold.
    """
    return _padded(values, MAX_DIRECTIONS, "directions")


def walk_fields(walk: Walk) -> dict[str, Any]:
    """The fields of :class:`CrossScanParams` that a walk fills.

    Raises:
        InputError: more directions or joints than the kernels hold.
    """
    return {
        "directions": walk.directions,
        "order": directions(walk.order),
        "reverse": directions(walk.reverse),
        "limb_mask": directions(walk.limb_mask),
        "limb_index": _padded(walk.limb_index, MAX_JOINTS, "joints"),
    }


def _padded(values: Sequence[int], length: int, what: str) -> ctypes.Array[c_int32]:
    if len(values) > length:
        raise InputError(f"{len(values)} {what} given, the scan kernels hold at most {length}")
    return (c_int32 * length)(*map(int, values))
