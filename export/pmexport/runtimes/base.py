"""What every runtime is, and what may be asked of it.

A runtime says whether it can work here, and turns a file into a function from ``keypoints_2d``
(batch, frames, joints, 2) to ``poses_3d`` (batch, frames, joints, 3), float32 on both sides. A new
one is a module and a row in :mod:`pmexport.runtimes.registry`. Runtimes with a device of their own
can also be bound to one input (:class:`Bindable`), so that a benchmark times copies and computing
apart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from pmexport.engine.file import EngineFile
from pmexport.format.file import ModelFile
from pmexport.format.options import Precision, Rewrite
from pmexport.format.paths import NamesFiles

FloatArray = NDArray[np.float32]
Lift = Callable[[FloatArray], FloatArray]
Reads = Literal["model", "checkpoint", "engine"]
Runnable = ModelFile | EngineFile
"""What a user gives to be run; both tell their sizes, metadata and precision."""
File = Path | Runnable
"""A checkpoint is a path; a model and an engine may be open already."""


@dataclass(frozen=True)
class RuntimeOptions(NamesFiles):
    """What a caller may ask of any runtime.

    Attributes:
        threads: threads inside one operator; None lets the runtime decide.
        scan_order: the checkpoint's scan order where only the caller knows it.
        weights: which set of a checkpoint that holds several; None for its usual one.
        precision: of a runtime that reads the checkpoint on a GPU; a model has its own.
        cuda_graph: record the work of one input shape and replay it, where a runtime can.
        optimize: how a model is rewritten for the runtime's device first, where there is a rewrite,
            or ``off``.
        tf32: let float32 products on a GPU round their inputs to 10 bits.
        profile: a folder for what ONNX Runtime writes of each node's time; None for no profile.
    """

    threads: int | None = None
    scan_order: str | None = None
    weights: str | None = None
    precision: Precision = "fp32"
    cuda_graph: bool = True
    optimize: Rewrite = "auto"
    tf32: bool = False
    profile: Path | None = None


DEFAULT_OPTIONS = RuntimeOptions()


class Runtime(Protocol):
    """What runs a model.

    Attributes:
        name: how the command line calls it.
        reads: the file :meth:`load` takes: the exported model, the checkpoint it came from, or the
            engine built from it.
    """

    name: ClassVar[str]
    reads: ClassVar[Reads]

    def available(self) -> str | None:
        """None, or why it cannot work on this machine and what to do about it."""
        ...

    def load(self, file: File) -> Lift:
        """Prepare the file to be run.

        Raises:
            InputError: the file is no such model, or needs what is missing here.
        """
        ...


class Bound(Protocol):
    """A model made ready for inputs of one shape. Each step returns when it is done.

    Attributes:
        settings: what a reader of its times has to know, for the report.
    """

    settings: dict[str, Any]

    def upload(self) -> None:
        """Copy the input to the device."""
        ...

    def compute(self) -> None:
        """Run the network."""
        ...

    def download(self) -> FloatArray:
        """Copy the poses to the host."""
        ...


@runtime_checkable
class Enqueues(Bound, Protocol):
    """A bound model that can start its work without waiting for it, which tells whether the host
    or the device sets the pace. :meth:`Bound.download` waits for what was started."""

    def enqueue(self) -> None:
        """Start the network on what was uploaded."""
        ...


@runtime_checkable
class Bindable(Protocol):
    """A runtime whose copies can be told from its computing."""

    def bind(self, file: File, keypoints_2d: FloatArray) -> Bound:
        """Prepare the file for inputs of this shape.

        Raises:
            InputError: as :meth:`Runtime.load`.
        """
        ...
