"""TensorRT engines: asked for, refused or built, described, cached.

``command`` parses and prints; ``request`` refuses what cannot succeed before any work; ``source``
reads the ONNX model; ``build`` drives ``worker``, a process of its own that alone imports TensorRT;
``precision_table`` says what was got; ``sidecar`` and ``cache`` keep it.
"""
