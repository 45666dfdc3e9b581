"""A model repository for the Triton Inference Server: its ONNX Runtime and TensorRT back ends."""
