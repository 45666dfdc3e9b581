"""``pmexport optimize``: an exported graph rewritten for a GPU."""

from __future__ import annotations

import os
from dataclasses import dataclass

from onnxscript import ir

from pmexport.format.file import ModelFile, open_model
from pmexport.format.names import TARGET, TARGET_KEY
from pmexport.format.options import Fusion
from pmexport.passes.composed import rewrite_composed
from pmexport.passes.fused import find_fusable, rewrite_fused
from pmexport.passes.match_network import Network
from posemamba.errors import InputError


@dataclass(frozen=True)
class Optimized:
    """A rewritten graph, and which rewrite it got."""

    model: ir.Model
    fusion: Fusion

    def serialised(self) -> bytes:
        data: bytes = ir.to_proto(self.model).SerializeToString()
        return data


def optimize_model(file: str | os.PathLike[str] | ModelFile, fusion: Fusion = "auto") -> Optimized:
    """The rewritten model of a file; the file stays as it is.

    Raises:
        InputError: the file is no model of ``pmexport onnx --ops fused``, is optimised already, or
            ``fused`` was asked for and does not take it.
    """
    source = open_model(file)
    if source.is_optimized:
        raise InputError(f"'{source.path}' is optimised already: use it as it is")
    model = ir.from_proto(source.proto)
    ir.external_data.set_base_dir(model.graph, os.path.dirname(source.path))  # noqa: PTH120
    try:
        _refuse_kept(source)
        used = _rewrite(model, fusion)
    except InputError as error:
        raise InputError(f"'{source.path}': {error}") from None
    except (ArithmeticError, AssertionError, AttributeError, LookupError, ValueError) as error:
        # A node lacks an input, an attribute or a shape that the exporter always writes.
        reason = " ".join(f"{type(error).__name__} {error}".split())[:100]
        raise InputError(
            f"'{source.path}' is not as 'pmexport onnx --ops fused' writes it ({reason}): export "
            "it again"
        ) from None
    model.metadata_props[TARGET_KEY] = TARGET
    return Optimized(model, used)


def _refuse_kept(source: ModelFile) -> None:
    """The rewrites know two types of a network, not one for each module.

    Raises:
        InputError: a keep list left modules in float32.
    """
    kept = source.metadata.get("keep_fp32", ())
    if kept:
        raise InputError(
            f"its keep list leaves {len(kept)} of its modules in fp32 ('{kept[0]}' is one): such a "
            "file is not optimised, use it as it is"
        )


def _rewrite(model: ir.Model, fusion: Fusion) -> Fusion:
    network = _fusable(model, fusion)
    if network is not None:
        rewrite_fused(model, network)
        return "fused"
    if fusion == "fused":
        raise InputError(
            "the fused kernels take float16 at d_model 64, 128 or 256: export it with "
            "--precision fp16, or use --fusion composed"
        )
    rewrite_composed(model)
    return "composed"


def _fusable(model: ir.Model, fusion: Fusion) -> Network | None:
    """The network to fuse; None to compose."""
    if fusion == "composed":
        return None
    try:
        return find_fusable(model)
    except InputError:  # such as an older operator set, whose GELU is several nodes
        if fusion == "fused":
            raise
        return None
