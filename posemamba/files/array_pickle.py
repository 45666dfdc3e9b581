"""The field's data files: pickles of arrays, alone or in an NPZ, from which nothing is run."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from posemamba.files.input import require_no_device
from posemamba.text import problem
from posemamba_runtime.plain_pickle import Plain, Refused, load_plain


def load_array_pickle(path: str | os.PathLike[str]) -> Plain:
    """Read a pickle of plain data; arrays of objects become lists.

    Raises:
        InputError: no such file, a pickle that asks for anything else (nothing of it is run), or
            one that cannot be decoded.
    """
    path = Path(path)
    require_no_device(path)
    try:
        with path.open("rb") as stream:
            return _load(stream, path)
    except OSError as error:
        raise problem(path, f"cannot be read ({error.strerror})") from None


def load_object_array(path: str | os.PathLike[str], key: str) -> Plain:
    """The one object in array ``key`` of an NPZ, as ``np.load(allow_pickle=True)[key].item()``.

    Raises:
        InputError: as :func:`load_array_pickle`; not an NPZ, or no such array of one object.
    """
    path = Path(path)
    require_no_device(path)
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{key}.npy") as stream:
            version = np.lib.format.read_magic(stream)
            if version not in ((1, 0), (2, 0)):
                raise problem(path, f"array '{key}' has NPY version {version}: save it again")
            read = (
                np.lib.format.read_array_header_1_0
                if version == (1, 0)
                else np.lib.format.read_array_header_2_0
            )
            shape, _, kind = read(stream)
            if kind != np.dtype(object) or shape != ():
                raise problem(path, f"array '{key}' is {kind} of shape {shape}, not one dictionary")
            return _load(io.BytesIO(stream.read()), path)
    except KeyError:
        raise problem(path, f"no array '{key}' in it: is it the right file?") from None
    except OSError as error:
        raise problem(path, f"cannot be read ({error.strerror or error})") from None
    except (zipfile.BadZipFile, EOFError) as error:
        raise problem(path, f"not an NPZ file, or truncated ({error}): copy it again") from None


def _load(stream: IO[bytes], path: Path) -> Plain:
    try:
        return load_plain(stream)
    except Refused as error:
        raise problem(
            path, f"refused: its pickle asks for '{error}', which is no plain data; nothing was run"
        ) from None
    except MemoryError:
        raise
    except Exception:  # a corrupt stream can make the decoder raise nearly anything
        raise problem(path, "not a pickle, or truncated: copy it again") from None


def as_numbers(
    value: object, shape: tuple[int | None, ...], path: Path, label: str
) -> npt.NDArray[Any]:
    """``value`` as an array of finite real numbers of a shape; None is any length.

    Raises:
        InputError: another type or shape, NaN or infinity, naming the file and ``label``.
    """
    try:
        array = np.asarray(value)
    except ValueError:
        array = np.asarray(None)
    expected = "(" + ", ".join("any" if n is None else str(n) for n in shape) + ")"
    if array.dtype.kind not in "biuf":
        raise problem(path, f"{label} holds no numbers; expected shape {expected}")
    if array.ndim != len(shape) or any(
        want not in (None, have) for want, have in zip(shape, array.shape, strict=True)
    ):
        raise problem(path, f"{label} has shape {array.shape}; expected {expected}")
    if not np.isfinite(array).all():
        raise problem(path, f"{label} holds NaN or infinity: leave those frames out")
    return array
