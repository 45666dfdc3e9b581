"""A model that was cut, merged or edited by hand is refused by every command that reads one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

CKPT = ("--ckpt", "tiny.pth.tr")
READERS = (
    ("inspect", "odd.onnx"),
    ("check", "odd.onnx", *CKPT),
    ("bench", "odd.onnx"),
    ("optimize", "odd.onnx", "-o", "new.onnx"),
    ("trt", "--onnx", "odd.onnx", "--dry-run", "--backend", "tensorrt-rtx", "--target", "sm86"),
)


def weight(model: onnx.ModelProto) -> onnx.TensorProto:
    """The first constant with many numbers."""
    return next(t for t in model.graph.initializer if len(t.raw_data) > 1000)


def weight_elsewhere(model: onnx.ModelProto) -> onnx.TensorProto:
    """What :func:`kept_elsewhere` changed."""
    return next(t for t in model.graph.initializer if t.data_location == t.EXTERNAL)


def without_outputs(model: onnx.ModelProto) -> None:
    del model.graph.node[3].output[:]


def without_constants(model: onnx.ModelProto) -> None:
    del model.graph.initializer[:]


def without_one_constant(model: onnx.ModelProto) -> None:
    model.graph.initializer.remove(weight(model))


def type_of_the_future(model: onnx.ModelProto) -> None:
    model.graph.value_info[5].type.tensor_type.elem_type = 99


def constant_of_the_future(model: onnx.ModelProto) -> None:
    weight(model).data_type = 99


def kept_elsewhere(model: onnx.ModelProto, place: str) -> None:
    tensor = weight(model)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", place


def kept_above(model: onnx.ModelProto) -> None:
    kept_elsewhere(model, "../../../../etc/passwd")


def kept_at_the_root(model: onnx.ModelProto) -> None:
    kept_elsewhere(model, "/etc/passwd")


def kept_nowhere(model: onnx.ModelProto) -> None:
    kept_elsewhere(model, "")


def kept_who_knows_where(model: onnx.ModelProto) -> None:
    kept_elsewhere(model, "")
    del weight_elsewhere(model).external_data[:]


def kept_in_a_file_of_no_name(model: onnx.ModelProto) -> None:
    kept_elsewhere(model, "")
    weight_elsewhere(model).external_data[0].key = "offset"


def attribute_who_knows_where(model: onnx.ModelProto) -> None:
    attribute = model.graph.node[0].attribute.add(name="numbers", type=onnx.AttributeProto.TENSOR)
    attribute.t.name, attribute.t.data_location = "inner", onnx.TensorProto.EXTERNAL


def inner_graph_who_knows_where(model: onnx.ModelProto) -> None:
    attribute = model.graph.node[0].attribute.add(name="body", type=onnx.AttributeProto.GRAPH)
    attribute.g.initializer.add(name="inner", data_location=onnx.TensorProto.EXTERNAL)


def kept_in_two_files(model: onnx.ModelProto) -> None:
    kept_elsewhere(model, "a.data")
    weight_elsewhere(model).external_data.add(key="location", value="b.data")


def kept_in_a_file_that_is_gone(model: onnx.ModelProto) -> None:
    kept_elsewhere(model, "gone.data")


def kept_past_the_end(model: onnx.ModelProto) -> None:
    kept_elsewhere(model, "tiny.onnx")
    weight_elsewhere(model).external_data.add(key="offset", value="99999999")


def kept_in_fewer_bytes(model: onnx.ModelProto) -> None:
    kept_elsewhere(model, "tiny.onnx")
    weight_elsewhere(model).dims[0] = 10**6


def kept_before_the_start(model: onnx.ModelProto) -> None:
    kept_elsewhere(model, "tiny.onnx")
    weight_elsewhere(model).external_data.add(key="offset", value="-8")


def inner_graph_in_a_file_that_is_gone(model: onnx.ModelProto) -> None:
    inner_graph_who_knows_where(model)
    tensor = model.graph.node[0].attribute[-1].g.initializer[0]
    tensor.external_data.add(key="location", value="gone.data")


def of_two_lengths(model: onnx.ModelProto) -> None:
    model.metadata_props.add(key="posemamba.max_frames", value="9")


def of_two_makers(model: onnx.ModelProto) -> None:
    for maker in ("one", "other"):
        model.metadata_props.add(key="maker", value=maker)


def with_one_constant_twice(model: onnx.ModelProto) -> None:
    model.graph.initializer.add().CopyFrom(weight(model))


def with_one_attribute_twice(model: onnx.ModelProto) -> None:
    for number in (1, 2):
        model.graph.node[0].attribute.add(name="axis", type=onnx.AttributeProto.INT, i=number)


def shortened(model: onnx.ModelProto) -> None:
    weight(model).raw_data = weight(model).raw_data[:-8]


def enlarged(model: onnx.ModelProto) -> None:
    weight(model).dims[0] = 2**40


def negative(model: onnx.ModelProto) -> None:
    weight(model).dims[0] = -5


def of_a_batch(model: onnx.ModelProto, size: int) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = size


def of_a_huge_batch(model: onnx.ModelProto) -> None:
    of_a_batch(model, 10**12)


def of_no_batch(model: onnx.ModelProto) -> None:
    of_a_batch(model, 0)


def with_a_lost_output(model: onnx.ModelProto) -> None:
    model.graph.output[0].name = "other"


ALTERED: dict[Callable[[onnx.ModelProto], None], str] = {
    without_outputs: "has no outputs",
    without_constants: "which nothing before it gives",
    without_one_constant: "which nothing before it gives",
    type_of_the_future: "has type 99",
    constant_of_the_future: "has type 99",
    kept_above: "'../../../../etc/passwd'",
    kept_at_the_root: "'/etc/passwd'",
    kept_nowhere: "no file in the model's folder",
    kept_who_knows_where: "in another file and names none",
    kept_in_a_file_of_no_name: "in another file and names none",
    attribute_who_knows_where: "tensor 'inner' keeps its numbers in another file and names none",
    inner_graph_who_knows_where: "tensor 'inner' keeps its numbers in another file and names none",
    kept_in_two_files: "has 'location' 2 times",
    kept_in_a_file_that_is_gone: "gone.data', which is missing",
    kept_past_the_end: "bytes of at least 100,",
    kept_in_fewer_bytes: "bytes of at least ",
    kept_before_the_start: "at no place that can be read",
    inner_graph_in_a_file_that_is_gone: "gone.data', which is missing",
    of_two_lengths: "its metadata has 'posemamba.max_frames' 2 times",
    of_two_makers: "its metadata has 'maker' 2 times",
    with_one_constant_twice: "2 times",
    with_one_attribute_twice: "has 'axis' ",
    shortened: "bytes, not",
    enlarged: "bytes, not",
    negative: "has size -5",
    of_a_huge_batch: "batch 1000000000000",
    of_no_batch: "batch 0",
    with_a_lost_output: "nothing gives its output 'other'",
}


@pytest.mark.parametrize("change", ALTERED, ids=lambda change: str(change.__name__))
def test_an_altered_model_is_refused_by_every_command(
    change: Callable[[onnx.ModelProto], None], here: Path, refused: Callable[..., None]
) -> None:
    model = onnx.load(here / "tiny.onnx")
    change(model)
    (here / "odd.onnx").write_bytes(model.SerializeToString())
    for arguments in READERS:
        refused(arguments, "odd.onnx", ALTERED[change])


def test_metadata_of_another_kind_is_refused_by_every_command(
    here: Path, refused: Callable[..., None]
) -> None:
    model = onnx.load(here / "tiny.onnx")
    next(e for e in model.metadata_props if e.key == "posemamba.max_frames").value = "1000000"
    onnx.save(model, here / "odd.onnx")
    for arguments in READERS:
        refused(arguments, "odd.onnx", "max_frames", "1000000")
