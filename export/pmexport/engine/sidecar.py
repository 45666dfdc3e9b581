"""The JSON beside an engine: everything known of it. The engine itself stays a plain plan.

``engine.schema.json`` is the schema, JSON Schema 2020-12; ``docs/guide/tensorrt.md`` explains the
fields.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from pmexport.format.files import file_sha256
from pmexport.format.names import PLUGIN_VERSIONS
from pmexport.libraries import tensorrt_plugin_library
from posemamba.errors import InputError
from posemamba.files.input import ABSENT, why_no_file
from posemamba.files.signatures import ENGINES, HEAD, TEXT, what_it_is
from posemamba.text import Json, json_text, parse_json, printable

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

SCHEMA_VERSION = 1

_SCHEMA_FILE = Path(__file__).parent / "engine.schema.json"


def sidecar_path(engine: str | os.PathLike[str]) -> Path:
    """``E.engine.json`` for ``E.engine``."""
    engine = Path(engine)
    return engine.with_name(f"{engine.name}.json")


def to_text(sidecar: Mapping[str, Any]) -> str:
    """The file's text.

    Raises:
        ValueError: it is not of the schema, which is a defect of ours.
    """
    problem = schema_problem(sidecar)
    if problem is not None:
        raise ValueError(f"sidecar: {problem}")
    return json_text(sidecar) + "\n"


def schema_problem(sidecar: Json) -> str | None:
    """The first way in which a sidecar breaks the schema; None if it does not."""
    import jsonschema

    error = jsonschema.exceptions.best_match(_validator().iter_errors(sidecar))
    if error is None:
        return None
    place = "/".join(str(step) for step in error.absolute_path) or "the whole"
    return f"{place}: {error.message[:160]}"


@cache
def _validator() -> Validator:
    import jsonschema

    schema = json.loads(_SCHEMA_FILE.read_text(encoding="utf-8"))
    return jsonschema.Draft202012Validator(schema)


def read_sidecar(engine: str | os.PathLike[str]) -> dict[str, Any]:
    """What is known of an engine, of the schema this tool reads.

    Raises:
        InputError: no engine, no sidecar, or one that is damaged or of a newer tool.
    """
    engine = Path(engine)
    why = why_no_file(engine)
    if why is not None:
        absent = why == ABSENT
        fix = "build it with 'pmexport trt'" if absent else "give the engine file"
        raise InputError(f"'{engine}' {why}: {fix}")
    what = _something_else(engine)
    if what is not None:
        raise InputError(
            f"'{engine}' is no TensorRT plan, it is {what}: give what 'pmexport trt' built"
        )
    path = sidecar_path(engine)
    if (why := why_no_file(path)) is not None:
        raise InputError(
            f"'{path}' {why}: nothing is known of '{engine}'; engines of 'pmexport trt' "
            "have such a file beside them, copy both"
        )
    try:
        sidecar = parse_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"'{path}' cannot be read ({error.strerror or error})") from None
    except (ValueError, RecursionError) as error:
        why = printable(error, 80)
        raise InputError(f"'{path}' is not JSON ({why}): build the engine again") from None
    if isinstance(sidecar, dict) and "module" in sidecar:
        raise InputError(
            f"'{engine}' is of '{printable(sidecar['module'])}', a network of your own: its sizes "
            f"are in '{path}'; open it with trtexec --loadEngine, or with TensorRT itself"
        )
    version = sidecar.get("schema_version") if isinstance(sidecar, dict) else None
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise InputError(
            f"'{path}' has schema version {version}, this pmexport reads {SCHEMA_VERSION}: update "
            "pmexport, or build the engine again"
        )
    problem = schema_problem(sidecar)
    if problem is not None:
        raise InputError(f"'{path}' is no sidecar of an engine ({problem}): build it again")
    return dict(sidecar)


def _something_else(engine: Path) -> str | None:
    """What a file is by its first bytes, where that is a thing known and no engine."""
    try:
        with engine.open("rb") as stream:
            what = what_it_is(stream.read(HEAD))
    except OSError as error:
        raise InputError(f"'{engine}' cannot be read ({error.strerror or error})") from None
    return None if what in (*ENGINES, TEXT) else what  # text: its sidecar tells more


def read_engine(engine: str | os.PathLike[str]) -> dict[str, Any]:
    """The sidecar of an engine that is still the one it was written for.

    Raises:
        InputError: as :func:`read_sidecar`; the engine has other bytes, or it needs a plugin of
            another version than this tool's.
    """
    engine = Path(engine)
    sidecar = read_sidecar(engine)
    told, found = sidecar["engine"]["sha256"], file_sha256(engine)
    if found != told:
        raise InputError(
            f"'{engine}' is not the file its sidecar describes: it has SHA-256 {found[:12]}, its "
            f"sidecar describes {told[:12]}: copy both again, or build it again with 'pmexport trt'"
        )
    version = sidecar["plugin"]["version"]
    if version not in PLUGIN_VERSIONS:
        raise InputError(
            f"'{engine}' needs version {version} of the plugin, this pmexport has versions "
            f"{' and '.join(PLUGIN_VERSIONS)}: build it again with 'pmexport trt', or use the "
            f"pmexport that built it ({sidecar['tool']['version']})"
        )
    return sidecar


def refuse_engine(path: Path) -> NoReturn:
    """Tell who gives an engine to a command for ONNX models.

    Raises:
        InputError: always; as :func:`read_engine` where the engine itself is wrong.
    """
    onnx_file = read_engine(path)["onnx"]["file"]
    raise InputError(
        f"'{path}' is a TensorRT engine: this command reads ONNX models, its own is {onnx_file}"
    )


def inspect_engine(engine: str | os.PathLike[str]) -> dict[str, Any]:
    """What ``pmexport inspect`` shows: the sidecar, and whether its plugin library is here.

    Raises:
        InputError: as :func:`read_engine`.
    """
    engine = Path(engine)
    sidecar = read_engine(engine)
    try:
        library = Path(tensorrt_plugin_library())
    except InputError:
        here = "no plugin library is installed"
    else:
        same = file_sha256(library) == sidecar["plugin"]["sha256"]
        here = f"'{library}' " + (
            "is the one it was built with"
            if same
            else "is another build of the same version than it was built with"
        )
    return {"path": str(engine), **sidecar, "plugin_here": here}
