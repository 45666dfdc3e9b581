"""Export of PoseMamba checkpoints to ONNX, and the checks that go with it."""

from pmexport.libraries import custom_op_library

__all__ = ["custom_op_library"]
