"""A model that also gives what is inside of it, in memory; the file stays as it is."""

from __future__ import annotations

from collections.abc import Sequence

import onnx

from pmexport.format.file import ModelFile


def with_outputs(model: ModelFile, names: Sequence[str], *, keep_own: bool = True) -> bytes:
    """The model with further outputs, serialised.

    Args:
        names: values of the main graph.
        keep_own: False to drop the poses and all that only they need.
    """
    proto = onnx.ModelProto()
    proto.CopyFrom(model.proto)
    if model.external_files:
        onnx.load_external_data_for_model(proto, str(model.path.parent))
    graph = proto.graph
    known = {value.name: value for value in (*graph.value_info, *graph.output)}
    own = [value.name for value in graph.output]
    new = [known.get(name) or onnx.ValueInfoProto(name=name) for name in names if name not in own]
    if not keep_own:
        del graph.output[:]
        new = [known.get(name) or onnx.ValueInfoProto(name=name) for name in names]
    graph.output.extend(new)
    data: bytes = proto.SerializeToString()
    return data
