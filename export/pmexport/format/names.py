"""Names that a file, its readers and its runtimes agree on."""

from __future__ import annotations

INPUT_NAME, OUTPUT_NAME = "keypoints_2d", "poses_3d"

OP_DOMAIN, OP_VERSION = "posemamba", 1
PLUGIN_VERSION = "1"
PLUGIN_ATTRIBUTES: dict[str, str] = {
    "plugin_version": PLUGIN_VERSION,
    "plugin_namespace": OP_DOMAIN,
}
"""On every node of ours; TensorRT looks plugins up by these, not by ONNX domain."""

PRODUCER = "pmexport"
PREFIX = "posemamba."
"""Of our keys in ``metadata_props``."""
TARGET_KEY, TARGET = f"{PREFIX}target", "onnxruntime-cuda"
"""What ``pmexport optimize`` adds to the metadata."""
ENGINE_SUFFIX = ".engine"
TENSORRT, TENSORRT_RTX = "tensorrt", "tensorrt-rtx"
"""The two TensorRTs: backends that build, runtimes that run, flavours of a sidecar."""

CPU_PROVIDER, CUDA_PROVIDER = "CPUExecutionProvider", "CUDAExecutionProvider"
"""Of ONNX Runtime."""
