"""Export of PoseMamba checkpoints to ONNX and TensorRT, and the checks that go with it."""

from pmexport.libraries import custom_op_library, tensorrt_plugin_library

__all__ = ["custom_op_library", "tensorrt_plugin_library"]
