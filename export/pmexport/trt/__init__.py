"""TensorRT engines: asked for, refused or built, described, cached.

``request`` refuses what cannot succeed before any work, with ``checks``; ``source`` judges the ONNX
model; ``job`` goes from a request to an engine; ``build`` drives ``worker``, a process of its own
that alone imports TensorRT; ``precision_table`` says what was got; ``sidecar`` and ``cache`` keep
it.
"""
