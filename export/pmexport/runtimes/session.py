"""Sessions of ONNX Runtime with the project's operators, and what goes wrong with them."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmexport.format.failures import reason
from pmexport.format.file import ModelFile
from pmexport.format.files import is_utf8
from pmexport.format.names import INPUT_NAME, OP_DOMAIN, OUTPUT_NAME
from pmexport.libraries import custom_op_library
from pmexport.runtimes.base import FloatArray, Lift
from posemamba.errors import InputError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession, SessionOptions

PROFILE_PREFIX, PROFILED_GRAPH = "times", "graph.onnx"
"""What a profile's folder holds: ``times_DATE.json``, and the graph as ONNX Runtime ran it."""

_FLOATS = "tensor(float)"
"""The type of both ends, as ONNX Runtime names it."""


def open_session(
    file: ModelFile,
    threads: int | None,
    providers: list[Any],
    instead: bytes | None = None,
    *,
    profile: Path | None = None,
    memory_pattern: bool = True,
    any_outputs: bool = False,
) -> InferenceSession:
    """A session of a PoseMamba model, as :func:`open_any_session`.

    Args:
        any_outputs: ``instead`` may give more than poses, or others.

    Raises:
        InputError: the file is no model of ours, or needs what is missing here.
    """
    session = open_any_session(
        file, threads, providers, instead, profile=profile, memory_pattern=memory_pattern
    )
    inputs = [value.name for value in session.get_inputs()]
    outputs = [value.name for value in session.get_outputs()]
    if inputs != [INPUT_NAME] or (outputs != [OUTPUT_NAME] and not any_outputs):
        raise InputError(
            f"'{file.path}' maps {', '.join(inputs)} to {', '.join(outputs)}, not {INPUT_NAME} to "
            f"{OUTPUT_NAME}: it is no PoseMamba model written by 'pmexport onnx'"
        )
    given = session.get_inputs()[0].type
    if given != _FLOATS:
        raise InputError(
            f"'{file.path}': {INPUT_NAME} is {given}, models take {_FLOATS} in every precision: "
            "export it again with 'pmexport onnx'"
        )
    return session


def open_any_session(
    file: ModelFile,
    threads: int | None,
    providers: list[Any],
    instead: bytes | None = None,
    *,
    profile: Path | None = None,
    memory_pattern: bool = True,
) -> InferenceSession:
    """An ``onnxruntime.InferenceSession`` with the project's operators.

    Args:
        threads: inside one operator on the CPU.
        providers: as onnxruntime takes them.
        instead: the model to run, where it is not what the file holds.
        profile: a folder for the times of nodes, and the graph they are of.
        memory_pattern: from the second run of a shape on, take all memory at once; what the first
            run took stays beside it.

    Raises:
        InputError: ONNX Runtime cannot load it, or it needs what is missing here.
    """
    import onnxruntime as ort

    path, model = file.path, instead
    options = _quiet_options()
    options.enable_mem_pattern = memory_pattern
    if threads is not None:
        options.intra_op_num_threads = threads
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile / PROFILE_PREFIX)
        options.optimized_model_filepath = str(profile / PROFILED_GRAPH)
    if file.own_operators:
        _register_custom_ops(options, f"'{path}' needs {', '.join(sorted(file.own_operators))}")
    if model is None and not is_utf8(path):  # as onnxruntime wants names to be
        model = path.read_bytes()
    try:
        session = ort.InferenceSession(
            model or str(path), sess_options=options, providers=providers
        )
    except Exception as error:  # onnxruntime raises many classes of its own
        raise InputError(f"'{path}': {_session_error(error)}") from None
    return session


def load_session(path: str | os.PathLike[str], providers: list[Any]) -> InferenceSession:
    """A session of a file in ONNX Runtime's own format, whatever its name.

    Raises:
        InputError: it cannot be loaded.
    """
    path = Path(path)
    import onnxruntime as ort

    options = _quiet_options()
    _register_custom_ops(options, f"'{path}' may need it")
    try:
        options.add_session_config_entry("session.load_model_format", "ORT")
        return ort.InferenceSession(path.read_bytes(), sess_options=options, providers=providers)
    except Exception as error:  # onnxruntime raises many classes of its own
        raise InputError(f"'{path}': {_session_error(error)}") from None


def session_lift(session: InferenceSession) -> Lift:
    """An ``onnxruntime.InferenceSession`` as a function of NumPy arrays."""

    def lift(keypoints_2d: FloatArray) -> FloatArray:
        poses_3d: FloatArray = session.run([OUTPUT_NAME], {INPUT_NAME: keypoints_2d})[0]
        return poses_3d

    return lift


def require_custom_ops(why: str) -> None:
    """Make sure the custom-op library is there and loads.

    Raises:
        InputError: it is not; ``why`` says what needs it.
    """
    _register_custom_ops(_quiet_options(), why)


def _quiet_options() -> SessionOptions:
    """Session options under which every error reaches us as an exception, and is said once."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4
    return options


def _register_custom_ops(options: SessionOptions, why: str) -> None:
    other = f"or export with --ops standard; {why}"
    try:
        library = custom_op_library()
    except InputError as error:
        raise InputError(f"{error}, {other}") from None
    try:
        options.register_custom_ops_library(library)
    except Exception as error:
        raise InputError(
            f"custom-op library '{library}' cannot be loaded ({reason(error)}): build it again "
            f"with 'pip install .', {other}"
        ) from None


def _session_error(error: Exception) -> str:
    """What ONNX Runtime found wrong, without its source lines and status codes."""
    text = str(error)
    missing = re.search(rf"({OP_DOMAIN}:\w+)\(?-?\d*\)? is not a registered", text)
    if missing:
        return (
            f"it needs the operator {missing.group(1)}, which this custom-op library lacks: "
            "update it with 'pip install .'"
        )
    homeless = re.search(r"Could not find an implementation for (\w+)\(", text)
    if homeless:
        return (
            f"its operator {homeless.group(1)} has no kernel on this device: a file of 'pmexport "
            "optimize' runs with --runtime ort-cuda, the one it was made from anywhere"
        )
    return f"ONNX Runtime cannot load it: {reason(error)}: {_fix(text)}"


def _fix(text: str) -> str:
    if "Unsupported model IR version" in text or "is under development" in text:
        return "update onnxruntime, or export it here with 'pmexport onnx'"
    return "export it again with 'pmexport onnx'"
