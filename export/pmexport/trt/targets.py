"""GPU architectures by name, such as ``sm86``, and the names GPUs are sold under."""

from __future__ import annotations

import re

from posemamba.errors import InputError
from posemamba.text import suggestion

#: What people know each architecture by.
ARCHITECTURES: dict[str, str] = {
    "sm75": "Turing: RTX 20, T4",
    "sm80": "Ampere: A100",
    "sm86": "Ampere: RTX 30, A40",
    "sm87": "Ampere: Jetson Orin",
    "sm89": "Ada: RTX 40, L4",
    "sm90": "Hopper: H100",
    "sm100": "Blackwell: B200",
    "sm103": "Blackwell: B300",
    "sm110": "Blackwell: Jetson Thor",
    "sm120": "Blackwell: RTX 50",
    "sm121": "Blackwell: GB10",
}
CURRENT = "current"

_MODEL = r"(?:ti|super|d|laptop|mobile)*"
#: GPUs by the names they are sold under, without spaces and dashes, and the maker's words.
DEVICES: tuple[tuple[str, str], ...] = (
    (r"(?:rtx20[5678]0|gtx16[356]0)" + _MODEL, "sm75"),
    (r"t4|rtx[3456]000|rtx8000", "sm75"),
    (r"a100|a30|a800", "sm80"),
    (r"rtx30[567890]0" + _MODEL, "sm86"),
    (r"a40|a10g?|a16|a2|(?:rtx)?a[2456][05]00", "sm86"),
    (r"(?:agx|nx|nano)?orin(?:agx|nx|nano)?(?:super)?", "sm87"),
    (r"rtx40[56789]0" + _MODEL, "sm89"),
    (r"l4|l20|l40s?|rtx[2456][05]00ada", "sm89"),
    (r"h100|h200|h800|h20|gh200", "sm90"),
    (r"b100|b200|gb200", "sm100"),
    (r"b300|gb300", "sm103"),
    (r"(?:agx)?thor(?:agx)?|t[45]000", "sm110"),
    (r"rtx50[56789]0" + _MODEL, "sm120"),
    (r"rtxpro[2456][05]00(?:blackwell)?", "sm120"),
    (r"gb10|(?:dgx)?spark", "sm121"),
)
_MAKER = re.compile(r"nvidia|geforce|jetson|[\s_-]")

_SPELLING = re.compile(r"^(?:sm_?)?(\d{1,2})\.?(\d)$")


def parse_targets(text: str) -> tuple[str, ...]:
    """``sm86,sm89`` (also ``86``, ``8.6``, ``sm_86``, ``rtx4090``) as names in ascending order, or
    ``current``. Two GPUs of one architecture are one target.

    Raises:
        InputError: an unknown architecture, one named twice, or ``current`` beside others.
    """
    names: list[str] = []
    for part in text.split(","):
        word = part.strip().casefold()
        match = _SPELLING.match(word)
        device = None if match else device_architecture(word)
        name = f"sm{match[1]}{match[2]}" if match else device or word
        if name != CURRENT and name not in ARCHITECTURES:
            known = [*ARCHITECTURES, CURRENT]
            raise InputError(f"--target '{part.strip()}' is no GPU architecture, nor a GPU such as "
                             f"orin or rtx4090{suggestion(name, known)}")  # fmt: skip
        if name not in names:
            names.append(name)
        elif device is None:
            raise InputError(f"--target names {name} twice: name it once")
    if CURRENT in names and len(names) > 1:
        raise InputError("--target current stands alone: name it, or a list of architectures")
    return tuple(sorted(names, key=architecture_number))


def device_architecture(name: str) -> str | None:
    """``sm87`` for ``Jetson Orin``; None for a GPU that is not in the table."""
    plain = _MAKER.sub("", name.casefold())
    return next((sm for pattern, sm in DEVICES if re.fullmatch(pattern, plain)), None)


def architecture_number(name: str) -> int:
    """86 for ``sm86``; 0 for ``current``."""
    return int(name.removeprefix("sm")) if name != CURRENT else 0
