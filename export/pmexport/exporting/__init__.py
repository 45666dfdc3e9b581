"""From a checkpoint to an ONNX file."""
