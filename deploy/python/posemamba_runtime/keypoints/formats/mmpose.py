"""MMPose's saved predictions.

``demo/topdown_demo_with_mmdet.py --save-predictions`` writes ``{"meta_info", "instance_info"}``,
for a video with ``{"frame_id", "instances"}`` a frame; the inferencer's ``pred_out_dir`` the inner
list, for an image the instances alone. An instance is ``{"keypoints": [[x, y], ...],
"keypoint_scores": [...]}``; only ``meta_info`` says which data set's joints they are.
"""

from __future__ import annotations

from collections.abc import Mapping

from posemamba_runtime.keypoints.errors import InputError
from posemamba_runtime.keypoints.formats.base import FrameFormat, detection, is_objects
from posemamba_runtime.keypoints.order import take_names
from posemamba_runtime.keypoints.people import Detection
from posemamba_runtime.keypoints.points import keys_of
from posemamba_runtime.keypoints.recording import Detections
from posemamba_runtime.keypoints.source import Json
from posemamba_runtime.text import printable

#: Names of MMPose's data sets to layouts.
_DATASETS = {
    "coco": "coco17",
    "h36m": "h36m17",
    "halpe26": "halpe26",
    "halpe": "halpe26",
    "coco_wholebody": "wholebody133",
    "coco_wholebody_openpose": None,  # 134 points in another order
}


def _is_instances(value: object) -> bool:
    return is_objects(value) and all("keypoint_scores" in v for v in value)  # type: ignore[attr-defined]


def _is_frame(value: Json) -> bool:
    if isinstance(value, dict):
        return isinstance(value.get("instances"), list)
    return _is_instances(value)


def _read_frame(value: Json, found: Detections) -> list[Detection]:
    people: list[Detection] = []
    for instance in value["instances"] if isinstance(value, dict) else value:
        if not isinstance(instance, dict) or "keypoints" not in instance:
            has = keys_of(instance) if isinstance(instance, dict) else printable(instance, 20)
            raise InputError(f"an instance has {has}, not 'keypoints'")
        people += detection(instance, instance["keypoints"], found)
    return people


MMPOSE = FrameFormat("mmpose", "MMPose", _is_frame, _read_frame)


def take_meta(meta: object, found: Detections) -> None:
    """The layout out of ``meta_info``.

    Raises:
        InputError: joints of a data set that no layout here has.
    """
    name = meta.get("dataset_name") if isinstance(meta, Mapping) else None
    if not isinstance(name, str):
        return
    known = _DATASETS.get(name.casefold())
    names = meta.get("keypoint_id2name") if isinstance(meta, Mapping) else None
    if known is None and isinstance(names, Mapping) and names:
        take_names([str(joint) for joint in names.values()], found)
        return
    if known is None:
        names = ", ".join(key for key, layout in _DATASETS.items() if layout)
        raise InputError(
            f"keypoints of the data set '{printable(name)}', whose joints are not known here: use "
            f"a model of {names}"
        )
    found.layout = known
